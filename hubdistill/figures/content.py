"""What the figures show, worked out from the report without matplotlib.

Pictures and their alternative texts both take it from here, so that neither tells what the other leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from hubdistill.report import (
    Comparison,
    DistillationReport,
    EvaluationData,
    Interval,
    Measurement,
)
from hubdistill.results import (
    Agreement,
    Kind,
    Pair,
    Result,
    SpeedUp,
    headline_results,
    metric_order,
    middle,
    sibling_difference,
    speed_ups,
    title_of,
    top_k_agreement,
    unique,
)
from hubdistill.variant_results import (
    SLICES,
    SliceBy,
    quantizations,
    slices,
    truncations,
    vector_bytes,
    whole,
)

MOST_SCORES = 8
"""Data sets in the summary; the card's tables have them all."""

MOST_SETS = 4
"""Sets of queries and documents in figures of agreement; the card's tables have them all."""

MOST_CURVES = 6
"""Pairs of models with a curve; the figure of all pairs and the card's table have the others."""

MOST_SLICES = 20
"""Slices of one kind; of more, the lowest."""


@dataclass(frozen=True)
class Matrix:
    """Precision@k between every two models on one set of queries and documents."""

    data: EvaluationData
    k: int
    models: list[str]
    """Keys: the teacher, then the students, closest to the teacher first."""
    pairs: dict[tuple[str, str], Measurement]
    """Pair of models -> measurement, each pair once."""

    def value(self, model: str, other: str) -> float | None:
        """A pair's precision, whichever comes first; None on the diagonal and where nothing was measured."""
        found = self.pairs.get((model, other)) or self.pairs.get((other, model))
        return found.value if found else None


@dataclass(frozen=True)
class Member:
    """A model of the family: how much of the teacher's quality it keeps, and how fast it is."""

    model: str
    kept: float
    kept_interval: Interval | None
    """None for the teacher, which keeps all of itself."""
    speed_up: float
    speed_up_interval: Interval | None
    beaten: bool
    """Whether another model is measurably better or faster, and not worse in either: see `family`."""


@dataclass(frozen=True)
class Family:
    """All models of a family with what their quality and speed were measured on; the teacher is first."""

    result: Result
    """The student's headline result."""
    tokens: int
    members: list[Member]
    compared: bool
    """Whether every student is a member and was compared with every other one."""


@dataclass(frozen=True)
class SliceColumn:
    """One measure of agreement with the teacher, for each slice that is shown."""

    title: str
    """`Mean cosine to the teacher`, `Precision@10`."""
    data: EvaluationData
    by_slice: dict[str, Measurement]
    whole: float | None
    """The same measure on all texts."""

    @property
    def lowest(self) -> str:
        """The slice with the least agreement."""
        return min(self.by_slice, key=lambda name: self.by_slice[name].value)

    @property
    def highest(self) -> str:
        """The slice with the most agreement."""
        return max(self.by_slice, key=lambda name: self.by_slice[name].value)


@dataclass(frozen=True)
class SliceGroup:
    """All slices of one kind, by the measures that were taken of them."""

    by: SliceBy
    names: list[str]
    """In the order shown: lengths rising, all others from least agreement to most."""
    total: int
    """How many there are; `names` has at most `MOST_SLICES`."""
    columns: list[SliceColumn]


@dataclass(frozen=True)
class VectorSize:
    """A measure of vectors that were cut or quantized."""

    bytes: int
    """Of one vector."""
    dimensions: int
    precision: str
    """`float32`, `int8` or `binary`."""
    measured: Measurement


@dataclass(frozen=True)
class VectorQuality:
    """One measure of quality over the size of the vectors."""

    title: str
    """`Spearman (cosine)`, `Precision@10`."""
    data: EvaluationData
    by_model: dict[str, list[VectorSize]]
    """Student and, where it was measured, teacher -> sizes, falling."""


def scores(report: DistillationReport) -> list[Result]:
    """The results of the summary."""
    return headline_results(report)[:MOST_SCORES]


def curves(report: DistillationReport) -> tuple[list[Agreement], list[Pair]]:
    """Agreement with curves over k, and the pairs that have one.

    First comes this student with the teacher, then its siblings with it, then the others.
    """
    agreements = top_k_agreement(report)[:MOST_SETS]
    pairs = unique(pair for agreement in agreements for pair in agreement.pairs)
    pairs.sort(
        key=lambda pair: (
            pair != (report.student, report.teacher),
            report.teacher not in pair,
            report.student not in pair,
        )
    )
    return agreements, pairs[:MOST_CURVES]


def matrices(report: DistillationReport) -> list[Matrix]:
    """Precision@k at the smallest k, for data sets on which three models or more were compared."""
    found = []
    for agreement in top_k_agreement(report):
        k = agreement.ks[0]
        pairs = {pair: by_k[k] for pair, by_k in agreement.pairs.items() if k in by_k}
        if len({model for pair in pairs for model in pair}) > 2:
            found.append(Matrix(agreement.data, k, _by_closeness(report, agreement, k), pairs))
    return found[:MOST_SETS]


def _by_closeness(report: DistillationReport, agreement: Agreement, k: int) -> list[str]:
    def closeness(model: str) -> float:
        measured = agreement.at(model, report.teacher).get(k)
        return measured.value if measured else 0.0

    models = unique(model for pair in agreement.pairs for model in pair)
    return sorted(models, key=lambda model: (model != report.teacher, -closeness(model)))


def family(report: DistillationReport) -> Family | None:
    """Quality and speed of teacher, student and siblings; None without siblings or without both facts.

    A model is beaten where another one's values are at least as high in both, and one of the two differences
    is more than chance: the paired interval of the difference in quality leaves out zero, or the intervals of
    the two speed-ups do not overlap.
    """
    headline = headline_results(report)
    speeds = speed_ups(report)
    if not report.siblings or not headline or not speeds:
        return None
    first, tokens = headline[0], middle(speeds).tokens
    found: list[tuple[Member, Measurement]] = [
        (Member(report.teacher, 1.0, None, 1.0, None, beaten=False), first.teacher)
    ]
    for key in (report.student, *report.siblings):
        result = next((r for r in headline_results(report, key) if _alike(r, first)), None)
        speed = next((s for s in speed_ups(report, key) if s.tokens == tokens), None)
        if result and result.comparison and speed:
            found.append((_member(key, result.comparison, speed), result.student))
    if len(found) < 2:
        return None
    members = [
        replace(mine, beaten=any(_beats(report, *other, mine) for other in found)) for mine, _ in found
    ]
    pairs = combinations(found[1:], 2)
    compared = len(found) == len(report.siblings) + 2 and all(
        sibling_difference(report, quality, other.model) for (_, quality), (other, _) in pairs
    )
    return Family(first, tokens, members, compared)


def _member(key: str, comparison: Comparison, speed: SpeedUp) -> Member:
    return Member(key, comparison.kept, comparison.kept_interval, speed.ratio, speed.interval, beaten=False)


def _alike(result: Result, other: Result) -> bool:
    return (result.metric_name, result.student.data) == (other.metric_name, other.student.data)


def _beats(report: DistillationReport, one: Member, quality: Measurement, other: Member) -> bool:
    if one.kept < other.kept or one.speed_up < other.speed_up:
        return False
    difference = sibling_difference(report, quality, other.model)
    better = difference is not None and difference.decided and difference.value > 0
    slower, faster = other.speed_up_interval, one.speed_up_interval
    return better or (slower.high if slower else other.speed_up) < (faster.low if faster else one.speed_up)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """For each point whether no other one is at least as high in both coordinates and higher in one."""
    return [
        not any(x >= mine[0] and y >= mine[1] and (x, y) != tuple(mine) for x, y in points) for mine in points
    ]


def slice_groups(report: DistillationReport) -> list[SliceGroup]:
    """Agreement by length, language and source, where there are at least two slices of a kind.

    Shown are the cosine to the teacher and Precision@k at the smallest k, each on the first data set.
    """
    groups = []
    for by in SLICES:
        columns = _columns(report, by)
        names = unique(name for column in columns for name in column.by_slice)
        if len(names) > 1:
            lowest = sorted(names, key=lambda name: _agreement(columns, name))[:MOST_SLICES]
            if by == "length":
                lowest.sort(key=_first_number)
            shown = [
                replace(c, by_slice={name: c.by_slice[name] for name in lowest if name in c.by_slice})
                for c in columns
            ]
            groups.append(SliceGroup(by, lowest, len(names), [c for c in shown if c.by_slice]))
    return groups


def _columns(report: DistillationReport, by: SliceBy) -> list[SliceColumn]:
    found: dict[str, tuple[Measurement, dict[str, Measurement]]] = {}
    for name, measured in slices(report, by).items():
        for m in sorted(measured, key=lambda m: _k(m) or 0):
            first, by_slice = found.setdefault(m.metric, (m, {}))
            if (m.data, _k(m)) == (first.data, _k(first)):
                by_slice[name] = m
    order = sorted(found.items(), key=lambda item: item[0] != "teacher_cosine")
    columns = []
    for metric, (first, by_slice) in order:
        on_all = whole(report, first, by)
        title = title_of(report.metrics[metric], first.parameters)
        columns.append(
            SliceColumn(title, report.data[first.data], by_slice, on_all.value if on_all else None)
        )
    return columns[:2]


def _agreement(columns: Sequence[SliceColumn], name: str) -> float:
    return next((column.by_slice[name].value for column in columns if name in column.by_slice), 1.0)


def _first_number(name: str) -> int:
    number = re.search(r"\d+", name)
    return int(number.group()) if number else 0


def vector_qualities(report: DistillationReport) -> list[VectorQuality]:
    """Quality over the size of the vectors, similarity before retrieval.

    Empty when no vectors were cut or quantized.
    """
    kinds: tuple[Kind, ...] = ("similarity", "retrieval")
    plain = [next(iter(of_size.values()), []) for of_size in (truncations(report), quantizations(report))]
    found = []
    for kind in kinds:
        # Scores before agreement, and of the scores the one that stands for its kind.
        order = metric_order(report, kind)
        first = min(
            (m for measured in plain for m in measured if report.data[m.data].kind == kind),
            key=lambda m: (m.against is not None, order.index(m.metric)),
            default=None,
        )
        if first:
            sizes = {model: _sizes(report, model, first) for model in (report.student, report.teacher)}
            title = title_of(report.metrics[first.metric], first.parameters)
            small = {
                model: of_model
                for model, of_model in sizes.items()
                if any(not size.measured.plain for size in of_model)
            }
            found.append(VectorQuality(title, report.data[first.data], small))
    return found


def _sizes(report: DistillationReport, model: str, like: Measurement) -> list[VectorSize]:
    """A measure of a model's vectors, whole, cut and quantized."""
    full = report.models[model].architecture.dimensions
    variants = [(width, "float32", measured) for width, measured in truncations(report, model).items()]
    variants += [(full, precision, measured) for precision, measured in quantizations(report, model).items()]
    # The whole vectors are in both.
    sizes = {
        (width, precision): VectorSize(vector_bytes(width, precision), width, precision, m)
        for width, precision, measured in variants
        for m in measured
        if (m.metric, m.data, _k(m)) == (like.metric, like.data, _k(like))
    }
    return sorted(sizes.values(), key=lambda size: -size.bytes)


def _k(m: Measurement) -> int | None:
    k = m.parameters.get("k")
    return k if isinstance(k, int) else None
