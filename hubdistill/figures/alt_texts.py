"""What each figure shows, in words and with the report's numbers; empty where there is nothing to show."""

from __future__ import annotations

from collections.abc import Sequence

from hubdistill.figures.content import curves, family, matrices, scores, slice_groups, vector_qualities
from hubdistill.numbers import count, listed, rate, ratio, score, share, signed, size
from hubdistill.report import DistillationReport
from hubdistill.results import Result, middle, speed_ups, student_model, teacher_model
from hubdistill.variant_results import SLICES

LONGEST = 300
"""Characters; screen readers cannot pause within an alternative text."""


def summary(report: DistillationReport) -> str:
    """Scores and texts per second of student and teacher."""
    found, speeds = scores(report), speed_ups(report)
    if not found and not speeds:
        return ""
    # One score for each metric first, then speed: these must have room.
    first = {result.metric_name: result for result in reversed(found)}
    leading = [result for result in found if first[result.metric_name] is result]
    parts = [f"{student_model(report).name} beside the teacher, {teacher_model(report).name}."]
    parts += [_scores(result) for result in leading]
    if speeds:
        speed = middle(speeds)
        rates = f"{rate(speed.student.value)} against {rate(speed.teacher.value)}"
        parts.append(f"Texts per second: {rates} at {speed.tokens} tokens.")
    parts += [_scores(result) for result in found if result not in leading]
    return _fitting(parts)


def _scores(result: Result) -> str:
    difference = ""
    if result.comparison:
        verdict = "" if result.comparison.decided else ", no measurable difference"
        difference = f" ({signed(result.comparison.difference)}{verdict})"
    scores = f"{score(result.student.value)} against {score(result.teacher.value)}"
    return f"{result.metric.title} on {result.data.title}: {scores}{difference}."


def precision_at_k(report: DistillationReport) -> str:
    """Precision@k of each pair of models at the smallest and the largest k."""
    agreements, pairs = curves(report)
    parts = []
    for agreement in agreements:
        place = f"{agreement.data.title}, " if len(agreements) > 1 else ""
        for model, other in pairs:
            values = agreement.at(model, other)
            ks = list(values)
            if not ks:
                continue
            pair = f"{report.models[model].name} and {report.models[other].name}"
            ends = " to ".join(f"{score(values[k].value)} at k = {k}" for k in dict.fromkeys((ks[0], ks[-1])))
            parts.append((model, other, f"{place}{pair}: {ends}."))
    if not parts:
        return ""
    # The student with its teacher on every data set first.
    parts.sort(key=lambda part: part[:2] != (report.student, report.teacher))
    titles = listed(agreement.data.title for agreement in agreements)
    return _fitting([f"Precision@k between top-k lists, {titles}.", *(text for *_, text in parts)])


def agreement_matrix(report: DistillationReport) -> str:
    """The pairs of models that agree most and least."""
    parts = []
    for matrix in matrices(report):
        pairs = sorted(matrix.pairs, key=lambda pair: matrix.pairs[pair].value)
        lowest, highest = (
            f"{score(matrix.pairs[pair].value)} between {listed(report.models[key].name for key in pair)}"
            for pair in (pairs[0], pairs[-1])
        )
        parts.append(
            f"Precision@{matrix.k} between every two of {len(matrix.models)} models, {matrix.data.title}: "
            f"highest {highest}, lowest {lowest}."
        )
    return _fitting(parts)


def training(report: DistillationReport) -> str:
    """Where loss, cosine and shared neighbours start and end."""
    facts = report.training
    log = facts.log if facts else ()
    losses = [line.loss for line in log if line.loss is not None]
    cosines = [line.teacher_cosine for line in log if line.teacher_cosine is not None]
    shared = [line.precision_at_10 for line in log if line.precision_at_10 is not None]
    parts = []
    if len(losses) > 1:
        parts.append(f"The loss goes from {score(losses[0])} to {score(losses[-1])}.")
    if len(cosines) > 1:
        parts.append(f"The mean cosine to the teacher goes from {score(cosines[0])} to {score(cosines[-1])}.")
    if len(shared) > 1:
        parts.append(f"Precision@10 goes from {score(shared[0])} to {score(shared[-1])}.")
    if parts and facts and facts.best_step is not None:
        parts.append(f"The published model is that of step {count(facts.best_step)}.")
    return f"{count(log[-1].step)} training steps. {' '.join(parts)}" if parts else ""


def quality_speed(report: DistillationReport) -> str:
    """What every student of a family keeps and gains, and which models no other beats."""
    found = family(report)
    if not found:
        return ""
    parts = [f"Quality kept ({found.result.metric.title}, {found.result.data.title}) against speed-up."]
    behind = listed(report.models[member.model].name for member in found.members if member.beaten)
    if behind or found.compared:
        parts.append(f"Measurably behind the Pareto front: {behind or 'none'}.")
    for member in found.members[1:]:
        model = report.models[member.model]
        kept, speed = share(member.kept), ratio(member.speed_up)
        parts.append(f"{model.name} keeps {kept} at {speed} speed and {size(model.bytes)}.")
    return _fitting(parts)


def slices(report: DistillationReport) -> str:
    """The slices on which student and teacher agree least and most."""
    parts = []
    for group in slice_groups(report):
        column = group.columns[0]
        low, high = (
            f"{name} ({score(column.by_slice[name].value)}, n = {count(column.by_slice[name].n)})"
            for name in (column.lowest, column.highest)
        )
        shown = len(group.names)
        slices = f"{shown} slices" if shown == group.total else f"the {shown} lowest of {group.total} slices"
        parts.append(f"{column.title} by {SLICES[group.by]}, {slices}: lowest {low}, highest {high}.")
    return _fitting(parts)


def vector_size(report: DistillationReport) -> str:
    """The score at every width and precision of the student's vectors."""
    parts = []
    for quality in vector_qualities(report):
        for key, sizes in quality.by_model.items():
            values = listed(
                f"{score(s.measured.value)} with {count(s.dimensions)} dimensions"
                if s.precision == "float32"
                else f"{score(s.measured.value)} in {s.precision}"
                for s in sizes
            )
            parts.append(f"{quality.title} on {quality.data.title}, {report.models[key].name}: {values}.")
    return _fitting(parts)


def _fitting(sentences: Sequence[str]) -> str:
    """As many of the sentences, in order, as `LONGEST` has room for; how many others there are is said."""
    for end in range(len(sentences), 0, -1):
        left = [f"And {len(sentences) - end} more."] if end < len(sentences) else []
        text = " ".join([*sentences[:end], *left])
        if len(text) <= LONGEST:
            return text
    return f"{sentences[0][: LONGEST - 1]}…" if sentences else ""
