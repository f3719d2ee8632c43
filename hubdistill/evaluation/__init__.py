"""Evaluation: student and teacher measured in one run, on the same inputs.

fidelity.py       agreement with the teacher's embeddings
similarity.py     correlation with human scores (STS)
retrieval.py      agreement of top-k lists, and relevance where it was judged
truncation.py     vectors cut to fewer dimensions
speed.py          throughput
significance.py   how sure each figure is
vectors.py        every text embedded once for each model
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sentence_transformers import SentenceTransformer

from hubdistill import recipe, report
from hubdistill.errors import EvaluationError
from hubdistill.evaluation.fidelity import measure_fidelity
from hubdistill.evaluation.findings import Findings, texts_sha256
from hubdistill.evaluation.retrieval import measure_retrieval, usable_k
from hubdistill.evaluation.retrieval_set import held_out_retrieval, read_retrieval_set
from hubdistill.evaluation.similarity import measure_similarity, read_similarity_set, similarity_points
from hubdistill.evaluation.speed import measure_speed
from hubdistill.evaluation.truncation import measure_truncation
from hubdistill.evaluation.vectors import Vectors

HELD_OUT, HELD_OUT_RETRIEVAL, SPEED = "held-out", "held-out-retrieval", "speed"
"""Names of the data that an evaluation makes of the held-out texts."""


@dataclass(frozen=True)
class Candidate:
    """A model to measure: its name in the report, the model and what is known about it."""

    name: str
    model: SentenceTransformer
    facts: report.Model
    prompt: str | None = None
    """Put before every text outside retrieval; the model's own default prompt when None."""
    teacher_space: bool = True
    """Whether its vectors, if they are as wide as the teacher's, are meant to be the same."""
    matryoshka: tuple[int, ...] = ()
    """Widths below its own that its vectors can be cut to."""


@dataclass(frozen=True)
class Evidence:
    """What an evaluation found, in the report's own terms."""

    data: dict[str, report.EvaluationData]
    metrics: dict[str, report.Metric]
    measurements: tuple[report.Measurement, ...]
    comparisons: tuple[report.Comparison, ...]
    points: dict[str, report.SimilarityPoints]
    """By student; empty when there is no similarity set."""


def check_sets(settings: recipe.Evaluation, base: Path) -> None:
    """Find out before any work what is wrong with the evaluation sets.

    Raises:
        EvaluationError: a measure would be undefined on one of them.
        CorpusError: one cannot be read.
    """
    for one in settings.similarity:
        read_similarity_set(one, base)
    for other in settings.retrieval:
        usable_k(read_retrieval_set(other, base), settings.k)


def check_held_out(settings: recipe.Evaluation, held_out: Sequence[str]) -> None:
    """Find out before any work whether there are enough held-out texts for what is measured on them.

    Raises:
        EvaluationError: there are not.
    """
    texts = held_out[: settings.held_out_texts]
    usable_k(held_out_retrieval(HELD_OUT_RETRIEVAL, texts, settings.queries), settings.k)


def evaluate(
    teacher: Candidate,
    students: Sequence[Candidate],
    settings: recipe.Evaluation,
    held_out: Sequence[str],
    *,
    base: Path,
    seed: int,
    language: str | None = None,
    reproduce: str = "hubdistill evaluate recipe.yaml",
) -> Evidence:
    """Measure a teacher and its students.

    Args:
        teacher: the reference of every comparison.
        students: models of any kind and dimension, named apart.
        settings: what is measured.
        held_out: texts that no student was trained on; the first `settings.held_out_texts` are used.
        base: the folder that relative paths in the settings start from.
        seed: of resamples and samples.
        language: of the held-out texts.
        reproduce: the call that repeats this evaluation.

    Raises:
        EvaluationError: a measure is undefined on this input, or two things have one name.
        CorpusError: an evaluation set cannot be read.
    """
    candidates = [teacher, *students]
    if len({candidate.name for candidate in candidates}) < len(candidates):
        names = ", ".join(candidate.name for candidate in candidates)
        raise EvaluationError(f"models need names of their own, got {names}")
    texts = list(held_out[: settings.held_out_texts])
    # Sets are read first: what is wrong with them is said before anything is embedded.
    pairs = [read_similarity_set(one, base) for one in settings.similarity]
    tasks = [held_out_retrieval(HELD_OUT_RETRIEVAL, texts, settings.queries, language=language)]
    tasks += [read_retrieval_set(one, base) for one in settings.retrieval]

    findings = Findings(settings.bootstrap, seed, reproduce)
    models = [Vectors(candidate.name, candidate.model, candidate.prompt) for candidate in candidates]
    described = report.EvaluationData(
        kind="texts",
        title="Held-out texts",
        source="held-out part of the corpus",
        n=len(texts),
        sha256=texts_sha256(texts),
        language=language,
    )
    findings.add_data(HELD_OUT, described)
    apart = [candidate.name for candidate in candidates if not candidate.teacher_space]
    measure_fidelity(findings, HELD_OUT, models[0], models[1:], texts, apart=apart)
    for similarity_set in pairs:
        measure_similarity(findings, models, similarity_set)
    for task in tasks:
        measure_retrieval(findings, models, task, k=settings.k, index=settings.index)
    for candidate, model in zip(candidates, models, strict=True):
        if not candidate.matryoshka:
            continue
        measure_truncation(
            findings,
            models[0],
            model,
            candidate.matryoshka,
            pairs,
            tasks[0],
            k=min(usable_k(tasks[0], settings.k)),
            index=settings.index,
        )
    if settings.speed:
        named = [(candidate.name, candidate.model) for candidate in candidates]
        measure_speed(findings, SPEED, named, texts, settings.speed)

    shown = next((one for one in pairs if "test" in one.name.lower()), pairs[-1] if pairs else None)
    points = {one.name: similarity_points(models[0], one, shown) for one in models[1:]} if shown else {}
    return Evidence(
        findings.data, findings.metrics, tuple(findings.measurements), tuple(findings.comparisons), points
    )
