"""What the models were given beside the texts: the teacher's prompt and where its texts end."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hubdistill.card.cells import short_name
from hubdistill.card.text import Markdown, code
from hubdistill.numbers import count, listed
from hubdistill.report import DistillationReport
from hubdistill.results import student_model


def input_lines(reports: Sequence[DistillationReport], *, of_family: bool) -> Markdown:
    """Say the prompt and the maximum length that the recipe gives the teacher; empty without both.

    Args:
        reports: of the students that the card is of.
        of_family: the card is that of a family.
    """
    plan = reports[0].plan
    lines = []
    if plan and plan.teacher.prompt:
        given = [r for r in reports if r.training and r.training.takes_prompt]
        who = _with_teacher(given, reports, of_family=of_family)
        text = code(json.dumps(plan.teacher.prompt, ensure_ascii=False))
        lines.append(
            f"{who} given the prompt {text}, but for judged retrieval and MTEB, where a model's own prompts "
            "apply."
        )
    if plan and (limit := plan.teacher.max_length):
        cut = [r for r in reports if student_model(r).architecture.max_length == limit]
        who = _with_teacher(cut, reports, of_family=of_family)
        lines.append(f"{who} given the first {count(limit)} tokens of longer texts.")
    return Markdown(" ".join(lines))


def _with_teacher(
    chosen: Sequence[DistillationReport], reports: Sequence[DistillationReport], *, of_family: bool
) -> str:
    """The teacher and some of the students as the subject of a sentence, with its verb."""
    if not chosen:
        return "The teacher was"
    if len(chosen) == len(reports):
        return f"Teacher and student{'s' * of_family} were"
    return f"{listed(['The teacher', *(short_name(report, report.student) for report in chosen)])} were"
