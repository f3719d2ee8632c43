"""Any models beside a teacher: by folder or by Hub id, with or without a report of their own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from evaluation.word_models import random_vectors, words
from sample_report import mxbai_report
from sentence_transformers import SentenceTransformer

from hubdistill.errors import EvaluationError, TeacherError
from hubdistill.model_evaluation import evaluate_models
from hubdistill.models import locate
from hubdistill.recipe import CorpusSource, Evaluation, SimilaritySet, Teacher
from hubdistill.report import load_report
from hubdistill.students.layers import reduce_layers

QUICK = Evaluation(k=(3, 5), queries=20, bootstrap=100, speed=None)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, tiny_teacher_folder: Path) -> Path:
    """A teacher, two smaller models of one name, a static one of another width, texts and pairs."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(tiny_teacher_folder, folder / "teacher")
    teacher = SentenceTransformer(str(tiny_teacher_folder), device="cpu")
    for place in ("small", "other/small"):
        reduce_layers(teacher, [0, 3]).save_pretrained(str(folder / place), create_model_card=False)
    known = words(60)
    static = random_vectors("static", known, 16, seed=3).model
    static.save_pretrained(str(folder / "static"), create_model_card=False)
    for name, first in (("one", 0), ("two", 30)):
        lines = [f"{known[i]} and {known[(i + 7) % 60]}" for i in range(first, first + 30)]
        (folder / f"{name}.txt").write_text("\n".join([*lines, lines[0]]), encoding="utf-8")
    rows = [f"{i % 5}\t{known[i]}\t{known[(3 * i + 1) % 60]}" for i in range(40)]
    (folder / "pairs.tsv").write_text(
        "score\tsentence1\tsentence2\n" + "\n".join(rows) + "\n", encoding="utf-8"
    )
    return folder


def test_models_of_any_kind_get_a_report_each(here: Path, tmp_path: Path) -> None:
    texts = [CorpusSource(files=(f"{name}.txt",)) for name in ("one", "two")]
    models = [str(here / name) for name in ("small", "static", "other/small")]
    reports = evaluate_models(models, str(here / "teacher"), QUICK, tmp_path, texts=texts, base=here)
    assert list(reports) == ["small", "static", "small-2"]
    small = load_report(tmp_path / "small")
    assert small == reports["small"]
    assert small.siblings == ("static", "small-2")
    assert small.training is None
    assert small.corpus is None
    assert small.base_model is None
    assert small.data["held-out"].n == 60  # without the repeats
    assert small.data["held-out"].source == "files of texts"
    assert {m.model for m in small.find("teacher_cosine")} == {"small", "small-2"}
    assert {m.model for m in small.find("linear_cka")} == {"small", "static", "small-2"}
    sources = {m.parameters["source"] for m in small.measurements if "source" in m.parameters}
    assert sources == {"one.txt", "two.txt"}
    assert str(here) not in (tmp_path / "small" / "report.json").read_text(encoding="utf-8")
    kept = (tmp_path / "small" / "lowest_agreement.jsonl").read_text(encoding="utf-8").splitlines()
    values = [json.loads(line)["value"] for line in kept]
    assert len(values) == 10
    assert values == sorted(values)
    assert small.lowest_agreement == ()


def test_what_a_model_s_own_report_says_of_its_making_is_kept(here: Path, tmp_path: Path) -> None:
    settings = QUICK.model_copy(update={"similarity": (SimilaritySet(name="pairs", files=("pairs.tsv",)),)})
    folder = tmp_path / "made"
    shutil.copytree(here / "small", folder)
    weights = locate(str(folder)).revision
    made = mxbai_report().model_copy(update={"recipe": "name: made"})
    ours = made.models[made.student].model_copy(update={"revision": weights})
    made.model_copy(update={"models": {**made.models, made.student: ours}}).save(folder)
    # A report of other weights says nothing about these.
    made.save(here / "static")
    teacher = Teacher(model=str(here / "teacher"), hub_id=made.models[made.teacher].hub_id)
    reports = evaluate_models(
        [str(folder), str(here / "static")], teacher, settings, tmp_path / "out", base=here
    )
    assert reports["made"].recipe == "name: made"
    assert reports["made"].training == made.training
    assert reports["static"].training is None
    # Without texts, those of the sets serve.
    assert reports["made"].data["held-out"].source == "texts of the evaluation sets"
    assert reports["made"].find("spearman_cosine", model="made", data="pairs")


def test_bad_input_is_told(here: Path, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="--texts"):
        evaluate_models([str(here / "small")], str(here / "teacher"), QUICK, tmp_path / "out", base=here)
    one = [CorpusSource(files=("one.txt",))]
    with pytest.raises(TeacherError, match="there is no folder"):
        evaluate_models(["no model"], str(here / "teacher"), QUICK, tmp_path / "out", texts=one, base=here)
    assert not (tmp_path / "out").exists()
