"""What the report measured, arranged as card and figures show it: student beside teacher."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

from hubdistill.errors import CardError
from hubdistill.report import (
    Architecture,
    Comparison,
    DistillationReport,
    EvaluationData,
    Interval,
    Measurement,
    Metric,
    Model,
)

T = TypeVar("T")
Pair = tuple[str, str]

Kind = Literal["texts", "similarity", "retrieval", "speed"]

_FIRST = ("spearman", "ndcg", "teacher_cosine")
"""Beginnings of the names of metrics that stand for their kind where there are several."""


@dataclass(frozen=True)
class Result:
    """One measure of quality on one data set, for a student and for its teacher."""

    metric: Metric
    metric_name: str
    data: EvaluationData
    student: Measurement
    teacher: Measurement
    comparison: Comparison | None


@dataclass(frozen=True)
class SpeedUp:
    """Throughput on texts of one length."""

    tokens: int
    batch_size: int | None
    student: Measurement
    teacher: Measurement
    paired: Measurement | None
    """The speed-up as it was measured, repeat by repeat."""

    @property
    def ratio(self) -> float:
        """The student's texts per second over the teacher's."""
        return self.paired.value if self.paired else self.student.value / self.teacher.value

    @property
    def interval(self) -> Interval | None:
        """Of the ratio."""
        return self.paired.interval if self.paired else None

    @property
    def decided(self) -> bool:
        """Whether the interval of the ratio, where there is one, leaves out 1."""
        return self.interval is None or self.interval.low > 1 or self.interval.high < 1


@dataclass(frozen=True)
class Agreement:
    """Precision@k between models' top-k lists on one set of queries and documents."""

    data: EvaluationData
    pairs: dict[Pair, dict[int, Measurement]]
    """Pair of models -> k -> measurement; the report's own student with its teacher comes first."""

    @property
    def ks(self) -> list[int]:
        """Every k, rising."""
        return sorted({k for values in self.pairs.values() for k in values})

    def at(self, model: str, other: str) -> dict[int, Measurement]:
        """A pair's measurements by k, whichever comes first; empty when it was not measured."""
        return self.pairs.get((model, other)) or self.pairs.get((other, model)) or {}


def student_model(report: DistillationReport) -> Model:
    """The student that the report is about."""
    return report.models[report.student]


def teacher_model(report: DistillationReport) -> Model:
    """Its teacher."""
    return report.models[report.teacher]


def known(value: T | None, fact: str) -> T:
    """Insist on a fact that the card cannot do without.

    Args:
        fact: its place in the report, for the message.

    Raises:
        CardError: it is missing.
    """
    if value is None or value == "":
        raise CardError(
            f"the report does not say `{fact}`, and the card needs it; evaluate the student again "
            "(`hubdistill evaluate`), or add the fact to report.json"
        )
    return value


def layers_of(architecture: Architecture) -> int:
    """How many layers the card says: none for a static model."""
    return 0 if architecture.kind == "static" else architecture.layers


def metric_order(report: DistillationReport, kind: Kind) -> list[str]:
    """Metrics measured on data of one kind, the one that stands for it first."""
    names = dict.fromkeys(m.metric for m in report.measurements if report.data[m.data].kind == kind)
    return sorted(names, key=lambda name: not name.startswith(_FIRST))


def results(report: DistillationReport, kind: Kind, model: str | None = None) -> list[Result]:
    """Student beside teacher, for every metric and data set of one kind, in that order.

    Raises:
        CardError: the teacher was not measured where the student was.
    """
    model = model or report.student
    found = []
    for name in metric_order(report, kind):
        for ours in report.find(name, model=model):
            if ours.against is not None or report.data[ours.data].kind != kind or is_cut(ours):
                continue
            found.append(
                Result(
                    metric=report.metrics[name],
                    metric_name=name,
                    data=report.data[ours.data],
                    student=ours,
                    teacher=_teachers(report, ours),
                    comparison=_comparison(report, ours),
                )
            )
    return found


def headline_results(report: DistillationReport, model: str | None = None) -> list[Result]:
    """The results that stand for quality: similarity before retrieval, one metric each, every data set."""
    kinds: tuple[Kind, ...] = ("similarity", "retrieval")
    headline = []
    for kind in kinds:
        found = results(report, kind, model)
        headline += [result for result in found if result.metric_name == found[0].metric_name]
    return headline


def fidelity(report: DistillationReport, model: str | None = None) -> list[Measurement]:
    """Closeness of a student's vectors to the teacher's: all that is measured against it, except top-k."""
    model = model or report.student
    found = [
        m
        for name in metric_order(report, "texts")
        for m in report.find(name, model=model)
        if "k" not in m.parameters and m.against == report.teacher
    ]
    return found


def top_k_agreement(report: DistillationReport) -> list[Agreement]:
    """Precision@k between models' top-k lists, one item for each set of queries and documents."""
    ours, theirs = report.student, report.teacher
    found: dict[str, dict[Pair, dict[int, Measurement]]] = {}
    for m in report.measurements:
        k = m.parameters.get("k")
        if m.against is None or not isinstance(k, int) or is_cut(m):
            continue
        pairs = found.setdefault(m.data, {})
        pair = (m.model, m.against)
        # Overlap has no direction; the report's own student is named first.
        if pair[::-1] in pairs or (pair not in pairs and m.against == ours):
            pair = pair[::-1]
        pairs.setdefault(pair, {}).setdefault(k, m)
    agreements = []
    for data, pairs in found.items():
        order = sorted(pairs, key=lambda pair: (ours not in pair, theirs not in pair))
        by_pair = {pair: dict(sorted(pairs[pair].items())) for pair in order}
        agreements.append(Agreement(report.data[data], by_pair))
    return agreements


def is_cut(m: Measurement) -> bool:
    """Whether it was measured on vectors cut to fewer dimensions."""
    return "dimensions" in m.parameters


def truncations(report: DistillationReport) -> dict[int, list[Measurement]]:
    """What was measured of the student at each number of dimensions, falling; the full one is first.

    Every list has the same measures in the same order; empty when no vectors were cut.
    """
    cut = [m for m in report.measurements if m.model == report.student and is_cut(m)]
    found: dict[int, list[Measurement]] = {}
    for m in cut:
        found.setdefault(int(m.parameters["dimensions"] or 0), []).append(m)
    if not found:
        return {}
    whole = [_whole(report, m) for m in next(iter(found.values()))]
    full = student_model(report).architecture.dimensions
    return {full: whole, **{width: found[width] for width in sorted(found, reverse=True)}}


def speed_ups(report: DistillationReport, model: str | None = None) -> list[SpeedUp]:
    """Throughput of a student beside the teacher's, from short to long texts.

    Raises:
        CardError: the teacher was not measured where the student was.
    """
    model = model or report.student
    found = []
    for m in report.measurements:
        tokens = m.parameters.get("tokens")
        if m.model != model or not isinstance(tokens, int) or not _is_throughput(report, m):
            continue
        batch = m.parameters.get("batch_size")
        paired = report.find("speedup", model=model, data=m.data, **m.parameters)
        found.append(
            SpeedUp(
                tokens=tokens,
                batch_size=batch if isinstance(batch, int) else None,
                student=m,
                teacher=_teachers(report, m),
                paired=paired[0] if paired else None,
            )
        )
    return sorted(found, key=lambda speed_up: speed_up.tokens)


def unique(items: Iterable[T]) -> list[T]:
    """Items without repeats, in order."""
    return list(dict.fromkeys(items))


def _whole(report: DistillationReport, cut: Measurement) -> Measurement:
    """The same measurement on the whole vectors."""
    others = {name: value for name, value in cut.parameters.items() if name != "dimensions"}
    found = report.find(cut.metric, model=cut.model, data=cut.data, **others)
    first = next((m for m in found if m.against == cut.against and not is_cut(m)), None)
    return known(first, f"measurements: {cut.metric} of {cut.model} on {cut.data} at full width")


def _is_throughput(report: DistillationReport, m: Measurement) -> bool:
    return (
        report.data[m.data].kind == "speed"
        and m.against is None
        and report.metrics[m.metric].higher_is_better
    )


def where_measured(report: DistillationReport) -> str:
    """The hardware in a few words: `AMD EPYC 9B14, 8 threads`."""
    machine = report.environment
    if machine.device == "cpu":
        return f"{machine.processor}, {machine.threads} thread{'s' if machine.threads != 1 else ''}"
    return machine.device


def middle(speeds: list[SpeedUp]) -> SpeedUp:
    """The text length that stands for all: the middle one."""
    return speeds[(len(speeds) - 1) // 2]


def _teachers(report: DistillationReport, ours: Measurement) -> Measurement:
    found = report.find(ours.metric, model=report.teacher, data=ours.data, **ours.parameters)
    where = f"measurements: {ours.metric} of {report.teacher} on {ours.data} {dict(ours.parameters) or ''}"
    return known(found[0] if found else None, where.rstrip())


def _comparison(report: DistillationReport, ours: Measurement) -> Comparison | None:
    return next(
        (
            c
            for c in report.comparisons
            if (c.metric, c.model, c.data) == (ours.metric, ours.model, ours.data)
            and c.against == report.teacher
            and c.parameters == ours.parameters
        ),
        None,
    )
