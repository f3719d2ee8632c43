"""Measure students on disk beside their teacher, and write their reports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hubdistill import __version__, report
from hubdistill.atomic import write_text
from hubdistill.bibtex import card_citations
from hubdistill.evaluation import Candidate, evaluate
from hubdistill.evaluation.architecture import describe_architecture, environment
from hubdistill.evaluation.held_out import HeldOut
from hubdistill.evaluation.quick_start import run_quick_starts
from hubdistill.model_files import model_bytes
from hubdistill.models import Located, load_model
from hubdistill.private_text import find_secrets
from hubdistill.recipe import Card, Evaluation
from hubdistill.recipe_file import published, published_teacher
from hubdistill.teacher import Teacher

LOWEST_AGREEMENT = "lowest_agreement.jsonl"
"""Held-out texts on which student and teacher agree least: kept beside, never in what is published."""


@dataclass(frozen=True)
class Subject:
    """A student on disk, and what is known of it."""

    name: str
    model: Located
    owner: Card
    """What the owner says on the card; licence and languages are settled."""
    training: report.Training | None = None
    """How it was made; None when nobody said."""
    kept_layers: tuple[int, ...] | None = None
    base_model: str | None = None
    """Hub id of the checkpoint that it was initialised from."""
    corpus: report.CorpusFacts | None = None
    """What it was distilled on."""
    recipe: str | None = None
    """The recipe as YAML."""
    trust_remote_code: bool = False
    report_folder: Path | None = None
    """Where its report goes; into its own folder when left out."""


def write_reports(
    teacher: Teacher,
    subjects: Sequence[Subject],
    settings: Evaluation,
    *,
    held_out: HeldOut,
    base: Path,
    seed: int,
    work: Path,
    reproduce: str = "hubdistill evaluate recipe.yaml",
    device: str | None = None,
) -> dict[str, report.DistillationReport]:
    """Measure all students and the teacher in one run; each student's folder gets its report.json.

    Args:
        teacher: the model that the students are compared with.
        subjects: the students, loaded anew from their folders as a user would.
        settings: what to measure.
        held_out: texts that no student was trained on.
        base: the folder that relative paths in `settings` start from.
        seed: of samples and resampling.
        work: folder for what stays behind: mteb's result files, and for each student the texts on which it
            agrees least with the teacher.
        reproduce: the call that repeats the measurements.
        device: torch device for the students.

    Raises:
        EvaluationError: a measure is undefined on this input.
    """
    first = Candidate(
        teacher.name, teacher.model, describe_teacher(teacher), teacher.prompt, folder=teacher.folder
    )
    others = [load_candidate(subject, teacher.prompt, device) for subject in subjects]
    spoken = {subject.owner.language for subject in subjects}
    language = next(iter(spoken))[0] if [len(languages) for languages in spoken] == [1] else None
    # What a reader will try first must work; it is found out before hours of measuring.
    judged = bool(settings.retrieval or settings.make_queries)
    quick_starts = run_quick_starts(others, language, retrieval=judged)
    evidence = evaluate(
        first,
        others,
        settings,
        held_out,
        base=base,
        seed=seed,
        work=work,
        language=language,
        reproduce=reproduce,
    )
    where = environment(seed, str(teacher.model.device))
    plan = report.EvaluationPlan(
        teacher=published_teacher(teacher.settings),
        settings=published(settings),
        texts=held_out.origin,
        sources=tuple(map(published, held_out.read_from)),
    )
    reports = {}
    for subject, quick_start in zip(subjects, quick_starts, strict=True):
        lowest = evidence.lowest_agreement[subject.name]
        reports[subject.name] = report.DistillationReport(
            hubdistill_version=__version__,
            created=datetime.now(UTC),
            student=subject.name,
            teacher=teacher.name,
            base_model=subject.base_model,
            models={candidate.name: candidate.facts for candidate in (first, *others)},
            data=evidence.data,
            metrics=evidence.metrics,
            measurements=evidence.measurements,
            comparisons=evidence.comparisons,
            points=evidence.points.get(subject.name),
            lowest_agreement=_publishable(lowest)[: subject.owner.lowest_agreement],
            seconds=evidence.seconds,
            environment=where,
            plan=plan,
            corpus=subject.corpus,
            training=subject.training,
            quick_start=quick_start,
            recipe=subject.recipe,
            owner=subject.owner,
        )
        kept = work / subject.name
        for folder in (where_to := subject.report_folder or subject.model.folder, kept):
            folder.mkdir(parents=True, exist_ok=True)
        reports[subject.name].save(where_to)
        write_text(kept / LOWEST_AGREEMENT, "".join(f"{one.model_dump_json()}\n" for one in lowest))
    return reports


def settle_owner(card: Card, teacher: Teacher) -> Card:
    """The owner's words with licence and languages: the teacher's where the owner names none."""
    licence, languages = card.license or teacher.license, card.language or teacher.languages
    return card.model_copy(update={"license": licence, "language": languages})


def describe_teacher(teacher: Teacher) -> report.Model:
    """The facts about a teacher."""
    card = _card(teacher.folder)
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
        citations=card_citations(card),
        limitations=limitations_heading(card),
    )


def _card(folder: Path) -> str:
    card = folder / "README.md"
    return card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""


_LIMITATIONS = re.compile(
    r"^#{1,6}[ \t]+([^\n]*\b(?:limitation|bias|out[- ]of[- ]scope)[^\n]*)$", re.I | re.M
)


def limitations_heading(card: str) -> str | None:
    """The heading of a model's card under which its limitations stand; None where there is none."""
    found = _LIMITATIONS.search(card)
    return found[1].strip(" #\t\r")[:100] if found else None


def _publishable(texts: Sequence[report.LowAgreement]) -> tuple[report.LowAgreement, ...]:
    """Those that hold nothing that would look like a secret or a private path."""
    return tuple(one for one in texts if not any(find_secrets(one.text)))


def load_candidate(subject: Subject, prompt: str | None, device: str | None) -> Candidate:
    """Load a student as a user would, for an evaluation.

    Args:
        prompt: the teacher's; students that took its layers take it as well.
    """
    found, training = subject.model, subject.training
    model = load_model(found, device=device, trust_remote_code=subject.trust_remote_code)
    facts = report.Model(
        role="student",
        name=subject.name,
        hub_id=found.hub_id,
        revision=found.revision,
        architecture=describe_architecture(model, kept_layers=subject.kept_layers),
        bytes=model_bytes(found.folder),
        dtype=str(next(model.parameters()).dtype).removeprefix("torch."),
        license=subject.owner.license,
        languages=subject.owner.language,
        trust_remote_code=any(
            type(module).__module__.startswith("transformers_modules") for module in model.modules()
        ),
    )
    return Candidate(
        subject.name,
        model,
        facts,
        prompt if training and training.takes_prompt else None,
        teacher_space=None if training is None else training.teacher_space is not False,
        matryoshka=training.matryoshka if training else (),
        folder=found.folder,
    )
