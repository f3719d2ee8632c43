"""What a report says around its figures, held against the evaluation that made them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from hubdistill import __version__
from hubdistill.evaluation.definitions import METRICS
from hubdistill.evaluation.held_out import ORIGINS
from hubdistill.numbers import listed
from hubdistill.recipe import HELD_OUT, HELD_OUT_RETRIEVAL, SPEED
from hubdistill.report import DistillationReport, EvaluationPlan
from hubdistill.verification.figures import ABSOLUTE_SPEED, Figure
from hubdistill.verification.inputs import unlike_data
from hubdistill.verification.outcome import Problem
from hubdistill.verification.rerun import Rerun

NOT_CHECKED: Final = (
    "not measured again, and the author's word: facts about training and corpus, the quick start's output, "
    "what pictures show, sample texts and the machine"
)

_NOT_COMPARED: Final = {
    # The language is the corpus's.
    HELD_OUT: ("language",),
    HELD_OUT_RETRIEVAL: ("language",),
    # Texts are cut to lengths that all models read, siblings included.
    SPEED: ("title", "n"),
}


_SAME: Final = 1e-6
"""How far a figure may be, in parts, from what is worked out from others: the last digits of a sum."""

_FEW: Final = 5
"""Of what is left out, so many are named."""


def check_facts_of_report(report: DistillationReport) -> list[Problem]:
    """What a report says of its metrics and models, without measuring anything."""
    problems = []
    for name, model in report.models.items():
        kept, layers = model.architecture.kept_layers, model.architecture.layers
        if kept is not None and len(kept) != layers:
            text = f"says {layers} layers, and kept_layers: {len(kept)}"
            problems.append(Problem(f"report.json, models.{name}", text))
    teacher = report.models[report.teacher]
    if teacher.hub_id and teacher.name != teacher.hub_id:
        text = f"is named {teacher.name!r}, and its hub_id is {teacher.hub_id!r}"
        problems.append(Problem(f"report.json, models.{report.teacher}", text))
    if report.hubdistill_version != __version__:
        return problems
    for name in report.metrics.keys() & METRICS.keys():
        recorded, known = report.metrics[name], METRICS[name]
        for fact in type(known).model_fields:
            said, is_ = getattr(recorded, fact), getattr(known, fact)
            if said != is_:
                text = f"says {fact}: {said!r}, where hubdistill has {is_!r}"
                problems.append(Problem(f"report.json, metrics.{name}", text))
    return problems


def contradictions(report: DistillationReport) -> list[Problem]:
    """Comparisons that are not those of the two values, and speed-ups that the two rates do not allow."""
    problems = []
    values = {
        (m.metric, m.model, m.data, frozenset(m.parameters.items())): m.value
        for m in reversed(report.measurements)
        if m.against in (None, report.teacher)
    }
    for c in report.comparisons:
        parameters = frozenset(c.parameters.items())
        # Whose documents were searched is the student's affair: the other embeds its own.
        own = frozenset(item for item in parameters if item[0] != "documents")
        ours = values.get((c.metric, c.model, c.data, parameters))
        theirs = values.get((c.metric, c.against, c.data, own))
        if ours is None or theirs is None:
            continue
        for what, said, is_ in (
            ("a difference", c.difference, ours - theirs),
            ("a share kept", c.kept, ours / theirs if theirs > 0 else c.kept),
        ):
            if not math.isclose(said, is_, rel_tol=_SAME, abs_tol=_SAME):
                text = (
                    f"{c.metric} on {c.data}: {what} of {said:.6g} between {c.model} and {c.against}, whose "
                    f"figures are {ours:.6g} and {theirs:.6g}"
                )
                problems.append(Problem("report.json, comparisons", text))
    for m in report.find("speedup"):
        ours, theirs = (
            values.get((ABSOLUTE_SPEED, model, m.data, frozenset(m.parameters.items())))
            for model in (m.model, report.teacher)
        )
        if not (ours and theirs and m.interval):
            continue
        # The ratio of two medians is not below the lowest ratio of the repeats, nor above the highest.
        if not m.interval.low * (1 - _SAME) <= ours / theirs <= m.interval.high * (1 + _SAME):
            text = (
                f"{m.model} at {m.parameters.get('tokens')} tokens: a speed-up of {m.interval.low:.6g} to "
                f"{m.interval.high:.6g}, where {ours:.6g} texts per second against {theirs:.6g} are "
                f"{ours / theirs:.6g} times as many"
            )
            problems.append(Problem("report.json, measurements", text))
    return problems


def left_out(
    report: DistillationReport, claimed: Iterable[Figure], measured: Iterable[Figure], *, all_data: bool
) -> list[Problem]:
    """Figures that the evaluation of a report has, and the report has not.

    Args:
        all_data: all of it is here, as it was read then. Otherwise variants, which depend on what else is
            measured, are no evidence.
    """
    if report.hubdistill_version != __version__:
        return []
    known = {one.key for one in claimed}
    missing = {
        one.key: f"{one.called(report.teacher)} of {one.model} on {one.data}"
        for one in measured
        if one.key not in known and not one.is_cost and (all_data or not one.is_variant)
    }
    if not missing:
        return []
    named = list(missing.values())[:_FEW]
    more = [] if len(missing) <= _FEW else ["others"]
    text = f"leaves out {len(missing)} figures that its own plan measures: {listed([*named, *more])}"
    return [Problem("report.json", text)]


def notes_on(report: DistillationReport, plan: EvaluationPlan) -> list[str]:
    """What a reader should know of a report's own conditions, and of what is taken on trust."""
    own = [f"the prompt {plan.teacher.prompt!r}"] if plan.teacher.prompt else []
    own += [f"at most {plan.teacher.max_length} tokens"] if plan.teacher.max_length else []
    notes = [f"{report.teacher} was measured with {listed(own)}, as the plan says"] if own else []
    return [*notes, NOT_CHECKED]


def unlike_held_out(report: DistillationReport, plan: EvaluationPlan, found: Rerun) -> list[Problem]:
    """What a report says of the data that was made of its held-out texts, and is not so."""
    problems = []
    for name, but in _NOT_COMPARED.items():
        recorded, here = report.data.get(name), found.data.get(name)
        if recorded is None or here is None:
            continue
        if name == HELD_OUT:
            # The reader may have handed them over otherwise.
            here = here.model_copy(update={"source": ORIGINS[plan.texts]})
        same_version = report.hubdistill_version == __version__
        problems += [
            Problem(f"report.json, data.{name}", text)
            for text in unlike_data(recorded, here, every=same_version, but=but)
        ]
    return problems
