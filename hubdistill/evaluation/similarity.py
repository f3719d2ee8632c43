"""Semantic textual similarity: correlation of predicted similarities with human scores.

The figures are those of sentence-transformers' EmbeddingSimilarityEvaluator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.stats
import torch
from sentence_transformers.util import (
    pairwise_cos_sim,
    pairwise_dot_score,
    pairwise_euclidean_sim,
    pairwise_manhattan_sim,
)

from hubdistill.data_sources import read_pairs, resolve_revision, source_name
from hubdistill.errors import EvaluationError
from hubdistill.evaluation.findings import Estimate, Findings, texts_sha256
from hubdistill.evaluation.significance import Array, pearson, spearman
from hubdistill.evaluation.vectors import Vectors
from hubdistill.recipe import SimilaritySet
from hubdistill.report import EvaluationData, SimilarityPoints

SIMILARITIES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "cosine": pairwise_cos_sim,
    "dot": pairwise_dot_score,
    "euclidean": pairwise_euclidean_sim,
    "manhattan": pairwise_manhattan_sim,
}
CORRELATIONS = {
    "spearman": (spearman, scipy.stats.spearmanr),
    "pearson": (pearson, scipy.stats.pearsonr),
}
MOST_POINTS = 1_500


@dataclass(frozen=True)
class SimilarityPairs:
    """A similarity set in memory."""

    name: str
    first: list[str]
    second: list[str]
    scores: Array
    data: EvaluationData


def read_similarity_set(settings: SimilaritySet, base: Path) -> SimilarityPairs:
    """Read a set and make sure that a correlation with its scores is defined.

    Args:
        settings: which set.
        base: the folder that relative paths start from.

    Raises:
        EvaluationError: fewer than two pairs, or all scores are the same.
        CorpusError: the set cannot be read.
    """
    pairs = read_pairs(settings, base)
    if len(pairs) < 2:
        raise EvaluationError(
            f"{settings.name}: a correlation needs at least two pairs, "
            f"{source_name(settings)} has {len(pairs)}"
        )
    scores = np.array([score for _, _, score in pairs])
    if len(bad := np.flatnonzero(~np.isfinite(scores))):
        raise EvaluationError(f"{settings.name}: the score of pair {bad[0] + 1} is not finite")
    if np.ptp(scores) == 0:
        raise EvaluationError(
            f"{settings.name}: all {len(pairs)} scores in the column {settings.score!r} are {scores[0]:g}; "
            "a correlation with a constant is undefined"
        )
    data = EvaluationData(
        kind="similarity",
        title=settings.name,
        source=source_name(settings),
        hub_id=settings.dataset,
        config=settings.config,
        split=settings.split if settings.dataset else None,
        revision=resolve_revision(settings) if settings.dataset else None,
        n=len(pairs),
        sha256=texts_sha256(text for first, second, _ in pairs for text in (first, second)),
        labels_sha256=texts_sha256(map(repr, scores.tolist())),
        language=settings.language,
        benchmark_task=settings.benchmark_task,
    )
    return SimilarityPairs(settings.name, [p[0] for p in pairs], [p[1] for p in pairs], scores, data)


def measure_similarity(findings: Findings, models: Sequence[Vectors], pairs: SimilarityPairs) -> None:
    """Measure all models, the teacher first, on one set.

    Raises:
        EvaluationError: a model gives all pairs the same similarity.
    """
    findings.add_data(pairs.name, pairs.data)
    bootstrap = findings.bootstrap(len(pairs.scores), "pairs")
    for similarity in SIMILARITIES:
        predictions = [(model.name, predict(model, pairs, similarity)) for model in models]
        for correlation, (statistic, reference) in CORRELATIONS.items():
            estimates = [
                (
                    model,
                    Estimate(
                        float(reference(pairs.scores, predicted).statistic),
                        bootstrap.distribution(statistic(pairs.scores, predicted)),
                    ),
                )
                for model, predicted in predictions
            ]
            findings.quality(f"{correlation}_{similarity}", pairs.name, estimates, bootstrap)


def predict(model: Vectors, pairs: SimilarityPairs, similarity: str) -> Array:
    """The model's similarity of each pair, shape (n_pairs,).

    Raises:
        EvaluationError: all pairs get the same similarity.
    """
    first, second = (torch.from_numpy(model.of(texts)) for texts in (pairs.first, pairs.second))
    predicted: Array = SIMILARITIES[similarity](first, second).double().numpy()
    if np.ptp(predicted) == 0:
        raise EvaluationError(
            f"{pairs.name}: {model.name} gives every pair the {similarity} similarity {predicted[0]:g}; "
            "a correlation with a constant is undefined: check the model's weights"
        )
    return predicted


def similarity_points(teacher: Vectors, student: Vectors, pairs: SimilarityPairs) -> SimilarityPoints:
    """Human score and predicted cosines of at most `MOST_POINTS` pairs, evenly spread over the set."""
    chosen = np.unique(np.linspace(0, len(pairs.scores) - 1, MOST_POINTS).round().astype(int))
    return SimilarityPoints(
        data=pairs.name,
        reference=tuple(pairs.scores[chosen].tolist()),
        student=tuple(predict(student, pairs, "cosine")[chosen].round(6).tolist()),
        teacher=tuple(predict(teacher, pairs, "cosine")[chosen].round(6).tolist()),
    )
