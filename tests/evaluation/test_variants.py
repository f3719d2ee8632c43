"""Vectors in less space: what is kept of them, and what is measured of them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from evaluation.word_models import random_vectors, word_vectors, words

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.retrieval_set import Retrieval
from hubdistill.evaluation.search import nearest
from hubdistill.evaluation.similarity import SimilarityPairs
from hubdistill.evaluation.variants import CutVectors, QuantizedVectors, measure_variants
from hubdistill.metrics.precision_at_k.precision_at_k import overlap_at_k
from hubdistill.report import EvaluationData
from hubdistill.students.dimensions import unit_rows

TEXTS = words(60)
TEACHER, STUDENT = (random_vectors(name, TEXTS, 13, seed=i) for i, name in enumerate(("teacher", "student")))
RNG = np.random.default_rng(7)


def data_of(kind: str, n: int) -> EvaluationData:
    return EvaluationData(kind=kind, title="t", source="s", n=n, sha256="0" * 64)


PAIRS = SimilarityPairs("sts", TEXTS[:30], TEXTS[30:], RNG.random(30), data_of("similarity", 30))
HELD_OUT = Retrieval("held", TEXTS[12:], TEXTS[:12], None, True, data_of("retrieval", 12))
GRADES = [{place: 1, place + 5: 2} for place in range(12)]
JUDGED = Retrieval("judged", TEXTS[12:], TEXTS[:12], GRADES, False, data_of("retrieval", 12))


def found_of(widths: dict[str, list[int]], precisions: list[str]) -> Findings:
    findings = Findings(resamples=100, seed=12, reproduce="call")
    for one in (PAIRS, HELD_OUT, JUDGED):
        findings.add_data(one.name, one.data)
    models = [TEACHER, STUDENT]
    measure_variants(findings, TEACHER, models, widths, precisions, [PAIRS], [HELD_OUT, JUDGED], k=5)
    return findings


def test_cut_vectors_are_the_first_dimensions() -> None:
    whole = word_vectors("m", {"sun": [3.0, 4.0, 5.0], "moon": [0.0, 1.0, 2.0]})
    assert CutVectors(whole, 2).of(["moon", "sun"]).tolist() == [[0, 1], [3, 4]]


def test_bytes_divide_the_range_of_the_calibration_of_unit_rows_into_256_steps() -> None:
    whole = word_vectors(
        "m", {"sun": [5.0, 12.0], "moon": [0.0, 2.0], "star": [1.0, 0.0], "sky": [-1.0, 0.0]}
    )
    stored = QuantizedVectors(whole, "int8", whole.of(["moon", "star"])).of(["sun", "moon", "star", "sky"])
    # Both dimensions range from 0 to 1: 5 / 13 and 12 / 13 are in steps 98 and 235; -1 is below the first.
    expected = np.array([[98 - 128, 235 - 128], [-128, 127], [127, -128], [-128, -128]])
    assert (stored == stored.round()).all()
    assert stored == pytest.approx(expected, abs=1)  # 1 is on the edge of the last step


@pytest.mark.parametrize("width", [16, 13])
def test_cosines_of_binary_vectors_order_as_hamming_distances_do(width: int) -> None:
    table = RNG.normal(size=(60, width))
    whole = word_vectors("m", dict(zip(TEXTS, table.tolist(), strict=True)))
    stored = QuantizedVectors(whole, "binary", whole.of(TEXTS)).of(TEXTS)
    signs = table > 0
    distances = (signs[:, None] != signs[None]).sum(axis=2)
    assert set(np.unique(stored)) == {-1, 1}
    assert stored @ stored.T == pytest.approx(width - 2.0 * distances)
    found = nearest(stored, stored, 60)
    assert (np.diff(np.take_along_axis(distances, found, axis=1), axis=1) >= 0).all()


def test_binary_vectors_are_those_that_sentence_transformers_stores() -> None:
    packed = TEACHER.model.encode(TEXTS, precision="ubinary")
    stored = QuantizedVectors(TEACHER, "binary", TEACHER.of(TEXTS)).of(TEXTS)
    assert ((stored > 0) == np.unpackbits(packed, axis=1, count=13)).all()


def test_a_correlation_is_that_of_the_stored_vectors() -> None:
    found = found_of({"teacher": [4], "student": [4]}, ["int8", "binary"])
    values = {
        (m.model, *m.parameters.items()): m.value for m in found.measurements if m.metric == "spearman_cosine"
    }
    for model in (TEACHER, STUDENT):
        first, second = (unit_rows(model.of(texts)[:, :4]) for texts in (PAIRS.first, PAIRS.second))
        expected = scipy.stats.spearmanr(PAIRS.scores, (first * second).sum(axis=1)).statistic
        assert values[model.name, ("dimensions", 4)] == pytest.approx(expected, abs=1e-9)
        signs = [np.where(model.of(texts) > 0, 1, -1) for texts in (PAIRS.first, PAIRS.second)]
        expected = scipy.stats.spearmanr(PAIRS.scores, (signs[0] * signs[1]).sum(axis=1)).statistic
        assert values[model.name, ("precision", "binary")] == pytest.approx(expected, abs=1e-9)
        assert (model.name, ("precision", "int8")) in values


@pytest.mark.parametrize("width", [96, 128])
def test_pairs_at_one_hamming_distance_are_tied(width: int) -> None:
    texts = words(600)
    model = random_vectors("model", texts, width, seed=3)
    scores = np.random.default_rng(8).random(300).round(1)
    pairs = SimilarityPairs("bits", texts[:300], texts[300:], scores, data_of("similarity", 300))
    findings = Findings(resamples=100, seed=12, reproduce="call")
    findings.add_data(pairs.name, pairs.data)
    measure_variants(findings, model, [model], {}, ["binary"], [pairs], [], k=5)
    first, second = (model.of(part) > 0 for part in (pairs.first, pairs.second))
    expected = scipy.stats.spearmanr(scores, -(first != second).sum(axis=1)).statistic
    (measured,) = (m.value for m in findings.measurements)
    assert measured == expected


def test_lists_are_compared_with_what_the_teachers_plain_vectors_find() -> None:
    found = found_of({"teacher": [12, 1], "student": [1]}, [])
    agreement = {
        (m.model, m.parameters.get("dimensions")): m
        for m in found.measurements
        if m.metric == "precision_at_k"
    }
    assert {m.against for m in agreement.values()} == {"teacher"}
    assert {m.data for m in agreement.values()} == {"held"}
    assert {m.parameters["k"] for m in agreement.values()} == {5}
    plain = agreement["teacher", None]
    assert (plain.value, plain.parameters) == (1, {"k": 5})
    assert agreement["teacher", 1].value < agreement["teacher", 12].value < 1
    assert agreement.keys() == {("teacher", None), ("teacher", 12), ("teacher", 1), ("student", 1)}


def test_every_variant_of_a_model_has_the_same_measures_in_the_same_order() -> None:
    found = found_of({"teacher": [8, 4], "student": [4, 8]}, ["int8", "binary"])
    for model in ("teacher", "student"):
        by_variant: dict[tuple[str, object], list[tuple[str, str]]] = {}
        for m in found.measurements:
            for name in ("dimensions", "precision"):
                if m.model == model and name in m.parameters:
                    by_variant.setdefault((name, m.parameters[name]), []).append((m.metric, m.data))
            assert m.interval is not None
            assert m.interval.low <= m.value <= m.interval.high
        assert list(by_variant) == [
            ("dimensions", 8),
            ("dimensions", 4),
            ("precision", "int8"),
            ("precision", "binary"),
        ]
        for measures in by_variant.values():
            assert measures == [
                ("spearman_cosine", "sts"),
                ("ndcg_at_10", "judged"),
                ("precision_at_k", "held"),
            ]


def test_models_are_compared_by_what_they_keep_in_the_same_space() -> None:
    found = found_of({"teacher": [8, 4], "student": [4]}, ["int8"])
    values = {(m.metric, m.model, *m.parameters.items()): m.value for m in found.measurements}
    compared = {(c.metric, *c.parameters.items()): c for c in found.comparisons}
    assert compared.keys() == {
        (metric, parameter)
        for metric in ("spearman_cosine", "ndcg_at_10")
        for parameter in (("dimensions", 4), ("precision", "int8"))
        if values[metric, "teacher", parameter] > 0
    }
    assert ("ndcg_at_10", ("dimensions", 4)) in compared
    for (metric, parameter), comparison in compared.items():
        ours, theirs = (values[metric, model, parameter] for model in ("student", "teacher"))
        assert (comparison.model, comparison.against) == ("student", "teacher")
        assert (comparison.difference, comparison.kept) == (ours - theirs, ours / theirs)
        assert comparison.interval.low <= comparison.difference <= comparison.interval.high


def test_lists_of_bits_are_ordered_by_distance_and_then_by_place() -> None:
    texts = words(400)
    model = random_vectors("model", texts, 768, seed=5)
    signs = model.of(texts) > 0
    distances = (signs[:40, None] != signs[None, 40:]).sum(axis=2)
    ranking = np.argsort(distances, axis=1, kind="stable")
    # The last of each list is relevant, which another order of equal distances would lose.
    grades = [{int(place): 1} for place in ranking[:, 9]]
    task = Retrieval("bits", texts[40:], texts[:40], grades, False, data_of("retrieval", 40))
    findings = Findings(resamples=100, seed=12, reproduce="call")
    findings.add_data(task.name, task.data)
    measure_variants(findings, model, [model], {}, ["binary"], [], [task], k=10)
    (quality,) = (m.value for m in findings.measurements if m.metric == "ndcg_at_10")
    assert quality == pytest.approx(1 / np.log2(11))
    plain = np.argsort(-(unit_rows(model.of(texts[:40])) @ unit_rows(model.of(texts[40:])).T), axis=1)
    shared = overlap_at_k(ranking[:, :10].tolist(), plain[:, :10].tolist(), 10)
    agreement = next(m for m in findings.measurements if m.parameters == {"k": 10, "precision": "binary"})
    assert agreement.value == shared.mean()


def test_widths_that_a_model_does_not_have_and_models_without_variants_are_passed_over() -> None:
    assert found_of({"student": [13, 32]}, []).measurements == []
    found = found_of({"student": [13, 8]}, []).measurements
    assert {(m.model, m.parameters["dimensions"]) for m in found} == {("student", 8)}


def test_bits_that_are_all_alike_are_refused() -> None:
    alike = word_vectors("alike", {text: [1.0, 1.0 + place] for place, text in enumerate(TEXTS)})
    findings = Findings(resamples=100, seed=12, reproduce="call")
    findings.add_data(PAIRS.name, PAIRS.data)
    with pytest.raises(EvaluationError, match="alike gives every pair the dot similarity 2"):
        measure_variants(findings, alike, [alike], {}, ["binary"], [PAIRS], [], k=5)
