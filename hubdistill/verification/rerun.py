"""The measurements of a report, made again."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from hubdistill.card.text import plain
from hubdistill.errors import HubDistillError
from hubdistill.evaluation import Candidate, Evidence, evaluate
from hubdistill.evaluation.fidelity import measure_fidelity, share_space
from hubdistill.evaluation.findings import Findings, texts_sha256
from hubdistill.evaluation.mteb_tasks import measure_mteb
from hubdistill.evaluation.similarity import SimilarityPairs, measure_similarity
from hubdistill.evaluation.vectors import Vectors
from hubdistill.recipe import HELD_OUT
from hubdistill.report import Comparison, EvaluationData, Measurement
from hubdistill.verification.inputs import Inputs, unavailable_parts

logger = logging.getLogger(__name__)

SAMPLE = 200
"""Pairs of a set, or held-out texts, behind a quick look."""

Item = TypeVar("Item")
Found = tuple[Sequence[Measurement], Sequence[Comparison]]


@dataclass
class Rerun:
    """What was measured again.

    Attributes:
        unavailable: by name of a metric, why it could not be measured.
        failed: what went wrong on the way.
        data: what all of the data was, by name; empty when only samples were measured.
    """

    measurements: list[Measurement] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    unavailable: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    data: dict[str, EvaluationData] = field(default_factory=dict)

    def add(self, measurements: Sequence[Measurement], comparisons: Sequence[Comparison]) -> None:
        """Take in what was found."""
        self.measurements += measurements
        self.comparisons += comparisons


def rerun(
    student: Candidate, teacher: Candidate | None, inputs: Inputs, *, seed: int, work: Path, quick: bool
) -> Rerun:
    """Measure a student and its teacher as their report was measured.

    Args:
        teacher: without one, the student's own figures are measured.
        inputs: the data that is here.
        seed: of the evaluation.
        work: a folder for temporary files.
        quick: only samples, and only what a sample can tell.
    """
    found = Rerun(unavailable=dict(inputs.unavailable))
    models = [teacher, student] if teacher else [student]
    try:
        if quick:
            found.add(*_on_samples(student, teacher, inputs, seed))
        elif inputs.texts:
            names = " and ".join(plain(one.name) for one in models)
            logger.info("Embedding %d texts with %s", len(inputs.texts), names)
            evidence = _in_full(models, inputs, seed, work, found.unavailable)
            found.add(evidence.measurements, evidence.comparisons)
            found.data = evidence.data
    # Weights that fit no config, or a tokenizer no table, fail in as many ways as there are layers.
    except (HubDistillError, RuntimeError, IndexError, ValueError) as error:
        found.failed.append(f"{error}")
    if not quick and inputs.settings.mteb:
        try:
            found.add(*_on_tasks(models, inputs, seed, work, found.unavailable))
        except (HubDistillError, RuntimeError, OSError, ValueError) as error:
            found.unavailable["mteb_main_score"] = str(error)
    return found


def _in_full(
    models: Sequence[Candidate], inputs: Inputs, seed: int, work: Path, unavailable: dict[str, str]
) -> Evidence:
    settings = inputs.settings.model_copy(update={"mteb": ()})
    if reason := unavailable_parts(settings).get("hnsw_ef"):
        unavailable["ann_recall_at_k"] = reason
        settings = settings.model_copy(update={"hnsw_ef": ()})
    if len(models) == 1:
        settings = settings.model_copy(update={"speed": None})
    return evaluate(models[0], models[1:], settings, inputs.held_out, base=work, seed=seed, work=work)


def _on_tasks(
    models: Sequence[Candidate], inputs: Inputs, seed: int, work: Path, unavailable: dict[str, str]
) -> Found:
    if reason := unavailable_parts(inputs.settings).get("mteb"):
        unavailable["mteb_main_score"] = reason
        return (), ()
    findings = Findings(inputs.settings.bootstrap, seed, "")
    measure_mteb(
        findings,
        [(one.name, one.model) for one in models],
        inputs.settings.mteb,
        work / ".mteb",
        revisions={one.name: one.facts.revision for one in models},
    )
    return findings.measurements, findings.comparisons


def _on_samples(student: Candidate, teacher: Candidate | None, inputs: Inputs, seed: int) -> Found:
    """Similarity, and agreement with the teacher, of random parts of the data."""
    findings = Findings(inputs.settings.bootstrap, seed, "")
    models = [Vectors(one.name, one.model, one.prompt) for one in (teacher, student) if one]
    samples = [_sample_of_pairs(pairs, seed) for pairs in inputs.pairs]
    texts = _sample(inputs.held_out.texts, seed) if inputs.held_out and teacher else []
    count = len({text for one in samples for text in (*one.first, *one.second)} | set(texts))
    if count:
        names = " and ".join(plain(one.name) for one in models)
        logger.info("Embedding a sample of %d texts with %s", count, names)
    if texts:
        reference, ours = models
        findings.add_data(
            HELD_OUT,
            EvaluationData(kind="texts", title=HELD_OUT, source="", n=len(texts), sha256=texts_sha256(texts)),
        )
        together = student.teacher_space
        if together is None:
            together = share_space(reference, ours, texts)
        measure_fidelity(findings, HELD_OUT, reference, [ours], texts, apart=[] if together else [ours.name])
    for one in samples:
        measure_similarity(findings, models, one)
    return findings.measurements, findings.comparisons


def _sample_of_pairs(pairs: SimilarityPairs, seed: int) -> SimilarityPairs:
    places = _sample(range(len(pairs.scores)), seed)
    return replace(
        pairs,
        first=[pairs.first[place] for place in places],
        second=[pairs.second[place] for place in places],
        scores=pairs.scores[places],
        data=pairs.data.model_copy(update={"n": len(places)}),
    )


def _sample(items: Sequence[Item], seed: int) -> list[Item]:
    return random.Random(seed).sample(list(items), min(SAMPLE, len(items)))
