"""Agreement with the teacher: how near a student's embeddings are to the teacher's on held-out texts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.alignment import Alignment
from hubdistill.evaluation.findings import Estimate, Findings
from hubdistill.evaluation.significance import Array, Statistic, mean, percentile, spearman
from hubdistill.evaluation.vectors import FloatArray, Vectors
from hubdistill.metrics.embedding_spearman.embedding_spearman import pair_cosines, sample_pairs
from hubdistill.metrics.negative_mse.negative_mse import squared_errors

NEARER = 0.75
PAIRS = 5_000
"""Pairs of texts whose similarities are compared, where there are so many."""
ALIGNED_TEXTS = 2_000
"""Texts behind linear CKA, evenly spread, where there are so many: its cost grows with their square."""

_COMPARED = ("teacher_cosine", "embedding_spearman", "linear_cka")


def measure_fidelity(
    findings: Findings,
    data: str,
    teacher: Vectors,
    students: Sequence[Vectors],
    texts: Sequence[str],
    *,
    apart: Collection[str] = (),
) -> None:
    """Measure every student against the teacher, and compare every two students.

    Cosine and MSE are left out for a student without a space in common with the teacher.

    Args:
        findings: is added to; defines `data`.
        data: name of the data.
        teacher: the teacher's vectors.
        students: the students' vectors.
        texts: texts that no student was trained on, at least 4.
        apart: names of students whose embeddings are not of the teacher's space.

    Raises:
        EvaluationError: too few texts, or a model that gives all pairs of them the same similarity.
    """
    bootstrap = findings.bootstrap(len(texts), "texts")
    target = teacher.of(texts)
    pairs = sample_pairs(len(texts), PAIRS, findings.seed)
    target_cosines = _varied_cosines(teacher.name, target, pairs)
    chosen = np.unique(np.linspace(0, len(texts) - 1, ALIGNED_TEXTS).round().astype(int))
    alignment = Alignment(teacher.name, target[chosen], findings.bootstrap(len(chosen), "texts"))
    compared: dict[str, list[tuple[str, Estimate]]] = {metric: [] for metric in _COMPARED}
    for student in students:
        embeddings = student.of(texts)
        figures: dict[str, tuple[float, Statistic]] = {}
        if in_one_space(teacher, student, texts, apart):
            cosines = row_cosines(embeddings, target)
            errors = squared_errors(embeddings, target)
            figures = {
                "teacher_cosine": (cosines.mean(), mean(cosines)),
                "teacher_cosine_p5": (np.percentile(cosines, 5), percentile(cosines, 5)),
                "mse": (errors.mean(), mean(errors)),
                "negative_mse": (-100 * errors.mean(), mean(-100 * errors)),
            }
        correlation = spearman(_varied_cosines(student.name, embeddings, pairs), target_cosines)
        figures["embedding_spearman"] = (
            correlation(np.ones((1, len(pairs))))[0],
            over_pairs(correlation, pairs),
        )
        estimates = {
            metric: Estimate(float(value), bootstrap.distribution(statistic))
            for metric, (value, statistic) in figures.items()
        }
        estimates["linear_cka"] = alignment.of(student.name, embeddings[chosen])
        for metric, estimate in estimates.items():
            findings.measure(
                metric,
                student.name,
                estimate.value,
                data,
                n=len(chosen) if metric == "linear_cka" else None,
                against=teacher.name,
                interval=bootstrap.interval(estimate.resampled),
            )
        for metric, others in compared.items():
            if metric in estimates:
                ours = (student.name, estimates[metric])
                for theirs in others:
                    findings.compare(metric, data, ours, theirs, bootstrap)
                others.append(ours)


def in_one_space(teacher: Vectors, student: Vectors, texts: Sequence[str], apart: Collection[str]) -> bool:
    """Whether a student's embeddings can be compared with the teacher's number by number.

    Args:
        teacher: the teacher's vectors.
        student: the student's vectors.
        texts: at least one.
        apart: names of students whose embeddings are not of the teacher's space.
    """
    return student.name not in apart and student.of(texts[:1]).shape == teacher.of(texts[:1]).shape


def share_space(teacher: Vectors, student: Vectors, texts: Sequence[str]) -> bool:
    """Whether two models' embeddings are of one space, by what they are.

    In one space, the two embeddings of a text are nearer to each other than those of two different texts; if
    nothing brought the spaces together, this holds for half of the texts. Asked for is `NEARER` of them.

    Args:
        teacher: the teacher's vectors.
        student: the student's vectors.
        texts: at least two.
    """
    ours, theirs = student.of(texts), teacher.of(texts)
    if ours.shape != theirs.shape:
        return False
    same, different = row_cosines(ours, theirs), row_cosines(ours, np.roll(theirs, 1, axis=0))
    return bool((same > different).mean() >= NEARER)


def row_cosines(first: FloatArray, second: FloatArray) -> Array:
    """Cosine similarity row by row, exactly 1 for equal rows; 0 where an embedding has no length.

    Args:
        first: shape (n_texts, dim).
        second: shape (n_texts, dim).

    Returns:
        Shape (n_texts,).
    """
    x, y = first.astype(np.float64), second.astype(np.float64)
    xx, yy, xy = (np.einsum("td,td->t", a, b) for a, b in ((x, x), (y, y), (x, y)))
    lengths = np.sqrt(xx * yy)
    return np.asarray(np.clip(xy / np.where(lengths == 0, 1, lengths), -1, 1))


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
