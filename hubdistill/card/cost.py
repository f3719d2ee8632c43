"""The table of what student and teacher cost: time, memory and size, on one machine."""

from __future__ import annotations

from hubdistill.card.cells import UNDECIDED
from hubdistill.card.text import Markdown, escape, folded, table
from hubdistill.numbers import (
    cost_share,
    count,
    listed,
    memory,
    rate,
    ratio,
    short_count,
    size,
)
from hubdistill.report import DistillationReport, Measurement
from hubdistill.results import (
    SpeedUp,
    batch_sizes,
    costs,
    layer_ratio,
    layers_of,
    middle,
    speed_ups,
    student_model,
    teacher_model,
    unique,
)


def cost_table(report: DistillationReport) -> Markdown:
    """Everything that was timed or weighed; empty when nothing was."""
    speeds, measured = speed_ups(report), costs(report)
    if not speeds and not measured:
        return Markdown()
    rows: list[tuple[str, ...]] = [
        (
            f"Texts per second, {speed.tokens} tokens each",
            with_spread(speed.student, ""),
            with_spread(speed.teacher, ""),
            _speed_up(speed),
        )
        for speed in speeds
    ]
    rows += [_cost_row(report, ours, theirs) for ours, theirs in measured]
    parts = [
        table(("", "This model", "Teacher", "Of the teacher"), [*rows, *_sizes(report)], numbers_from=1),
        escape(_conditions(report, speeds)),
        _layer_ratio(report, speeds),
        _other_batches(report),
    ]
    return Markdown("\n\n".join(part for part in parts if part))


def _cost_row(report: DistillationReport, ours: Measurement, theirs: Measurement) -> tuple[str, ...]:
    unit = report.metrics[ours.metric].unit
    return cost_label(report, ours), with_spread(ours, unit), with_spread(theirs, unit), _part(ours, theirs)


def cost_label(report: DistillationReport, m: Measurement) -> str:
    """What was timed or weighed, as the head of a row: `Latency (median), 16 tokens, ms`."""
    metric = report.metrics[m.metric]
    label = metric.title
    tokens, batch = m.parameters.get("tokens"), m.parameters.get("batch_size")
    if tokens:
        label += f", {batch} texts of {tokens} tokens" if batch not in (None, 1) else f", {tokens} tokens"
    if metric.unit != "bytes":
        label += f", {metric.unit}"
    return label


def with_spread(m: Measurement, unit: str) -> Markdown:
    """A cost, and below it the range of its repeats."""
    text = _amount(m.value, unit)
    if m.interval:
        text += f"<br>[{_amount(m.interval.low, unit)}, {_amount(m.interval.high, unit)}]"
    return Markdown(text)


def _amount(value: float, unit: str) -> str:
    return size(round(value)) if unit == "bytes" else rate(value)


def _part(ours: Measurement, theirs: Measurement) -> str:
    """A cost over the teacher's; intervals that overlap leave open which is higher."""
    if ours.interval and theirs.interval:
        apart = ours.interval.high < theirs.interval.low or theirs.interval.high < ours.interval.low
        if not apart:
            return UNDECIDED
    return cost_share(ours.value / theirs.value) if theirs.value else ""


def _speed_up(speed: SpeedUp) -> Markdown:
    lines = [ratio(speed.ratio)]
    if speed.interval:
        # As exactly as its ends, or it could be outside of them.
        lines = [f"{rate(speed.ratio)}x", f"[{rate(speed.interval.low)}, {rate(speed.interval.high)}]"]
    if not speed.decided:
        lines.append(UNDECIDED)
    return Markdown("<br>".join(lines))


def _sizes(report: DistillationReport) -> list[tuple[str, ...]]:
    student, teacher = student_model(report), teacher_model(report)
    ours, theirs = student.architecture, teacher.architecture
    rows: list[tuple[str, ...]] = []
    for label, mine, other in (
        ("Parameters", ours.parameters, theirs.parameters),
        (
            "Parameters outside the embeddings",
            ours.parameters - ours.embedding_parameters,
            theirs.parameters - theirs.embedding_parameters,
        ),
    ):
        share = cost_share(mine / other) if other else ""
        rows.append((label, short_count(mine), short_count(other), share))
    rows.append(
        ("Size on disk", size(student.bytes), size(teacher.bytes), cost_share(student.bytes / teacher.bytes))
    )
    return rows


def _conditions(report: DistillationReport, speeds: list[SpeedUp]) -> str:
    machine = report.environment
    ours, theirs = student_model(report).dtype, teacher_model(report).dtype
    dtype = ours if ours == theirs else f"{ours} (teacher: {theirs})"
    processor = (
        f"{machine.processor}, {machine.cores} cores, {machine.threads} threads, "
        f"{memory(machine.memory_bytes)} memory"
    )
    device = processor if machine.device == "cpu" else f"{machine.device}; host: {processor}"
    batches = unique(speed.batch_size for speed in speeds if speed.batch_size is not None)
    batch = f"; texts per second in batches of {listed(batches)}" if batches else ""
    return f"Measured on {device}; {dtype}{batch}."


def _layer_ratio(report: DistillationReport, speeds: list[SpeedUp]) -> str:
    """What fewer layers alone would gain, where they are layers of one width."""
    in_theory = layer_ratio(report)
    if not speeds or in_theory is None:
        return ""
    mine, other = (layers_of(model(report).architecture) for model in (student_model, teacher_model))
    speed = middle(speeds)
    return (
        f"With {mine} of {other} layers it would be {ratio(in_theory)} as fast if layers were all that "
        f"takes time; at {speed.tokens} tokens it is {ratio(speed.ratio)} as fast."
    )


def _other_batches(report: DistillationReport) -> Markdown:
    rows = [
        (
            count(batch_size or 0),
            count(speed.tokens),
            with_spread(speed.student, ""),
            with_spread(speed.teacher, ""),
            _speed_up(speed),
        )
        for batch_size in batch_sizes(report)[1:]
        for speed in speed_ups(report, batch_size=batch_size)
    ]
    if not rows:
        return Markdown()
    headings = ("Batch size", "Tokens each", "This model, texts/s", "Teacher, texts/s", "Speed-up")
    return folded("Texts per second at other batch sizes", table(headings, rows, numbers_from=0))
