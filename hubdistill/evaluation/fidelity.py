"""Agreement with the teacher: how near a student's embeddings are to the teacher's on held-out texts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.significance import Array, Statistic, mean, percentile, spearman
from hubdistill.evaluation.vectors import FloatArray, Vectors
from hubdistill.metrics.embedding_spearman.embedding_spearman import pair_cosines, sample_pairs
from hubdistill.metrics.negative_mse.negative_mse import squared_errors

PAIRS = 5_000
"""Pairs of texts whose similarities are compared, where there are so many."""


def measure_fidelity(
    findings: Findings,
    data: str,
    teacher: Vectors,
    students: Sequence[Vectors],
    texts: Sequence[str],
    *,
    apart: Collection[str] = (),
) -> None:
    """Measure every student against the teacher.

    Cosine and MSE are left out for a student whose embeddings have another dimension than the teacher's,
    or are of a space of their own.

    Args:
        findings: is added to; defines `data`.
        data: name of the data.
        teacher: the teacher's vectors.
        students: the students' vectors.
        texts: texts that no student was trained on, at least 3.
        apart: names of students whose embeddings are not of the teacher's space.

    Raises:
        EvaluationError: a model gives all pairs of texts the same similarity.
    """
    bootstrap = findings.bootstrap(len(texts), "texts")
    target = teacher.of(texts)
    pairs = sample_pairs(len(texts), PAIRS, findings.seed)
    target_cosines = _varied_cosines(teacher.name, target, pairs)
    for student in students:
        embeddings = student.of(texts)
        figures: list[tuple[str, float, Statistic]] = []
        if embeddings.shape == target.shape and student.name not in apart:
            cosines = row_cosines(embeddings, target)
            errors = squared_errors(embeddings, target)
            figures = [
                ("teacher_cosine", cosines.mean(), mean(cosines)),
                ("teacher_cosine_p5", np.percentile(cosines, 5), percentile(cosines, 5)),
                ("mse", errors.mean(), mean(errors)),
                ("negative_mse", -100 * errors.mean(), mean(-100 * errors)),
            ]
        similarities = _varied_cosines(student.name, embeddings, pairs)
        correlation = spearman(similarities, target_cosines)
        figures.append(
            (
                "embedding_spearman",
                correlation(np.ones((1, len(pairs))))[0],
                over_pairs(correlation, pairs),
            )
        )
        for metric, value, statistic in figures:
            interval = bootstrap.interval(bootstrap.distribution(statistic))
            findings.measure(
                metric, student.name, float(value), data, against=teacher.name, interval=interval
            )


def row_cosines(first: FloatArray, second: FloatArray) -> Array:
    """Cosine similarity row by row; 0 where an embedding has no length.

    Args:
        first: shape (n_texts, dim).
        second: shape (n_texts, dim).

    Returns:
        Shape (n_texts,).
    """
    x, y = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    products = np.einsum("td,td->t", x, y)
    return np.asarray(np.clip(products / np.where(lengths == 0, 1, lengths), -1, 1))


def over_pairs(statistic: Statistic, pairs: np.ndarray) -> Statistic:
    """A statistic of pairs as one of texts: a pair is drawn as often as both its texts together.

    Pairs that share a text are not independent, so texts are resampled, not pairs.
    """
    return lambda counts: statistic(counts[:, pairs[:, 0]] * counts[:, pairs[:, 1]])


def _varied_cosines(model: str, embeddings: FloatArray, pairs: np.ndarray) -> Array:
    cosines: Array = pair_cosines(embeddings, pairs)
    if len(cosines) < 2 or np.ptp(cosines) == 0:
        raise EvaluationError(
            f"{model} gives all {len(cosines)} pairs of held-out texts the same similarity, so that Spearman "
            "is undefined; check the model's weights"
        )
    return cosines
