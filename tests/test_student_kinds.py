"""Every kind of student, from the recipe to the card, on a tiny teacher."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import save_word_encoder
from sentence_transformers import SentenceTransformer
from transformers import BertModel

from hubdistill import static_training, trainer
from hubdistill.errors import CardError, HubDistillError, StudentError
from hubdistill.pipeline import Run
from hubdistill.recipe_file import parse_recipe
from hubdistill.students.dimensions import fit_projection
from hubdistill.variant_results import truncations

WORDS = ["the", "a", "of", "and", "to", "in", "is", "that", "for", "it", "this", "not", "sentence", "text"]
WIDTH = 16


@pytest.fixture
def data(tmp_path: Path, tiny_teacher_folder: Path) -> dict[str, Any]:
    """A recipe for one student of each kind, as plain data; its files lie beside it."""
    rng = np.random.default_rng(0)
    texts = {" ".join(rng.choice(WORDS, size=rng.integers(3, 16))) for _ in range(400)}
    (tmp_path / "texts.txt").write_text("\n".join(sorted(texts)))
    pairs = [
        f"{i % 6}\t{' '.join(rng.choice(WORDS, 5))}\t{' '.join(rng.choice(WORDS, 5))}" for i in range(40)
    ]
    (tmp_path / "sts.tsv").write_text("score\tsentence1\tsentence2\n" + "\n".join(pairs))
    save_word_encoder(tmp_path / "other", WORDS, width=WIDTH, layers=2)
    return {
        "name": "family",
        "teacher": {
            "model": str(tiny_teacher_folder),
            "hub_id": "someone/tiny-teacher",
            "prompt": "a text: ",
        },
        "corpus": {"sources": [{"files": ["texts.txt"], "language": "en"}], "held_out": 0.2},
        "students": [
            {
                "name": "narrow",
                "layers": 2,
                "refit": True,
                "vocabulary": {"tokens": 70},
                "dimensions": 12,
                "training": {"matryoshka": [4, 8]},
            },
            {"name": "trimmed", "kind": "trimmed", "vocabulary": {"coverage": 0.99}, "dimensions": 16},
            {"name": "translated", "kind": "model", "model": "other"},
            {"name": "apart", "kind": "model", "model": "other", "teacher_space": False, "texts": 100},
        ],
        "training": {"batch_size": 32, "evaluations": 2, "learning_rate": 1e-3},
        "evaluation": {
            "similarity": [{"name": "sts-test", "files": ["sts.tsv"]}],
            "k": [5],
            "queries": 20,
            "bootstrap": 100,
            "speed": {"tokens": [8], "seconds": 0.05, "repeats": 2, "calls": 5, "footprint": False},
        },
        "card": {"license": "apache-2.0", "language": ["en"]},
    }


def run_of(data: dict[str, Any], folder: Path) -> Run:
    return Run(parse_recipe(data, folder=folder), device="cpu")


def only(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**data, "students": [student for student in data["students"] if student["name"] in names]}


def test_every_kind_becomes_a_student_with_report_and_card(data: dict[str, Any], tmp_path: Path) -> None:
    run = run_of(data, tmp_path)
    run.preflight(push=False)
    run.embed()
    made = {student.name: student for student in run.distill()}
    reports = run.evaluate()
    cards = {path.parent.name: path.read_text() for path in run.write_cards()}

    widths = {"narrow": 12, "trimmed": 16, "translated": 32, "apart": WIDTH}
    for name, student in made.items():
        model = SentenceTransformer(str(student.folder), device="cpu")
        vectors = model.encode(["this is a text", "the sentence"])
        assert vectors.shape == (2, widths[name])
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(2), abs=1e-5)
        for file in student.folder.rglob("*.json"):
            assert str(tmp_path) not in file.read_text(), file
        measured = {m.metric for m in reports[name].measurements if m.model == name}
        assert {"embedding_spearman", "precision_at_k", "spearman_cosine"} <= measured
        assert ("teacher_cosine" in measured) == (name == "translated")

    facts = {name: report.training for name, report in reports.items()}
    assert {name: fact.method for name, fact in facts.items()} == {
        "narrow": "layers",
        "trimmed": "trimmed",
        "translated": "model",
        "apart": "model",
    }
    assert facts["narrow"].vocabulary.tokens == 70
    assert facts["narrow"].projection.dimensions == 12
    assert 0.9 < facts["trimmed"].vocabulary.held_out_coverage <= 1
    assert facts["trimmed"].loss is None
    assert facts["apart"].texts == 100
    assert facts["translated"].start.name == "other"
    assert reports["translated"].base_model is None
    assert list(truncations(reports["narrow"])) == [12, 8, 4]

    assert "truncate_dim=4" in cards["narrow"]
    assert "| 8 |" in cards["narrow"]
    assert "70 of the teacher's" in cards["narrow"]
    assert "Nothing was trained" in cards["trimmed"]
    assert "other" in cards["translated"]
    assert "not of the teacher's space" in cards["apart"]
    assert "truncate" not in cards["trimmed"]


def test_the_trimmed_teacher_gives_projections_of_the_teachers_vectors(
    data: dict[str, Any], tmp_path: Path
) -> None:
    data = only(data, "trimmed")
    data["students"][0]["vocabulary"] = {"coverage": 1}
    run = run_of(data, tmp_path)
    run.distill()
    student = SentenceTransformer(str(run.student_folder("trimmed")), device="cpu")
    weight = student[-2].linear.weight.detach().numpy()
    texts = ["this is a text", "the sentence is not for that"]
    expected = run.teacher.model.encode(texts) @ weight.T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert student.encode(texts) == pytest.approx(expected, abs=1e-5)


def test_a_static_student_of_fewer_dimensions_has_those_of_the_teachers_projection(
    data: dict[str, Any], tmp_path: Path
) -> None:
    data["students"] = [{"name": "table", "kind": "static", "dimensions": 8, "hidden_layer": False}]
    run = run_of(data, tmp_path)
    run.distill()
    made = run._find("table")
    assert made is not None
    assert made.training.projection.dimensions == 8
    student = SentenceTransformer(str(run.student_folder("table")), device="cpu")
    texts = run.corpus.train
    vectors = run._vectors(texts)
    expected = fit_projection(vectors, 8)(vectors[:])
    assert (student.encode(texts.texts()) * expected).sum(axis=1).mean() > 0.9


def test_a_hidden_layer_goes_from_the_recipe_to_the_card(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Words of three hundred texts are no ground for a hidden layer, which so would be left out.
    monkeypatch.setattr(static_training.NeighbourAgreement, "gains", lambda *_: True)
    data["students"] = [{"name": "deep", "kind": "static", "epochs": 2, "matryoshka": [8]}]
    run = run_of(data, tmp_path)
    run.distill()
    report = run.evaluate()["deep"]
    card = {path.parent.name: path.read_text() for path in run.write_cards()}["deep"]
    student = SentenceTransformer(str(run.student_folder("deep")), device="cpu")
    assert student[1].out_features == report.models["deep"].architecture.feed_forward == 128
    assert report.training.matryoshka == (8,)
    assert "a hidden layer of 128 units" in card
    assert re.search(r"\| Hidden layer +\|[^|]*\| +128 \|", card)
    assert "It knows no word order" in card
    assert "Iyyer" in card
    assert "truncate_dim=8" in card
    assert "np.maximum(0, " in card


def test_a_vocabulary_needs_no_teacher_pass(data: dict[str, Any], tmp_path: Path) -> None:
    data = only(data, "trimmed")
    del data["students"][0]["dimensions"]
    run = run_of(data, tmp_path)
    assert run.embed().texts == 0
    (student,) = run.distill()
    assert SentenceTransformer(str(student.folder), device="cpu").encode(["a text"]).shape == (1, 32)


def test_a_killed_training_goes_on_with_its_projection(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = only(data, "translated")

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(trainer.DistillationTrainer, "_load_best_model", die)  # after the last checkpoint
        with pytest.raises(Killed):
            run_of(data, tmp_path).distill()
    checkpoints = tmp_path.glob("runs/family/work/translated/*/checkpoint-*")
    kept = {checkpoint.name: SentenceTransformer(str(checkpoint), device="cpu") for checkpoint in checkpoints}
    # Nothing is left to train: what comes out is what the best checkpoint held, projection included.
    (student,) = run_of(data, tmp_path).distill()
    model = SentenceTransformer(str(student.folder), device="cpu")
    state = json.loads((tmp_path / "runs/family/work/translated/distilled.json").read_text())
    best = kept[f"checkpoint-{state['training']['best_step']}"]
    assert torch.equal(model[-2].linear.weight, best[-2].linear.weight)
    texts = ["this is a text", "the sentence is not for that"]
    assert model.encode(texts) == pytest.approx(best.encode(texts), abs=1e-6)


def test_another_start_makes_another_student(data: dict[str, Any], tmp_path: Path) -> None:
    data = only(data, "apart")
    assert [student.reused for student in run_of(data, tmp_path).distill()] == [False]
    assert [student.reused for student in run_of(data, tmp_path).distill()] == [True]
    config = tmp_path / "other/tokenizer.json"
    config.write_text(config.read_text().replace('"sentence"', '"paragraph"'))
    assert [student.reused for student in run_of(data, tmp_path).distill()] == [False]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("narrow", {"dimensions": 33}, r"'narrow' asks for 33 dimensions.* has 32; set students\[0\]\.dim"),
        ("narrow", {"vocabulary": {"tokens": 9999}}, r"asks for 9999 tokens.*students\[0\]\.vocabulary\.tok"),
        ("narrow", {"training": {"matryoshka": [12]}}, r"gives 12 dimensions.*students\[0\]\.training\.matr"),
        ("trimmed", {"dimensions": 32}, r"'trimmed' asks for 32 dimensions"),
        ("translated", {"model": "nowhere"}, r"students\[0\]\.model"),
        ("apart", {"training": {"matryoshka": [4]}}, r"students\[0\]\.teacher_space: true"),
        ("narrow", {"training": {"max_length": 65}}, r"students\[0\]\.training\.max_length is 65"),
        ("apart", {"training": {"max_length": 999}}, r"students\[0\]\.training\.max_length is 999"),
    ],
)
def test_what_a_teacher_cannot_give_is_told_first(
    name: str, changes: dict[str, Any], message: str, data: dict[str, Any], tmp_path: Path
) -> None:
    data = only(data, name)
    data["students"][0].update(changes)
    with pytest.raises(StudentError, match=message) as caught:
        run_of(data, tmp_path).preflight(push=False)
    assert isinstance(caught.value, HubDistillError)
    assert not (tmp_path / "runs/family/corpus").exists()


def test_layers_that_cannot_stand_alone_are_told_first(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = only(data, "narrow")
    data["students"][0]["layers"] = [1, 3]
    data["students"][0]["refit"] = False

    def unlike(*_: object) -> None:
        raise StudentError("keep layer 0 as well")

    monkeypatch.setattr("hubdistill.students.layers._check_blocks", unlike)
    with pytest.raises(StudentError, match="keep layer 0 as well"):
        run_of(data, tmp_path).preflight(push=False)


def test_a_start_without_a_padding_token_is_told_first(data: dict[str, Any], tmp_path: Path) -> None:
    data = only(data, "apart")
    start = SentenceTransformer(str(tmp_path / "other"), device="cpu")
    start.tokenizer.pad_token = None
    start.save_pretrained(str(tmp_path / "other"), create_model_card=False)
    with pytest.raises(StudentError, match=r"'apart' starts from .* has no padding token"):
        run_of(data, tmp_path).preflight(push=False)


@pytest.mark.parametrize("name", ["narrow", "trimmed", "apart"])
def test_an_adapter_is_told_first(
    name: str, data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What loading an adapter sets; peft itself is not among the packages.
    monkeypatch.setattr(BertModel, "_hf_peft_config_loaded", True)
    with pytest.raises(StudentError, match="merge it into them"):
        run_of(only(data, name), tmp_path).preflight(push=False)


@pytest.mark.parametrize("field", ["teacher", "students[0]"])
def test_vectors_that_are_cut_are_told_first(
    field: str, data: dict[str, Any], tmp_path: Path, tiny_teacher_folder: Path
) -> None:
    data = only(data, "translated" if field == "students[0]" else "trimmed")
    given = tmp_path / "other" if field == "students[0]" else tiny_teacher_folder
    model = SentenceTransformer(str(given), device="cpu", truncate_dim=8)
    model.save_pretrained(str(tmp_path / "cut"), create_model_card=False)
    settings = data["students"][0] if field == "students[0]" else data["teacher"]
    settings["model"] = str(tmp_path / "cut")
    with pytest.raises(StudentError, match=re.escape("to 8 dimensions")) as caught:
        run_of(data, tmp_path).preflight(push=False)
    assert f"{field}.model" in str(caught.value)


def test_a_teacher_in_bfloat16_has_students_in_float32(data: dict[str, Any], tmp_path: Path) -> None:
    data = only(data, "narrow")
    data["teacher"]["dtype"] = "bfloat16"
    run = run_of(data, tmp_path)
    run.distill()
    student = SentenceTransformer(str(run.student_folder("narrow")), device="cpu")
    assert {parameter.dtype for parameter in student.parameters()} == {torch.float32}


def test_two_licences_ask_for_a_decision(data: dict[str, Any], tmp_path: Path) -> None:
    data = only(data, "translated")
    (tmp_path / "other/README.md").write_text("---\nlicense: mit\n---\n")
    del data["card"]["license"]
    with pytest.raises(CardError, match=r"starts from other \(licence: mit\).*set card\.license"):
        run_of(data, tmp_path).preflight(push=False)
