"""What a model keeps when its vectors are stored in less space: cut to fewer dimensions, or quantized."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter, methodcaller
from typing import Literal

import numpy as np
import scipy.stats
from sentence_transformers.util.quantization import quantize_embeddings

from hubdistill.evaluation.findings import Estimate, Findings
from hubdistill.evaluation.retrieval import Ranking, embed, quality_of_queries, rank
from hubdistill.evaluation.retrieval_set import Retrieval
from hubdistill.evaluation.significance import Bootstrap, mean, spearman
from hubdistill.evaluation.similarity import SimilarityPairs, predict
from hubdistill.evaluation.vectors import FloatArray, Task, Vectors
from hubdistill.metrics.precision_at_k.precision_at_k import overlap_at_k
from hubdistill.report import Value
from hubdistill.students.dimensions import unit_rows

Precision = Literal["int8", "binary"]


class CutVectors(Vectors):
    """The first dimensions of a model's embeddings, as `truncate_dim` gives them.

    Args:
        whole: the model's embeddings.
        dimensions: how many to keep.
    """

    def __init__(self, whole: Vectors, dimensions: int) -> None:
        super().__init__(whole.name, whole.model, whole.prompt)
        self.whole = whole
        self.dimensions = dimensions

    def of(self, texts: Sequence[str], task: Task | None = None) -> FloatArray:
        """As `Vectors.of`, shape (n_texts, dimensions)."""
        return self.whole.of(texts, task)[:, : self.dimensions]


class QuantizedVectors(Vectors):
    """A model's embeddings, of length 1, as sentence-transformers' `quantize_embeddings` stores them.

    Args:
        whole: the model's embeddings.
        precision: `int8`, a byte for each dimension, or `binary`, a bit.
        calibration: embeddings by which each dimension's range is divided into 256 steps for `int8`.
    """

    def __init__(self, whole: Vectors, precision: Precision, calibration: FloatArray) -> None:
        super().__init__(whole.name, whole.model, whole.prompt)
        self.whole = whole
        self.precision = precision
        self.calibration = unit_rows(calibration)

    def of(self, texts: Sequence[str], task: Task | None = None) -> FloatArray:
        """As `Vectors.of`: the stored integers; -1 or 1 for a bit, so that cosine orders as Hamming does."""
        embeddings = unit_rows(self.whole.of(texts, task))
        if self.precision == "binary":
            packed = quantize_embeddings(embeddings, "ubinary")
            bits = np.unpackbits(np.asarray(packed), axis=1, count=embeddings.shape[1])
            return 2 * bits.astype(np.float32) - 1
        stored = quantize_embeddings(embeddings, "int8", calibration_embeddings=self.calibration)
        return np.asarray(stored, dtype=np.float32)


Variant = tuple[dict[str, Value], Vectors]
"""Its parameter (`dimensions` or `precision`) and its vectors."""


def measure_variants(
    findings: Findings,
    teacher: Vectors,
    models: Sequence[Vectors],
    widths: Mapping[str, Collection[int]],
    precisions: Sequence[Precision],
    pairs: Sequence[SimilarityPairs],
    tasks: Sequence[Retrieval],
    *,
    k: int,
) -> None:
    """Measure models with their vectors cut, and with their vectors quantized.

    These are Spearman on every similarity set and nDCG@10 where documents were judged, by which every two
    models that have a variant are compared, and Precision@k on the first task, against what the teacher's
    plain vectors find. The measurements have the parameter `dimensions` or `precision`. Search is exact.

    Args:
        findings: is added to; knows the data of `pairs` and `tasks` already.
        teacher: the teacher's vectors.
        models: those to measure, the teacher first; of its plain vectors Precision@k, which is 1, is written
            down as well.
        widths: to how many dimensions each model's vectors are cut, by its name; those that it does not have
            are passed over.
        precisions: of quantized vectors, calibrated on the texts of the similarity set, or on the documents.
        pairs: similarity sets.
        tasks: documents and queries.
        k: length of the lists compared, at most what `usable_k` has of the first task.

    Raises:
        EvaluationError: as `predict`.
    """
    for one in pairs:
        bootstrap = findings.bootstrap(len(one.scores), "pairs")
        variants = _variants(models, widths, precisions, methodcaller("of", [*one.first, *one.second]))
        for parameters, group in groupby(variants, itemgetter(0)):
            estimates = [(variant.name, _correlation(variant, one, bootstrap)) for _, variant in group]
            findings.quality("spearman_cosine", one.name, estimates, bootstrap, parameters=parameters)
    for task in tasks:
        if task.judgements is None:
            continue
        bootstrap = findings.bootstrap(len(task.queries), "queries")
        variants = _variants(models, widths, precisions, partial(embed, task=task, part="document"))
        for parameters, group in groupby(variants, itemgetter(0)):
            estimates = [
                (variant.name, _quality(variant, task, task.judgements, bootstrap)) for _, variant in group
            ]
            findings.quality("ndcg_at_10", task.name, estimates, bootstrap, parameters=parameters)
    for task in tasks[:1]:
        _agreement(
            findings,
            teacher,
            _variants(models, widths, precisions, partial(embed, task=task, part="document")),
            task,
            k,
        )


def _variants(
    models: Sequence[Vectors],
    widths: Mapping[str, Collection[int]],
    precisions: Sequence[Precision],
    calibrate: Callable[[Vectors], FloatArray],
) -> Iterator[Variant]:
    """Parameters and vectors of each variant, the widest first; each of all models that have it."""
    own = {model.name: calibrate(model).shape[1] for model in models}
    for width in sorted({width for wanted in widths.values() for width in wanted}, reverse=True):
        for model in models:
            if width in widths.get(model.name, ()) and width < own[model.name]:
                yield {"dimensions": width}, CutVectors(model, width)
    for precision in precisions:
        for model in models:
            yield {"precision": precision}, QuantizedVectors(model, precision, calibrate(model))


def _correlation(variant: Vectors, pairs: SimilarityPairs, bootstrap: Bootstrap) -> Estimate:
    # Many pairs are at one Hamming distance, and the last digits of a cosine must not order them: the dot
    # product of bits is a whole number.
    predicted = predict(variant, pairs, "dot" if _is_binary(variant) else "cosine")
    return Estimate(
        float(scipy.stats.spearmanr(pairs.scores, predicted).statistic),
        bootstrap.distribution(spearman(pairs.scores, predicted)),
    )


def _rank(variant: Vectors, task: Retrieval, depth: int) -> Ranking:
    return rank(variant, task, depth, "exact", bits=_is_binary(variant))


def _is_binary(variant: Vectors) -> bool:
    return isinstance(variant, QuantizedVectors) and variant.precision == "binary"


def _quality(
    variant: Vectors, task: Retrieval, judgements: Sequence[Mapping[int, int]], bootstrap: Bootstrap
) -> Estimate:
    ranking = _rank(variant, task, min(10, task.findable))
    of_query = quality_of_queries(ranking, judgements)["ndcg_at_10"]
    return Estimate(float(of_query.mean()), bootstrap.distribution(mean(of_query)))


def _agreement(
    findings: Findings, teacher: Vectors, variants: Iterable[Variant], task: Retrieval, k: int
) -> None:
    theirs = rank(teacher, task, k, "exact").tolist()
    bootstrap = findings.bootstrap(len(task.queries), "queries")

    def measure(model: Vectors, parameters: Mapping[str, Value]) -> None:
        shared = overlap_at_k(_rank(model, task, k).tolist(), theirs, k)
        findings.measure(
            "precision_at_k",
            model.name,
            float(shared.mean()),
            task.name,
            against=teacher.name,
            parameters={"k": k, **parameters},
            interval=bootstrap.interval(bootstrap.distribution(mean(shared))),
        )

    measured = set()
    for parameters, variant in variants:
        measure(variant, parameters)
        measured.add(variant.name)
    if teacher.name in measured:
        measure(teacher, {})
