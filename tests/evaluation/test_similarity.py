"""STS: the figures of sentence-transformers' own evaluator, and input on which they are undefined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation.word_models import random_vectors, word_vectors, words
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.similarity import (
    MOST_POINTS,
    SIMILARITIES,
    measure_similarity,
    read_similarity_set,
    similarity_points,
)
from hubdistill.evaluation.vectors import Vectors
from hubdistill.recipe import SimilaritySet


def write_pairs(folder: Path, rows: list[tuple[str, str, float]], name: str = "sts-test") -> SimilaritySet:
    lines = ["score\tsentence1\tsentence2", *(f"{score}\t{first}\t{second}" for first, second, score in rows)]
    (folder / "pairs.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return SimilaritySet(name=name, files=("pairs.tsv",), language="en")


def random_rows(count: int) -> list[tuple[str, str, float]]:
    generator = np.random.default_rng(2)
    texts = words(count)
    return [(text, str(generator.choice(texts)), float(generator.integers(6))) for text in texts]


def test_figures_are_those_of_the_evaluator(tmp_path: Path, tiny_teacher: SentenceTransformer) -> None:
    rows = [
        (f"the {first} of a text", f"this was {second} model, not that", score)
        for first, second, score in random_rows(50)
    ]
    pairs = read_similarity_set(write_pairs(tmp_path, rows), tmp_path)
    findings = Findings(resamples=100, seed=12, reproduce="call")
    # Without Normalize, so that the four similarities differ.
    model = SentenceTransformer(modules=[tiny_teacher[0], tiny_teacher[1]], device="cpu")
    measure_similarity(findings, [Vectors("teacher", model)], pairs)
    theirs = EmbeddingSimilarityEvaluator(
        pairs.first,
        pairs.second,
        pairs.scores.tolist(),
        similarity_fn_names=list(SIMILARITIES),
        write_csv=False,
    )(model)
    ours = {m.metric: m.value for m in findings.measurements}
    assert len(ours) == 8
    for metric, value in ours.items():
        assert value == pytest.approx(theirs[metric], abs=1e-6), metric


def test_other_scores_of_the_same_texts_are_other_data(tmp_path: Path) -> None:
    rows = random_rows(20)
    data = read_similarity_set(write_pairs(tmp_path, rows), tmp_path).data
    again = read_similarity_set(write_pairs(tmp_path, rows), tmp_path).data
    (first, second, score), *rest = rows
    other = read_similarity_set(write_pairs(tmp_path, [(first, second, score + 1), *rest]), tmp_path).data
    assert (again.sha256, again.labels_sha256) == (data.sha256, data.labels_sha256)
    assert other.sha256 == data.sha256
    assert other.labels_sha256 not in (None, data.labels_sha256)


def test_a_perfect_student_loses_exactly_nothing(tmp_path: Path) -> None:
    rows = random_rows(60)
    pairs = read_similarity_set(write_pairs(tmp_path, rows), tmp_path)
    findings = Findings(resamples=100, seed=12, reproduce="call")
    teacher, student = (random_vectors(name, words(60), 8, seed=4) for name in ("teacher", "student"))
    measure_similarity(findings, [teacher, student], pairs)
    positive = {m.metric for m in findings.measurements if m.model == "teacher" and m.value > 0}
    assert {c.metric for c in findings.comparisons} == positive
    assert positive
    for comparison in findings.comparisons:
        assert comparison.difference == comparison.interval.low == comparison.interval.high == 0
        assert comparison.kept == comparison.kept_interval.low == comparison.kept_interval.high == 1
        assert not comparison.decided


def test_the_facts_of_a_set(tmp_path: Path) -> None:
    settings = write_pairs(tmp_path, [("a", "b", 1), ("c", "d", 2)])
    pairs = read_similarity_set(settings.model_copy(update={"benchmark_task": "stsb"}), tmp_path)
    assert pairs.data.benchmark_task == "stsb"
    assert (pairs.data.source, pairs.data.n, pairs.data.split, pairs.data.language) == (
        "pairs.tsv",
        2,
        None,
        "en",
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "b", 3.0), ("c", "d", 3.0)], "all 2 scores in the column 'score' are 3"),
        ([("a", "b", 3.0)], "needs at least two pairs, pairs.tsv has 1"),
        ([("a", "b", 3.0), ("c", "d", float("nan"))], "score of pair 2 is not finite"),
    ],
)
def test_scores_without_a_correlation_are_refused(
    tmp_path: Path, rows: list[tuple[str, str, float]], message: str
) -> None:
    with pytest.raises(EvaluationError, match=message):
        read_similarity_set(write_pairs(tmp_path, rows), tmp_path)


def test_constant_predictions_are_refused(tmp_path: Path) -> None:
    pairs = read_similarity_set(write_pairs(tmp_path, [("a", "b", 1), ("c", "d", 2)]), tmp_path)
    model = word_vectors("flat", {word: [1.0, 0.0] for word in "abcd"})
    with pytest.raises(EvaluationError, match="sts-test: flat gives every pair the cosine similarity 1"):
        measure_similarity(Findings(resamples=100, seed=12, reproduce="call"), [model], pairs)


def test_points_are_a_bounded_even_sample(tmp_path: Path) -> None:
    pairs = read_similarity_set(write_pairs(tmp_path, random_rows(MOST_POINTS + 700)), tmp_path)
    texts = words(MOST_POINTS + 700)
    teacher, student = (
        random_vectors(name, texts, 4, seed=i) for i, name in enumerate(("teacher", "student"))
    )
    points = similarity_points(teacher, student, pairs)
    assert len(points.reference) == len(points.student) == len(points.teacher) == MOST_POINTS
    assert points.reference[0] == pairs.scores[0]
    assert points.reference[-1] == pairs.scores[-1]
