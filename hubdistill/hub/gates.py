"""Gates: conditions on report.json without which nothing is pushed."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hubdistill.conditions import Condition, NoRegression, Sign, parse_condition
from hubdistill.errors import GateError
from hubdistill.numbers import score, signed, signed_span, span
from hubdistill.report import VARIANTS, DistillationReport, Interval, Measurement, Value
from hubdistill.report_comparison import STUDENT, MeasuredDifference, compare_reports
from hubdistill.results import headline_results, unique

_HOLDS: Final[dict[Sign, tuple[Callable[[float, float], bool], str, str]]] = {
    ">=": (operator.ge, "at least", "below"),
    ">": (operator.gt, "above", "not above"),
    "<=": (operator.le, "at most", "above"),
    "<": (operator.lt, "below", "not below"),
}
"""Of each sign: the comparison, and how it reads when it holds and when it does not."""


@dataclass(frozen=True)
class GateCheck:
    """One figure held against its limit.

    Args:
        figure: `spearman_cosine on stsb-test`.
        value: as it was measured.
        interval: its two ends, where it has an interval.
        limit: as a number; of `no_regression` the published value.
        met: whether the figure keeps to the limit.
        text: all of it in a sentence.
    """

    figure: str
    value: float
    interval: tuple[float, float] | None
    limit: float
    met: bool
    text: str


@dataclass(frozen=True)
class GateResult:
    """What became of one gate.

    Args:
        gate: the condition as it was written.
        met: whether all of its figures keep to their limits.
        checks: every figure that it is about.
        notes: what could not be held against anything, and why.
    """

    gate: str
    met: bool
    checks: tuple[GateCheck, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The verdict, and under it each figure."""
        lines = [f"{'met' if self.met else 'NOT MET'}: {self.gate}"]
        lines += [f"  {check.text}" for check in sorted(self.checks, key=lambda check: check.met)]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def parse_gates(gates: Iterable[str]) -> tuple[Condition | NoRegression, ...]:
    """Read conditions as people write them: see `hubdistill.conditions`.

    Raises:
        GateError: one of them is none.
    """
    found = []
    for text in gates:
        try:
            found.append(parse_condition(text))
        except ValueError as error:
            raise GateError(f"the gate {text!r}: {error}") from None
    return tuple(found)


def judge(
    report: DistillationReport,
    gates: Sequence[Condition | NoRegression],
    published: DistillationReport | None = None,
) -> tuple[GateResult, ...]:
    """Hold a report against its gates.

    Args:
        report: of what is to be pushed.
        gates: the conditions.
        published: the report that is on the Hub now, for `no_regression`; None: there is none.

    Raises:
        GateError: a gate names a figure that the report does not have.
    """
    return tuple(
        _condition(report, gate) if isinstance(gate, Condition) else _no_regression(report, gate, published)
        for gate in gates
    )


def refuse_unmet(results: Mapping[str, Sequence[GateResult]]) -> None:
    """Stop here if a gate is not met.

    Args:
        results: the verdicts, by the name of what is to be pushed.

    Raises:
        GateError: it names every figure that fell short.
    """
    lines = []
    for name, verdicts in results.items():
        unmet = [verdict for verdict in verdicts if not verdict.met]
        if unmet:
            short = unique(check.text for verdict in unmet for check in verdict.checks if not check.met)
            lines += [f"{name} does not meet {len(unmet)} of {len(verdicts)} gates:"]
            lines += [f"  {text}" for text in short]
    if lines:
        raise GateError("\n".join([*lines, "Nothing was pushed."]))


def _condition(report: DistillationReport, gate: Condition) -> GateResult:
    checks = tuple(_check(report, gate, m) for m in _measurements(report, gate))
    return GateResult(gate.text, all(check.met for check in checks), checks)


def _check(report: DistillationReport, gate: Condition, m: Measurement) -> GateCheck:
    holds, kept, broken = _HOLDS[gate.sign]
    if gate.of_teacher:
        theirs = _of_teacher(report, gate, m).value
        limit = gate.limit * theirs
    else:
        limit = gate.limit
    met = holds(m.value, limit)
    value, limit_text = _apart(m.value, limit)
    if not gate.of_teacher:
        limit_text = f"{limit:.15g}"
    elif gate.limit == 1:
        limit_text = f"the teacher's {limit_text}"
    else:
        limit_text = f"{gate.limit:.15g} x the teacher's {score(theirs)} = {limit_text}"
    figure = _figure(m)
    return GateCheck(
        figure=figure,
        value=m.value,
        interval=m.interval.ends if m.interval else None,
        limit=limit,
        met=met,
        text=f"{figure}: {value}{f' {span(m.interval)}' if m.interval else ''}, "
        f"{kept if met else broken} {limit_text}",
    )


def _measurements(report: DistillationReport, gate: Condition) -> list[Measurement]:
    """The student's measurements that a gate is about, at least one.

    Those of its plain vectors on the whole data, unless the gate names a variant.
    """
    ours = [
        m for m in report.measurements if m.model == report.student and m.against in (None, report.teacher)
    ]
    found = [m for m in ours if m.metric == gate.metric]
    if not found:
        raise unknown(gate, "the report has no such metric", gate.metric, (m.metric for m in ours))
    if gate.data is not None:
        measured_on = [m.data for m in found]
        found = [m for m in found if gate.data in (m.data, report.data[m.data].title)]
        if not found:
            raise unknown(gate, f"{gate.metric} was not measured on this data", gate.data, measured_on)
    known = [_written(m) for m in found]
    found = [m for m in found if _fits(m, gate)]
    if not found:
        raise unknown(gate, "there is no such measurement", gate.text, known)
    if len(keys := unique(m.data for m in found)) > 1:
        choices = ", ".join(f"{gate.metric}@{key}" for key in keys)
        raise GateError(f"the gate '{gate.text}': name the data: {choices}")
    return found


def _fits(m: Measurement, gate: Condition) -> bool:
    return VARIANTS & m.parameters.keys() <= gate.parameters.keys() and all(
        name in m.parameters and _same(m.parameters[name], value) for name, value in gate.parameters.items()
    )


def _same(value: Value, written: str) -> bool:
    """Whether a parameter is what a gate says: numbers are compared as numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).lower() == written.lower()
    try:
        return float(written) == value
    except ValueError:
        return False


def _of_teacher(report: DistillationReport, gate: Condition, ours: Measurement) -> Measurement:
    """The teacher's own figure; where it embedded the documents for the student, that on its own queries."""
    parameters = {name: value for name, value in ours.parameters.items() if name != "documents"}
    for m in report.find(ours.metric, model=report.teacher, data=ours.data):
        if ours.against is None and m.against is None and m.parameters == parameters:
            return m
    raise GateError(
        f"the gate '{gate.text}': the report has no figure of the teacher's for {_figure(ours)}; compare "
        "with a number"
    )


def _no_regression(
    report: DistillationReport, gate: NoRegression, published: DistillationReport | None
) -> GateResult:
    if published is None:
        return GateResult(gate.text, True, (), ("no report is published yet",))
    headline = [result.student for result in headline_results(report)]
    differences = [
        d for d in compare_reports(published, report).differences if d.model == STUDENT and d.against is None
    ]
    found = {_written(d): d for d in differences}
    checks, notes = [], []
    for m in headline:
        difference = found.get(_written(m))
        if difference is None:
            notes.append(f"{_figure(m)}: not in the published report")
        elif difference.interval is None:
            notes.append(
                f"{_figure(m)}: {difference.reason or 'one of the two has no interval'}, not comparable"
            )
        else:
            checks.append(_regression(m, difference, difference.interval))
    for m in (result.student for result in headline_results(published)):
        if _written(m) not in found:
            notes.append(f"{_figure(m)}: published with {score(m.value)}, not measured now")
    if not checks:
        notes.append("no figure of quality could be compared")
    return GateResult(gate.text, all(check.met for check in checks), tuple(checks), tuple(notes))


def _regression(m: Measurement, difference: MeasuredDifference, interval: Interval) -> GateCheck:
    worse = difference.better is False
    value, before = _apart(difference.after, difference.before)
    return GateCheck(
        figure=_figure(m),
        value=m.value,
        interval=m.interval.ends if m.interval else None,
        limit=difference.before,
        met=not worse,
        text=f"{_figure(m)}: {value}, {'decidedly' if worse else 'not decidedly'} worse than the published "
        f"{before} (difference {signed(m.value - difference.before)} {signed_span(interval)})",
    )


def _figure(m: Measurement | MeasuredDifference) -> str:
    """A measurement in words: `precision_at_k[k=10] on held-out-retrieval`."""
    return f"{m.metric}{_bracket(m)} on {m.data}"


def _written(m: Measurement | MeasuredDifference) -> str:
    """A measurement as a gate names it: `precision_at_k@held-out-retrieval[k=10]`."""
    return f"{m.metric}@{m.data}{_bracket(m)}"


def _bracket(m: Measurement | MeasuredDifference) -> str:
    return f"[{', '.join(f'{name}={value}' for name, value in m.parameters.items())}]" if m.parameters else ""


def _apart(value: float, limit: float) -> tuple[str, str]:
    """Two numbers as text, with so many digits that they do not look alike unless they are."""
    if value == limit or score(value) != score(limit):
        return score(value), score(limit)
    digits = next(n for n in range(4, 18) if f"{value:.{n}g}" != f"{limit:.{n}g}")
    return f"{value:.{digits}g}", f"{limit:.{digits}g}"


def unknown(
    gate: Condition, problem: str, given: str, known: Iterable[str], *, there: str = "there is"
) -> GateError:
    """An error for a name that a gate has wrong: the nearest of what there is, and all of it."""
    known = unique(known)
    near = difflib.get_close_matches(given, known, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return GateError(f"the gate '{gate.text}': {problem}; {hint}{there} {', '.join(known)}")
