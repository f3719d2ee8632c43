"""Two reports side by side: what differs by more than chance, and what cannot be compared at all.

A report pairs its models item by item. Two reports are two runs, and nothing pairs them: the interval of a
difference comes from the two values' own intervals, as if their errors had nothing in common. Where both
runs measured the same items, their errors do have something in common and a paired interval would be
narrower: a difference found here is there, one that is not found may be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import JsonValue

from hubdistill.report import VARIANTS, DistillationReport, Fact, Interval, Measurement, Value

Verdict = Literal["higher", "lower", "within", "no interval", "not comparable"]
"""Of the newer value: beyond the interval of the difference, within it, or not to be said."""

STUDENT, TEACHER = "student", "teacher"

_TRAINING_LEFT_OUT = {"all_hyperparameters", "log", "samples", "citations", "seconds", "teacher_seconds"}


class Measure(Fact):
    """What was measured, in words that two reports share."""

    metric: str
    model: str
    """`student` and `teacher` are those of the report, whatever their names; `sibling NAME` is another."""
    data: str
    against: str | None
    parameters: dict[str, Value]

    @property
    def plain(self) -> bool:
        """Whether it is of the model's plain vectors on the whole data."""
        return VARIANTS.isdisjoint(self.parameters)


class MeasuredDifference(Measure):
    """One measure in both reports."""

    before: float
    after: float
    difference: float | None
    """The newer value minus the older; None where the two are not comparable."""
    interval: Interval | None
    """Of the difference; None where one of the values has none."""
    verdict: Verdict
    better: bool | None
    """Whether the newer value is the better one; None where that is not decided."""
    reason: str | None = None
    """Why the two are not comparable."""


class Change(Fact):
    """A fact that is not the same in both reports."""

    fact: str
    """Its place: `training.loss`."""
    before: JsonValue
    after: JsonValue


class Side(Fact):
    """Which report it is."""

    student: str
    teacher: str
    created: datetime
    hubdistill_version: str


class ReportComparison(Fact):
    """An older report, a newer one, and everything that differs."""

    before: Side
    after: Side
    differences: tuple[MeasuredDifference, ...]
    """All measures that both have, in the newer report's order."""
    only_before: tuple[Measure, ...]
    only_after: tuple[Measure, ...]
    changes: tuple[Change, ...]


def compare_reports(before: DistillationReport, after: DistillationReport) -> ReportComparison:
    """Compare two reports, measure by measure and fact by fact.

    Measures are matched by metric, data, parameters and the role of the models: the students match each
    other whatever their names, and so do the teachers.

    Args:
        before: the older report, or the baseline.
        after: the newer one.
    """
    older, newer = _by_measure(before), _by_measure(after)
    return ReportComparison(
        before=_side(before),
        after=_side(after),
        differences=tuple(
            _difference(before, after, measure, older[key][1], m)
            for key, (measure, m) in newer.items()
            if key in older
        ),
        only_before=tuple(measure for key, (measure, _) in older.items() if key not in newer),
        only_after=tuple(measure for key, (measure, _) in newer.items() if key not in older),
        changes=tuple(_changes("", _facts(before), _facts(after))),
    )


def difference_interval(before: Measurement, after: Measurement) -> Interval | None:
    """The interval of the difference of two values that were measured apart.

    Confidence intervals of one level are combined by the square root of the sum of the squared half-widths
    on either side (MOVER), which keeps their level. Subtracting one interval from the other, the rule that
    "the intervals do not overlap", would miss differences: of two 95 % intervals of one width it makes one
    of more than 99 %. That rule is used where there is no level to keep: lowest and highest of the repeats.

    Source: Zou and Donner 2008, Construction of confidence limits about effect measures, Statistics in
    Medicine 27, 1693-1702, for independent estimates.

    Returns:
        None where one of the values has no interval.
    """
    old, new = before.interval, after.interval
    if old is None or new is None:
        return None
    if old.level == new.level < 1:
        difference = after.value - before.value
        return Interval(
            low=difference - math.hypot(after.value - new.low, old.high - before.value),
            high=difference + math.hypot(new.high - after.value, before.value - old.low),
            level=new.level,
            method="from the two values' intervals, not paired (MOVER)",
        )
    return Interval(
        low=new.low - old.high,
        high=new.high - old.low,
        level=min(old.level, new.level),
        method="from the ends of the two values' intervals, not paired",
    )


def _side(report: DistillationReport) -> Side:
    return Side(
        student=report.student,
        teacher=report.teacher,
        created=report.created,
        hubdistill_version=report.hubdistill_version,
    )


def _by_measure(report: DistillationReport) -> dict[object, tuple[Measure, Measurement]]:
    found: dict[object, tuple[Measure, Measurement]] = {}
    for m in report.measurements:
        parameters = dict(m.parameters)
        if isinstance(documents := parameters.get("documents"), str):
            parameters["documents"] = _role(report, documents)
        measure = Measure(
            metric=m.metric,
            model=_role(report, m.model),
            data=m.data,
            against=_role(report, m.against) if m.against else None,
            parameters=parameters,
        )
        key = (measure.metric, measure.model, measure.data, measure.against, frozenset(parameters.items()))
        found.setdefault(key, (measure, m))
    return found


def _role(report: DistillationReport, model: str) -> str:
    return {report.student: STUDENT, report.teacher: TEACHER}.get(model, f"sibling {model}")


def _difference(
    before: DistillationReport,
    after: DistillationReport,
    measure: Measure,
    old: Measurement,
    new: Measurement,
) -> MeasuredDifference:
    reason = _obstacle(before, after, measure, old, new)
    interval = None if reason else difference_interval(old, new)
    verdict: Verdict
    if reason:
        verdict = "not comparable"
    elif interval is None:
        verdict = "no interval"
    else:
        verdict = "higher" if interval.low > 0 else "lower" if interval.high < 0 else "within"
    decided = verdict in ("higher", "lower")
    return MeasuredDifference(
        **measure.model_dump(),
        before=old.value,
        after=new.value,
        difference=None if reason else new.value - old.value,
        interval=interval,
        verdict=verdict,
        better=(verdict == "higher") == after.metrics[new.metric].higher_is_better if decided else None,
        reason=reason,
    )


def _obstacle(
    before: DistillationReport,
    after: DistillationReport,
    measure: Measure,
    old: Measurement,
    new: Measurement,
) -> str | None:
    """Why two values of one measure cannot be compared; None where they can."""
    one, other = before.data[old.data], after.data[new.data]
    if (one.kind, one.sha256) != (other.kind, other.sha256):
        return f"{measure.data}: other texts ({one.sha256[:12]}, then {other.sha256[:12]})"
    labels = one.labels_sha256, other.labels_sha256
    # Agreement of two models asks nobody.
    if new.against is None and all(labels) and labels[0] != labels[1]:
        return f"{measure.data}: other scores or judgements of the same texts"
    if one.own_documents != other.own_documents:
        return f"{measure.data}: queries that are documents find themselves in one only"
    if one.revision and other.revision and one.revision != other.revision:
        return f"{measure.data}: another revision ({one.revision[:12]}, then {other.revision[:12]})"
    was, is_now = before.metrics[old.metric], after.metrics[new.metric]
    if (was.definition, was.unit, was.higher_is_better) != (
        is_now.definition,
        is_now.unit,
        is_now.higher_is_better,
    ):
        return f"{measure.metric}: another definition"
    if one.kind == "speed":
        if changed := [name for name in ("device", "processor", "threads") if _machine(before, after, name)]:
            return f"{measure.data}: another {' and '.join(changed)}"
    elif old.n != new.n:
        return f"{measure.data}: measured on {old.n} items, then on {new.n}"
    return _other_reference(before, after, old, new)


def _machine(before: DistillationReport, after: DistillationReport, name: str) -> bool:
    """Whether a fact of the machine differs."""
    return bool(getattr(before.environment, name) != getattr(after.environment, name))


def _other_reference(
    before: DistillationReport, after: DistillationReport, old: Measurement, new: Measurement
) -> str | None:
    """Whether the models were measured against different ones; the students themselves may differ."""
    for ours, theirs in (
        (old.against, new.against),
        (old.parameters.get("documents"), new.parameters.get("documents")),
    ):
        if not isinstance(ours, str) or not isinstance(theirs, str) or ours == before.student:
            continue
        was, is_now = before.models[ours], after.models[theirs]
        if was.name != is_now.name:
            return f"another {_role(before, ours)} ({was.name}, then {is_now.name})"
        if was.revision != is_now.revision:
            return f"another revision of {was.name} ({_short(was.revision)}, then {_short(is_now.revision)})"
    return None


def _short(revision: str) -> str:
    return revision.removeprefix("sha256:")[:12]


def _facts(report: DistillationReport) -> dict[str, Any]:
    """The facts that explain a difference, as plain data; first those that forbid a comparison."""
    left_out = {"architecture": {"dump"}}
    training = report.training
    return {
        TEACHER: report.models[report.teacher].model_dump(mode="json", exclude=left_out),
        "data": {key: data.model_dump(mode="json") for key, data in report.data.items()},
        "environment": report.environment.model_dump(mode="json"),
        "hubdistill_version": report.hubdistill_version,
        STUDENT: report.models[report.student].model_dump(mode="json", exclude=left_out),
        "base_model": report.base_model,
        "corpus": report.corpus.model_dump(mode="json") if report.corpus else None,
        "training": training.model_dump(mode="json", exclude=_TRAINING_LEFT_OUT) if training else None,
    }


def _changes(place: str, before: Any, after: Any) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*before, *after]):
            yield from _changes(f"{place}.{name}".lstrip("."), before.get(name), after.get(name))
    elif before != after:
        yield Change(fact=place, before=before, after=after)
