from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError
from sample_report import bge_m3_report, mxbai_report, static_report

from hubdistill.errors import ReportError
from hubdistill.report import SCHEMA_VERSION, DistillationReport, load_report, report_schema

PUBLISHED = Path(__file__).parents[1] / "hubdistill" / "report.schema.json"


@pytest.fixture
def data() -> dict[str, Any]:
    """A report as plain data, to be spoiled."""
    plain: dict[str, Any] = bge_m3_report().model_dump(mode="json")
    return plain


def write(folder: Path, data: Any) -> Path:
    path = folder / "report.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


@pytest.mark.parametrize("make", [bge_m3_report, mxbai_report, static_report])
def test_what_is_saved_is_read_back_equal(make: Any, tmp_path: Path) -> None:
    report = make()
    path = report.save(tmp_path)
    assert load_report(path) == report
    assert load_report(tmp_path) == report


def test_a_key_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    path = bge_m3_report().save(tmp_path)
    text = path.read_text("utf-8")
    assert '"license": "mit"' in text
    path.write_text(text.replace('"license": "mit"', '"license": "apache-2.0", "license": "mit"', 1), "utf-8")
    with pytest.raises(ReportError, match="the key 'license' stands there twice"):
        load_report(path)


def test_the_file_is_readable_and_ends_in_a_newline(tmp_path: Path) -> None:
    text = bge_m3_report().save(tmp_path).read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert text.startswith('{\n  "schema_version": 1,')


def test_saving_replaces_at_once_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bge_m3_report()
    first.save(tmp_path)

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        static_report().save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert load_report(tmp_path) == first


def test_a_report_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        bge_m3_report().student = "other"  # type: ignore[misc]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_refused(tmp_path: Path, data: dict[str, Any], value: str) -> None:
    data["measurements"][0]["value"] = 123456789.0
    path = write(tmp_path, data)
    path.write_text(path.read_text().replace("123456789.0", value, 1))
    with pytest.raises(ReportError, match=r"measurements\.0\.value"):
        load_report(path)


@pytest.mark.parametrize(
    ("place", "key"), [("measurements", "metric"), ("measurements", "model"), ("measurements", "data")]
)
def test_a_measurement_refers_only_to_what_the_report_defines(
    tmp_path: Path, data: dict[str, Any], place: str, key: str
) -> None:
    data[place][0][key] = "nowhere"
    with pytest.raises(ReportError, match=f"names the {key} 'nowhere'"):
        load_report(write(tmp_path, data))


def test_what_it_was_compared_with_is_a_model_of_the_report(tmp_path: Path, data: dict[str, Any]) -> None:
    data["comparisons"][0]["against"] = "nowhere"
    with pytest.raises(ReportError, match="names the model 'nowhere'"):
        load_report(write(tmp_path, data))


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_student_and_teacher_are_models_of_the_report(
    tmp_path: Path, data: dict[str, Any], role: str
) -> None:
    data[role] = "nowhere"
    with pytest.raises(ReportError, match=f"{role}: no model 'nowhere'"):
        load_report(write(tmp_path, data))


def test_a_newer_report_is_not_guessed_at(tmp_path: Path, data: dict[str, Any]) -> None:
    data["schema_version"] = SCHEMA_VERSION + 1
    with pytest.raises(ReportError, match=f"schema_version is {SCHEMA_VERSION + 1}"):
        load_report(write(tmp_path, data))


def test_an_unknown_fact_is_refused(tmp_path: Path, data: dict[str, Any]) -> None:
    data["mood"] = "good"
    with pytest.raises(ReportError, match="mood: Extra inputs"):
        load_report(write(tmp_path, data))


@pytest.mark.parametrize("content", ["", "{", "[]", '"words"', "{}"])
def test_a_foreign_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(ReportError):
        load_report(path)


def test_no_report(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="hubdistill evaluate"):
        load_report(tmp_path)


def test_find_narrows_by_model_data_and_parameters() -> None:
    report: DistillationReport = bge_m3_report()
    everything = report.find("precision_at_k", model=report.student)
    first = everything[0]
    at_30 = report.find("precision_at_k", model=report.student, data=first.data, k=30)
    assert [m for m in everything if m.parameters["k"] == 30] == at_30
    assert {m.parameters["k"] for m in at_30} == {30}
    assert report.find("precision_at_k", model="nobody") == []


def test_siblings_are_the_other_students() -> None:
    report = bge_m3_report()
    assert report.student not in report.siblings
    assert report.teacher not in report.siblings
    assert set(report.models) == {report.student, report.teacher, *report.siblings}


def test_a_difference_is_decided_when_its_interval_leaves_out_zero() -> None:
    comparison = bge_m3_report().comparisons[0]
    for low, high, decided in [(-0.2, -0.1, True), (0.1, 0.2, True), (-0.1, 0.1, False)]:
        interval = comparison.interval.model_copy(update={"low": low, "high": high})
        assert comparison.model_copy(update={"interval": interval}).decided is decided


def _refused(data: Any) -> list[str]:
    """Where the published schema refuses a report, and why."""
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    found = jsonschema.Draft202012Validator(schema).iter_errors(data)
    return [f"{error.json_path}: {error.message}" for error in found]


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == report_schema(), (
        "run: hubdistill report schema > hubdistill/report.schema.json"
    )
    jsonschema.Draft202012Validator.check_schema(report_schema())


@pytest.mark.parametrize("make", [bge_m3_report, mxbai_report, static_report])
def test_a_report_on_disk_is_valid_by_the_schema(make: Any, tmp_path: Path) -> None:
    path = make().save(tmp_path)
    assert _refused(json.loads(path.read_text(encoding="utf-8"))) == []


def test_an_earlier_report_without_later_facts_is_valid(tmp_path: Path, data: dict[str, Any]) -> None:
    del data["seconds"], data["lowest_agreement"]
    assert _refused(data) == []
    assert load_report(write(tmp_path, data)).seconds == {}


@pytest.mark.parametrize("fact", ["schema_version", "student", "measurements", "environment", "owner"])
def test_the_schema_refuses_a_report_without_a_fact(data: dict[str, Any], fact: str) -> None:
    del data[fact]
    assert _refused(data) == [f"$: {fact!r} is a required property"]


def test_the_schema_refuses_an_unknown_key(data: dict[str, Any]) -> None:
    data["measurements"][0]["mood"] = "good"
    assert "'mood' was unexpected" in _refused(data)[0]


@pytest.mark.parametrize("value", [None, "NaN"])
def test_the_schema_refuses_what_stands_for_no_number(data: dict[str, Any], value: Any) -> None:
    data["measurements"][0]["value"] = value
    assert _refused(data) == [f"$.measurements[0].value: {value!r} is not of type 'number'"]


def test_the_schema_says_what_a_fact_means() -> None:
    properties = report_schema()["$defs"]["Comparison"]["properties"]
    assert properties["interval"]["description"] == "Of the difference, paired."
