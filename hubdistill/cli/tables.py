"""The students of a run as a table for people, and as plain data for machines; cells of every table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubdistill import numbers
from hubdistill.cli.output import Table
from hubdistill.report import DistillationReport, Interval, Measurement, Metric, Model, Value
from hubdistill.results import (
    Result,
    SpeedUp,
    first_agreement,
    headline_results,
    layers_of,
    middle,
    speed_ups,
    student_model,
    teacher_model,
    title_of,
    unique,
)

OVERLAP_AT = 10
"""The k of the one Precision@k that the students' table shows."""

NOTHING = "-"


def students_table(reports: Mapping[str, DistillationReport], places: Mapping[str, str]) -> Table:
    """One row a student, the teacher last: what is kept, what is gained, where it is.

    Args:
        reports: by student.
        places: folder or address, by student.
    """
    first = next(iter(reports.values()))
    headline, speed = headline_results(first), middle_speed(first)
    rows = []
    for name, report in reports.items():
        kept = {result.student.data: kept_share(result) for result in headline_results(report)}
        overlap, own_speed = first_agreement(report, OVERLAP_AT), middle_speed(report)
        rows.append(
            [
                name,
                *_body(student_model(report)),
                *(kept.get(result.student.data, NOTHING) for result in headline),
                f"{overlap.value:.3f}" if overlap else NOTHING,
                *([numbers.ratio(own_speed.ratio) if own_speed else NOTHING] if speed else []),
                places.get(name, ""),
            ]
        )
    teacher = teacher_model(first)
    of_teacher = [*_body(teacher), *("100%" for _ in headline), "1.000", *(["1x"] if speed else []), ""]
    rows.append([f"{teacher.name} (teacher)", *of_teacher])
    headings = ["student", "layers", "parameters", "size", *(result.data.title for result in headline)]
    kinds = unique(result.metric.title for result in headline)
    explained = [f"share kept of the teacher's {' or '.join(kinds)}, with 95 % interval"] if kinds else []
    explained.append(f"P@{OVERLAP_AT}: share of nearest texts that are the teacher's as well")
    return Table(
        [*headings, f"P@{OVERLAP_AT}", *([f"speed at {speed.tokens} tokens"] if speed else []), "where"],
        rows,
        title="; ".join(explained),
    )


def students_summary(
    reports: Mapping[str, DistillationReport], places: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The students' table for machines."""
    found = []
    for name, report in reports.items():
        model, speed = student_model(report), middle_speed(report)
        overlap = first_agreement(report, OVERLAP_AT)
        found.append(
            {
                "student": name,
                "where": places.get(name),
                "layers": layers_of(model.architecture),
                "parameters": model.architecture.parameters,
                "bytes": model.bytes,
                "quality": [
                    {
                        "metric": result.metric_name,
                        "data": result.data.title,
                        "student": result.student.value,
                        "teacher": result.teacher.value,
                        "kept": result.comparison.kept if result.comparison else None,
                        "kept_interval": [
                            result.comparison.kept_interval.low,
                            result.comparison.kept_interval.high,
                        ]
                        if result.comparison
                        else None,
                    }
                    for result in headline_results(report)
                ],
                f"precision_at_{OVERLAP_AT}": overlap.value if overlap else None,
                "speed_up": {"tokens": speed.tokens, "ratio": speed.ratio} if speed else None,
            }
        )
    return found


def _body(model: Model) -> tuple[str, str, str]:
    architecture = model.architecture
    layers = "static" if architecture.kind == "static" else str(architecture.layers)
    return layers, numbers.short_count(architecture.parameters), numbers.size(model.bytes)


def kept_share(result: Result) -> str:
    """The share of the teacher's quality that is kept, with its interval: `89.7% [86.9%, 92.6%]`."""
    if result.comparison is None:
        return NOTHING
    return f"{numbers.share(result.comparison.kept)} {numbers.share_span(result.comparison.kept_interval)}"


def scored(m: Measurement | None) -> str:
    """A score with its interval: `0.6409 [0.6112, 0.6694]`."""
    if m is None:
        return NOTHING
    return f"{numbers.score(m.value)} {numbers.span(m.interval)}" if m.interval else numbers.score(m.value)


def amount(metric: Metric, value: float) -> str:
    """A value as its unit is read: a score, a rate, milliseconds, bytes."""
    match metric.unit:
        case "texts/s":
            return numbers.rate(value)
        case "ms" | "s" as unit:
            return f"{numbers.rate(value)} {unit}"
        case "bytes":
            return numbers.size(int(value))
        case "x":
            return numbers.ratio(value)
        case _:
            return numbers.score(value)


def signed_amount(metric: Metric, value: float, interval: Interval | None = None) -> str:
    """A difference with its sign, in its unit, and its interval: `+0.0043 [-0.0110, +0.0196]`."""
    ends = [value, *(interval.ends if interval else ())]
    first, *span = (
        f"{'+' if end > 0 else numbers.MINUS if end < 0 else ''}{amount(metric, abs(end))}" for end in ends
    )
    # A unit that all three have is said once.
    bare = [end.removesuffix(f" {metric.unit}") for end in span]
    return f"{first} [{', '.join(bare)}]" if bare else first


_PARAMETERS = {
    "tokens": "{} tokens",
    "batch_size": "batches of {}",
    "dimensions": "{} dimensions",
    "precision": "{}",
    "documents": "documents of the {}",
    "source": "from {}",
    "length": "{} tokens",
    "main_score": "{}",
}


def measure_title(metric: Metric, parameters: Mapping[str, Value], other: str | None = None) -> str:
    """A measure in words: `Precision@10 with the teacher, ef 64`.

    Args:
        other: the model whose lists were compared, where they were.
    """
    title = title_of(metric, parameters)
    words = [f"{title} with {other}" if other and "k" in parameters else title]
    # Latency is of one text a call.
    said = {"k", "batch_size"} if metric.unit == "ms" else {"k"}
    words += [
        _PARAMETERS.get(name, f"{name} {{}}").format(value)
        for name, value in parameters.items()
        if name not in said
    ]
    return ", ".join(words)


def middle_speed(report: DistillationReport) -> SpeedUp | None:
    """Speed at the middle one of the text lengths."""
    found = speed_ups(report)
    return middle(found) if found else None
