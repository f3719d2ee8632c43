"""The figures of a student and its teacher, in a form in which two evaluations can be laid side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from hubdistill.report import VARIANTS, Comparison, Interval, Measurement, Value

COSTS = frozenset({"latency_p50", "latency_p95", "load_seconds", "peak_memory", "peak_device_memory"})
"""Costs that are of one machine: only the student's over the teacher's can be claimed of another."""

ABSOLUTE_SPEED = "texts_per_second"
"""Its ratio to the teacher's is a measure of its own, `speedup`."""

Ends = tuple[float, float]
Key = tuple[str, str, str, str | None, str, frozenset[tuple[str, Value]]]


@dataclass(frozen=True)
class Figure:
    """One figure that a report claims, or that was measured.

    Args:
        what: empty for a measurement; `difference` or `kept` of a student to its teacher; `ratio` of a
            cost to the teacher's.
        metric, model, against, data, parameters, value, n: as in the report.
        interval: its ends, where there is one.
        certainty: what the interval is: its level, and how it was found.
        scale: by how much an error in the metric is multiplied in this figure.
    """

    what: Literal["", "difference", "kept", "ratio"]
    metric: str
    model: str
    against: str | None
    data: str
    parameters: tuple[tuple[str, Value], ...]
    value: float
    n: int | None
    interval: Ends | None
    scale: float = 1.0
    certainty: str = ""

    @property
    def key(self) -> Key:
        """What it is a figure of."""
        return self.what, self.metric, self.model, self.against, self.data, frozenset(self.parameters)

    @property
    def is_cost(self) -> bool:
        """Whether it is a ratio of speeds, times or sizes in memory."""
        return self.what == "ratio" or self.metric == "speedup"

    @property
    def is_variant(self) -> bool:
        """Whether something else than plain vectors on the whole data was measured."""
        return not VARIANTS.isdisjoint(dict(self.parameters))

    def called(self, teacher: str) -> str:
        """Its name for people: `kept ndcg_at_10[dimensions=96]`."""
        said = ", ".join(
            f"{name}={'teacher' if value == teacher and name == 'documents' else value}"
            for name, value in self.parameters
        )
        return f"{self.what} {self.metric}".strip() + (f"[{said}]" if said else "")


def figures_of(
    measurements: Iterable[Measurement], comparisons: Iterable[Comparison], *, student: str, teacher: str
) -> list[Figure]:
    """The figures of two models, and of one against the other, in the order of the report.

    Costs are given as ratios of student to teacher; what each of them costs is left out.
    """
    ours = [
        m
        for m in measurements
        if m.model in (student, teacher)
        and m.against in (None, student, teacher)
        and m.metric != ABSOLUTE_SPEED
    ]
    costs = {_place(m): m for m in ours if m.metric in COSTS and m.model == teacher}
    of_student = {_place(m): m for m in ours if m.model == student}
    found: list[Figure] = []
    widths = {m.parameters.get("dimensions") for m in ours if m.model == student}
    for m in ours:
        # The teacher is also measured at the widths that siblings can be cut to.
        if m.model == teacher and m.parameters.get("dimensions") not in {None, *widths}:
            continue
        if m.metric not in COSTS:
            found.append(_measured(m))
        elif m.model == student and (of_teacher := costs.get(_place(m))) and of_teacher.value > 0:
            found.append(_cost_ratio(m, of_teacher))
    for c in comparisons:
        if (c.model, c.against) == (student, teacher):
            found += _compared(c, of_student.get(_place(c)))
    return found


def interval_ends(interval: Interval | None) -> Ends | None:
    """The two ends of an interval."""
    return interval.ends if interval else None


def _certainty(interval: Interval | None) -> str:
    return f"{100 * interval.level:g} %, {interval.method}" if interval else ""


def _place(one: Measurement | Comparison) -> tuple[str, str, frozenset[tuple[str, Value]]]:
    return one.metric, one.data, frozenset(one.parameters.items())


def _measured(m: Measurement) -> Figure:
    parameters = tuple(m.parameters.items())
    ends = interval_ends(m.interval)
    certainty = _certainty(m.interval)
    return Figure(
        "", m.metric, m.model, m.against, m.data, parameters, m.value, m.n, ends, certainty=certainty
    )


def _cost_ratio(ours: Measurement, theirs: Measurement) -> Figure:
    """Of two independent intervals, the ratio's is as wide as can be."""
    mine, other = interval_ends(ours.interval), interval_ends(theirs.interval)
    ends = (mine[0] / other[1], mine[1] / other[0]) if mine and other and min(other) > 0 else None
    parameters = tuple(ours.parameters.items())
    ratio = ours.value / theirs.value
    return Figure("ratio", ours.metric, ours.model, theirs.model, ours.data, parameters, ratio, None, ends)


def _compared(c: Comparison, ours: Measurement | None) -> Sequence[Figure]:
    parameters = tuple(c.parameters.items())
    # Both models' figures may be off; of a share, errors weigh as much as the teacher's figure is small.
    reference = abs(ours.value - c.difference) if ours else 1.0
    n = ours.n if ours else None
    shared = (c.metric, c.model, c.against, c.data, parameters)
    difference, kept = interval_ends(c.interval), interval_ends(c.kept_interval)
    return [
        Figure(
            "kept",
            *shared,
            c.kept,
            n,
            kept,
            scale=2 / max(reference, 1e-6),
            certainty=_certainty(c.kept_interval),
        ),
        Figure(
            "difference",
            *shared,
            c.difference,
            n,
            difference,
            scale=2.0,
            certainty=_certainty(c.interval),
        ),
    ]
