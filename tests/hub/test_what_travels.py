"""The allow-list, and what it says of the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hub.model_folder import safetensors

from hubdistill.errors import PublishError
from hubdistill.hub.files import is_replaceable, role_of, select
from hubdistill.hub.local import read_files


def test_whole_model_travels(model: Path) -> None:
    selection = select(model)
    assert list(selection.files) == sorted(f.relative_to(model).as_posix() for f in model.rglob("*.*"))
    assert selection.left_out == ()
    assert selection.module_folders == {"1_Pooling"}


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("training_args.bin", "Hub token in plain text"),
        ("pytorch_model.bin", "pickle"),
        ("model.pt", "pickle"),
        ("extra.pkl", "pickle"),
        ("1_Pooling/pytorch_model.bin", "pickle"),
        ("openvino/stray.bin", "pickle"),
        ("optimizer.pt", "state of the training run"),
        ("optimizer.safetensors.tmp", "state of the training run"),
        ("scheduler.pt", "state of the training run"),
        ("rng_state_0.pth", "state of the training run"),
        ("trainer_state.json", "state of the training run"),
        ("checkpoint-500/model.safetensors", "checkpoint"),
        (".env", "environment files"),
        (".env.local", "environment files"),
        (".gitattributes", "the Hub keeps its own"),
        (".DS_Store", "hidden"),
        ("1_Pooling/.secret.json", "hidden"),
        (".git/config", "git repository"),
        (".cache/huggingface/x", "cache"),
        ("__pycache__/x.pyc", "cache"),
        ("train.log", "log"),
        ("events.out.tfevents.1.host", "log"),
        ("runs/Nov21_host/events", "log"),
        ("train.py", "code"),
        ("data.csv", "not part of a model"),
        ("figures/notes.txt", "not part of a model"),
        ("figures/deep/x.png", "not part of a model"),
        ("unknown/model.safetensors", "not part of a model"),
        (".eval_results/x.json", "not part of a model"),
    ],
)
def test_everything_else_stays_behind_with_a_reason(model: Path, path: str, why: str) -> None:
    file = model / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")
    selection = select(model)
    assert path not in selection.files
    (left,) = selection.left_out
    assert path == left.path or path.startswith(left.path)
    assert why in left.why


@pytest.mark.parametrize(
    "path",
    [
        "LICENSE",
        ".eval_results/mteb.yaml",
        "onnx/model.onnx",
        "onnx/model_O3.onnx",
        "openvino/openvino_model.xml",
        "1_Pooling/deep/config.json",
        "sentencepiece.bpe.model",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "chat_template.jinja",
        "generation_config.json",
    ],
)
def test_what_else_a_model_may_have_travels(model: Path, path: str) -> None:
    file = model / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")
    assert path in select(model).files


def test_openvino_weights_travel_beside_their_graph(model: Path) -> None:
    (model / "openvino").mkdir()
    for name in ("openvino_model.xml", "openvino_model.bin"):
        (model / "openvino" / name).write_bytes(b"x")
    assert "openvino/openvino_model.bin" in select(model).files


def test_folders_of_a_router_travel(model: Path) -> None:
    (model / "router_config.json").write_text(json.dumps({"types": {"query_0_StaticEmbedding": "x"}}))
    (model / "query_0_StaticEmbedding").mkdir()
    (model / "query_0_StaticEmbedding/model.safetensors").write_bytes(safetensors())
    assert "query_0_StaticEmbedding/model.safetensors" in select(model).files


def test_links_that_lead_out_stay_behind(model: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "elsewhere").mkdir()
    (model / "generation_config.json").symlink_to(tmp_path / "secret.json")
    (model / "preprocessor_config.json").symlink_to(model / "config.json")
    (model / "onnx").symlink_to(tmp_path / "elsewhere")
    selection = select(model)
    assert "preprocessor_config.json" in selection.files
    assert dict(selection.left_out) == {
        "generation_config.json": "a link that leads out of the folder; copy the file itself in",
        "onnx/": "a link to a folder; copy the folder itself in",
    }


def test_folder_without_modules_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"has no modules\.json"):
        select(tmp_path)
    with pytest.raises(PublishError, match="no such folder"):
        select(tmp_path / "nowhere")


def test_model_without_a_card_is_told_how_to_get_one(model: Path) -> None:
    (model / "README.md").unlink()
    with pytest.raises(PublishError, match=f"hubdistill card {model}"):
        select(model)


def test_model_with_only_pickled_weights_is_told_so(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(PublishError, match=r"no weights .*found pytorch_model\.bin: a pickle"):
        select(model)


@pytest.mark.parametrize("path", ["../other", "/etc", "a/../../b", "C:\\x"])
def test_module_folder_outside_is_refused(model: Path, path: str) -> None:
    (model / "modules.json").write_text(json.dumps([{"path": ""}, {"path": path}]))
    with pytest.raises(PublishError, match="module folders are relative"):
        select(model)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"path": 1}]'])
def test_broken_modules_are_refused(model: Path, text: str) -> None:
    (model / "modules.json").write_text(text)
    with pytest.raises(PublishError, match=r"modules\.json"):
        select(model)


def test_include_and_exclude(model: Path) -> None:
    selection = select(model, include=("README.md", "figures/"), exclude=("*.png",))
    assert list(selection.files) == ["README.md"]
    assert dict(selection.left_out)["config.json"] == "left out by --include/--exclude"
    with pytest.raises(PublishError, match="leave nothing"):
        select(model, include=("*.md",), exclude=("*",))


def test_pickle_under_the_name_of_safetensors_is_refused(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"\x80\x04\x95" + b"pickle" * 10)
    with pytest.raises(PublishError, match="is not a safetensors file"):
        read_files(select(model))


def test_only_what_a_push_wrote_may_be_replaced() -> None:
    ours = ["model.safetensors", "1_Dense/model.safetensors", "config.json", "vocab.txt", "figures/x.png"]
    ours += ["report.json", "recipe.yaml", "training_args.bin", "pytorch_model-00001-of-00002.bin"]
    theirs = [
        "README.md",
        "LICENSE",
        ".gitattributes",
        ".eval_results/x.yaml",
        "onnx/model.onnx",
        "a/config.json",
    ]
    theirs += ["notes.md", "figures/x.svg", "1_Dense/notes.txt", "data.bin", "mine_1_Dense/config.json"]
    assert [path for path in ours + theirs if is_replaceable(path)] == ours


def test_git_blob_and_lfs_ids_are_those_of_git(model: Path) -> None:
    (model / "vocab.txt").write_bytes(b"what is up, doc?")
    file = read_files(select(model))["vocab.txt"]
    # Pro Git, 10.2 "Git Objects": the id of this very content.
    assert file.git_sha1 == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"
    assert read_files(select(model))["model.safetensors"].size == len(safetensors())


def test_role_of_knows_modules_only_by_name() -> None:
    assert role_of("2_Dense/model.safetensors") is None
    assert role_of("2_Dense/model.safetensors", {"2_Dense"}) == "weights"
    assert role_of("2_Dense/README.md", {"2_Dense"}) is None
