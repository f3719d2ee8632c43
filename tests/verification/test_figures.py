"""The figures of a report that a verification looks at."""

from __future__ import annotations

from hubdistill.report import Measurement, Value
from hubdistill.verification.figures import figures_of


def measured(model: str, **parameters: Value) -> Measurement:
    return Measurement(
        metric="spearman_cosine",
        model=model,
        value=0.8,
        data="sts",
        n=10,
        parameters=parameters,
        reproduce="hubdistill evaluate",
    )


def test_widths_that_only_siblings_have_are_theirs_to_verify() -> None:
    report = [
        measured("teacher"),
        measured("student"),
        measured("student", dimensions=64),
        measured("teacher", dimensions=64),
        measured("teacher", dimensions=32),
    ]
    found = figures_of(report, [], student="student", teacher="teacher")
    assert [(one.model, dict(one.parameters).get("dimensions")) for one in found] == [
        ("teacher", None),
        ("student", None),
        ("student", 64),
        ("teacher", 64),
    ]
