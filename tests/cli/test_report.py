from __future__ import annotations

import json
from pathlib import Path

from cli.conftest import Invoke
from sample_report import bge_m3_report, static_report

from hubdistill.cli.tables import cost_table, quality_table, students_summary, students_table


def _row(table: object, beginning: str) -> str:
    return next(line for line in str(table).splitlines() if line.startswith(beginning))


def test_students_table_has_a_row_for_every_student_and_the_teacher_last() -> None:
    report = static_report()
    table = students_table({report.student: report}, {report.student: "runs/x"})
    assert [row[0] for row in table.rows] == [report.student, f"{report.teacher} (teacher)"]
    row = _row(table, report.student)
    assert "static" in row
    assert row.endswith("runs/x")


def test_students_table_shows_share_kept_overlap_and_speed_of_the_report() -> None:
    report = bge_m3_report()
    comparison = next(c for c in report.comparisons if c.metric == "spearman_cosine")
    overlap = report.find("precision_at_k", model=report.student, k=10)[0]
    row = _row(students_table({report.student: report}, {}), report.student)
    assert f"{int(comparison.kept * 1000) / 10}%" in row
    assert f"{overlap.value:.3f}" in row
    assert "366.2M" in row


def test_a_student_without_a_measure_that_another_has_gets_a_dash() -> None:
    first = bge_m3_report()
    second = first.model_copy(
        update={
            "measurements": tuple(m for m in first.measurements if "k" not in m.parameters),
        }
    )
    table = students_table({"a": first, "b": second}, {})
    column = list(table.headings).index("P@10")
    assert [row[column] for row in table.rows] == ["0.811", "-", "1.000"]


def test_quality_has_student_and_teacher_with_intervals() -> None:
    report = bge_m3_report()
    ours, theirs = (
        report.find("spearman_cosine", model=model)[0] for model in (report.student, report.teacher)
    )
    row = next(row for row in quality_table(report).rows if row[1] == "Spearman (cosine)")
    assert row[2].startswith(f"{ours.value:.4f} [")
    assert row[3].startswith(f"{theirs.value:.4f} [")


def test_cost_has_parameters_size_and_every_text_length() -> None:
    names = [row[0] for row in cost_table(bge_m3_report()).rows]
    assert names[:2] == ["parameters", "size on disk"]
    assert names[2:] == [f"texts a second at {n} tokens" for n in (16, 64, 256)]


def test_show_prints_both_tables_of_a_folder(invoke: Invoke, tmp_path: Path) -> None:
    report = bge_m3_report()
    report.save(tmp_path)
    result = invoke("report", "show", tmp_path)
    assert result.exit_code == 0
    assert f"{report.student}: quality" in result.stdout
    assert f"{report.student}: cost" in result.stdout


def test_show_json_is_the_report_itself(invoke: Invoke, tmp_path: Path) -> None:
    report = bge_m3_report()
    path = report.save(tmp_path)
    assert json.loads(invoke("report", "show", path, "--json").stdout) == json.loads(path.read_text())


def test_show_without_a_report_says_where_it_comes_from(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("report", "show", tmp_path)
    assert result.exit_code == 1
    assert "hubdistill evaluate" in result.stderr


def test_the_summary_for_machines_holds_numbers_and_is_json() -> None:
    report = bge_m3_report()
    (summary,) = students_summary({report.student: report}, {report.student: "x"})
    assert summary["parameters"] == 366_215_168
    assert summary["quality"][0]["metric"] == "spearman_cosine"
    assert summary["speed_up"]["tokens"] == 64
    assert json.loads(json.dumps(summary)) == summary
