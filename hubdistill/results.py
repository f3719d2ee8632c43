"""What the report measured, arranged as card and figures show it: student beside teacher."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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
    Value,
)

T = TypeVar("T")
Pair = tuple[str, str]

Kind = Literal["texts", "similarity", "retrieval", "benchmark", "speed"]

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
        return self.interval is None or self.interval.excludes(1)


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


@dataclass(frozen=True)
class Difference:
    """How much more one model scores than another, paired item by item."""

    value: float
    interval: Interval

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.interval.excludes(0)


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


def layer_ratio(report: DistillationReport) -> float | None:
    """How many times as fast the student would be if layers were all that takes time.

    Returns:
        The teacher's layers over the student's; None where their layers are not of one width, and where
        there are as many of them.
    """
    ours, theirs = student_model(report).architecture, teacher_model(report).architecture
    mine, other = layers_of(ours), layers_of(theirs)
    alike = (ours.hidden_size, ours.feed_forward) == (theirs.hidden_size, theirs.feed_forward)
    return other / mine if alike and mine and other and mine != other else None


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
            if ours.against is None and report.data[ours.data].kind == kind and ours.plain:
                found.append(beside(report, ours, _teachers(report, ours)))
    return found


def beside(report: DistillationReport, ours: Measurement, theirs: Measurement) -> Result:
    """A student's measurement and the teacher's, with the comparison of the two where there is one."""
    return Result(
        metric=report.metrics[ours.metric],
        metric_name=ours.metric,
        data=report.data[ours.data],
        student=ours,
        teacher=theirs,
        comparison=next(
            (
                c
                for c in report.comparisons
                if (c.metric, c.model, c.data) == (ours.metric, ours.model, ours.data)
                and c.against == report.teacher
                and c.parameters == ours.parameters
            ),
            None,
        ),
    )


def same_of(report: DistillationReport, m: Measurement, model: str) -> Measurement | None:
    """The same measure of another model; None where it was not measured."""
    found = report.find(m.metric, model=model, data=m.data)
    return next((other for other in found if other.parameters == m.parameters), None)


def title_of(metric: Metric, parameters: Mapping[str, Value]) -> str:
    """A metric's title with the k of the parameters: `Precision@10`, `Recall of HNSW at 10`."""
    k = parameters.get("k")
    return metric.title if k is None else re.sub(r"(@| at )k\b", rf"\g<1>{k}", metric.title)


def headline_results(report: DistillationReport, model: str | None = None) -> list[Result]:
    """The results that stand for quality: similarity before retrieval, one metric each, every data set.

    Sets whose queries people wrote come before those whose queries were made.
    """
    kinds: tuple[Kind, ...] = ("similarity", "retrieval")
    headline = []
    for kind in kinds:
        found = results(report, kind, model)
        first = [result for result in found if result.metric_name == found[0].metric_name]
        headline += sorted(first, key=lambda result: result.data.made_queries is not None)
    return headline


def sibling_difference(
    report: DistillationReport, measured: Result | Measurement, sibling: str
) -> Difference | None:
    """This student's value minus a sibling's, where the two were compared on what was measured."""
    ours = measured.student if isinstance(measured, Result) else measured
    for c in report.comparisons:
        if (c.metric, c.data, c.parameters) == (ours.metric, ours.data, ours.parameters):
            if (c.model, c.against) == (ours.model, sibling):
                return Difference(c.difference, c.interval)
            if (c.model, c.against) == (sibling, ours.model):
                turned = {"low": -c.interval.high, "high": -c.interval.low}
                return Difference(-c.difference, c.interval.model_copy(update=turned))
    return None


def fidelity(report: DistillationReport) -> list[Measurement]:
    """Closeness of a student's vectors to the teacher's: all that is measured against it, except top-k."""
    found = [
        m
        for name in metric_order(report, "texts")
        for m in report.find(name, model=report.student)
        if "k" not in m.parameters and m.against == report.teacher and m.plain
    ]
    return found


def top_k_agreement(report: DistillationReport) -> list[Agreement]:
    """Precision@k between models' top-k lists, one item for each set of queries and documents."""
    ours, theirs = report.student, report.teacher
    found: dict[str, dict[Pair, dict[int, Measurement]]] = {}
    for m in report.measurements:
        k = m.parameters.get("k")
        if m.against in (None, m.model) or not isinstance(k, int) or not m.plain:
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


def first_agreement(report: DistillationReport, k: int | None = None) -> Measurement | None:
    """Precision@k of the student with its teacher on the first data set that has it.

    Args:
        k: the smallest that was measured when left out.
    """
    for agreement in top_k_agreement(report):
        at = agreement.at(report.student, report.teacher)
        if at and (k is None or k in at):
            return at[min(at) if k is None else k]
    return None


def batch_sizes(report: DistillationReport) -> list[int | None]:
    """Batch sizes at which throughput was measured, the one that stands for all first."""
    return unique(_batch_size(m) for m in report.measurements if _is_throughput(report, m))


def speed_ups(
    report: DistillationReport, model: str | None = None, *, batch_size: int | None = None
) -> list[SpeedUp]:
    """Throughput of a student beside the teacher's, from short to long texts.

    Args:
        batch_size: the first that was measured when left out.

    Raises:
        CardError: the teacher was not measured where the student was.
    """
    model = model or report.student
    batch_size = batch_size or next(iter(batch_sizes(report)), None)
    found: list[SpeedUp] = []
    for m in report.measurements:
        tokens = m.parameters.get("tokens")
        if m.model != model or not isinstance(tokens, int) or not _is_throughput(report, m):
            continue
        if _batch_size(m) != batch_size:
            continue
        paired = report.find("speedup", model=model, data=m.data, **m.parameters)
        found.append(
            SpeedUp(
                tokens=tokens,
                batch_size=batch_size,
                student=m,
                teacher=_teachers(report, m),
                paired=paired[0] if paired else None,
            )
        )
    return sorted(found, key=lambda speed_up: speed_up.tokens)


def costs(report: DistillationReport) -> list[tuple[Measurement, Measurement]]:
    """What is better the lower it is, of student and teacher: latency, time to load, memory.

    Raises:
        CardError: the teacher was not measured where the student was.
    """
    ours = [
        m
        for m in report.measurements
        if m.model == report.student
        and report.data[m.data].kind == "speed"
        and not report.metrics[m.metric].higher_is_better
    ]
    order = unique(m.metric for m in ours)
    return [(m, _teachers(report, m)) for m in sorted(ours, key=lambda m: order.index(m.metric))]


def unique(items: Iterable[T]) -> list[T]:
    """Items without repeats, in order."""
    return list(dict.fromkeys(items))


def _is_throughput(report: DistillationReport, m: Measurement) -> bool:
    return (
        report.data[m.data].kind == "speed"
        and m.against is None
        and report.metrics[m.metric].higher_is_better
    )


def _batch_size(m: Measurement) -> int | None:
    batch_size = m.parameters.get("batch_size")
    return batch_size if isinstance(batch_size, int) else None


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
    where = f"measurements: {ours.metric} of {report.teacher} on {ours.data} {dict(ours.parameters) or ''}"
    return known(same_of(report, ours, report.teacher), where.rstrip())
