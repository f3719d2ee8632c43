from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from basic_report import basic_report
from cli.conftest import Invoke
from sample_report import bge_m3_report, mxbai_report, other_model_report, static_report

from hubdistill.cli.output import Table
from hubdistill.cli.report_sections import cost, overview, quality, sections
from hubdistill.cli.tables import amount, measure_title, signed_amount, students_summary, students_table
from hubdistill.evaluation.definitions import METRICS
from hubdistill.report import Comparison, DistillationReport, Interval, Measurement, report_schema

STUDENT, SIBLING, TEACHER = "bge-m3-8-layers", "bge-m3-6-layers", "BAAI/bge-m3"


def _row(table: object, beginning: str) -> str:
    return next(line for line in str(table).splitlines() if line.startswith(beginning))


def _titled(tables: list[Table], beginning: str) -> Table:
    return next(table for table in tables if table.title.startswith(beginning))


def _m(metric: str, model: str, value: float, data: str, **more: Any) -> Measurement:
    return Measurement(metric=metric, model=model, value=value, data=data, n=500, reproduce="again", **more)


def _interval(low: float, high: float) -> Interval:
    return Interval(low=low, high=high, method="bootstrap")


def everything_measured() -> DistillationReport:
    """The sample report with one of each measure that an evaluation can add to it."""
    report = basic_report()
    held_out, top, judged, speed = "held-out", "neighbours", "cranfield", "speed"
    to_teacher: dict[str, Any] = {"against": TEACHER}
    added = [
        _m("linear_cka", STUDENT, 0.9123, held_out, **to_teacher),
        _m("precision_at_k", STUDENT, 0.751, top, **to_teacher, parameters={"k": 10, "dimensions": 256}),
        _m("precision_at_k", STUDENT, 0.803, top, **to_teacher, parameters={"k": 10, "precision": "int8"}),
        _m("ndcg_at_10", STUDENT, 0.4702, judged, parameters={"documents": TEACHER}),
        _m("precision_at_k", STUDENT, 0.842, top, **to_teacher, parameters={"k": 10, "documents": TEACHER}),
        _m("precision_at_k", STUDENT, 0.848, top, **to_teacher, parameters={"k": 20, "documents": TEACHER}),
        _m("teacher_cosine", STUDENT, 0.97, held_out, **to_teacher, parameters={"language": "en"}),
        _m("teacher_cosine", STUDENT, 0.88, held_out, **to_teacher, parameters={"language": "tr"}),
        _m("precision_at_k", STUDENT, 0.6, top, **to_teacher, parameters={"k": 10, "language": "tr"}),
    ]
    for model, recall, milliseconds, peak in ((STUDENT, 0.97, 12.5, 9e8), (TEACHER, 0.99, 41.0, 2.4e9)):
        added += [
            _m("ann_recall_at_k", model, recall, top, parameters={"k": 10, "ef": 64}),
            _m("latency_p50", model, milliseconds, speed, parameters={"tokens": 16, "batch_size": 1}),
            _m("load_seconds", model, milliseconds / 10, speed),
            _m("peak_memory", model, peak, speed, parameters={"tokens": 256, "batch_size": 32}),
            _m("mteb_main_score", model, recall - 0.2, "sts-task"),
        ]
    comparisons = [
        Comparison(
            metric="ndcg_at_10",
            model=model,
            against=STUDENT if model == SIBLING else TEACHER,
            data=judged,
            parameters={} if model == SIBLING else {"documents": TEACHER},
            difference=-0.02,
            interval=interval,
            kept=0.96,
            kept_interval=_interval(0.93, 0.99),
        )
        for model, interval in ((SIBLING, _interval(-0.03, -0.01)), (STUDENT, _interval(-0.05, 0.01)))
    ]
    plain = report.model_dump()
    plain["metrics"] = {**{m.metric: METRICS[m.metric] for m in added}, **plain["metrics"]}
    plain["data"]["sts-task"] = {**plain["data"]["stsb"], "kind": "benchmark", "title": "STS task"}
    plain["measurements"] = [*report.measurements, *added]
    plain["comparisons"] = [*report.comparisons, *comparisons]
    plain["seconds"] = {"similarity": 2.0, "embedding": 38.0}
    return DistillationReport.model_validate(plain)


def test_students_table_has_a_row_for_every_student_and_the_teacher_last() -> None:
    report = static_report()
    table = students_table({report.student: report}, {report.student: "runs/x"})
    assert [row[0] for row in table.rows] == [report.student, f"{report.teacher} (teacher)"]
    row = _row(table, report.student)
    assert "static" in row
    assert row.endswith("runs/x")


def test_students_table_shows_share_kept_overlap_and_speed_of_the_report() -> None:
    report = basic_report()
    comparison = next(c for c in report.comparisons if c.metric == "spearman_cosine")
    overlap = report.find("precision_at_k", model=report.student, k=10)[0]
    row = _row(students_table({report.student: report}, {}), report.student)
    assert f"{int(comparison.kept * 1000) / 10}%" in row
    assert f"{overlap.value:.3f}" in row
    assert "366.2M" in row


def test_a_student_without_a_measure_that_another_has_gets_a_dash() -> None:
    first = basic_report()
    second = first.model_copy(
        update={
            "measurements": tuple(m for m in first.measurements if "k" not in m.parameters),
        }
    )
    table = students_table({"a": first, "b": second}, {})
    column = list(table.headings).index("P@10")
    assert [row[column] for row in table.rows] == ["0.811", "-", "1.000"]


def test_a_model_that_was_not_made_here_and_has_no_judged_data_is_shown() -> None:
    report = basic_report()
    kept = tuple(m for m in report.measurements if report.data[m.data].kind not in ("similarity", "speed"))
    kept = tuple(m for m in kept if m.metric != "ndcg_at_10")
    bare = report.model_copy(
        update={"training": None, "corpus": None, "measurements": kept, "comparisons": (), "points": None}
    )
    table = students_table({bare.student: bare}, {})
    assert list(table.headings) == ["student", "layers", "parameters", "size", "P@10", "where"]
    (summary,) = students_summary({bare.student: bare}, {})
    assert (summary["quality"], summary["speed_up"]) == ([], None)
    titles = [one.title.partition(" ")[0] for one in sections(bare)]
    assert titles == ["bge-m3-8-layers:", "Agreement", "Precision@k", "Cost,"]


def test_a_set_of_the_same_title_keeps_its_own_share() -> None:
    report = bge_m3_report(similarity_sets=2)
    data = {**report.data, "sts-2": report.data["sts-2"].model_copy(update={"title": "STS Benchmark (test)"})}
    report = report.model_copy(update={"data": data})
    first, second = (c.kept for c in report.comparisons[:6] if c.model == report.student)
    row = students_table({"a": report}, {}).rows[0]
    assert [cell.partition("%")[0] for cell in row[4:6]] == [
        f"{int(kept * 1000) / 10}" for kept in (first, second)
    ]


def test_the_overview_comes_first_and_fits_a_screen() -> None:
    report = everything_measured()
    table = sections(report)[0]
    assert [row[0] for row in table.rows] == [
        "Spearman (cosine), STS Benchmark (test)",
        "nDCG@10, Cranfield",
        "MTEB main score, STS task",
        "Mean cosine to the teacher",
        "P@10 with the teacher, Held-out texts as queries…",
        "texts a second at 64 tokens",
        "parameters",
        "size on disk",
    ]
    assert max(map(len, str(table).splitlines())) <= 100


def test_quality_has_student_and_teacher_with_intervals() -> None:
    report = basic_report()
    ours, theirs = (
        report.find("spearman_cosine", model=model)[0] for model in (report.student, report.teacher)
    )
    table = _titled(quality(report), "Quality on STS Benchmark (test) (1,379 pairs)")
    row = next(row for row in table.rows if row[0] == "Spearman (cosine)")
    assert row[1].startswith(f"{ours.value:.4f} [")
    assert row[2].startswith(f"{theirs.value:.4f} [")


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(-0.2, -0.1, "lower"), (0.1, 0.2, "higher"), (-0.1, 0.1, "unclear")]
)
def test_a_verdict_needs_an_interval_that_leaves_out_zero(low: float, high: float, verdict: str) -> None:
    report = basic_report()
    middle = (low + high) / 2
    decided = tuple(
        c.model_copy(update={"difference": middle, "interval": _interval(low, high)})
        for c in report.comparisons
    )
    report = report.model_copy(update={"comparisons": decided})
    assert overview(report)[0].rows[0][-1] == verdict
    assert {row[-1] for table in quality(report) for row in table.rows} == {verdict}


def test_top_k_has_the_teacher_with_intervals_and_every_sibling() -> None:
    table = _titled(sections(basic_report()), "Precision@k on")
    assert [row[0] for row in table.rows] == ["the teacher", "  95 % interval", SIBLING, "bge-m3-4-layers"]
    assert list(table.rows[0][1:]) == ["0.8110", "0.8170", "0.8230", "0.8290", "0.8350"]
    assert table.rows[1][1] == "0.802-0.820"


def test_what_was_not_measured_has_no_section() -> None:
    titles = " ".join(table.title for table in sections(basic_report()))
    for word in ("Mixed", "cut", "quantized", "HNSW", "Agreement by", "siblings", "took"):
        assert word not in titles


def test_the_mixed_use_stands_beside_both_models_own_search() -> None:
    report = everything_measured()
    row, agreement = _titled(sections(report), "Mixed").rows
    own, theirs = (report.find("ndcg_at_10", model=model)[0].value for model in (STUDENT, TEACHER))
    assert list(row[:4]) == ["nDCG@10, Cranfield", "0.4702", f"{own:.4f}", f"{theirs:.4f}"]
    assert row[-1] == "unclear"
    assert list(agreement[1:4]) == ["0.8420", "0.8110", "-"]


@pytest.mark.parametrize(
    ("title", "headings", "values"),
    [
        ("The student's vectors cut", ["1024", "256"], ["0.8110", "0.7510"]),
        ("The student's vectors quantized", ["float32", "int8"], ["0.8110", "0.8030"]),
    ],
)
def test_small_vectors_stand_beside_whole_ones(title: str, headings: list[str], values: list[str]) -> None:
    table = _titled(sections(everything_measured()), title)
    assert list(table.headings[1:]) == headings
    assert table.rows[0][0].startswith("Precision@10 with the teacher")
    assert list(table.rows[0][1:]) == values


def test_hnsw_has_a_row_for_every_depth() -> None:
    (row,) = _titled(sections(everything_measured()), "Share of exact search").rows
    assert list(row[1:]) == ["10", "64", "0.9700", "0.9900"]


def test_slices_come_worst_first_with_a_dash_where_one_lacks_a_measure() -> None:
    table = _titled(sections(everything_measured()), "Agreement by language")
    assert [list(row) for row in table.rows] == [
        ["tr", "500", "0.8800", "0.6000"],
        ["en", "500", "0.9700", "-"],
    ]


def test_a_sibling_is_higher_or_lower_only_where_the_paired_interval_says_so() -> None:
    (row,) = _titled(sections(everything_measured()), "Beside its siblings").rows
    # Written as the sibling's -0.02 [-0.03, -0.01] against the student.
    assert list(row) == [SIBLING, "nDCG@10, Cranfield", "+0.0200 [+0.0100, +0.0300]", "higher"]


def test_cost_has_size_speed_latency_loading_and_memory() -> None:
    (table,) = cost(everything_measured())
    rows = {row[0]: list(row[1:]) for row in table.rows}
    assert rows["parameters outside the embeddings"] == ["101,821,440", "303,361,024", "33.6%"]
    assert rows["layers"] == ["8", "24", "3.0x as fast in theory"]
    assert rows["texts a second at 64 tokens"][:2] == ["88.2", "31.4"]
    assert rows["Latency (median), 16 tokens"] == ["12.5 ms", "41.0 ms", "30.5%"]
    assert rows["Time to load"] == ["1.25 s", "4.10 s", "30.5%"]
    assert rows["Peak memory, 256 tokens, batches of 32"] == ["900.0 MB", "2.40 GB", "37.5%"]


def test_layers_of_another_width_promise_no_speed() -> None:
    (table,) = cost(other_model_report())
    assert next(list(row[1:]) for row in table.rows if row[0] == "layers") == ["6", "24", ""]


def test_a_speed_up_within_its_spread_is_unclear() -> None:
    report = basic_report()
    even = tuple(
        m.model_copy(update={"interval": _interval(0.9, 1.2)}) if m.metric == "speedup" else m
        for m in report.measurements
    )
    (table,) = cost(report.model_copy(update={"measurements": even}))
    assert next(row for row in table.rows if row[0] == "texts a second at 64 tokens")[-1].endswith("unclear")


def test_the_time_of_the_evaluation_has_its_longest_part_first() -> None:
    table = sections(everything_measured())[-1]
    assert table.title == "The evaluation took 40 s"
    assert [list(row) for row in table.rows] == [
        ["embedding", "38 s", "95.0%"],
        ["similarity", "2.0 s", "5.0%"],
    ]


@pytest.mark.parametrize(
    "make", [everything_measured, bge_m3_report, mxbai_report, other_model_report, static_report]
)
def test_show_prints_every_section_within_a_screens_width(make: Any, invoke: Invoke, tmp_path: Path) -> None:
    report = make()
    report.save(tmp_path)
    result = invoke("report", "show", tmp_path)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{report.student}: a student of {report.teacher}")
    assert max(map(len, result.stdout.splitlines())) <= 101


def test_show_json_is_the_report_itself(invoke: Invoke, tmp_path: Path) -> None:
    report = basic_report()
    path = report.save(tmp_path)
    assert json.loads(invoke("report", "show", path, "--json").stdout) == json.loads(path.read_text())


def test_show_without_a_report_says_where_it_comes_from(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("report", "show", tmp_path)
    assert result.exit_code == 1
    assert "hubdistill evaluate" in result.stderr


def test_schema_prints_json_schema(invoke: Invoke) -> None:
    assert json.loads(invoke("report", "schema").stdout) == report_schema()


def _two(folder: Path, before: DistillationReport, after: DistillationReport) -> tuple[Path, Path]:
    for name, one in (("a", before), ("b", after)):
        (folder / name).mkdir()
        one.save(folder / name)
    return folder / "a", folder / "b"


def _worse(report: DistillationReport, metric: str) -> DistillationReport:
    lower = tuple(
        m.model_copy(update={"value": m.value - 0.3, "interval": _interval(m.value - 0.31, m.value - 0.29)})
        if m.metric == metric
        else m
        for m in report.measurements
    )
    return report.model_copy(update={"measurements": lower})


def test_compare_shows_the_students_measures_and_what_is_decided(invoke: Invoke, tmp_path: Path) -> None:
    report = basic_report()
    result = invoke("report", "compare", *_two(tmp_path, report, _worse(report, "ndcg_at_10")))
    assert result.exit_code == 0
    assert "not paired" in result.stdout
    assert _row(result.stdout, "nDCG@10").endswith("lower")
    assert _row(result.stdout, "Spearman (cosine)").endswith("within")
    assert "No fact changed." in result.stdout
    assert "sibling" not in result.stdout
    assert "--all" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_compare_says_when_lower_is_better(invoke: Invoke, tmp_path: Path) -> None:
    report = everything_measured()
    measured = {"ndcg_at_10": METRICS["latency_p50"].model_copy(update={"title": "Latency"})}
    report = report.model_copy(update={"metrics": {**report.metrics, **measured}})
    result = invoke("report", "compare", *_two(tmp_path, report, _worse(report, "ndcg_at_10")))
    assert _row(result.stdout, "Latency ").endswith("lower, better")


def test_compare_all_shows_siblings_teacher_and_variants(invoke: Invoke, tmp_path: Path) -> None:
    both = _two(tmp_path, basic_report(), everything_measured())
    result = invoke("report", "compare", *both, "--all")
    assert f"sibling {SIBLING}: nDCG@10" in result.stdout
    assert "teacher: nDCG@10" in result.stdout
    assert "student ndcg_at_10 on cranfield documents=teacher" in result.stdout
    assert "--all" not in result.stdout


def test_compare_gathers_what_is_not_comparable_by_reason(invoke: Invoke, tmp_path: Path) -> None:
    report = basic_report()
    machine = report.environment.model_copy(update={"processor": "another one"})
    both = _two(tmp_path, report, report.model_copy(update={"environment": machine}))
    result = invoke("report", "compare", *both)
    assert "  speed: another processor: Throughput (3) and Speed-up (3)" in result.stdout
    assert _row(result.stdout, "environment.processor").endswith("another one")


def test_compare_json_holds_every_measure(invoke: Invoke, tmp_path: Path) -> None:
    report = basic_report()
    result = invoke("report", "compare", *_two(tmp_path, report, report), "--json")
    found = json.loads(result.stdout)
    assert len(found["differences"]) == len(report.measurements)
    assert found["before"]["student"] == report.student


def test_compare_quiet_prints_only_what_is_decided(invoke: Invoke, tmp_path: Path) -> None:
    report = mxbai_report()
    result = invoke("report", "compare", *_two(tmp_path, report, _worse(report, "teacher_cosine")), "--quiet")
    assert result.stdout == "student teacher_cosine against teacher on held-out lower\n"


def test_the_summary_for_machines_holds_numbers_and_is_json() -> None:
    report = basic_report()
    (summary,) = students_summary({report.student: report}, {report.student: "x"})
    assert summary["parameters"] == 366_215_168
    assert summary["quality"][0]["metric"] == "spearman_cosine"
    assert summary["speed_up"]["tokens"] == 64
    assert json.loads(json.dumps(summary)) == summary


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("ndcg_at_10", 0.5, "0.5000"),
        ("texts_per_second", 1234.0, "1,230"),
        ("speedup", 2.19, "2.1x"),
        ("latency_p50", 12.345, "12.3 ms"),
        ("load_seconds", 1.5, "1.50 s"),
        ("peak_memory", 9.1e8, "910.0 MB"),
    ],
)
def test_an_amount_is_written_in_its_unit(metric: str, value: float, text: str) -> None:
    assert amount(METRICS[metric], value) == text
    assert signed_amount(METRICS[metric], value) == f"+{text}"
    assert signed_amount(METRICS[metric], -value) == f"\N{MINUS SIGN}{text}"


@pytest.mark.parametrize(
    ("metric", "parameters", "other", "title"),
    [
        ("precision_at_k", {"k": 10}, "the teacher", "Precision@10 overlap with the teacher"),
        ("ann_recall_at_k", {"k": 10, "ef": 64}, None, "Recall of HNSW at 10, ef 64"),
        ("teacher_cosine", {"length": "17-64"}, "the teacher", "Cosine to the teacher (mean), 17-64 tokens"),
        ("ndcg_at_10", {"documents": "teacher"}, None, "nDCG@10, documents of the teacher"),
    ],
)
def test_a_measure_is_told_in_words(metric: str, parameters: Any, other: str | None, title: str) -> None:
    assert measure_title(METRICS[metric], parameters, other) == title
