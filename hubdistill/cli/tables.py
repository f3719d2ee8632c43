"""Reports as tables for people, and as plain data for machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubdistill import numbers
from hubdistill.cli.output import Table
from hubdistill.report import DistillationReport, Measurement, Model
from hubdistill.results import (
    Result,
    SpeedUp,
    fidelity,
    headline_results,
    layers_of,
    results,
    speed_ups,
    student_model,
    teacher_model,
    top_k_agreement,
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
    headline, speed = headline_results(first), _middle_speed(first)
    rows = []
    for name, report in reports.items():
        kept = {result.data.title: _kept(result) for result in headline_results(report)}
        overlap, own_speed = _overlap(report), _middle_speed(report)
        rows.append(
            [
                name,
                *_body(student_model(report)),
                *(kept.get(result.data.title, NOTHING) for result in headline),
                f"{overlap.value:.3f}" if overlap else NOTHING,
                *([numbers.ratio(own_speed.ratio) if own_speed else NOTHING] if speed else []),
                places.get(name, ""),
            ]
        )
    teacher = teacher_model(first)
    of_teacher = [*_body(teacher), *("100%" for _ in headline), "1.000", *(["1x"] if speed else []), ""]
    rows.append([f"{teacher.name} (teacher)", *of_teacher])
    headings = ["student", "layers", "parameters", "size", *(result.data.title for result in headline)]
    explained = [
        f"{result.metric.title} kept of the teacher's, with 95 % interval" for result in headline[:1]
    ]
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
        model, overlap, speed = student_model(report), _overlap(report), _middle_speed(report)
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


def quality_table(report: DistillationReport) -> Table:
    """Every measure of quality, student beside teacher, with 95 % intervals."""
    rows = [
        (
            result.data.title,
            result.metric.title,
            _with_interval(result.student),
            _with_interval(result.teacher),
            _kept(result),
        )
        for kind in ("similarity", "retrieval")
        for result in results(report, kind)
    ]
    rows += [
        (report.data[m.data].title, report.metrics[m.metric].title, _with_interval(m), NOTHING, NOTHING)
        for m in fidelity(report)
    ]
    rows += [
        (agreement.data.title, f"Precision@{k} with the teacher", _with_interval(m), NOTHING, NOTHING)
        for agreement in top_k_agreement(report)
        for k, m in agreement.at(report.student, report.teacher).items()
    ]
    return Table(
        ["data", "measure", "student", "teacher", "kept"],
        rows,
        title=f"{report.student}: quality, with 95 % intervals",
    )


def cost_table(report: DistillationReport) -> Table:
    """Parameters, size and speed, student beside teacher."""
    student, teacher = student_model(report), teacher_model(report)
    rows = [
        (
            "parameters",
            numbers.count(student.architecture.parameters),
            numbers.count(teacher.architecture.parameters),
            numbers.share(student.architecture.parameters / teacher.architecture.parameters),
        ),
        (
            "size on disk",
            numbers.size(student.bytes),
            numbers.size(teacher.bytes),
            numbers.share(student.bytes / teacher.bytes),
        ),
    ]
    rows += [
        (
            f"texts a second at {speed.tokens} tokens",
            numbers.rate(speed.student.value),
            numbers.rate(speed.teacher.value),
            numbers.ratio(speed.ratio),
        )
        for speed in speed_ups(report)
    ]
    machine = report.environment
    return Table(
        ["", "student", "teacher", "student/teacher"],
        rows,
        title=f"{report.student}: cost, on {machine.device} ({machine.processor}, {machine.threads} threads)",
    )


def _body(model: Model) -> tuple[str, str, str]:
    architecture = model.architecture
    layers = "static" if architecture.kind == "static" else str(architecture.layers)
    return layers, numbers.short_count(architecture.parameters), numbers.size(model.bytes)


def _kept(result: Result) -> str:
    if result.comparison is None:
        return NOTHING
    return f"{numbers.share(result.comparison.kept)} {numbers.share_span(result.comparison.kept_interval)}"


def _with_interval(measurement: Measurement) -> str:
    interval = f" {numbers.span(measurement.interval)}" if measurement.interval else ""
    return f"{numbers.score(measurement.value)}{interval}"


def _overlap(report: DistillationReport) -> Measurement | None:
    found = [agreement.at(report.student, report.teacher) for agreement in top_k_agreement(report)]
    return next((at[OVERLAP_AT] for at in found if OVERLAP_AT in at), None)


def _middle_speed(report: DistillationReport) -> SpeedUp | None:
    found = speed_ups(report)
    return found[len(found) // 2] if found else None
