"""Approximate search: how much of exact search Qdrant's HNSW graph finds, for each model's vectors.

A student's vectors can lie less apart than the teacher's, and then need a deeper search (a larger `ef`)
for the same recall.

Source: Malkov and Yashunin, Efficient and robust approximate nearest neighbor search using Hierarchical
Navigable Small World graphs (2016), arXiv:1603.09320.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from hubdistill.evaluation.findings import Estimate, Findings
from hubdistill.evaluation.retrieval import embed, usable_k
from hubdistill.evaluation.retrieval_set import Retrieval
from hubdistill.evaluation.search import nearest, qdrant_index
from hubdistill.evaluation.significance import mean
from hubdistill.evaluation.vectors import Vectors
from hubdistill.students.dimensions import unit_rows

logger = logging.getLogger(__name__)


def measure_hnsw(
    findings: Findings, models: Sequence[Vectors], task: Retrieval, *, k: int, ef: Sequence[int], index: str
) -> None:
    """Measure the share of the exact top k that the graph finds, at each depth, and compare every two models.

    The graph has Qdrant's default `m` and `ef_construct`. It is random: a figure moves a little from run to
    run, while its interval is over queries only. Where queries are documents they find themselves here, for
    it is the graph that is measured. A depth below k is left out, for Qdrant searches at least k
    deep; so is a model for which a server builds no graph, because there are too few documents.

    Args:
        findings: is added to; knows the task's data already.
        models: all models, the teacher first.
        task: documents and queries.
        k: length of the lists.
        ef: how many candidates deep the graph is searched.
        index: the URL of a Qdrant server; `exact` and `:memory:` stand for the embedded Qdrant.

    Raises:
        EvaluationError: there are fewer than k documents, or the Qdrant server fails.
        MissingExtraError: this needs the extra `qdrant`.
    """
    usable_k(task, [k])
    depths = sorted({depth for depth in ef if depth >= k})
    if left_out := sorted(set(ef) - set(depths)):
        logger.warning(
            "%s: ef = %s is left out, for it is below k = %d", task.name, ", ".join(map(str, left_out)), k
        )
    if not depths:
        return
    bootstrap = findings.bootstrap(len(task.queries), "queries")
    estimates: dict[int, list[tuple[str, Estimate]]] = {depth: [] for depth in depths}
    for model in models:
        documents, queries = embed(model, task, "document"), embed(model, task, "query")
        exact = [set(places) for places in nearest(documents, queries, k).tolist()]
        engine = ":memory:" if index == "exact" else index
        with qdrant_index(documents, engine, graph=True) as (search, indexed):
            if indexed < len(documents):
                logger.warning(
                    "%s: recall of HNSW is left out for %s, for Qdrant put %d of %d documents into its graph",
                    task.name,
                    model.name,
                    indexed,
                    len(documents),
                )
                continue
            for depth in depths:
                found = search(unit_rows(queries), k, depth)
                share = np.array([len(a & set(b.tolist())) / k for a, b in zip(exact, found, strict=True)])
                estimate = Estimate(float(share.mean()), bootstrap.distribution(mean(share)))
                estimates[depth].append((model.name, estimate))
    for depth, of_models in estimates.items():
        if of_models:
            parameters = {"k": k, "ef": depth}
            findings.quality("ann_recall_at_k", task.name, of_models, bootstrap, parameters=parameters)
