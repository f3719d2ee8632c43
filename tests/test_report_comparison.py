from __future__ import annotations

from typing import Any

import pytest
from basic_report import basic_report
from sample_report import static_report

from hubdistill.report import DistillationReport, Interval, Measurement
from hubdistill.report_comparison import (
    MeasuredDifference,
    ReportComparison,
    compare_reports,
    difference_interval,
)


def _measured(value: float, low: float, high: float, *, level: float = 0.95) -> Measurement:
    return Measurement(
        metric="ndcg_at_10",
        model="m",
        value=value,
        data="d",
        n=10,
        interval=Interval(low=low, high=high, level=level, method="bootstrap"),
        reproduce="again",
    )


def _changed(report: DistillationReport, **update: Any) -> DistillationReport:
    return DistillationReport.model_validate({**report.model_dump(), **update})


def _with_model(report: DistillationReport, name: str, **update: Any) -> DistillationReport:
    models = report.model_dump()["models"]
    return _changed(report, models={**models, name: {**models[name], **update}})


def _with_data(report: DistillationReport, name: str, **update: Any) -> DistillationReport:
    data = report.model_dump()["data"]
    return _changed(report, data={**data, name: {**data[name], **update}})


def _moved(report: DistillationReport, metric: str, by: float, *, without_interval: bool = False) -> Any:
    """The report with every value of a metric moved, its interval along with it."""
    found = []
    for m in report.measurements:
        if m.metric == metric:
            interval = m.interval and m.interval.model_copy(
                update={"low": m.interval.low + by, "high": m.interval.high + by}
            )
            m = m.model_copy(
                update={"value": m.value + by, "interval": None if without_interval else interval}
            )
        found.append(m)
    return report.model_copy(update={"measurements": tuple(found)})


def _one(found: ReportComparison, metric: str, **wanted: Any) -> MeasuredDifference:
    """The first difference of a metric, of the student unless said otherwise."""
    wanted = {"model": "student", **wanted}
    return next(
        one
        for one in found.differences
        if one.metric == metric and all(getattr(one, name) == value for name, value in wanted.items())
    )


def _reasons(found: ReportComparison, metric: str) -> set[str | None]:
    return {one.reason for one in found.differences if one.metric == metric and one.model == "student"}


def test_confidence_intervals_are_combined_by_their_half_widths() -> None:
    interval = difference_interval(_measured(0.50, 0.47, 0.54), _measured(0.60, 0.57, 0.63))
    assert interval is not None
    # Below: 0.60 - 0.57 and 0.54 - 0.50; above: 0.63 - 0.60 and 0.50 - 0.47.
    assert interval.low == pytest.approx(0.10 - 0.05)
    assert interval.high == pytest.approx(0.10 + (0.03**2 + 0.03**2) ** 0.5)
    assert interval.level == 0.95


def test_spreads_of_repeats_are_subtracted_end_from_end() -> None:
    interval = difference_interval(_measured(10, 9, 11, level=1), _measured(12, 11.5, 13, level=1))
    assert interval is not None
    assert (interval.low, interval.high, interval.level) == (0.5, 4, 1)


def test_of_values_measured_apart_zero_is_left_out_as_often_as_the_level_says() -> None:
    numpy = pytest.importorskip("numpy")
    draws = numpy.random.default_rng(0).normal(0, [1.0, 2.0], (4000, 2))
    held = 0
    for before, after in draws.tolist():
        interval = difference_interval(
            _measured(before, before - 1.96, before + 1.96), _measured(after, after - 3.92, after + 3.92)
        )
        assert interval is not None
        held += interval.low <= 0 <= interval.high
    assert held / len(draws) == pytest.approx(0.95, abs=0.01)


def test_a_report_beside_itself_shows_no_difference() -> None:
    report = basic_report()
    found = compare_reports(report, report)
    assert len(found.differences) == len(report.measurements)
    assert {one.verdict for one in found.differences} == {"within", "no interval"}
    assert {one.difference for one in found.differences} == {0.0}
    assert (found.only_before, found.only_after, found.changes) == ((), (), ())


@pytest.mark.parametrize(
    ("by", "verdict", "better"), [(0.2, "higher", True), (-0.2, "lower", False), (0.001, "within", None)]
)
def test_a_difference_is_decided_beyond_its_interval(by: float, verdict: str, better: bool | None) -> None:
    report = basic_report()
    one = _one(compare_reports(report, _moved(report, "spearman_cosine", by)), "spearman_cosine")
    assert (one.verdict, one.better) == (verdict, better)
    assert one.difference == pytest.approx(by)


def test_lower_is_better_where_the_metric_says_so() -> None:
    report = basic_report()
    metrics = report.model_dump()["metrics"]
    metrics["ndcg_at_10"]["higher_is_better"] = False
    report = _changed(report, metrics=metrics)
    one = _one(compare_reports(report, _moved(report, "ndcg_at_10", -0.2)), "ndcg_at_10")
    assert (one.verdict, one.better) == ("lower", True)


def test_without_an_interval_nothing_is_decided() -> None:
    report = basic_report()
    newer = _moved(report, "ndcg_at_10", 0.3, without_interval=True)
    one = _one(compare_reports(report, newer), "ndcg_at_10")
    assert (one.verdict, one.interval, one.better) == ("no interval", None, None)


def test_students_match_whatever_their_names() -> None:
    report = basic_report()
    plain = report.model_dump_json().replace(report.student, "another-name")
    found = compare_reports(report, DistillationReport.model_validate_json(plain))
    assert (found.only_before, found.only_after) == ((), ())
    assert _one(found, "ndcg_at_10").verdict == "within"
    assert "student.name" in {change.fact for change in found.changes}


def test_documents_of_the_teacher_match_whatever_its_name() -> None:
    report = basic_report()
    (ours,) = report.find("ndcg_at_10", model=report.student)
    mixed = ours.model_copy(update={"parameters": {"documents": report.teacher}})
    report = report.model_copy(update={"measurements": (*report.measurements, mixed)})
    newer = DistillationReport.model_validate_json(report.model_dump_json().replace("BAAI/bge-m3", "x/y"))
    one = _one(compare_reports(report, newer), "ndcg_at_10", parameters={"documents": "teacher"})
    assert one.reason == "another teacher (BAAI/bge-m3, then x/y)"


def test_what_only_one_has_is_listed() -> None:
    report = basic_report()
    fewer = report.model_copy(
        update={"measurements": tuple(m for m in report.measurements if m.metric != "ndcg_at_10")}
    )
    found = compare_reports(report, fewer)
    assert {one.metric for one in found.only_before} == {"ndcg_at_10"}
    assert len(found.only_before) == len(report.models)
    assert found.only_after == ()
    assert len(compare_reports(fewer, report).only_after) == len(report.models)


def test_siblings_are_told_apart_by_name() -> None:
    report = basic_report()
    first, second = report.siblings
    found = compare_reports(report, report)
    assert {one.model for one in found.differences} >= {f"sibling {first}", f"sibling {second}"}


def test_other_texts_are_not_compared() -> None:
    report = basic_report()
    found = compare_reports(report, _with_data(report, "cranfield", sha256="ab" * 32))
    one = _one(found, "ndcg_at_10")
    assert (one.verdict, one.difference, one.interval) == ("not comparable", None, None)
    assert one.reason == "cranfield: other texts (c1c1c1c1c1c1, then abababababab)"
    assert _one(found, "spearman_cosine").verdict == "within"


def test_other_judgements_of_the_same_texts_are_not_compared_but_agreement_is() -> None:
    report = basic_report()
    before, after = (_with_data(report, "cranfield", labels_sha256=digit * 64) for digit in "ab")
    found = compare_reports(before, after)
    assert _reasons(found, "ndcg_at_10") == {"cranfield: other scores or judgements of the same texts"}
    before, after = (_with_data(report, "neighbours", labels_sha256=digit * 64) for digit in "ab")
    assert _reasons(compare_reports(before, after), "precision_at_k") == {None}
    # Reports of before they were recorded are taken at their word.
    assert _one(compare_reports(report, after), "ndcg_at_10").verdict == "within"


def test_queries_that_find_themselves_are_not_compared_with_others() -> None:
    report = basic_report()
    found = compare_reports(report, _with_data(report, "cranfield", own_documents=7))
    assert _reasons(found, "ndcg_at_10") == {
        "cranfield: queries that are documents find themselves in one only"
    }


def test_another_revision_of_the_data_is_not_compared() -> None:
    report = basic_report()
    newer = _with_data(report, "stsb", revision="0" * 40)
    assert _reasons(compare_reports(report, newer), "spearman_cosine") == {
        "stsb: another revision (ab7a5ac0e35a, then 000000000000)"
    }


def test_another_definition_is_not_compared() -> None:
    report = basic_report()
    metrics = report.model_dump()["metrics"]
    metrics["ndcg_at_10"]["definition"] = "Something else."
    found = compare_reports(report, _changed(report, metrics=metrics))
    assert _reasons(found, "ndcg_at_10") == {"ndcg_at_10: another definition"}


def test_agreement_with_another_teacher_is_not_compared_but_quality_is() -> None:
    report = basic_report()
    newer = _with_model(report, report.teacher, revision="f" * 40)
    found = compare_reports(report, newer)
    reason = "another revision of BAAI/bge-m3 (5617a9f61b02, then ffffffffffff)"
    assert _reasons(found, "teacher_cosine") == {reason}
    assert _reasons(found, "speedup") == {reason}
    assert _one(found, "precision_at_k", against="teacher").reason == reason
    assert _one(found, "ndcg_at_10").verdict == "within"
    assert ("teacher.revision", "f" * 40) in {(change.fact, change.after) for change in found.changes}


def test_a_student_that_was_trained_again_is_compared() -> None:
    report = basic_report()
    found = compare_reports(report, _with_model(report, report.student, revision="f" * 40))
    assert {one.verdict for one in found.differences} == {"within", "no interval"}


@pytest.mark.parametrize("fact", ["device", "processor", "threads"])
def test_speed_on_another_machine_is_not_compared(fact: str) -> None:
    report = basic_report()
    environment = {**report.environment.model_dump(), fact: 2 if fact == "threads" else "other"}
    found = compare_reports(report, _changed(report, environment=environment))
    assert _reasons(found, "texts_per_second") == {f"speed: another {fact}"}
    assert _one(found, "ndcg_at_10").verdict == "within"


def test_another_number_of_items_is_not_compared() -> None:
    report = basic_report()
    fewer = tuple(
        m.model_copy(update={"n": 100}) if m.metric == "ndcg_at_10" else m for m in report.measurements
    )
    found = compare_reports(report, report.model_copy(update={"measurements": fewer}))
    assert _reasons(found, "ndcg_at_10") == {"cranfield: measured on 225 items, then on 100"}


def test_changed_facts_are_named_by_their_place() -> None:
    report = basic_report()
    environment = report.model_dump()["environment"]
    environment["libraries"]["torch"] = "2.14.0"
    changes = compare_reports(report, _changed(report, environment=environment)).changes
    assert [(one.fact, one.before, one.after) for one in changes] == [
        ("environment.libraries.torch", "2.13.0", "2.14.0")
    ]


def test_a_model_that_was_not_trained_here_is_compared_as_well() -> None:
    report = basic_report()
    found = compare_reports(report, _changed(report, training=None, corpus=None))
    changed = {change.fact: change.after for change in found.changes}
    assert changed == {"training": None, "corpus": None}


def test_reports_with_nothing_in_common_still_compare() -> None:
    found = compare_reports(basic_report(), static_report())
    assert found.after.student == "minilm-static"
    assert _one(found, "teacher_cosine").verdict == "not comparable"


def test_a_comparison_is_data() -> None:
    found = compare_reports(basic_report(), static_report())
    assert ReportComparison.model_validate_json(found.model_dump_json()) == found
