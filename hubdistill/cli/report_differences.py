"""What `hubdistill report compare` prints: two reports side by side."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hubdistill.cli.output import Table
from hubdistill.cli.tables import amount, measure_title, signed_amount
from hubdistill.numbers import count, listed
from hubdistill.report import DistillationReport
from hubdistill.report_comparison import STUDENT, TEACHER, Measure, MeasuredDifference, ReportComparison
from hubdistill.results import Kind, metric_order

_KINDS: tuple[Kind, ...] = ("similarity", "retrieval", "benchmark", "texts", "speed")
_NOT_PAIRED = """\
The two runs are not paired: intervals are those of independent values, of speeds the spread of the
repeats. `higher` and `lower` are beyond the interval of the difference, `within` is not decided."""
WIDTH = 100
MOST_FACTS = 20
"""Changed facts that are shown unless all are asked for."""


def difference_parts(
    before: DistillationReport, after: DistillationReport, found: ReportComparison, *, everything: bool
) -> list[object]:
    """A comparison as paragraphs and tables.

    Args:
        before: the report called A.
        after: the report called B.
        found: their comparison.
        everything: all measures, instead of the student's own on whole vectors and data.
    """
    shown = [one for one in found.differences if everything or _is_first(one)]
    comparable = [one for one in shown if one.reason is None]
    parts: list[object] = [_heading(found)]
    for kind in _KINDS:
        order = metric_order(after, kind)
        for data in dict.fromkeys(one.data for one in comparable if after.data[one.data].kind == kind):
            of_data = [one for one in comparable if one.data == data]
            of_data.sort(key=lambda one: (not one.plain, "k" in one.parameters, order.index(one.metric)))
            parts.append(_table(after, data, of_data))
    if not comparable:
        parts.append("No measure can be compared.")
    parts.append(_not_comparable(after, [one for one in shown if one.reason is not None]))
    for side, only, report in (("A", found.only_before, before), ("B", found.only_after, after)):
        parts.append(_only(side, report, only, everything=everything))
    changes = found.changes if everything else found.changes[:MOST_FACTS]
    rows = [[change.fact, _brief(change.before), _brief(change.after)] for change in changes]
    parts.append(Table(["fact", "A", "B"], rows, title="Facts that changed") if rows else "No fact changed.")
    more = {
        "measures of both reports": len(found.differences) - len(shown),
        "changed facts": len(found.changes) - len(changes),
    }
    if left := listed(f"{count(n)} {what}" for what, n in more.items() if n):
        parts.append(f"Not shown: {left}; --all shows them.")
    return parts


def decided(found: ReportComparison) -> list[str]:
    """One line for each measure that is higher or lower."""
    return [f"{_words(one)} {one.verdict}" for one in found.differences if one.better is not None]


def _is_first(one: MeasuredDifference) -> bool:
    return one.model == STUDENT and one.against in (None, TEACHER) and one.plain


def _heading(found: ReportComparison) -> str:
    lines = [
        f"{side}: {report.student} beside {report.teacher}, evaluated {report.created:%Y-%m-%d %H:%M}"
        for side, report in (("A", found.before), ("B", found.after))
    ]
    return "\n".join([*lines, "", _NOT_PAIRED])


def _table(report: DistillationReport, data: str, found: Sequence[MeasuredDifference]) -> Table:
    rows = []
    for one in found:
        metric = report.metrics[one.metric]
        other = {None: None, TEACHER: "the teacher", STUDENT: "the student"}.get(one.against, one.against)
        title = measure_title(metric, one.parameters, other)
        verdict: str = one.verdict
        if one.better is not None and not metric.higher_is_better:
            verdict += ", better" if one.better else ", worse"
        rows.append(
            [
                title if one.model == STUDENT else f"{one.model}: {title}",
                amount(metric, one.before),
                amount(metric, one.after),
                signed_amount(metric, one.difference or 0.0, one.interval),
                verdict,
            ]
        )
    about = report.data[data]
    return Table(["measure", "A", "B", "B minus A", ""], rows, title=f"{about.title}, n = {count(about.n)}")


def _not_comparable(report: DistillationReport, found: Sequence[MeasuredDifference]) -> str:
    reasons: dict[str, list[str]] = {}
    for one in found:
        reasons.setdefault(str(one.reason), []).append(report.metrics[one.metric].title)
    lines = [_wrapped(f"  {reason}: {_counted(titles)}") for reason, titles in reasons.items()]
    return "\n".join(["Not comparable", *lines]) if lines else ""


def _only(side: str, report: DistillationReport, only: Sequence[Measure], *, everything: bool) -> str:
    if not only:
        return ""
    head = f"Only in {side}, {count(len(only))} measures"
    if everything:
        return "\n".join([head, *(f"  {_words(one)}" for one in only)])
    return _wrapped(f"{head}: {_counted([report.metrics[one.metric].title for one in only])}")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="    ")


def _counted(titles: Sequence[str]) -> str:
    return listed(title if n == 1 else f"{title} ({n})" for title, n in Counter(titles).items())


def _words(one: Measure) -> str:
    """A measure by the names that the report has: `student precision_at_k on held-out k=10`."""
    parameters = "".join(f" {name}={value}" for name, value in one.parameters.items())
    against = f" against {one.against}" if one.against else ""
    return f"{one.model} {one.metric}{against} on {one.data}{parameters}"


def _brief(value: Any) -> str:
    """A fact in at most 24 characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = "-" if value is None else " ".join(text.split())
    return text if len(text) <= 24 else f"{text[:23]}…"
