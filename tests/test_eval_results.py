from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from basic_report import basic_report
from huggingface_hub import EvalResultEntry, parse_eval_result_entries

from hubdistill.eval_results import write_eval_results
from hubdistill.hub.files import role_of
from hubdistill.report import DistillationReport, EvaluationData


def _with_data(**changes: dict[str, Any]) -> DistillationReport:
    """The sample report with some of its data changed."""
    report = basic_report()
    data: dict[str, EvaluationData] = {
        name: one.model_copy(update=changes.get(name, {})) for name, one in report.data.items()
    }
    return report.model_copy(update={"data": data})


def _read(path: Path) -> list[EvalResultEntry]:
    return parse_eval_result_entries(yaml.safe_load(path.read_text(encoding="utf-8")))


CRANFIELD = {"hub_id": "example/cranfield", "benchmark_task": "cranfield-en", "revision": "a1b2c3"}


def test_the_students_headline_score_on_a_benchmark_is_written(tmp_path: Path) -> None:
    report = _with_data(cranfield=CRANFIELD)
    (path,) = write_eval_results(tmp_path, report)
    assert path == tmp_path / ".eval_results" / "hubdistill-example-cranfield-cranfield-en.yaml"
    (entry,) = _read(path)
    (ours,) = report.find("ndcg_at_10", model=report.student)
    assert ours.interval is not None
    assert entry == EvalResultEntry(
        dataset_id="example/cranfield",
        task_id="cranfield-en",
        value=ours.value,
        dataset_revision="a1b2c3",
        date="2026-03-14T15:09:26Z",
        notes=f"nDCG@10, not in percent; 225 queries; 95% interval "
        f"[{ours.interval.low:.4f}, {ours.interval.high:.4f}] (percentile bootstrap, 1000 resamples)",
    )


def test_similarity_is_told_by_spearman_with_its_split(tmp_path: Path) -> None:
    report = _with_data(stsb={"benchmark_task": "stsb"})
    (path,) = write_eval_results(tmp_path, report)
    (entry,) = _read(path)
    assert entry.value == report.find("spearman_cosine", model=report.student)[0].value
    assert entry.notes is not None
    assert "Spearman (cosine), not in percent; split test; 1,379 pairs" in entry.notes


def test_nothing_is_written_without_a_registered_benchmark(tmp_path: Path) -> None:
    assert write_eval_results(tmp_path, basic_report()) == []
    assert write_eval_results(tmp_path, _with_data(cranfield={"benchmark_task": "x"})) == []
    assert list(tmp_path.iterdir()) == []


def test_made_queries_are_not_those_of_the_benchmark(tmp_path: Path) -> None:
    made = {**CRANFIELD, "made_queries": "first sentence"}
    assert write_eval_results(tmp_path, _with_data(cranfield=made)) == []


def test_measures_of_cut_vectors_are_not_the_score(tmp_path: Path) -> None:
    report = _with_data(cranfield=CRANFIELD)
    (ours,) = report.find("ndcg_at_10", model=report.student)
    cut = ours.model_copy(update={"value": 0.1, "parameters": {"dimensions": 64}})
    report = report.model_copy(update={"measurements": (cut, *report.measurements)})
    (path,) = write_eval_results(tmp_path, report)
    assert [entry.value for entry in _read(path)] == [ours.value]


def test_two_sets_of_one_task_share_a_file(tmp_path: Path) -> None:
    both = {"hub_id": "example/both", "benchmark_task": "default"}
    (path,) = write_eval_results(tmp_path, _with_data(cranfield=both, stsb=both))
    assert len(_read(path)) == 2


def test_what_is_no_longer_measured_goes_and_what_a_person_wrote_stays(tmp_path: Path) -> None:
    (path,) = write_eval_results(tmp_path, _with_data(cranfield=CRANFIELD))
    own = path.with_name("hle.yaml")
    own.write_text("- dataset: {id: cais/hle, task_id: hle}\n  value: 1\n")
    assert write_eval_results(tmp_path, basic_report()) == []
    assert list(path.parent.iterdir()) == [own]


def test_a_push_takes_the_file(tmp_path: Path) -> None:
    (path,) = write_eval_results(tmp_path, _with_data(cranfield=CRANFIELD))
    assert role_of(path.relative_to(tmp_path).as_posix(), []) == "facts"


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    report = _with_data(cranfield=CRANFIELD)
    (path,) = write_eval_results(tmp_path, report)
    before = path.read_bytes()
    assert write_eval_results(tmp_path, report) == [path]
    assert path.read_bytes() == before
