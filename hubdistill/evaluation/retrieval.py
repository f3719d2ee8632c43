"""Retrieval: whether two models find the same documents, and whether they find the relevant ones."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.findings import Estimate, Findings
from hubdistill.evaluation.retrieval_set import Retrieval
from hubdistill.evaluation.search import nearest, nearest_bits, nearest_of_each
from hubdistill.evaluation.significance import Array, Bootstrap, mean
from hubdistill.evaluation.vectors import FloatArray, Task, Vectors
from hubdistill.metrics.precision_at_k.precision_at_k import overlap_at_k

logger = logging.getLogger(__name__)

Ranking = npt.NDArray[np.intp]
"""Positions of documents, best first, shape (n_queries, depth)."""

NamedRanking = tuple[str, Ranking]
"""A model's name and what it finds."""

QUALITY = {"ndcg_at_10": "nDCG@10", "mrr_at_10": "RR@10", "recall_at_100": "R@100", "map_at_100": "AP@100"}
"""Metrics of the report, by the names that ir-measures has for them."""
JUDGED_DEPTH = 100


def measure_retrieval(
    findings: Findings,
    models: Sequence[Vectors],
    task: Retrieval,
    *,
    k: Sequence[int],
    index: str,
    asymmetric: Collection[str] = (),
) -> list[NamedRanking]:
    """Measure the agreement of every two models and, with judgements, the quality of each.

    Asymmetric use is a student for the queries and the teacher for the documents. Its measurements have the
    parameter `documents`, the teacher's name, and are compared with the teacher for both.

    A query that is a document as well does not find itself: see `Retrieval.own`.

    Args:
        findings: is added to; defines the task's data.
        models: all models, the teacher first.
        task: documents, queries and judgements.
        k: lengths of the lists compared; those beyond the number of documents are left out.
        index: as `nearest` takes it.
        asymmetric: names of students to measure in asymmetric use as well; those whose embeddings have
            another dimension than the teacher's are passed over.

    Returns:
        What each model finds for its own queries among its own documents, at least as many as the longest
        list.

    Raises:
        EvaluationError: no k is within the number of documents, or the index fails.
    """
    findings.add_data(task.name, task.data)
    lengths = usable_k(task, k)
    depth = max(lengths)
    if task.judgements is not None:
        depth = max(depth, min(JUDGED_DEPTH, task.findable))
    teacher, students = models[0], models[1:]
    documents = embed(teacher, task, "document")
    queries = {model.name: embed(model, task, "query") for model in students if model.name in asymmetric}
    fitting = {name: rows for name, rows in queries.items() if rows.shape[1] == documents.shape[1]}
    groups = [embed(teacher, task, "query"), *fitting.values()]
    found = nearest_of_each(documents, groups, depth + bool(task.own), index=index)
    theirs, *of_students = (without_own(one, task) for one in found)
    rankings = [(teacher.name, theirs), *((one.name, rank(one, task, depth, index)) for one in students)]
    mixed = list(zip(fitting, of_students, strict=True))
    _agreement(findings, task, rankings, mixed, lengths)
    if task.judgements is not None:
        _quality(findings, task, rankings, mixed, task.judgements)
    return rankings


def usable_k(task: Retrieval, k: Sequence[int]) -> list[int]:
    """Those k that there are enough documents for, beside a query's own.

    Raises:
        EvaluationError: there are none.
    """
    usable = sorted({length for length in k if 1 <= length <= task.findable})
    if not usable:
        raise EvaluationError(
            f"{task.name}: evaluation.k asks for {', '.join(map(str, k))}, but there are "
            f"{task.findable} documents; lower k or give more documents"
        )
    if left_out := sorted(set(k) - set(usable)):
        logger.warning(
            "%s has %d documents: Precision@k for k = %s is left out",
            task.name,
            task.findable,
            ", ".join(map(str, left_out)),
        )
    return usable


def rank(model: Vectors, task: Retrieval, depth: int, index: str, *, bits: bool = False) -> Ranking:
    """The documents nearest to each query, its own left out, shape (n_queries, depth).

    Args:
        depth: at most `task.findable`.
        index: as `nearest` takes it.
        bits: the vectors are of -1 and 1, for `nearest_bits`; the index is exact then.
    """
    documents, queries = embed(model, task, "document"), embed(model, task, "query")
    deep = depth + bool(task.own)
    found = nearest_bits(documents, queries, deep) if bits else nearest(documents, queries, deep, index=index)
    return without_own(found, task)


def without_own(found: Ranking, task: Retrieval) -> Ranking:
    """What each query finds beside itself, as BEIR and mteb have it with `ignore_identical_ids`.

    Args:
        found: where queries are documents one deeper than wanted, and else as wanted.
    """
    if not task.own:
        return found
    own = np.full(len(found), -1)
    own[list(task.own)] = list(task.own.values())
    is_other = found != own[:, None]
    # A query that did not find itself has one document too many.
    is_other[is_other.all(axis=1), -1] = False
    others: Ranking = found[is_other].reshape(len(found), -1)
    return others


def embed(model: Vectors, task: Retrieval, part: Task) -> FloatArray:
    """A model's embeddings of a task's documents or queries, shape (n_texts, dim)."""
    texts = task.documents if part == "document" else task.queries
    return model.of(texts, None if task.symmetric else part)


def _agreement(
    findings: Findings,
    task: Retrieval,
    rankings: Sequence[NamedRanking],
    mixed: Sequence[NamedRanking],
    lengths: Sequence[int],
) -> None:
    bootstrap = findings.bootstrap(len(task.queries), "queries")
    teacher = rankings[0][0]

    def overlap(one: NamedRanking, other: NamedRanking) -> list[Estimate]:
        ours, theirs = one[1].tolist(), other[1].tolist()
        return _means(bootstrap, [overlap_at_k(ours, theirs, k) for k in lengths])

    def measure(model: str, against: str, found: Sequence[Estimate], **parameters: str) -> None:
        for k, estimate in zip(lengths, found, strict=True):
            findings.measure(
                "precision_at_k",
                model,
                estimate.value,
                task.name,
                against=against,
                parameters={"k": k, **parameters},
                interval=bootstrap.interval(estimate.resampled),
            )

    with_teacher = {student[0]: overlap(student, rankings[0]) for student in rankings[1:]}
    for name, found in with_teacher.items():
        measure(name, teacher, found)
    for one, other in combinations(rankings[1:], 2):
        # Overlap has no direction; between students it is written down for both.
        found = overlap(other, one)
        measure(other[0], one[0], found)
        measure(one[0], other[0], found)
        # Which of the two is nearer to the teacher?
        for place, k in enumerate(lengths):
            findings.compare(
                "precision_at_k",
                task.name,
                (other[0], with_teacher[other[0]][place]),
                (one[0], with_teacher[one[0]][place]),
                bootstrap,
                parameters={"k": k},
            )
    for student in mixed:
        measure(student[0], teacher, overlap(student, rankings[0]), documents=teacher)


def _quality(
    findings: Findings,
    task: Retrieval,
    rankings: Sequence[NamedRanking],
    mixed: Sequence[NamedRanking],
    judgements: Sequence[Mapping[int, int]],
) -> None:
    bootstrap = findings.bootstrap(len(task.queries), "queries")

    def judge(ranking: Ranking) -> dict[str, Estimate]:
        of_queries = quality_of_queries(ranking, judgements)
        return dict(zip(of_queries, _means(bootstrap, list(of_queries.values())), strict=True))

    plain = [(name, judge(ranking)) for name, ranking in rankings]
    asymmetric = [(name, judge(ranking)) for name, ranking in mixed]
    teacher, reference = plain[0]
    parameters = {"documents": teacher}
    for metric in QUALITY:
        findings.quality(metric, task.name, [(name, found[metric]) for name, found in plain], bootstrap)
        for name, found in asymmetric:
            ours, theirs = (name, found[metric]), (teacher, reference[metric])
            interval = bootstrap.interval(ours[1].resampled)
            findings.measure(metric, name, ours[1].value, task.name, parameters=parameters, interval=interval)
            findings.compare(metric, task.name, ours, theirs, bootstrap, parameters=parameters)


def _means(bootstrap: Bootstrap, values: Sequence[Array]) -> list[Estimate]:
    """Mean over the items of each of several figures of shape (items,), on the same resamples."""
    columns = np.column_stack(values)
    resampled = bootstrap.distribution(mean(columns))
    return [
        Estimate(float(column.mean()), of_column)
        for column, of_column in zip(columns.T, resampled.T, strict=True)
    ]


def quality_of_queries(
    ranking: Ranking, judgements: Sequence[Mapping[int, int]], wanted: Mapping[str, str] = QUALITY
) -> dict[str, Array]:
    """Quality of the ranking of each query, as ir-measures computes it.

    Args:
        ranking: shape (n_queries, depth).
        judgements: grades of documents for each query; those above 0 are relevant. The gain of nDCG is the
            grade.
        wanted: what to compute: ir-measures' names by the names to give them.

    Returns:
        For each name of `wanted`, shape (n_queries,); 0 for a query that finds nothing relevant.
    """
    import ir_measures

    metrics = {ir_measures.parse_measure(measure): metric for metric, measure in wanted.items()}
    qrels = {
        str(query): {str(place): grade for place, grade in judged.items()}
        for query, judged in enumerate(judgements)
    }
    # trec_eval sorts by score, and documents of one score by id: descending scores keep our own order.
    run = {
        str(query): {str(place): -float(position) for position, place in enumerate(places)}
        for query, places in enumerate(ranking.tolist())
    }
    values = {metric: np.zeros(len(judgements)) for metric in wanted}
    for found in ir_measures.iter_calc(metrics, qrels, run):
        values[metrics[found.measure]][int(found.query_id)] = found.value
    return values
