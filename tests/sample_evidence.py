"""More kinds of invented measurements, for the reports of sample_report.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from hubdistill.evaluation.definitions import METRICS
from hubdistill.report import (
    Comparison,
    DistillationReport,
    EvaluationData,
    Interval,
    LowAgreement,
    Measurement,
    Value,
)

WIDTHS = {192: 0.006, 96: 0.021, 48: 0.067}
"""Dimensions, and what is lost by cutting to them."""
PRECISIONS = {"int8": 0.0004, "binary": 0.0187}

MADE = "first sentence, removed from its document"


@dataclass
class Evidence:
    """Measurements to add to a report.

    Args:
        report: what they are added to.
    """

    report: DistillationReport
    measurements: list[Measurement] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    data: dict[str, EvaluationData] = field(default_factory=dict)

    def measure(
        self,
        metric: str,
        model: str,
        value: float,
        on: str,
        *,
        n: int | None = None,
        against: str | None = None,
        width: float = 0.0,
        repeats: int | None = None,
        **parameters: Value,
    ) -> None:
        """Add one measurement; its interval reaches `width` to either side, and is the range of `repeats`."""
        self.measurements.append(
            Measurement(
                metric=metric,
                model=model,
                value=round(value, 4),
                data=on,
                n=n or {**self.report.data, **self.data}[on].n,
                against=against,
                parameters=parameters,
                interval=_interval(value, width, repeats) if width else None,
                reproduce="hubdistill evaluate recipe.yaml",
            )
        )

    def compare(
        self,
        metric: str,
        on: str,
        ours: tuple[str, float],
        theirs: tuple[str, float],
        width: float,
        **parameters: Value,
    ) -> None:
        """Add one comparison; `width` is that of the difference's interval to either side."""
        (model, value), (against, other) = ours, theirs
        self.comparisons.append(
            Comparison(
                metric=metric,
                model=model,
                against=against,
                data=on,
                parameters=parameters,
                difference=round(value - other, 4),
                interval=_interval(value - other, width),
                kept=round(value / other, 4),
                kept_interval=_interval(value / other, width / other),
            )
        )

    def added(self) -> DistillationReport:
        """The report with everything added."""
        measurements = (*self.report.measurements, *self.measurements)
        names = {m.metric for m in measurements} - set(self.report.metrics)
        return self.report.model_copy(
            update={
                "measurements": measurements,
                "comparisons": (*self.report.comparisons, *self.comparisons),
                "data": {**self.report.data, **self.data},
                "metrics": {**self.report.metrics, **{n: METRICS[n] for n in METRICS if n in names}},
            }
        )

    def value(self, metric: str, model: str, on: str, **parameters: Value) -> float:
        """What the report has already, of plain vectors."""
        found = self.report.find(metric, model=model, data=on, **parameters)
        return next(m for m in found if m.plain).value


def family_evidence(report: DistillationReport) -> DistillationReport:
    """For a family: alignment, slices, asymmetric use, quantized vectors, HNSW, siblings and cost."""
    more = Evidence(report)
    teacher, students = report.teacher, [report.student, *report.siblings]
    for student in students:
        cosine = more.value("teacher_cosine", student, "held-out")
        more.measure("linear_cka", student, 2 * cosine - 1, "held-out", against=teacher, width=0.0035)
        for by, parts in (
            ("language", {"en": (812, 0.0081), "de": (655, -0.0022), "tr": (533, -0.0096)}),
            ("length", {"1-16": (604, -0.0119), "17-64": (1009, 0.0043), "65-256": (387, 0.0074)}),
        ):
            for name, (n, more_or_less) in parts.items():
                value = cosine + more_or_less
                more.measure(
                    "teacher_cosine", student, value, "held-out", n=n, against=teacher, width=0.0021,
                    **{by: name},
                )  # fmt: skip
    _asymmetric(more)
    _quantized(more)
    for model, lost in ((report.student, 0.031), (teacher, 0.024)):
        for ef, share in ((16, 1.0), (64, 0.25), (256, 0.02)):
            found = 1 - lost * share
            more.measure("ann_recall_at_k", model, found, "neighbours", width=0.2 * lost * share, k=10, ef=ef)
    for place, one in enumerate(students):
        for other in students[place + 1 :]:
            # The report compares later students with earlier ones, so ours comes second.
            for metric, on, width in (
                ("spearman_cosine", "stsb", 0.0045),
                ("ndcg_at_10", "cranfield", 0.0151),
            ):
                pair = [(model, more.value(metric, model, on)) for model in (other, one)]
                more.compare(metric, on, pair[0], pair[1], width)
            pair = [
                (model, more.value("precision_at_k", model, "neighbours", k=10)) for model in (other, one)
            ]
            more.compare("precision_at_k", "neighbours", pair[0], pair[1], 0.0063, k=10)
    _cost(more)
    return more.added()


def static_evidence(report: DistillationReport) -> DistillationReport:
    """For a lone student: made queries, MTEB, cut and quantized vectors, sources, low agreement and cost."""
    neighbours = report.data["neighbours"].model_copy(
        update={"title": "Held-out texts, first sentences as queries", "made_queries": MADE}
    )
    more = Evidence(report.model_copy(update={"data": {**report.data, "neighbours": neighbours}}))
    teacher, student = report.teacher, report.student
    found = {teacher: 0.7714, student: 0.7021}
    for metric, lower in (("ndcg_at_10", 0.0), ("map_at_100", 0.0413)):
        for model, value in found.items():
            more.measure(metric, model, value - lower, "neighbours", width=0.024)
        ours, theirs = ((model, found[model] - lower) for model in (student, teacher))
        more.compare(metric, "neighbours", ours, theirs, 0.0171)
    for task, hub_id, score, values in (
        ("STSBenchmark", "mteb/stsbenchmark-sts", "cosine_spearman", (0.7894, 0.8203)),
        ("SciFact", "mteb/scifact", "ndcg_at_10", (0.5562, 0.6451)),
    ):
        more.data[task] = EvaluationData(
            kind="benchmark",
            title=task,
            source="mteb",
            hub_id=hub_id,
            split="test",
            revision="0660272000000000000000000000000000000000",
            n=1379 if task == "STSBenchmark" else 300,
            documents=None if task == "STSBenchmark" else 5183,
            sha256="d5" * 32,
        )
        for model, value in zip((student, teacher), values, strict=True):
            more.measure("mteb_main_score", model, value, task, main_score=score)
    _cut(more)
    _quantized(more)
    cosine = more.value("teacher_cosine", student, "held-out")
    for name, n, difference in (("a|b.jsonl", 700, 0.0163), ("questions.txt", 1300, -0.0089)):
        shared = {"against": teacher, "source": name}
        more.measure("teacher_cosine", student, cosine + difference, "held-out", n=n, width=0.0034, **shared)
        more.measure(
            "precision_at_k", student, 0.583 + 2 * difference, "neighbours", n=n // 4, width=0.021, k=10,
            **shared,
        )  # fmt: skip
    _cost(more)
    low = [("Not bad | not good.", 0.3127), ("<b>Time flies</b> like an arrow.", 0.3544)]
    return more.added().model_copy(
        update={
            "lowest_agreement": tuple(
                LowAgreement(text=text, value=value, metric="teacher_cosine") for text, value in low
            )
        }
    )


def _asymmetric(more: Evidence) -> None:
    teacher, student = more.report.teacher, more.report.student
    theirs = more.value("ndcg_at_10", teacher, "cranfield")
    ours = theirs - 0.0041
    more.measure("ndcg_at_10", student, ours, "cranfield", width=0.018, documents=teacher)
    more.compare("ndcg_at_10", "cranfield", (student, ours), (teacher, theirs), 0.0117, documents=teacher)
    for k in (10, 20, 30, 40, 50):
        value = more.value("precision_at_k", student, "neighbours", k=k) + 0.031
        more.measure(
            "precision_at_k", student, value, "neighbours", against=teacher, width=0.008, k=k,
            documents=teacher,
        )  # fmt: skip


def _cut(more: Evidence) -> None:
    for width, lost in WIDTHS.items():
        for model in (more.report.student, more.report.teacher):
            _variant(more, model, lost, dimensions=width)


def _quantized(more: Evidence) -> None:
    for precision, lost in PRECISIONS.items():
        for model in (more.report.student, more.report.teacher):
            _variant(more, model, lost, precision=precision)


def _variant(more: Evidence, model: str, lost: float, **variant: Value) -> None:
    """Spearman, and Precision@10 with the teacher's whole vectors."""
    teacher = more.report.teacher
    value = more.value("spearman_cosine", model, "stsb")
    more.measure("spearman_cosine", model, value - lost, "stsb", width=0.018, **variant)
    whole = 1.0 if model == teacher else more.value("precision_at_k", model, "neighbours", k=10)
    value = whole - 3 * lost
    more.measure(
        "precision_at_k", model, value, "neighbours", against=teacher, width=min(0.01, 1 - value), k=10,
        **variant,
    )  # fmt: skip


def _cost(more: Evidence) -> None:
    """Latency, time to load, memory, and throughput at a second batch size."""
    teacher, student = more.report.teacher, more.report.student
    for model in (student, teacher):
        rate = more.value("texts_per_second", model, "speed", tokens=64)
        for tokens, factor in ((16, 0.7), (64, 1.0), (256, 2.9)):
            for metric, slower in (("latency_p50", 1.0), ("latency_p95", 1.24)):
                value = slower * factor * (1.4 + 700 / rate)
                more.measure(
                    metric, model, value, "speed", n=50, width=0.04 * value, tokens=tokens, batch_size=1
                )
        size = more.report.models[model].bytes
        seconds = 0.3 + size / 1e9
        more.measure("load_seconds", model, seconds, "speed", n=3, width=0.05 * seconds, repeats=3)
        more.measure("peak_memory", model, 7.1e8 + 1.2 * size, "speed", n=32, tokens=256, batch_size=32)
        more.measure(
            "texts_per_second", model, rate * 0.61, "speed", width=rate * 0.01, tokens=64, batch_size=4
        )
    ratio = more.value("speedup", student, "speed", tokens=64)
    more.measure(
        "speedup", student, ratio, "speed", against=teacher, width=0.01 * ratio, tokens=64, batch_size=4
    )


def _interval(value: float, width: float, repeats: int | None = None) -> Interval:
    ends = {"low": round(value - width, 4), "high": round(value + width, 4)}
    if repeats:
        return Interval(**ends, level=1.0, method=f"lowest and highest of {repeats} repeats")
    return Interval(**ends, method="percentile bootstrap, 1000 resamples")
