"""Agreement with the teacher: hand-worked, against sentence-transformers, and at its limits."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation.word_models import random_vectors, word_vectors, words
from sentence_transformers.sentence_transformer.evaluation import MSEEvaluator

from hubdistill import metrics
from hubdistill.errors import EvaluationError
from hubdistill.evaluation.fidelity import measure_fidelity, over_pairs, row_cosines, share_space
from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.significance import mean
from hubdistill.evaluation.vectors import Vectors
from hubdistill.report import EvaluationData, Measurement

TEXTS = words(60)


def found_of(
    teacher: Vectors, *students: Vectors, texts: list[str] = TEXTS, apart: tuple[str, ...] = ()
) -> Findings:
    findings = Findings(resamples=200, seed=12, reproduce="call")
    data = EvaluationData(kind="texts", title="t", source="s", n=len(texts), sha256="0" * 64)
    findings.add_data("held-out", data)
    measure_fidelity(findings, "held-out", teacher, students, texts, apart=apart)
    return findings


def measured(
    teacher: Vectors, *students: Vectors, texts: list[str] = TEXTS
) -> dict[tuple[str, str], Measurement]:
    return {(m.model, m.metric): m for m in found_of(teacher, *students, texts=texts).measurements}


def test_figures_worked_by_hand() -> None:
    teacher = word_vectors("teacher", {"a": [1, 0], "b": [0, 1], "c": [0.6, 0.8], "d": [0, 1]})
    student = word_vectors("student", {"a": [1, 0], "b": [0.6, 0.8], "c": [0.6, 0.8], "d": [0, 1]})
    found = measured(teacher, student, texts=["a", "b", "c", "d"])
    assert found["student", "teacher_cosine"].value == pytest.approx((1 + 0.8 + 1 + 1) / 4)
    assert found["student", "teacher_cosine_p5"].value == pytest.approx(0.8 + 0.15 * 0.2)
    assert found["student", "mse"].value == pytest.approx((0.36 + 0.04) / 8)
    assert found["student", "negative_mse"].value == pytest.approx(-100 * (0.36 + 0.04) / 8)
    # Of ab, ac, ad, bc, bd, cd: the teacher's 0, .6, 0, .8, 1, .8; the student's .6, .6, 0, 1, .8, .8.
    ranks = np.array([[1.5, 3, 1.5, 4.5, 6, 4.5], [2.5, 2.5, 1, 6, 4.5, 4.5]])
    assert found["student", "embedding_spearman"].value == pytest.approx(np.corrcoef(ranks)[0, 1])


def test_a_perfect_student_is_at_no_distance() -> None:
    teacher, student = (random_vectors(name, TEXTS, 8, seed=1) for name in ("teacher", "student"))
    found = measured(teacher, student)
    perfect = {
        "teacher_cosine": 1,
        "teacher_cosine_p5": 1,
        "mse": 0,
        "negative_mse": 0,
        "embedding_spearman": 1,
        "linear_cka": 1,
    }
    assert {metric: m.value for (_, metric), m in found.items()} == perfect
    assert {m.interval.low for m in found.values() if m.interval} <= {0, 1}


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


def test_a_student_of_another_dimension_or_space_is_compared_by_its_structure_only() -> None:
    teacher, narrow, apart = (
        random_vectors(name, TEXTS, width, seed=1)
        for name, width in (("teacher", 8), ("narrow", 4), ("apart", 8))
    )
    found = found_of(teacher, narrow, apart, apart=("apart",))
    assert {(m.model, m.metric) for m in found.measurements} == {
        (model, metric) for model in ("narrow", "apart") for metric in ("embedding_spearman", "linear_cka")
    }


def test_every_two_students_are_compared_the_later_with_the_earlier() -> None:
    table = np.random.default_rng(1).normal(size=(len(TEXTS), 8))
    noise = np.random.default_rng(2).normal(size=table.shape)
    teacher, near, far, same = (
        word_vectors(name, dict(zip(TEXTS, (table + share * noise).tolist(), strict=True)))
        for name, share in (("teacher", 0), ("near", 0.1), ("far", 1), ("same", 1))
    )
    found = found_of(teacher, near, far, same)
    value = {(m.model, m.metric): m.value for m in found.measurements}
    assert len(found.comparisons) == 3 * 3
    for one in found.comparisons:
        assert one.difference == value[one.model, one.metric] - value[one.against, one.metric]
        if one.against == "near":
            assert one.interval.high < 0
        else:
            assert (one.model, one.against) == ("same", "far")
            assert (one.interval.low, one.difference, one.interval.high) == (0, 0, 0)


def test_cka_takes_texts_evenly_spread_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, student = (
        random_vectors(name, TEXTS, 8, seed=i) for i, name in enumerate(("teacher", "student"))
    )
    spread = [TEXTS[place] for place in (0, 20, 39, 59)]
    expected = measured(teacher, student, texts=spread)["student", "linear_cka"].value
    monkeypatch.setattr("hubdistill.evaluation.fidelity.ALIGNED_TEXTS", 4)
    found = measured(teacher, student)["student", "linear_cka"]
    assert (found.n, found.value) == (4, pytest.approx(expected))


def test_every_figure_has_an_interval_around_it() -> None:
    teacher, student = (
        random_vectors(name, TEXTS, 8, seed=i) for i, name in enumerate(("teacher", "student"))
    )
    for measurement in measured(teacher, student).values():
        assert measurement.interval is not None
        assert measurement.interval.low <= measurement.value <= measurement.interval.high
        assert measurement.against == "teacher"
        assert measurement.n == len(TEXTS)
        assert measurement.interval.method == "percentile bootstrap over texts, 200 resamples"


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


def test_models_of_one_width_are_of_one_space_only_if_their_vectors_say_so() -> None:
    texts = words(60)
    teacher = random_vectors("teacher", texts, 16, seed=1)
    rows = teacher.of(texts)
    noisy = rows + 2 * np.random.default_rng(5).normal(size=rows.shape)
    student = word_vectors("student", dict(zip(texts, noisy.tolist(), strict=True)))
    assert share_space(teacher, teacher, texts)
    assert share_space(teacher, student, texts)
    assert not share_space(teacher, random_vectors("other", texts, 16, seed=2), texts)
    assert not share_space(teacher, random_vectors("narrow", texts, 8, seed=2), texts)
