"""Where a student loses most: its agreement with the teacher by language, source and length of the text."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer

from hubdistill.evaluation.fidelity import in_one_space, row_cosines
from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.held_out import HeldOut
from hubdistill.evaluation.retrieval import NamedRanking
from hubdistill.evaluation.search import nearest
from hubdistill.evaluation.significance import Array, mean
from hubdistill.evaluation.token_counts import token_counts
from hubdistill.evaluation.vectors import Vectors
from hubdistill.metrics.precision_at_k.precision_at_k import overlap_at_k
from hubdistill.report import SMALLEST_SLICE, LowAgreement, Value

LONGEST = (16, 64, 256)
"""Where ranges of tokens end; the last has no end."""
LOWEST = 10
"""Texts of low agreement that are shown."""
NEIGHBOURS = 10
"""Nearest texts that two models without a space in common are compared by."""

Slice = tuple[dict[str, Value], npt.NDArray[np.intp]]
"""Its parameter (`language`, `source` or `length`) and the positions of its texts."""


def measure_slices(
    findings: Findings,
    data: str,
    teacher: Vectors,
    students: Sequence[Vectors],
    held_out: HeldOut,
    *,
    task: str,
    rankings: Sequence[NamedRanking],
    k: int,
    apart: Collection[str] = (),
) -> None:
    """Measure every student's agreement with the teacher on the texts of each language, source and length.

    These are the mean cosine to the teacher, and Precision@k by the slice of the query. The measurements have
    the parameter `language`, `source` or `length`, a range of the teacher's tokens. Slices of fewer than
    `SMALLEST_SLICE` texts are left out, and so is a kind that is left with a single slice.

    Args:
        findings: is added to; knows the data of `data` and `task` already.
        data: name of the data that `held_out` is.
        teacher: the teacher's vectors.
        students: the students' vectors.
        held_out: the texts.
        task: name of the data of `rankings`.
        rankings: what each model finds, the teacher first, for queries that are the first of the held-out
            texts; empty where queries are others.
        k: length of the lists compared, at most that of the rankings.
        apart: names of students whose embeddings are not of the teacher's space; they and those of another
            dimension have no cosine to the teacher.
    """
    texts = held_out.texts
    slices = _slices(held_out, teacher.model)
    for student in students:
        if in_one_space(teacher, student, texts, apart):
            cosines = row_cosines(student.of(texts), teacher.of(texts))
            for parameters, places in slices:
                _measure(findings, "teacher_cosine", student, teacher, data, parameters, cosines[places])
    if not rankings:
        return
    found = {name: ranking[:, :k].tolist() for name, ranking in rankings}
    theirs = found[teacher.name]
    slices = _slices(held_out.head(len(theirs)), teacher.model)
    for student in students:
        shared = overlap_at_k(found[student.name], theirs, k)
        for parameters, places in slices:
            cut = {"k": k, **parameters}
            _measure(findings, "precision_at_k", student, teacher, task, cut, shared[places])


def lowest_agreement(
    teacher: Vectors, student: Vectors, texts: Sequence[str], *, apart: Collection[str] = ()
) -> tuple[LowAgreement, ...]:
    """The texts on which student and teacher agree least, lowest first.

    Agreement is the cosine of the two embeddings; without a space in common, the share of the text's nearest
    other texts that both models have in common.

    Args:
        teacher: the teacher's vectors.
        student: the student's vectors.
        texts: at least 2.
        apart: names of students whose embeddings are not of the teacher's space.
    """
    if in_one_space(teacher, student, texts, apart):
        metric, values = "teacher_cosine", row_cosines(student.of(texts), teacher.of(texts))
    else:
        k = min(NEIGHBOURS, len(texts) - 1)
        ours, theirs = (_neighbours(model, texts, k) for model in (student, teacher))
        metric, values = "precision_at_k", overlap_at_k(ours, theirs, k)
    lowest = np.argsort(values, kind="stable")[:LOWEST]
    return tuple(
        LowAgreement(text=texts[place], value=float(values[place]), metric=metric)
        for place in lowest.tolist()
    )


def length_range(tokens: int) -> str:
    """The range that a number of tokens falls in: `17-64`."""
    first = 1
    for last in LONGEST:
        if tokens <= last:
            return f"{first}-{last}"
        first = last + 1
    return f"{first}+"


def _slices(held_out: HeldOut, teacher: SentenceTransformer) -> list[Slice]:
    """Slices that are large enough, of kinds that have several of them; short texts first."""
    counts = token_counts(teacher, held_out.texts)
    kinds: list[tuple[str, Sequence[str | None], Iterable[str | None]]] = [
        ("language", held_out.languages, sorted(filter(None, held_out.languages))),
        ("source", held_out.sources, sorted(held_out.sources)),
        ("length", [length_range(count) for count in counts], map(length_range, sorted(counts))),
    ]
    found: list[Slice] = []
    for kind, of_texts, names in kinds:
        places = {name: np.flatnonzero([one == name for one in of_texts]) for name in dict.fromkeys(names)}
        large: list[Slice] = [
            ({kind: name}, there) for name, there in places.items() if len(there) >= SMALLEST_SLICE
        ]
        if len(large) > 1:
            found += large
    return found


def _measure(
    findings: Findings,
    metric: str,
    student: Vectors,
    teacher: Vectors,
    data: str,
    parameters: Mapping[str, Value],
    values: Array,
) -> None:
    bootstrap = findings.bootstrap(len(values), "queries" if "k" in parameters else "texts")
    findings.measure(
        metric,
        student.name,
        float(values.mean()),
        data,
        n=len(values),
        against=teacher.name,
        parameters=parameters,
        interval=bootstrap.interval(bootstrap.distribution(mean(values))),
    )


def _neighbours(model: Vectors, texts: Sequence[str], k: int) -> list[list[int]]:
    """The k texts nearest to each text, itself left out."""
    embeddings = model.of(texts)
    found = nearest(embeddings, embeddings, k + 1).tolist()
    return [[other for other in places if other != place][:k] for place, places in enumerate(found)]
