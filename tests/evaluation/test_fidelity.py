"""Agreement with the teacher: hand-worked, against sentence-transformers, and at its limits."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation.word_models import random_vectors, word_vectors, words
from sentence_transformers.sentence_transformer.evaluation import MSEEvaluator

from hubdistill import metrics
from hubdistill.errors import EvaluationError
from hubdistill.evaluation.fidelity import measure_fidelity, over_pairs, row_cosines
from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.significance import mean
from hubdistill.evaluation.vectors import Vectors
from hubdistill.report import EvaluationData, Measurement

TEXTS = words(60)


def measured(
    teacher: Vectors, *students: Vectors, texts: list[str] = TEXTS
) -> dict[tuple[str, str], Measurement]:
    findings = Findings(resamples=200, seed=12, reproduce="call")
    data = EvaluationData(kind="texts", title="t", source="s", n=len(texts), sha256="0" * 64)
    findings.add_data("held-out", data)
    measure_fidelity(findings, "held-out", teacher, students, texts)
    return {(m.model, m.metric): m for m in findings.measurements}


def test_figures_worked_by_hand() -> None:
    teacher = word_vectors("teacher", {"a": [1, 0], "b": [0, 1], "c": [0.6, 0.8]})
    student = word_vectors("student", {"a": [1, 0], "b": [0.6, 0.8], "c": [0.6, 0.8]})
    found = measured(teacher, student, texts=["a", "b", "c"])
    assert found["student", "teacher_cosine"].value == pytest.approx((1 + 0.8 + 1) / 3)
    assert found["student", "teacher_cosine_p5"].value == pytest.approx(0.8 + 0.1 * 0.2)
    assert found["student", "mse"].value == pytest.approx((0.36 + 0.04) / 6)
    assert found["student", "negative_mse"].value == pytest.approx(-100 * (0.36 + 0.04) / 6)
    # Similarities of ab, ac, bc: the teacher's 0, 0.6, 0.8; the student's 0.6, 0.6, 1.
    assert found["student", "embedding_spearman"].value == pytest.approx(np.sqrt(3) / 2)


def test_a_perfect_student_is_at_no_distance() -> None:
    teacher, student = (random_vectors(name, TEXTS, 8, seed=1) for name in ("teacher", "student"))
    found = measured(teacher, student)
    assert found["student", "mse"].value == 0
    assert found["student", "teacher_cosine"].value == pytest.approx(1, abs=1e-12)
    assert found["student", "embedding_spearman"].value == pytest.approx(1, abs=1e-12)


def test_figures_are_those_of_the_metric_modules_and_of_sentence_transformers() -> None:
    teacher, student = (
        random_vectors(name, TEXTS, 8, seed=i) for i, name in enumerate(("teacher", "student"))
    )
    found = measured(teacher, student)
    inputs = {"predictions": student.of(TEXTS), "references": teacher.of(TEXTS)}
    spearman = metrics.load("embedding_spearman").compute(**inputs)["embedding_spearman"]
    mse = metrics.load("negative_mse").compute(**inputs)["negative_mse"]
    theirs = MSEEvaluator(TEXTS, TEXTS, teacher_model=teacher.model, write_csv=False)(student.model)
    assert found["student", "embedding_spearman"].value == pytest.approx(spearman, abs=1e-12)
    assert found["student", "negative_mse"].value == pytest.approx(mse, rel=1e-9)
    assert found["student", "negative_mse"].value == pytest.approx(theirs["negative_mse"], rel=1e-6)


def test_a_student_of_another_dimension_is_compared_by_similarities_only() -> None:
    teacher, student = (
        random_vectors("teacher", TEXTS, 8, seed=1),
        random_vectors("student", TEXTS, 4, seed=2),
    )
    assert measured(teacher, student).keys() == {("student", "embedding_spearman")}


def test_every_figure_has_an_interval_around_it() -> None:
    teacher, student = (
        random_vectors(name, TEXTS, 8, seed=i) for i, name in enumerate(("teacher", "student"))
    )
    for measurement in measured(teacher, student).values():
        assert measurement.interval is not None
        assert measurement.interval.low <= measurement.value <= measurement.interval.high
        assert measurement.against == "teacher"
        assert measurement.n == len(TEXTS)


def test_equal_similarities_are_refused() -> None:
    teacher = random_vectors("teacher", TEXTS, 8, seed=1)
    constant = word_vectors("constant", dict.fromkeys(TEXTS, [1.0] + [0.0] * 7))
    with pytest.raises(EvaluationError, match="constant gives all 1770 pairs"):
        measured(teacher, constant)


def test_a_pair_is_drawn_as_often_as_both_its_texts() -> None:
    values, pairs = np.array([1.0, 3.0]), np.array([[0, 1], [1, 2]])
    counts = np.array([[2.0, 1.0, 1.0]])  # the first pair twice, the second once
    assert over_pairs(mean(values), pairs)(counts) == pytest.approx([5 / 3])


def test_an_embedding_without_length_is_near_nothing() -> None:
    assert row_cosines(np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)) == [0.0]
