"""HubDistillCallback in a user's own training script, against the local Hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi, constants
from sentence_transformers import SentenceTransformer

from hubdistill.localhub import Account, LocalHub
from hubdistill.model_files import sha256_of
from hubdistill.report import Emissions
from hubdistill.trainer_facts import emissions

SCRIPT = """
import sys

from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MSELoss

from hubdistill import HubDistillCallback
from hubdistill.recipe import Card, Evaluation, Speed
from hubdistill.students.layers import reduce_layers

teacher_folder, strategy, license, *gates = sys.argv[1:]
words = ["the", "a", "of", "and", "to", "in", "is", "that", "for", "it", "this", "not", "text"]
texts = [" ".join(words[(i * j) % 13] for j in range(1, 3 + i % 9)) + f" {i}" for i in range(160)]
train, held_out = texts[:100], texts[100:]
teacher = SentenceTransformer(teacher_folder, device="cpu")
student = reduce_layers(teacher, [0, 3])
data = Dataset.from_dict({"sentence": train, "label": teacher.encode(train).tolist()})
trainer = SentenceTransformerTrainer(
    model=student,
    args=SentenceTransformerTrainingArguments(
        output_dir="out", max_steps=20, per_device_train_batch_size=10, learning_rate=3e-3,
        eval_strategy="steps", eval_steps=10, save_strategy="steps", save_steps=10, save_total_limit=1,
        load_best_model_at_end=True, metric_for_best_model="eval_teacher_cosine", greater_is_better=True,
        push_to_hub=strategy != "no", hub_strategy="every_save", hub_model_id="demo/student",
        hub_token="hf_demo", report_to="none", disable_tqdm=True, use_cpu=True,
    ),
    train_dataset=data.to_iterable_dataset() if strategy == "every_save" else data,
    eval_dataset=Dataset.from_dict({"sentence": held_out, "label": teacher.encode(held_out).tolist()}),
    loss=MSELoss(student),
    callbacks=[
        HubDistillCallback(
            teacher_folder, "demo/student", held_out=held_out, layers=[0, 3],
            evaluation=Evaluation(
                k=(5,), queries=20, bootstrap=100,
                speed=Speed(tokens=(8,), seconds=0.05, calls=5, footprint=False),
            ),
            card=Card(license=license, language=("en",)), gates=gates,
        )
    ],
)
assert "eval_teacher_cosine" not in trainer.evaluate()
trainer.train()
if strategy == "every_save":
    trainer.push_to_hub()
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    tokens = {"hf_demo": Account("demo"), "hf_read": Account("demo", role="read")}
    with LocalHub(tmp_path / "hub", tokens=tokens) as running:
        yield running


def run_script(
    hub: LocalHub,
    tmp_path: Path,
    teacher: Path,
    strategy: str = "no",
    license: str = "mit",
    token: str = "hf_demo",
    gates: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "home"),
        "OMP_NUM_THREADS": "1",
    }
    script = SCRIPT.replace("hf_demo", token)
    return subprocess.run(
        [sys.executable, "-c", script, str(teacher), strategy, license, *gates],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )


def test_training_ends_in_one_commit_of_model_card_and_report(
    hub: LocalHub, tmp_path: Path, tiny_teacher_folder: Path
) -> None:
    done = run_script(hub, tmp_path, tiny_teacher_folder)
    assert done.returncode == 0, done.stderr
    api = HfApi(endpoint=hub.endpoint, token="hf_demo")
    files = set(api.list_repo_files("demo/student"))
    assert {"README.md", "report.json", "model.safetensors", "figures/summary.png"} <= files
    assert not files & {"training_args.bin", "optimizer.pt", ".gitignore"}
    assert len(api.list_repo_commits("demo/student")) == 2  # the Hub's own first commit, and ours
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["training"]["loss"] == "MSELoss"
    assert report["training"]["texts"] == 100
    assert list((tmp_path / "out").glob("checkpoint-*/model.safetensors"))
    weights = api.hf_hub_download("demo/student", "model.safetensors", cache_dir=tmp_path / "cache")
    assert report["models"]["student"]["revision"] == f"sha256:{sha256_of(Path(weights))}"
    assert [line for line in report["training"]["log"] if line["teacher_cosine"] is not None]
    assert report["models"]["student"]["architecture"]["kept_layers"] == [0, 3]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "generated_from_trainer" not in card
    assert "demo/student" in card


def test_the_trainers_own_pushes_carry_our_card_and_no_training_arguments(
    hub: LocalHub, tmp_path: Path, tiny_teacher_folder: Path
) -> None:
    api = HfApi(endpoint=hub.endpoint, token="hf_demo")
    api.create_repo("demo/student")
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="report.json", repo_id="demo/student")
    done = run_script(hub, tmp_path, tiny_teacher_folder, strategy="every_save")
    assert done.returncode == 0, done.stderr
    titles = [commit.title for commit in api.list_repo_commits("demo/student")]
    assert sum(title.startswith("Training in progress") for title in titles) == 2
    for commit in api.list_repo_commits("demo/student")[:-1]:
        files = api.list_repo_files("demo/student", revision=commit.commit_id)
        assert not [name for name in files if "training_args" in name or "checkpoint" in name]
        assert "report.json" in files  # what was published stays until the final push
    assert json.loads((tmp_path / "out" / "report.json").read_text())["training"]["texts"] == 200  # seen
    card = Path(api.hf_hub_download("demo/student", "README.md", cache_dir=tmp_path / "cache")).read_text()
    assert card == (tmp_path / "out" / "README.md").read_text()
    assert "generated_from_trainer" not in card


def test_no_checkpoint_passes_by_the_gates(hub: LocalHub, tmp_path: Path, tiny_teacher_folder: Path) -> None:
    gate = "teacher_cosine >= 2"
    done = run_script(hub, tmp_path, tiny_teacher_folder, strategy="every_save", gates=(gate,))
    assert "Checkpoints are not pushed, because the final push has to meet gates" in done.stderr
    assert "does not meet 1 of 1 gates" in done.stderr
    assert HfApi(endpoint=hub.endpoint, token="hf_demo").list_repo_files("demo/student") == [".gitattributes"]


def test_a_card_of_somebody_else_is_told_before_the_first_step(
    hub: LocalHub, tmp_path: Path, tiny_teacher_folder: Path
) -> None:
    api = HfApi(endpoint=hub.endpoint, token="hf_demo")
    api.create_repo("demo/student")
    card = b"---\nlicense: mit\n---\n# By hand\n"
    api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id="demo/student")
    done = run_script(hub, tmp_path, tiny_teacher_folder)
    assert "a card that hubdistill did not write" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("license", "token", "message"),
    [("wtf", "hf_demo", "wtf"), ("mit", "hf_read", "write"), ("mit", "hf_unknown", "token")],
)
def test_what_would_fail_at_the_end_fails_before_the_first_step(
    hub: LocalHub, tmp_path: Path, tiny_teacher_folder: Path, license: str, token: str, message: str
) -> None:
    done = run_script(hub, tmp_path, tiny_teacher_folder, license=license, token=token)
    assert done.returncode != 0
    assert message in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_emissions_are_those_that_the_trainers_callback_counted(tiny_teacher: SentenceTransformer) -> None:
    assert emissions(tiny_teacher.model_card_data) is None
    found = SimpleNamespace(
        emissions=0.0125, energy_consumed=0.031, on_cloud="N", cpu_model="x", ram_total_size=1, gpu_model=None
    )
    tracker = SimpleNamespace(_start_time=1.0, _prepare_emissions_data=lambda: found)
    tiny_teacher.model_card_data.code_carbon_callback = SimpleNamespace(tracker=tracker)
    assert emissions(tiny_teacher.model_card_data) == Emissions(grams=12.5, kilowatt_hours=0.031)
