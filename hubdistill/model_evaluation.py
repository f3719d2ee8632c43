"""Measure any models beside a teacher, also those that hubdistill did not make."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

from hubdistill import recipe, report
from hubdistill.errors import ReportError
from hubdistill.evaluation import check_held_out, check_sets
from hubdistill.evaluation.held_out import of_sources
from hubdistill.models import Located, hub_file, locate
from hubdistill.report import load_report
from hubdistill.reporting import Subject, write_reports
from hubdistill.teacher import Teacher, load_teacher


def evaluate_models(
    models: Sequence[str],
    teacher: str | recipe.Teacher,
    settings: recipe.Evaluation,
    output: Path,
    *,
    texts: Sequence[recipe.CorpusSource] = (),
    base: Path = Path(),
    seed: int = 12,
    trust_remote_code: bool = False,
    device: str | None = None,
    reproduce: str = "hubdistill.evaluate_models",
) -> dict[str, report.DistillationReport]:
    """Measure models and a teacher in one run, and write a report for each model.

    What a model's own report.json says of its making is kept, if it is a student of this teacher and the
    report is of these weights.

    Args:
        models: local folders or Hub ids; `id@revision` names a branch, tag or commit.
        teacher: likewise, or what a recipe says of a teacher.
        settings: what to measure.
        output: the report of a model goes to a folder of its name in here.
        texts: texts that no model was trained on; those of the evaluation sets when there are none.
        base: the folder that relative paths in `settings` and `texts` start from.
        seed: of samples and resampling.
        trust_remote_code: run the models' own Python code.
        device: torch device; the fastest there is when left out.
        reproduce: the call that repeats this evaluation.

    Raises:
        EvaluationError: there is nothing to measure on, or a measure is undefined on this input.
        CorpusError: texts or a set cannot be read.
        TeacherError: a model cannot be found or loaded.
    """
    check_sets(settings, base, seed=seed)
    held_out = of_sources(texts, settings, base=base, seed=seed)
    check_held_out(settings, held_out, base=base, seed=seed)
    addresses = [recipe.Teacher.at(model) for model in models]
    found = [locate(one.model, revision=one.revision, encoder=True) for one in addresses]
    if isinstance(teacher, str):
        teacher = recipe.Teacher.at(teacher, trust_remote_code=trust_remote_code)
    reference = load_teacher(teacher, base=Path(), device=device)
    subjects = [
        _subject(model, name, reference, output / name, trust_remote_code)
        for model, name in zip(found, _names(found, reference.name), strict=True)
    ]
    return write_reports(
        reference,
        subjects,
        settings,
        held_out=held_out,
        base=base,
        seed=seed,
        work=output,
        reproduce=reproduce,
        device=device,
    )


def _names(found: Sequence[Located], teacher: str) -> list[str]:
    """The last part of each model's name, numbered where it is another's as well."""
    names = [teacher]
    for model in found:
        name = model.name.rpartition("/")[2]
        numbered = (f"{name}-{number}" for number in count(2))
        names.append(name if name not in names else next(one for one in numbered if one not in names))
    return names[1:]


def _subject(model: Located, name: str, teacher: Teacher, output: Path, trust_remote_code: bool) -> Subject:
    made = _own_report(model)
    if made is None or not _is(teacher, made.models[made.teacher]):
        owner = recipe.Card(license=model.license, language=model.languages)
        return Subject(name, model, owner, report_folder=output, trust_remote_code=trust_remote_code)
    return Subject(
        name,
        model,
        made.owner,
        training=made.training,
        kept_layers=made.models[made.student].architecture.kept_layers,
        base_model=made.base_model,
        corpus=made.corpus,
        recipe=made.recipe,
        report_folder=output,
        trust_remote_code=trust_remote_code,
    )


def _is(teacher: Teacher, known: report.Model) -> bool:
    return teacher.revision == known.revision or teacher.name in (known.name, known.hub_id)


def _own_report(model: Located) -> report.DistillationReport | None:
    """The report that a model came with, if there is one of its weights that we can read."""
    path = hub_file(model.name, report.FILE_NAME, model.commit) if model.commit else model.folder
    if path is None:
        return None
    try:
        found = load_report(path)
    except ReportError:
        return None
    # On the Hub, one commit holds report and weights.
    return found if model.commit or found.models[found.student].revision == model.revision else None
