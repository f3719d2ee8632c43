"""Measure students on disk beside their teacher, and write their reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sentence_transformers import SentenceTransformer

from hubdistill import __version__, report
from hubdistill.evaluation import Candidate, evaluate
from hubdistill.evaluation.architecture import describe_architecture, environment, model_bytes
from hubdistill.evaluation.quick_start import run_quick_start
from hubdistill.recipe import Card, Evaluation
from hubdistill.teacher import Teacher, weights_digest


@dataclass(frozen=True)
class Subject:
    """A student on disk, and how it was made."""

    name: str
    folder: Path
    training: report.Training
    kept_layers: tuple[int, ...] | None = None


def write_reports(
    teacher: Teacher,
    subjects: Sequence[Subject],
    settings: Evaluation,
    *,
    held_out: Sequence[str],
    owner: Card,
    base: Path,
    seed: int,
    corpus: report.CorpusFacts | None = None,
    recipe: str | None = None,
    reproduce: str = "hubdistill evaluate recipe.yaml",
    device: str | None = None,
) -> dict[str, report.DistillationReport]:
    """Measure all students and the teacher in one run; each student's folder gets its report.json.

    Args:
        teacher: the model that the students are compared with.
        subjects: the students, loaded anew from their folders as a user would.
        settings: what to measure.
        held_out: texts that no student was trained on.
        owner: what the owner says on the card; without a licence or languages the teacher's are taken.
        base: the folder that relative paths in `settings` start from.
        seed: of samples and resampling.
        corpus: what the students were distilled on.
        recipe: the recipe as YAML.
        reproduce: the call that repeats the measurements.
        device: torch device for the students.

    Raises:
        EvaluationError: a measure is undefined on this input.
    """
    first = Candidate(teacher.name, teacher.model, _describe_teacher(teacher), teacher.prompt)
    others = [_load(subject, teacher.prompt, device) for subject in subjects]
    owner = settle_owner(owner, teacher)
    language = owner.language[0] if len(owner.language) == 1 else None
    evidence = evaluate(
        first, others, settings, held_out, base=base, seed=seed, language=language, reproduce=reproduce
    )
    where = environment(seed, str(teacher.model.device))
    reports = {}
    for subject in subjects:
        reports[subject.name] = report.DistillationReport(
            hubdistill_version=__version__,
            created=datetime.now(UTC),
            student=subject.name,
            teacher=teacher.name,
            base_model=start.hub_id if (start := subject.training.start) else teacher.base_model_id,
            models={candidate.name: candidate.facts for candidate in (first, *others)},
            data=evidence.data,
            metrics=evidence.metrics,
            measurements=evidence.measurements,
            comparisons=evidence.comparisons,
            points=evidence.points.get(subject.name),
            environment=where,
            corpus=corpus,
            training=subject.training,
            quick_start=run_quick_start(subject.folder, language),
            recipe=recipe,
            owner=owner,
        )
        reports[subject.name].save(subject.folder)
    return reports


def settle_owner(card: Card, teacher: Teacher) -> Card:
    """The owner's words with licence and languages: the teacher's where the owner names none."""
    licence, languages = card.license or teacher.license, card.language or teacher.languages
    return card.model_copy(update={"license": licence, "language": languages})


def _describe_teacher(teacher: Teacher) -> report.Model:
    return report.Model(
        role="teacher",
        name=teacher.name,
        hub_id=teacher.base_model_id,
        revision=teacher.revision,
        architecture=describe_architecture(teacher.model),
        bytes=model_bytes(teacher.folder),
        dtype=str(teacher.model.dtype).removeprefix("torch."),
        license=teacher.license,
        languages=teacher.languages,
        trust_remote_code=teacher.settings.trust_remote_code,
    )


def _load(subject: Subject, prompt: str | None, device: str | None) -> Candidate:
    model = SentenceTransformer(str(subject.folder), device=device, local_files_only=True)
    facts = report.Model(
        role="student",
        name=subject.name,
        revision=weights_digest(subject.folder),
        architecture=describe_architecture(model, kept_layers=subject.kept_layers),
        bytes=model_bytes(subject.folder),
        dtype=str(next(model.parameters()).dtype).removeprefix("torch."),
    )
    # Others learned the prompt as part of the teacher's vectors, and take none or have one of their own.
    takes_prompt = subject.training.method in ("layers", "trimmed")
    return Candidate(
        subject.name,
        model,
        facts,
        prompt if takes_prompt else None,
        teacher_space=subject.training.teacher_space is not False,
        matryoshka=subject.training.matryoshka,
    )
