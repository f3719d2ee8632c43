"""Retrieval: whether two models find the same documents, and whether they find the relevant ones."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.findings import Estimate, Findings
from hubdistill.evaluation.retrieval_set import Retrieval
from hubdistill.evaluation.search import nearest
from hubdistill.evaluation.significance import Array, mean
from hubdistill.evaluation.vectors import Vectors
from hubdistill.metrics.precision_at_k.precision_at_k import overlap_at_k

logger = logging.getLogger(__name__)

Ranking = npt.NDArray[np.intp]
"""Positions of documents, best first, shape (n_queries, depth)."""

JUDGED_DEPTH = 100


def measure_retrieval(
    findings: Findings, models: Sequence[Vectors], task: Retrieval, *, k: Sequence[int], index: str
) -> None:
    """Measure the agreement of every two models and, with judgements, the quality of each.

    Args:
        findings: is added to; defines the task's data.
        models: all models, the teacher first.
        task: documents, queries and judgements.
        k: lengths of the lists compared; those beyond the number of documents are left out.
        index: as `nearest` takes it.

    Raises:
        EvaluationError: no k is within the number of documents, or the index fails.
    """
    findings.add_data(task.name, task.data)
    lengths = usable_k(task, k)
    depth = max(lengths)
    if task.judgements is not None:
        depth = max(depth, min(JUDGED_DEPTH, len(task.documents)))
    rankings = [(model.name, rank(model, task, depth, index)) for model in models]
    _agreement(findings, task, rankings, lengths)
    if task.judgements is not None:
        _quality(findings, task, rankings, task.judgements)


def usable_k(task: Retrieval, k: Sequence[int]) -> list[int]:
    """Those k that there are enough documents for.

    Raises:
        EvaluationError: there are none.
    """
    usable = sorted({length for length in k if 1 <= length <= len(task.documents)})
    if not usable:
        raise EvaluationError(
            f"{task.name}: evaluation.k asks for {', '.join(map(str, k))}, but there are "
            f"{len(task.documents)} documents; lower k or give more documents"
        )
    if left_out := sorted(set(k) - set(usable)):
        logger.warning(
            "%s has %d documents: Precision@k for k = %s is left out",
            task.name,
            len(task.documents),
            ", ".join(map(str, left_out)),
        )
    return usable


def rank(model: Vectors, task: Retrieval, depth: int, index: str) -> Ranking:
    """The documents nearest to each query, shape (n_queries, depth)."""
    documents = model.of(task.documents, None if task.symmetric else "document")
    queries = model.of(task.queries, None if task.symmetric else "query")
    return nearest(documents, queries, depth, index=index)


def _agreement(
    findings: Findings, task: Retrieval, rankings: Sequence[tuple[str, Ranking]], lengths: Sequence[int]
) -> None:
    bootstrap = findings.bootstrap(len(task.queries), "queries")
    lists = [(name, ranking.tolist()) for name, ranking in rankings]
    for place, (against, theirs) in enumerate(lists):
        for model, ours in lists[place + 1 :]:
            shared = np.column_stack([overlap_at_k(ours, theirs, k) for k in lengths])
            resampled = bootstrap.distribution(mean(shared))
            # Overlap has no direction; between students it is written down for both.
            directions = [(model, against)] if place == 0 else [(model, against), (against, model)]
            for column, k in enumerate(lengths):
                for one, other in directions:
                    findings.measure(
                        "precision_at_k",
                        one,
                        float(shared[:, column].mean()),
                        task.name,
                        against=other,
                        parameters={"k": k},
                        interval=bootstrap.interval(resampled[:, column]),
                    )


def _quality(
    findings: Findings,
    task: Retrieval,
    rankings: Sequence[tuple[str, Ranking]],
    judgements: Sequence[dict[int, int]],
) -> None:
    bootstrap = findings.bootstrap(len(task.queries), "queries")
    measures: dict[str, Callable[[Ranking, Sequence[dict[int, int]]], Array]] = {
        "ndcg_at_10": lambda ranking, judged: ndcg(ranking[:, :10], judged),
        "mrr_at_10": lambda ranking, judged: reciprocal_rank(ranking[:, :10], judged),
        "recall_at_100": lambda ranking, judged: recall(ranking[:, :100], judged),
    }
    for metric, measure in measures.items():
        estimates = []
        for name, ranking in rankings:
            of_query = measure(ranking, judgements)
            estimates.append((name, Estimate(float(of_query.mean()), bootstrap.distribution(mean(of_query)))))
        findings.quality(metric, task.name, estimates, bootstrap)


def ndcg(ranking: Ranking, judgements: Sequence[dict[int, int]]) -> Array:
    """Normalised discounted cumulative gain of each query, as trec_eval defines it: the gain is the grade.

    Args:
        ranking: shape (n_queries, depth).
        judgements: grades of documents for each query; documents without one count as 0.

    Returns:
        Shape (n_queries,).
    """
    depth = ranking.shape[1]
    discounts = 1 / np.log2(np.arange(2, depth + 2))
    gains = np.maximum(_grades(ranking, judgements), 0)
    ideal = np.zeros_like(gains)
    for row, judged in enumerate(judgements):
        best = sorted((grade for grade in judged.values() if grade > 0), reverse=True)[:depth]
        ideal[row, : len(best)] = best
    return np.asarray(gains @ discounts / (ideal @ discounts))


def reciprocal_rank(ranking: Ranking, judgements: Sequence[dict[int, int]]) -> Array:
    """One over the rank of each query's first relevant document, 0 where there is none."""
    relevant = _grades(ranking, judgements) > 0
    return np.asarray(relevant.any(axis=1) / (relevant.argmax(axis=1) + 1.0))


def recall(ranking: Ranking, judgements: Sequence[dict[int, int]]) -> Array:
    """Share of each query's relevant documents that the ranking holds."""
    found = (_grades(ranking, judgements) > 0).sum(axis=1)
    there = np.array([sum(grade > 0 for grade in judged.values()) for judged in judgements])
    return np.asarray(found / there)


def _grades(ranking: Ranking, judgements: Sequence[dict[int, int]]) -> Array:
    rows = [
        [judged.get(place, 0) for place in places]
        for places, judged in zip(ranking.tolist(), judgements, strict=True)
    ]
    return np.array(rows, dtype=np.float64)
