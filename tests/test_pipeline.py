"""A recipe's whole way, on a tiny teacher: steps, resumption, and what is published."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import HfApi, constants
from sentence_transformers import SentenceTransformer

from hubdistill.errors import CardError, GateError, PublishError, StudentDepthError, TrainingError
from hubdistill.localhub import Account, LocalHub
from hubdistill.pipeline import Run
from hubdistill.recipe_file import parse_recipe
from hubdistill.report import load_report

WORDS = ["the", "a", "of", "and", "to", "in", "is", "that", "for", "it", "this", "not", "sentence", "text"]


@pytest.fixture
def data(tmp_path: Path, tiny_teacher_folder: Path) -> dict[str, Any]:
    """A recipe for two students, as plain data; texts and similarity pairs lie beside it."""
    rng = np.random.default_rng(0)
    texts = {" ".join(rng.choice(WORDS, size=rng.integers(3, 16))) for _ in range(500)}
    (tmp_path / "texts.txt").write_text("\n".join(sorted(texts)))
    pairs = [
        f"{i % 6}\t{' '.join(rng.choice(WORDS, 5))}\t{' '.join(rng.choice(WORDS, 5))}" for i in range(40)
    ]
    (tmp_path / "sts.tsv").write_text("score\tsentence1\tsentence2\n" + "\n".join(pairs))
    return {
        "name": "family",
        "teacher": {"model": str(tiny_teacher_folder), "hub_id": "someone/tiny-teacher"},
        "corpus": {"sources": [{"files": ["texts.txt"], "language": "en"}], "held_out": 0.2},
        "students": [
            {"name": "tiny-2", "layers": 2, "texts": 200},
            {"name": "tiny-static", "kind": "static"},
        ],
        "training": {"batch_size": 32, "evaluations": 2},
        "evaluation": {
            "similarity": [{"name": "sts-test", "files": ["sts.tsv"]}],
            "k": [5],
            "queries": 20,
            "bootstrap": 100,
            "speed": {"tokens": [8], "seconds": 0.05, "repeats": 2, "calls": 5, "footprint": False},
        },
        "card": {"license": "apache-2.0", "language": ["en"]},
        "publish": {"namespace": "demo"},
    }


def run_of(data: dict[str, Any], folder: Path) -> Run:
    return Run(parse_recipe(data, folder=folder), device="cpu")


def test_a_recipe_becomes_published_students_that_load_back(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    run = run_of(data, tmp_path)
    run.preflight(push=False)
    embedded = run.embed()
    made = run.distill()
    reports = run.evaluate()
    cards = run.write_cards()

    assert (embedded.texts, embedded.held_out) == (len(run.corpus.train), len(run.corpus.choosing))
    assert [student.name for student in made] == ["tiny-2", "tiny-static"]
    kept = reports["tiny-2"].models["tiny-2"].architecture.kept_layers
    assert kept is not None
    assert len(kept) == 2
    assert f"layers {kept[0]}, {kept[1]} of the teacher's 4" in (reports["tiny-2"].training.selection or "")
    assert reports["tiny-2"].training.teacher_seconds > 0
    assert reports["tiny-static"].models["tiny-static"].architecture.kind == "static"
    assert [card.parent.name for card in cards] == ["tiny-2", "tiny-static", "family"]
    assert "tiny-2" in cards[-1].read_text(encoding="utf-8")
    for student in made:
        model = SentenceTransformer(str(student.folder), device="cpu")
        assert model.encode(["this is a text"]).shape == (1, 32)
        assert str(tmp_path) not in (student.folder / "report.json").read_text()
        assert str(tmp_path) not in (student.folder / "recipe.yaml").read_text()

    with LocalHub(tmp_path / "hub", tokens={"hf_demo": Account("demo")}) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        api = HfApi(endpoint=hub.endpoint, token="hf_demo")
        cosines = {name: found.find("teacher_cosine", model=name)[0].value for name, found in reports.items()}
        closest = max(cosines, key=lambda name: cosines[name])
        gates = [f"teacher_cosine@held-out <= {min(cosines.values())!r}", "no_regression"]
        gated = run_of({**data, "publish": {"namespace": "demo", "gates": gates}}, tmp_path)
        with pytest.raises(
            GateError, match=f"^demo/{closest} does not meet 1 of 2 gates:\n  teacher_cosine on"
        ):
            gated.push(token="hf_demo")
        assert not any(api.repo_exists(f"demo/{name}") for name in reports)
        outcomes = run.push(token="hf_demo")
        assert {"README.md", "model.safetensors", "report.json"} <= set(api.list_repo_files("demo/tiny-2"))
        assert [outcome.repo_id for outcome in outcomes] == ["demo/tiny-2", "demo/tiny-static"]
        assert [outcome.commit for outcome in run.push(token="hf_demo")] == [None, None]


def test_a_second_run_makes_only_what_changed(data: dict[str, Any], tmp_path: Path) -> None:
    assert [student.reused for student in run_of(data, tmp_path).distill()] == [False, False]
    data["students"][0]["layers"] = [0, 2]
    second = run_of(data, tmp_path)
    assert [student.reused for student in second.distill()] == [False, True]
    assert (
        SentenceTransformer(str(second.student_folder("tiny-2")), device="cpu")[
            0
        ].auto_model.config.num_hidden_layers
        == 2
    )
    assert not list((tmp_path / "runs/family/work/tiny-2").glob("*/checkpoint-*"))


def test_a_student_that_is_made_anew_keeps_its_owners_words(data: dict[str, Any], tmp_path: Path) -> None:
    run = run_of(data, tmp_path)
    run.distill()
    run.evaluate()
    card = run.write_cards()[0]
    marker = "<!-- hubdistill:keep limitations -->\n"
    card.write_text(card.read_text().replace(marker, f"{marker}\nNot for poetry.\n", 1))
    data["training"]["learning_rate"] = 1e-3
    again = run_of(data, tmp_path)
    again.distill()
    again.evaluate()
    assert "Not for poetry." in again.write_cards()[0].read_text()


def test_training_that_was_killed_goes_on_from_its_checkpoint(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hubdistill import distilling, trainer

    del data["students"][1]

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(trainer.DistillationTrainer, "_load_best_model", die)  # after the last checkpoint
        with pytest.raises(Killed):
            run_of(data, tmp_path).distill()
    (record,) = (tmp_path / "runs/family/work/tiny-2").glob("*/layers.json")
    chosen = json.loads(record.read_text())
    spent = 1000.0
    (record.parent / "seconds.json").write_text(json.dumps({"seconds": spent}))
    # The checkpoint holds these layers: nothing is chosen anew.
    monkeypatch.setattr(distilling, "search_layers", lambda *_, **__: [(0, 1, 2, 3), (0, 1, 2), (9, 9)])
    seen: list[str | None] = []
    real = trainer.last_checkpoint
    monkeypatch.setattr(trainer, "last_checkpoint", lambda folder: seen.append(real(folder)) or seen[-1])
    (student,) = run_of(data, tmp_path).distill()
    assert seen[0] is not None
    assert not student.reused
    assert student.seconds > spent  # of both runs
    assert json.loads((tmp_path / "runs/family/work/tiny-2/distilled.json").read_text())["layers"] == chosen


def test_a_student_that_was_killed_while_it_was_saved_does_not_pass_for_the_one_before(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = {"name": "small", "kind": "trimmed", "dimensions": 8}
    data["students"] = [first]
    run_of(data, tmp_path).distill()
    data["students"] = [{**first, "dimensions": 4}]
    with monkeypatch.context() as patched:
        patched.setattr("hubdistill.pipeline.atomic.write_text", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_of(data, tmp_path).distill()
    data["students"] = [first]
    again = run_of(data, tmp_path)
    assert [student.reused for student in again.distill()] == [False]
    saved = SentenceTransformer(str(again.student_folder("small")), device="cpu")
    assert saved.get_embedding_dimension() == 8


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_student_of_other_settings_is_not_measured(data: dict[str, Any], tmp_path: Path) -> None:
    data["students"] = [{"name": "tiny-2", "layers": [0, 3]}]
    run_of(data, tmp_path).distill()
    data["teacher"]["batch_tokens"] = 512  # changes no vector
    data["card"]["samples"] = 1
    (measured,) = run_of(data, tmp_path).evaluate().values()
    assert measured.training is not None
    assert len(measured.training.samples) == 1
    data["corpus"]["held_out"] = 0.4  # texts that the student was trained on would be measured on
    with pytest.raises(TrainingError, match=r"'tiny-2' was made by another recipe.*hubdistill distill"):
        run_of(data, tmp_path).evaluate()


def test_seconds_of_an_interrupted_teacher_pass_count(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        time.sleep(0.2)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("hubdistill.pipeline.embed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_of(data, tmp_path).embed()
    again = run_of(data, tmp_path)
    again.embed()
    first = again._teacher_seconds()
    assert first is not None
    assert first > 0.2
    data["teacher"]["prompt"] = "query: "
    other = run_of(data, tmp_path)
    assert other._teacher_seconds() is None  # vectors with a prompt are others


def test_vectors_that_are_there_need_no_room(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data["corpus"]["texts"] = 400
    run = run_of(data, tmp_path)
    run.embed()
    needed: list[dict[str, int]] = []
    monkeypatch.setattr("hubdistill.pipeline.refuse_full", lambda _, parts, *__, **___: needed.append(parts))
    run.preflight(push=False)
    assert needed[0]["the teacher's vectors of 400 texts"] < 400 * 32 * 2 / 2


def test_too_many_layers_are_told_before_the_teacher_pass(data: dict[str, Any], tmp_path: Path) -> None:
    data["students"][0]["layers"] = 9
    with pytest.raises(StudentDepthError, match=r"tiny-2.*9 layers.*has 4.*students\[0\]\.layers"):
        run_of(data, tmp_path).preflight(push=False)
    assert not (tmp_path / "runs/family/embeddings").exists()


def test_a_licence_that_nobody_states_is_told_first(data: dict[str, Any], tmp_path: Path) -> None:
    del data["card"]["license"]
    with pytest.raises(CardError, match=r"card\.license"):
        run_of(data, tmp_path).preflight(push=False)


def test_a_push_without_a_namespace_is_told_first(data: dict[str, Any], tmp_path: Path) -> None:
    del data["publish"]
    with pytest.raises(PublishError, match=r"publish\.namespace"):
        run_of(data, tmp_path).preflight(push=True)


def test_a_missing_template_is_told_first(data: dict[str, Any], tmp_path: Path) -> None:
    data["card"]["template"] = "mine.md.j2"
    with pytest.raises(CardError, match=r"mine\.md\.j2"):
        run_of(data, tmp_path).preflight(push=False)


def test_evaluating_before_distilling_says_what_to_do(data: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="hubdistill distill"):
        run_of(data, tmp_path).evaluate()


def test_samples_leave_out_texts_with_private_paths(data: dict[str, Any], tmp_path: Path) -> None:
    run = run_of(data, tmp_path)
    table = run.corpus.train
    assert run._samples(table) == tuple(table.texts(0, 3))
    (tmp_path / "texts.txt").write_text("\n".join(f"see /home/jane/notes/{i}.txt" for i in range(400)))
    again = run_of({**data, "name": "paths"}, tmp_path)
    assert again._samples(again.corpus.train) == ()


def test_several_processes_share_a_run(data: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(data))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for command in ("run", "evaluate"):
        done = subprocess.run(
            [*launch, "-m", "hubdistill", command, "recipe.yaml"],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("where") == 1  # one table, not two
    facts = load_report(tmp_path / "runs/family/students/tiny-2").training
    assert facts is not None
    assert facts.best_step is not None
    assert facts.best_step <= 4  # 200 texts in batches of 32 on each of two processes
