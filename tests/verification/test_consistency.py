"""What a report says, held against itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sample_report

from hubdistill.report import DistillationReport, Measurement
from hubdistill.verification.consistency import contradictions


def exact(report: DistillationReport) -> DistillationReport:
    """A sample with the comparisons that its rounded figures have."""
    values = {(m.metric, m.model, m.data): m.value for m in report.measurements if not m.parameters}
    comparisons = []
    for c in report.comparisons:
        ours, theirs = (values[c.metric, model, c.data] for model in (c.model, c.against))
        comparisons.append(c.model_copy(update={"difference": ours - theirs, "kept": ours / theirs}))
    return report.model_copy(update={"comparisons": tuple(comparisons)})


def with_measurements(change: Callable[[Measurement], Measurement]) -> DistillationReport:
    return REPORT.model_copy(update={"measurements": tuple(map(change, REPORT.measurements))})


REPORT = exact(
    sample_report.bge_m3_report().model_copy(
        update={
            "comparisons": tuple(c for c in sample_report.bge_m3_report().comparisons if not c.parameters)
        }
    )
)


def test_a_report_that_agrees_with_itself_has_no_contradictions() -> None:
    assert not contradictions(REPORT)


@pytest.mark.parametrize(("field", "what"), [("difference", "a difference"), ("kept", "a share kept")])
def test_a_comparison_is_that_of_the_two_values(field: str, what: str) -> None:
    first, *others = REPORT.comparisons
    changed = first.model_copy(update={field: getattr(first, field) + 0.01})
    (problem,) = contradictions(REPORT.model_copy(update={"comparisons": (changed, *others)}))
    assert problem.place == "report.json, comparisons"
    assert problem.text.startswith(f"{first.metric} on {first.data}: {what} of ")


def test_a_speed_up_is_one_that_the_two_rates_allow() -> None:
    def faster(m: Measurement) -> Measurement:
        mine = (m.metric, m.model, m.parameters.get("tokens")) == ("texts_per_second", REPORT.student, 64)
        return m.model_copy(update={"value": 10 * m.value}) if mine else m

    problems = contradictions(with_measurements(faster))
    assert problems
    assert {problem.place for problem in problems} == {"report.json, measurements"}
    assert "bge-m3-8-layers at 64 tokens: a speed-up of 2.78" in problems[0].text
