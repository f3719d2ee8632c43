"""A whole evaluation: one run, everything in it, fit for a report."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation.test_retrieval import write_set
from evaluation.test_similarity import random_rows, write_pairs
from evaluation.word_models import random_vectors, words
from sentence_transformers import SentenceTransformer

from hubdistill.errors import EvaluationError
from hubdistill.evaluation import Candidate, Evidence, evaluate
from hubdistill.evaluation.architecture import describe_architecture
from hubdistill.evaluation.held_out import HeldOut
from hubdistill.recipe import Evaluation, RetrievalSet, SimilaritySet, Speed
from hubdistill.report import Model
from hubdistill.students.layers import reduce_layers

HELD_OUT = [f"{one} is the text of {other}" for one in words(12) for other in words(5)]


def candidate(name: str, model: SentenceTransformer) -> Candidate:
    facts = Model(
        role="teacher" if name == "teacher" else "student",
        name=name,
        revision="sha256:0",
        architecture=describe_architecture(model),
        bytes=1,
        dtype="float32",
    )
    return Candidate(name, model, facts)


def values(evidence: Evidence, metric: str, data: str) -> dict[str, float]:
    found = [m for m in evidence.measurements if (m.metric, m.data) == (metric, data) and m.plain]
    return {m.model: m.value for m in found}


@pytest.fixture
def evidence(tmp_path: Path, tiny_teacher: SentenceTransformer, tiny_teacher_folder: Path) -> Evidence:
    texts = words(40)
    settings = Evaluation(
        similarity=(
            write_pairs(tmp_path, random_rows(40), "first-test"),
            SimilaritySet(name="second", files=("pairs.tsv",)),
        ),
        retrieval=(write_set(tmp_path),),
        k=(3, 5),
        speed=Speed(tokens=(8,), batch_sizes=(4,), calls=0, footprint=False, seconds=0.01, repeats=2),
        bootstrap=100,
    )
    students = [
        candidate("copy", SentenceTransformer(str(tiny_teacher_folder), device="cpu")),
        candidate("cut", reduce_layers(tiny_teacher, [0, 3])),
        candidate("static", random_vectors("static", texts, 16, seed=3).model),
    ]
    return evaluate(
        candidate("teacher", tiny_teacher),
        students,
        settings,
        HeldOut(HELD_OUT),
        base=tmp_path,
        seed=12,
        work=tmp_path,
        language="en",
    )


def test_everything_is_measured_and_defined(evidence: Evidence) -> None:
    assert evidence.data.keys() == {
        "held-out",
        "held-out-retrieval",
        "first-test",
        "second",
        "tiny",
        "speed",
    }
    assert {m.metric for m in evidence.measurements} == evidence.metrics.keys()
    assert {m.data for m in evidence.measurements} == evidence.data.keys()
    models = {"teacher", "copy", "cut", "static"}
    assert values(evidence, "spearman_cosine", "second").keys() == models
    assert values(evidence, "ndcg_at_10", "tiny").keys() == models
    assert values(evidence, "texts_per_second", "speed").keys() == models
    assert values(evidence, "teacher_cosine", "held-out").keys() == {"copy", "cut"}
    assert values(evidence, "embedding_spearman", "held-out").keys() == {"copy", "cut", "static"}
    assert all(m.reproduce for m in evidence.measurements)
    # Two queries are too few for an interval.
    assert {m.data for m in evidence.measurements if m.interval is None} == {"tiny"}
    assert evidence.points.keys() == {"copy", "cut", "static"}
    assert evidence.points["cut"].data == "first-test"


def test_a_copy_of_the_teacher_keeps_everything_exactly(evidence: Evidence) -> None:
    gaps = [c for c in evidence.comparisons if c.model == "copy"]
    assert gaps
    for gap in gaps:
        assert gap.difference == gap.interval.low == gap.interval.high == 0, gap.metric
        assert gap.kept == gap.kept_interval.low == gap.kept_interval.high == 1, gap.metric
    for data in ("held-out-retrieval", "tiny"):
        overlaps = [
            m.value
            for m in evidence.measurements
            if (m.metric, m.model, m.against, m.data) == ("precision_at_k", "copy", "teacher", data)
            and "precision" not in m.parameters
        ]
        assert len(overlaps) >= 4  # at two k, on its own documents and on the teacher's
        assert set(overlaps) == {1.0}
    assert values(evidence, "mse", "held-out")["copy"] == 0
    assert values(evidence, "teacher_cosine", "held-out")["copy"] == 1
    assert values(evidence, "linear_cka", "held-out")["copy"] == 1
    assert values(evidence, "mse", "held-out")["cut"] > 0


def test_names_must_differ(tmp_path: Path, tiny_teacher: SentenceTransformer) -> None:
    one = candidate("teacher", tiny_teacher)
    with pytest.raises(EvaluationError, match="names of their own, got teacher, teacher"):
        evaluate(one, [one], Evaluation(), HeldOut(HELD_OUT), base=tmp_path, seed=12, work=tmp_path)


def test_the_teacher_is_cut_to_the_widths_of_its_students(
    tmp_path: Path, tiny_teacher: SentenceTransformer
) -> None:
    settings = Evaluation(
        similarity=(write_pairs(tmp_path, random_rows(40)),), k=(3,), quantize=(), speed=None, bootstrap=100
    )
    students = [
        replace(candidate("eight", reduce_layers(tiny_teacher, [0, 3])), matryoshka=(8,)),
        replace(candidate("both", reduce_layers(tiny_teacher, [0])), matryoshka=(8, 16)),
    ]
    teacher = candidate("teacher", tiny_teacher)
    found = evaluate(teacher, students, settings, HeldOut(HELD_OUT), base=tmp_path, seed=12, work=tmp_path)
    cut = {(m.model, m.parameters["dimensions"]) for m in found.measurements if "dimensions" in m.parameters}
    assert cut == {("teacher", 16), ("teacher", 8), ("eight", 8), ("both", 16), ("both", 8)}


@pytest.mark.slow
def test_the_known_figures_of_a_known_model(minilm_folder: Path, shared_data: Path, tmp_path: Path) -> None:
    settings = Evaluation(
        similarity=(SimilaritySet(name="stsb-test", files=("sts/stsb-en-test.tsv",)),),
        retrieval=(RetrievalSet(name="cranfield", folder="ir/cranfield"),),
        speed=None,
    )
    with gzip.open(shared_data / "train" / "en_tatoeba.txt.gz", "rt", encoding="utf-8") as lines:
        texts = [next(lines).strip() for _ in range(100)]
    teacher = candidate("teacher", SentenceTransformer(str(minilm_folder), device="cpu"))
    evidence = evaluate(teacher, [], settings, HeldOut(texts), base=shared_data, seed=12, work=tmp_path)
    assert values(evidence, "spearman_cosine", "stsb-test")["teacher"] == pytest.approx(0.8203, abs=5e-5)
    assert values(evidence, "pearson_cosine", "stsb-test")["teacher"] == pytest.approx(0.8274, abs=5e-5)
    assert values(evidence, "ndcg_at_10", "cranfield")["teacher"] == pytest.approx(0.5030, abs=5e-4)
