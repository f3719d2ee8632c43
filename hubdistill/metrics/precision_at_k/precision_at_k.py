"""Precision@k overlap: how much of one model's top k is in another model's top k."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

_DESCRIPTION = """\
Precision@k of one ranking with another ranking as the truth: the share of the first k documents that
both models return for the same query, averaged over queries. The order within the first k plays no part.
1 means that both models retrieve the same documents; it says nothing about relevance to the query.
"""

_INPUTS = """
Args:
    predictions: for each query the document ids that the student returns, best first; integers or strings.
    references: for each query the document ids that the teacher returns, best first.
    k: how many of each list count; every list needs at least so many ids. Default 10.

Returns:
    precision_at_k: mean over queries, between 0 and 1.

Examples:
    >>> from hubdistill import metrics
    >>> metric = metrics.load("precision_at_k")
    >>> result = metric.compute(predictions=[[3, 1, 2], [9, 8, 7]], references=[[2, 3, 5], [7, 8, 9]], k=3)
    >>> round(result["precision_at_k"], 4)
    0.8333
"""

_CITATION = """\
@book{manning2008introduction,
  title = {Introduction to Information Retrieval},
  author = {Manning, Christopher D. and Raghavan, Prabhakar and Sch{\\"u}tze, Hinrich},
  publisher = {Cambridge University Press},
  year = {2008}
}
"""


def overlap_at_k(
    predictions: Sequence[Sequence[Any]], references: Sequence[Sequence[Any]], k: int
) -> np.ndarray:
    """Share of the first k ids that two rankings have in common, for each query.

    Args:
        predictions: ids, best first; at least k for each query.
        references: the same of the other model.
        k: length of the lists that are compared.

    Returns:
        Shape (n_queries,), between 0 and 1.

    Raises:
        ValueError: no queries, different numbers of them, or a list that is shorter than k.
    """
    if not len(predictions) or len(predictions) != len(references):
        raise ValueError(
            f"expected rankings for the same queries, got {len(predictions)} and {len(references)}"
        )
    if k < 1:
        raise ValueError(f"k is {k}; expected at least 1")
    shared = np.empty(len(predictions))
    for query, (ours, theirs) in enumerate(zip(predictions, references, strict=True)):
        if min(len(ours), len(theirs)) < k:
            raise ValueError(f"query {query}: {len(ours)} and {len(theirs)} ids, fewer than k = {k}")
        shared[query] = len(set(ours[:k]) & set(theirs[:k])) / k
    return shared


class PrecisionAtK(evaluate.Metric):  # type: ignore[misc]
    """`overlap_at_k` averaged over queries, as an `evaluate` metric."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=[
                datasets.Features(
                    {
                        "predictions": datasets.List(datasets.Value(kind)),
                        "references": datasets.List(datasets.Value(kind)),
                    }
                )
                for kind in ("string", "int64")
            ],
        )

    def _compute(
        self, predictions: Sequence[Sequence[Any]], references: Sequence[Sequence[Any]], k: int = 10
    ) -> dict[str, float]:
        return {"precision_at_k": float(overlap_at_k(predictions, references, k).mean())}
