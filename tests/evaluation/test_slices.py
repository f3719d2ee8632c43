"""Slices: which texts are in them, which are too small to say anything, and what is measured."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation.word_models import random_vectors, word_vectors, words
from sentence_transformers import SentenceTransformer

from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.held_out import HeldOut
from hubdistill.evaluation.retrieval import NamedRanking, rank
from hubdistill.evaluation.retrieval_set import Retrieval
from hubdistill.evaluation.slices import (
    length_range,
    lowest_agreement,
    measure_slices,
)
from hubdistill.evaluation.token_counts import token_counts
from hubdistill.evaluation.vectors import Vectors
from hubdistill.report import EvaluationData, Measurement

WORDS = words(120)
# A word of one token, or a text of twenty; every third text is long.
TEXTS = [word if place % 3 else " ".join([word] * 20) for place, word in enumerate(WORDS)]
SOURCES = ["wiki" if place < 100 else "news" for place in range(120)]
LANGUAGES: list[str | None] = [("de", "en", None)[place % 3] for place in range(120)]
TABLE = np.random.default_rng(1).normal(size=(120, 8))


def vectors(name: str, table: np.ndarray) -> Vectors:
    return word_vectors(name, dict(zip(WORDS, table.tolist(), strict=True)))


TEACHER = vectors("teacher", TABLE)


def found_of(
    *students: Vectors, held_out: HeldOut, queries: int = 0, apart: tuple[str, ...] = ()
) -> list[Measurement]:
    findings = Findings(resamples=100, seed=12, reproduce="call")
    n = len(held_out.texts)
    data = EvaluationData(kind="texts", title="t", source="s", n=n, sha256="0" * 64)
    findings.add_data("held-out", data)
    rankings: list[NamedRanking] = []
    if queries:
        asked = EvaluationData(kind="retrieval", title="t", source="s", n=queries, sha256="0" * 64)
        task = Retrieval("lists", held_out.texts[queries:], held_out.texts[:queries], None, True, asked)
        findings.add_data("lists", asked)
        # Longer than the lists that are compared.
        rankings = [(model.name, rank(model, task, 7, "exact")) for model in (TEACHER, *students)]
    measure_slices(
        findings, "held-out", TEACHER, students, held_out, task="lists", rankings=rankings, k=3, apart=apart
    )
    return findings.measurements


def test_the_cosine_of_a_slice_is_that_of_its_texts() -> None:
    table = TABLE.copy()
    table[::3] *= -1  # the long texts, which are the German ones
    student = vectors("student", table)
    found = found_of(student, held_out=HeldOut(TEXTS, SOURCES, LANGUAGES))
    values = {tuple(m.parameters.items()): (m.n, m.value) for m in found}
    assert values == {
        (("language", "de"),): (40, pytest.approx(-1)),
        (("language", "en"),): (40, pytest.approx(1)),
        (("source", "news"),): (20, pytest.approx((14 - 6) / 20)),
        (("source", "wiki"),): (100, pytest.approx((66 - 34) / 100)),
        (("length", "1-16"),): (80, pytest.approx(1)),
        (("length", "17-64"),): (40, pytest.approx(-1)),
    }
    assert {(m.metric, m.model, m.against, m.data) for m in found} == {
        ("teacher_cosine", "student", "teacher", "held-out")
    }
    for m in found:
        assert m.interval is not None
        assert m.interval.low <= m.value + 1e-12
        assert m.interval.high >= m.value - 1e-12
        assert m.interval.method == "percentile bootstrap over texts, 100 resamples"


def test_lists_are_compared_by_the_slice_of_the_query() -> None:
    # The first 60 texts are the queries. Of them the student turns the long ones round.
    table = TABLE.copy()
    table[:60:3] *= -1
    held_out = HeldOut(TEXTS, SOURCES, [])
    found = found_of(vectors("student", table), held_out=held_out, queries=60)
    lists = {tuple(m.parameters.items()): m for m in found if m.metric == "precision_at_k"}
    # All these queries are of one source: that is no slice of them.
    assert list(lists) == [(("k", 3), ("length", "1-16")), (("k", 3), ("length", "17-64"))]
    short, long = lists.values()
    assert (short.n, short.value, short.data) == (40, 1, "lists")
    assert (long.n, long.value) == (20, 0)
    assert long.interval is not None
    assert long.interval.method == "percentile bootstrap over queries, 100 resamples"


def test_small_slices_and_kinds_of_one_slice_are_left_out() -> None:
    student = random_vectors("student", WORDS, 8, seed=2)
    sources = ["wiki"] * 101 + ["news"] * 19
    assert found_of(student, held_out=HeldOut(WORDS, sources, ["en"] * 120)) == []
    assert found_of(student, held_out=HeldOut(WORDS, [], [])) == []


def test_a_student_with_a_space_of_its_own_has_lists_only() -> None:
    apart, narrow = random_vectors("apart", WORDS, 8, seed=2), random_vectors("narrow", WORDS, 4, seed=2)
    held_out = HeldOut(TEXTS, [], [])
    found = found_of(apart, narrow, held_out=held_out, queries=60, apart=("apart",))
    assert [(m.model, m.metric, m.parameters["length"]) for m in found] == [
        (model, "precision_at_k", length) for model in ("apart", "narrow") for length in ("1-16", "17-64")
    ]


def test_lengths_are_counted_with_special_tokens_and_beyond_what_the_teacher_takes(
    tiny_teacher: SentenceTransformer,
) -> None:
    texts = ["a text", "a " * 100]
    assert token_counts(tiny_teacher, texts) == [4, 102]
    assert len(tiny_teacher.tokenizer(texts[1], truncation=True)["input_ids"]) == 64


def test_ranges_of_lengths_have_no_gaps() -> None:
    counts = (1, 16, 17, 64, 65, 256, 257, 9_999)
    assert [length_range(count) for count in counts] == [
        "1-16",
        "1-16",
        "17-64",
        "17-64",
        "65-256",
        "65-256",
        "257+",
        "257+",
    ]


def test_the_ten_texts_of_lowest_agreement_come_lowest_first() -> None:
    table = TABLE.copy()
    table[7] *= -1
    table[30] += 20
    found = lowest_agreement(TEACHER, vectors("student", table), WORDS)
    assert len(found) == 10
    assert [one.text for one in found[:2]] == ["word7", "word30"]
    assert found[0].value == pytest.approx(-1)
    assert {one.metric for one in found} == {"teacher_cosine"}
    assert [one.value for one in found] == sorted(one.value for one in found)


def test_without_a_common_space_agreement_is_that_of_the_nearest_texts() -> None:
    # The same directions with dimensions swapped: other numbers, the same neighbours; but one text moved.
    table = TABLE[:, ::-1].copy()
    table[7] *= -1
    student = vectors("student", table)
    found = lowest_agreement(TEACHER, student, WORDS, apart=("student",))
    assert found[0].text == "word7"
    assert found[0].value < 0.2
    assert {one.metric for one in found} == {"precision_at_k"}
    same = lowest_agreement(TEACHER, vectors("wide", np.pad(TABLE, ((0, 0), (0, 3)))), WORDS)
    assert {one.value for one in same} == {1}
