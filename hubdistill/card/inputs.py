"""What the models were given beside the texts: prompts, and where the texts end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from hubdistill.card.cells import short_name
from hubdistill.card.text import Markdown, code, table
from hubdistill.numbers import count, listed
from hubdistill.report import DistillationReport
from hubdistill.results import results, student_model, teacher_model


def input_lines(reports: Sequence[DistillationReport], *, of_family: bool) -> Markdown:
    """Say the prompt and the maximum length that the recipe gives the teacher, and that models have prompts
    of their own; empty without all of these.

    Args:
        reports: of the students that the card is of.
        of_family: the card is that of a family.
    """
    plan = reports[0].plan
    lines = []
    if plan and plan.teacher.prompt:
        given = [r for r in reports if r.training and r.training.takes_prompt]
        who = _with_teacher(given, reports, of_family=of_family)
        lines.append(
            f"{who} given the prompt {_quoted(plan.teacher.prompt)}, but for judged retrieval and MTEB, "
            "where a model's own prompts apply."
        )
    measured = [teacher_model(reports[0]), *map(student_model, reports)]
    if any(model.architecture.prompts for model in measured) and results(reports[0], "retrieval"):
        lines.append(
            "Judged retrieval was measured with `encode_query` and `encode_document`, which put each model's "
            "own prompts before the texts."
        )
    if plan and (limit := plan.teacher.max_length):
        cut = [r for r in reports if student_model(r).architecture.max_length == limit]
        who = _with_teacher(cut, reports, of_family=of_family)
        lines.append(f"{who} given the first {count(limit)} tokens of longer texts.")
    return Markdown(" ".join(lines))


def prompt_table(prompts: Mapping[str, str]) -> Markdown:
    """A model's own prompts by name; empty without any."""
    if not prompts:
        return Markdown()
    rows = [(code(name), _quoted(text)) for name, text in prompts.items()]
    return table(("Name", "Put before the text"), rows)


def _quoted(prompt: str) -> Markdown:
    """With the spaces at its end."""
    return code(json.dumps(prompt, ensure_ascii=False))


def _with_teacher(
    chosen: Sequence[DistillationReport], reports: Sequence[DistillationReport], *, of_family: bool
) -> str:
    """The teacher and some of the students as the subject of a sentence, with its verb."""
    if not chosen:
        return "The teacher was"
    if len(chosen) == len(reports):
        return f"Teacher and student{'s' * of_family} were"
    return f"{listed(['The teacher', *(short_name(report, report.student) for report in chosen)])} were"
