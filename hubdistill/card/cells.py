"""Cells of the evaluation's tables."""

from __future__ import annotations

from hubdistill.card.claim import model_name
from hubdistill.card.text import Markdown
from hubdistill.numbers import count, score, share, share_span, signed, signed_span, span
from hubdistill.report import Comparison, DistillationReport, Interval, Measurement
from hubdistill.results import title_of

NOT_MEASURED = "\N{EM DASH}"
UNDECIDED = "no measurable difference"


def bare(m: Measurement) -> Markdown:
    """A score without its interval."""
    return Markdown(score(m.value))


def scored(m: Measurement) -> Markdown:
    """A score, and below it its interval."""
    return Markdown(f"{score(m.value)}<br>{span(m.interval)}" if m.interval else score(m.value))


def difference(value: float, interval: Interval, *, decided: bool) -> Markdown:
    """A difference with its interval; one whose interval contains zero is said to be none."""
    verdict = "" if decided else f"<br>{UNDECIDED}"
    return Markdown(f"{signed(value)}<br>{signed_span(interval)}{verdict}")


def compared(comparison: Comparison | None) -> tuple[Markdown, Markdown]:
    """Difference and share kept; both cells say so where nothing was compared."""
    if comparison is None:
        return Markdown("not compared"), Markdown("not compared")
    kept = Markdown(f"{share(comparison.kept)}<br>{share_span(comparison.kept_interval)}")
    return difference(comparison.difference, comparison.interval, decided=comparison.decided), kept


def short_name(report: DistillationReport, key: str) -> Markdown:
    """A model's name where the teacher is called just that."""
    return Markdown("teacher") if key == report.teacher else model_name(report.models[key])


def measure_name(report: DistillationReport, m: Measurement, *, data: bool = True) -> str:
    """What was measured, in a heading: `Precision@10 with the teacher, Held-out texts`."""
    name = title_of(report.metrics[m.metric], m.parameters)
    if m.against and "k" in m.parameters:
        name += " with the teacher"
    return f"{name}, {report.data[m.data].title}" if data else name


def counts(measured: list[Measurement]) -> str:
    """How many items are behind the figures of one row: `2,000`, or `2,000 / 500`."""
    return " / ".join(dict.fromkeys(count(m.n) for m in measured))
