"""What a careless or unlucky person gets: a message that mends it, an exit code, and nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli.conftest import Invoke
from huggingface_hub import constants
from sample_report import static_report

Recipe = Callable[..., Path]

TEXTS = [f"this is the text {i} of it" for i in range(200)]


@pytest.fixture
def recipe(tmp_path: Path, tiny_teacher_folder: Path) -> Recipe:
    """Writes a recipe for one student: `recipe(corpus={...})` replaces whole parts."""
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")

    def write(**parts: Any) -> Path:
        data = {
            "name": "family",
            "teacher": {"model": str(tiny_teacher_folder), "hub_id": "someone/tiny"},
            "corpus": {"sources": [{"files": ["texts.txt"]}], "held_out": 0.2},
            "students": [{"name": "small", "layers": 1}],
            "training": {"batch_size": 32, "evaluations": 1},
            "evaluation": {"k": [5], "queries": 10, "bootstrap": 100, "speed": None},
            "card": {"license": "mit", "language": ["en"]},
        } | parts
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(data), encoding="utf-8")
        return path

    return write


def refusal(invoke: Invoke, *arguments: object) -> tuple[int, str]:
    """Exit code and message of a command that fails, in words and without a traceback."""
    result = invoke(*arguments)
    assert result.exit_code in (1, 2), result.output
    assert "Traceback" not in result.output
    assert "not expected" not in result.output
    assert result.stdout == ""
    return result.exit_code, result.stderr


def half_written(folder: Path) -> list[Path]:
    """What was being written beside its final name and stayed."""
    return [path for path in folder.rglob(".*") if path.name not in (".locks", ".cache")]


def one_source(**source: Any) -> dict[str, Any]:
    return {"sources": [source], "held_out": 0.2}


# The teacher


def test_a_teacher_that_is_a_file(invoke: Invoke, recipe: Recipe) -> None:
    code, message = refusal(invoke, "embed", recipe(teacher={"model": "texts.txt"}))
    assert code == 1
    assert "texts.txt is a file; teacher.model names a folder or a Hub id" in message


def test_a_teacher_on_a_hub_that_cannot_be_reached_is_told_at_once(
    invoke: Invoke, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    started = time.perf_counter()
    _, message = refusal(invoke, "embed", recipe(teacher={"model": "nobody/nothing"}))
    assert "the Hub cannot be reached; connect, or name a folder in teacher.model" in message
    assert time.perf_counter() - started < 10  # a download alone would try for 23 seconds


def test_a_teacher_whose_weights_are_cut_short(
    invoke: Invoke, recipe: Recipe, tmp_path: Path, tiny_teacher_folder: Path
) -> None:
    shutil.copytree(tiny_teacher_folder, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    _, message = refusal(invoke, "embed", recipe(teacher={"model": "cut"}))
    assert "the teacher 'cut' cannot be loaded" in message


def test_a_device_that_is_not_there(invoke: Invoke, recipe: Recipe) -> None:
    _, message = refusal(invoke, "embed", recipe(), "--device", "cudda")
    assert "the device 'cudda' cannot be used" in message


# The corpus


@pytest.mark.parametrize(
    ("name", "content"),
    [("none.txt", b""), ("none.jsonl", b""), ("none.csv", b""), ("header.csv", b"text\n")],
)
def test_a_corpus_with_nothing_in_it(
    invoke: Invoke, recipe: Recipe, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    code, message = refusal(invoke, "embed", recipe(corpus=one_source(files=[name])))
    assert code == 1
    assert f"no texts in {name}: there is nothing to read; check corpus.sources" in message
    assert half_written(tmp_path) == []
    assert not (tmp_path / "runs/family/corpus").exists()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("latin.txt", "good\ncaf\xe9\n".encode("latin-1"), "latin.txt: line 2 is not UTF-8"),
        ("bad.txt.gz", b"no gzip", "bad.txt.gz: damaged after line 0"),
        ("a.parquet", b"", "a.parquet: cannot be read"),
        ("a.jsonl", b'{"txt": "hello there"}\n', "set `columns` to some of: txt"),
    ],
)
def test_a_corpus_that_cannot_be_read(
    invoke: Invoke, recipe: Recipe, tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert told in refusal(invoke, "embed", recipe(corpus=one_source(files=[name])))[1]
    assert half_written(tmp_path) == []


def test_an_empty_pattern(invoke: Invoke, recipe: Recipe) -> None:
    assert "`files` holds ''" in refusal(invoke, "embed", recipe(corpus=one_source(files=[""])))[1]


def test_labels_that_are_no_vectors(invoke: Invoke, recipe: Recipe, tmp_path: Path) -> None:
    rows = "\n".join(json.dumps({"text": text, "label": "x"}) for text in TEXTS)
    (tmp_path / "a.jsonl").write_text(rows)
    _, message = refusal(invoke, "embed", recipe(corpus=one_source(files=["a.jsonl"], label="label")))
    assert "a.jsonl: a label is not a list of finite numbers: 'x'" in message


# The disk


@pytest.mark.parametrize("output", ["texts.txt", "texts.txt/deeper"])
def test_an_output_folder_that_is_a_file(invoke: Invoke, recipe: Recipe, output: str) -> None:
    _, message = refusal(invoke, "embed", recipe(output=output))
    assert "cannot write or read" in message
    assert "texts.txt" in message


def test_a_recipe_where_none_can_be_written(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "file" in refusal(invoke, "init", "file/recipe.yaml")[1]


def test_a_damaged_shard_is_told_and_embedded_again(invoke: Invoke, recipe: Recipe, tmp_path: Path) -> None:
    path = recipe()
    assert invoke("embed", path).exit_code == 0
    damages: tuple[Callable[[bytes], bytes], ...] = (
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data[:-1],
    )
    for damage in damages:
        shard = max(tmp_path.glob("runs/family/embeddings/*/*.vectors"), key=lambda file: file.stat().st_size)
        before = shard.read_bytes()
        shard.write_bytes(damage(before))
        result = invoke("embed", path)
        assert result.exit_code == 0
        assert f"shard {shard.stem} is damaged; its texts will be embedded again" in result.stderr
        assert not shard.exists()


# Cards and reports


def test_a_card_of_nothing(invoke: Invoke) -> None:
    code, message = refusal(invoke, "card", "nowhere")
    assert code == 2
    assert "there is neither a recipe nor a folder nowhere" in message


def test_a_card_that_is_not_utf_8_is_not_replaced(invoke: Invoke, tmp_path: Path) -> None:
    static_report().save(tmp_path)
    (tmp_path / "README.md").write_bytes(b"caf\xe9")
    assert "README.md is not UTF-8" in refusal(invoke, "card", tmp_path)[1]
    assert (tmp_path / "README.md").read_bytes() == b"caf\xe9"


def test_a_card_for_what_is_no_repository(invoke: Invoke, tmp_path: Path) -> None:
    assert "did you mean 'me/a-b'" in refusal(invoke, "card", tmp_path, "--repo-id", "me/a b")[1]


def test_a_port_beyond_all_ports(invoke: Invoke) -> None:
    code, message = refusal(invoke, "localhub", "--port", "99999")
    assert code == 2
    assert "65535" in message


# Signals


def _started(recipe: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hubdistill", *arguments, str(recipe)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_ctrl_c_in_training_says_one_sentence_and_the_next_run_goes_on(
    recipe: Recipe, tmp_path: Path, invoke: Invoke
) -> None:
    path = recipe(training={"batch_size": 4, "evaluations": 8})
    with _started(path, "distill") as process:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if any(tmp_path.glob("runs/family/work/small/*/checkpoint-*/trainer_state.json")):
                process.send_signal(signal.SIGINT)
                break
            time.sleep(0.005)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith("Interrupted. What was finished is kept; the same command continues from there.\n")
    assert "Traceback" not in said
    assert half_written(tmp_path) == []
    result = invoke("distill", path)
    assert result.exit_code == 0
    assert "Resuming training from checkpoint-" in result.stderr
