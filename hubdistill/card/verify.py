"""How a reader measures the card's figures again."""

from __future__ import annotations

import shlex

from hubdistill.card.text import Markdown, code, fenced
from hubdistill.numbers import count, listed
from hubdistill.report import DistillationReport, EvaluationPlan
from hubdistill.results import teacher_model, unique

_MOST_NAMES = 6


def verify_part(report: DistillationReport, model_id: str) -> Markdown:
    """The command that verifies the model, and what it needs; empty when the report does not say how.

    Args:
        model_id: the repository on the Hub, or the student's folder.
    """
    plan = report.plan
    if plan is None:
        return Markdown()
    version, model = shlex.quote(f"hubdistill=={report.hubdistill_version}"), shlex.quote(model_id)
    command = f"pip install {version}\nhubdistill verify {model}"
    notes = [
        "It loads both models at the revisions of this card, repeats the measurements and compares what it "
        "finds with what is claimed here: what depends on the machine as a ratio to the teacher's. "
        f"{code('--quick')} measures a sample."
    ]
    if teacher_model(report).hub_id is None:
        command += " --teacher MODEL"
        notes.append(f"{code('MODEL')} is the teacher, which is not on the Hub.")
    if files := _local_files(report, plan):
        command += " --data FOLDER"
        shown = list(map(code, files[:_MOST_NAMES]))
        if more := len(files) - len(shown):
            shown.append(Markdown(f"{count(more)} more"))
        notes.append(f"{code('FOLDER')} is where you have the data that is not on the Hub: {listed(shown)}.")
    if plan.texts == "script":
        command += " --texts FILE"
        notes.append(f"{code('FILE')} holds the held-out texts, which a training script handed over.")
    if report.siblings:
        notes.append("The siblings' own figures are verified with them.")
    return Markdown(
        "The figures of this model and its teacher can be measured again:\n\n"
        f"{fenced(command, 'bash')}\n\n{' '.join(notes)}"
    )


def _local_files(report: DistillationReport, plan: EvaluationPlan) -> list[str]:
    """Files and folders that the evaluation read from a disk, by their names."""
    names = [name for one in plan.settings.similarity for name in one.files]
    names += [one.folder for one in plan.settings.retrieval if one.folder]
    names += [name for source in plan.sources for name in source.files]
    if plan.texts == "corpus" and report.corpus:
        local = (source.name for source in report.corpus.sources if not source.hub_id)
        names += [name for joined in local for name in joined.split(", ")]
    return unique(name.rpartition("/")[2] or name for name in names)
