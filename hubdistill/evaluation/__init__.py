"""Evaluation: student and teacher measured in one run, on the same inputs.

held_out.py       texts that no student was trained on
fidelity.py       agreement with the teacher's embeddings; alignment.py: CKA
slices.py         the same by language, source and length, and the texts of least agreement
similarity.py     correlation with human scores (STS)
retrieval.py      agreement of top-k lists, and relevance where it was judged
retrieval_set.py  documents, queries, judgements: beir.py reads them, made_queries.py makes queries
search.py         the nearest documents; hnsw.py: what approximate search finds of them
variants.py       vectors cut to fewer dimensions, or quantized
mteb_tasks.py     tasks of MTEB
speed.py          throughput; latency.py and footprint.py: the other costs
significance.py   how sure each figure is
vectors.py        every text embedded once for each model; token_counts.py: its length
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sentence_transformers import SentenceTransformer

from hubdistill import recipe, report
from hubdistill.errors import EvaluationError
from hubdistill.evaluation.fidelity import measure_fidelity, share_space
from hubdistill.evaluation.findings import Findings, texts_sha256
from hubdistill.evaluation.footprint import measure_footprint
from hubdistill.evaluation.held_out import ORIGINS, HeldOut
from hubdistill.evaluation.hnsw import measure_hnsw
from hubdistill.evaluation.latency import measure_latency
from hubdistill.evaluation.mteb_tasks import check_mteb, measure_mteb
from hubdistill.evaluation.retrieval import measure_retrieval, usable_k
from hubdistill.evaluation.retrieval_set import Retrieval, held_out_retrieval, read_retrieval_set
from hubdistill.evaluation.search import check_index
from hubdistill.evaluation.similarity import measure_similarity, read_similarity_set, similarity_points
from hubdistill.evaluation.slices import lowest_agreement, measure_slices
from hubdistill.evaluation.speed import cut_texts, measure_speed
from hubdistill.evaluation.variants import measure_variants
from hubdistill.evaluation.vectors import Vectors
from hubdistill.recipe import HELD_OUT, HELD_OUT_RETRIEVAL, SPEED


@dataclass(frozen=True)
class Candidate:
    """A model to measure: its name in the report, the model and what is known about it."""

    name: str
    model: SentenceTransformer
    facts: report.Model
    prompt: str | None = None
    """Put before every text outside retrieval; the model's own default prompt when None."""
    teacher_space: bool | None = True
    """Whether its vectors, if they are as wide as the teacher's, are meant to be the same; None: nobody
    said, the vectors are asked."""
    matryoshka: tuple[int, ...] = ()
    """Widths below its own that its vectors can be cut to."""
    folder: Path | None = None
    """Where its files are; without them its time to load and its memory are not measured."""


@dataclass(frozen=True)
class Evidence:
    """What an evaluation found, in the report's own terms."""

    data: dict[str, report.EvaluationData]
    metrics: dict[str, report.Metric]
    measurements: tuple[report.Measurement, ...]
    comparisons: tuple[report.Comparison, ...]
    points: dict[str, report.SimilarityPoints]
    """By student; empty when there is no similarity set."""
    lowest_agreement: dict[str, tuple[report.LowAgreement, ...]]
    """By student, lowest first."""
    seconds: dict[str, float]
    """What each part took."""


def check_sets(settings: recipe.Evaluation, base: Path, *, seed: int = 0) -> None:
    """Find out before any work what is wrong with what is to be measured.

    Raises:
        EvaluationError: a measure would be undefined on one of the sets, a task is not known, or the Qdrant
            server does not answer.
        CorpusError: a set cannot be read.
        MissingExtraError: a measure needs a package that is not there.
    """
    for one in settings.similarity:
        read_similarity_set(one, base)
    for other in settings.retrieval:
        usable_k(read_retrieval_set(other, base, seed=seed), settings.k)
    check_index(settings.index, graph=bool(settings.hnsw_ef))
    if settings.mteb:
        check_mteb(settings.mteb)


def check_held_out(
    settings: recipe.Evaluation, held_out: HeldOut, *, base: Path = Path(), seed: int = 0
) -> None:
    """Find out before any work whether there are enough held-out texts for what is measured on them.

    Raises:
        EvaluationError: there are not.
    """
    usable_k(_own_task(settings, held_out, base, seed), settings.k)


def evaluate(
    teacher: Candidate,
    students: Sequence[Candidate],
    settings: recipe.Evaluation,
    held_out: HeldOut | None,
    *,
    base: Path,
    seed: int,
    work: Path,
    language: str | None = None,
    reproduce: str = "hubdistill evaluate recipe.yaml",
) -> Evidence:
    """Measure a teacher and its students.

    Args:
        teacher: the reference of every comparison.
        students: models of any kind and dimension, named apart.
        settings: what is measured.
        held_out: texts that no student was trained on; the first `settings.held_out_texts` are used. Without
            any, what is measured on them is left out, and so is speed.
        base: the folder that relative paths in the settings start from.
        seed: of resamples and samples.
        work: folder for mteb's result files.
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
    if held_out:
        held_out = held_out.head(settings.held_out_texts)
    # Sets are read first: what is wrong with them is said before anything is embedded.
    pairs = [read_similarity_set(one, base) for one in settings.similarity]
    tasks = [read_retrieval_set(one, base, seed=seed) for one in settings.retrieval]
    if held_out:
        tasks.insert(0, _own_task(settings, held_out, base, seed, language))

    findings = Findings(settings.bootstrap, seed, reproduce)
    models = [Vectors(candidate.name, candidate.model, candidate.prompt) for candidate in candidates]
    reference, others = models[0], models[1:]
    apart = [
        candidate.name
        for candidate, model in zip(candidates, models, strict=True)
        if not (
            held_out is not None and share_space(reference, model, held_out.texts)
            if candidate.teacher_space is None
            else candidate.teacher_space
        )
    ]
    together = [model.name for model in others if settings.asymmetric and model.name not in apart]
    shortest = min(usable_k(tasks[0], settings.k)) if tasks else min(settings.k)
    clock = _Clock(models)
    with clock.part("agreement"):
        if held_out:
            findings.add_data(HELD_OUT, _described(held_out, language))
            measure_fidelity(findings, HELD_OUT, reference, others, held_out.texts, apart=apart)
    with clock.part("similarity"):
        for similarity_set in pairs:
            measure_similarity(findings, models, similarity_set)
    with clock.part("retrieval"):
        found = [
            measure_retrieval(findings, models, task, k=settings.k, index=settings.index, asymmetric=together)
            for task in tasks
        ]
    lowest: dict[str, tuple[report.LowAgreement, ...]] = {}
    with clock.part("slices"):
        if held_out:
            measure_slices(
                findings,
                HELD_OUT,
                reference,
                others,
                held_out,
                task=HELD_OUT_RETRIEVAL,
                rankings=[] if settings.make_queries else found[0],
                k=shortest,
                apart=apart,
            )
            for one in others:
                lowest[one.name] = lowest_agreement(reference, one, held_out.texts, apart=apart)
    widths = {one.name: {*settings.truncate, *one.matryoshka} for one in candidates}
    widths[teacher.name] = set().union(*widths.values())  # What a student is compared with.
    with clock.part("variants"):
        measure_variants(findings, reference, models, widths, settings.quantize, pairs, tasks, k=shortest)
    with clock.part("hnsw"):
        for task in tasks if settings.hnsw_ef else ():
            k = min(usable_k(task, settings.k))
            measure_hnsw(findings, models, task, k=k, ef=settings.hnsw_ef, index=settings.index)
    with clock.part("mteb"):
        if settings.mteb:
            measure_mteb(
                findings,
                [(one.name, one.model) for one in candidates],
                settings.mteb,
                work / ".mteb",  # Beside folders of students, whose names begin with a letter or digit.
                revisions={one.name: one.facts.revision for one in candidates},
            )
    with clock.part("speed"):
        if settings.speed and held_out:
            _measure_cost(findings, candidates, held_out.texts, settings.speed)
    shown = next((one for one in pairs if "test" in one.name.lower()), pairs[-1] if pairs else None)
    points = {one.name: similarity_points(reference, one, shown) for one in others} if shown else {}
    return Evidence(
        data=findings.data,
        metrics=findings.metrics,
        measurements=tuple(findings.measurements),
        comparisons=tuple(findings.comparisons),
        points=points,
        lowest_agreement=lowest,
        seconds=clock.seconds(),
    )


def _described(held_out: HeldOut, language: str | None) -> report.EvaluationData:
    return report.EvaluationData(
        kind="texts",
        title="Held-out texts",
        source=ORIGINS[held_out.origin],
        n=len(held_out.texts),
        sha256=texts_sha256(held_out.texts),
        language=language,
    )


def _own_task(
    settings: recipe.Evaluation, held_out: HeldOut, base: Path, seed: int, language: str | None = None
) -> Retrieval:
    """Retrieval among the held-out texts."""
    return held_out_retrieval(
        HELD_OUT_RETRIEVAL,
        held_out.head(settings.held_out_texts).texts,
        settings.queries,
        language=language,
        make=settings.make_queries,
        base=base,
        seed=seed,
    )


def _measure_cost(
    findings: Findings, candidates: Sequence[Candidate], texts: Sequence[str], settings: recipe.Speed
) -> None:
    models = [(candidate.name, candidate.model) for candidate in candidates]
    cut = cut_texts(findings, SPEED, models, texts, settings)
    measure_speed(findings, SPEED, models, cut, settings)
    measure_latency(findings, SPEED, models, cut, settings)
    on_disk = [(candidate.facts, candidate.folder) for candidate in candidates if candidate.folder]
    measure_footprint(findings, SPEED, on_disk, cut, settings, device=str(models[0][1].device))


class _Clock:
    """Seconds of each part of an evaluation; those of embedding are counted apart."""

    def __init__(self, models: Sequence[Vectors]) -> None:
        self._models = models
        self._parts: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens inside."""
        started = time.perf_counter() - self._embedding()
        yield
        self._parts[name] = time.perf_counter() - self._embedding() - started

    def seconds(self) -> dict[str, float]:
        """By part, those that took any time worth telling."""
        parts = {"embedding": self._embedding(), **self._parts}
        return {name: round(seconds, 2) for name, seconds in parts.items() if seconds >= 0.01}

    def _embedding(self) -> float:
        return sum(model.seconds for model in self._models)
