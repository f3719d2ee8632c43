"""What a student keeps when its vectors are cut to the widths that were trained for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.stats

from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.retrieval import rank
from hubdistill.evaluation.retrieval_set import Retrieval
from hubdistill.evaluation.significance import mean, spearman
from hubdistill.evaluation.similarity import SimilarityPairs, predict
from hubdistill.evaluation.vectors import FloatArray, Task, Vectors
from hubdistill.metrics.precision_at_k.precision_at_k import overlap_at_k


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


def measure_truncation(
    findings: Findings,
    teacher: Vectors,
    student: Vectors,
    widths: Sequence[int],
    pairs: Sequence[SimilarityPairs],
    task: Retrieval,
    *,
    k: int,
    index: str,
) -> None:
    """Measure a student with its vectors cut: Spearman on every similarity set, and agreement.

    The measurements have the parameter `dimensions`. The teacher's vectors are whole.

    Args:
        findings: is added to; knows the data of `pairs` and `task` already.
        teacher: the teacher's vectors.
        student: the student's vectors.
        widths: to how many dimensions they are cut.
        pairs: similarity sets.
        task: documents and queries for the agreement.
        k: length of the lists compared.
        index: as `nearest` takes it.

    Raises:
        EvaluationError: as `predict` and `nearest`.
    """
    theirs = rank(teacher, task, k, index).tolist()
    for width in widths:
        cut = CutVectors(student, width)
        for one in pairs:
            bootstrap = findings.bootstrap(len(one.scores), "pairs")
            predicted = predict(cut, one, "cosine")
            interval = bootstrap.interval(bootstrap.distribution(spearman(one.scores, predicted)))
            value = float(scipy.stats.spearmanr(one.scores, predicted).statistic)
            findings.measure(
                "spearman_cosine",
                student.name,
                value,
                one.name,
                parameters={"dimensions": width},
                interval=interval,
            )
        shared = np.asarray(overlap_at_k(rank(cut, task, k, index).tolist(), theirs, k))
        bootstrap = findings.bootstrap(len(task.queries), "queries")
        findings.measure(
            "precision_at_k",
            student.name,
            float(shared.mean()),
            task.name,
            against=teacher.name,
            parameters={"k": k, "dimensions": width},
            interval=bootstrap.interval(bootstrap.distribution(mean(shared))),
        )
