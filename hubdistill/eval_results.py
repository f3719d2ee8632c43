"""Scores on registered benchmarks, as the Hub reads them from a model's .eval_results/*.yaml.

The Hub takes each value as the metric's own and prescribes no scale: here it is the measured one, nDCG@10
from 0 to 1, and the notes say so. A benchmark is a data set that the Hub has registered; its task ids are
those of its eval.yaml.
"""

from __future__ import annotations

import re
from datetime import UTC
from pathlib import Path

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from hubdistill.atomic import write_text
from hubdistill.numbers import count, span
from hubdistill.report import DistillationReport, Measurement

FOLDER = ".eval_results"
PREFIX = "hubdistill-"
"""Of the files written here: others in the folder are somebody else's."""

_HEADLINE = {"similarity": "spearman_cosine", "retrieval": "ndcg_at_10"}
_ITEMS = {"similarity": "pairs", "retrieval": "queries"}
_HEADER = "# Written by hubdistill from report.json; the next card replaces it.\n"


def write_eval_results(folder: Path, report: DistillationReport) -> list[Path]:
    """Write a student's scores on registered benchmarks, one file a benchmark task.

    Files that were written for data which the report no longer has are removed; files of others stay.

    Args:
        folder: the student's.

    Returns:
        The files; none where no data of the report has both `hub_id` and `benchmark_task`, and queries
        that people wrote.
    """
    files: dict[Path, list[EvalResultEntry]] = {}
    for _, entry in benchmark_results(report):
        files.setdefault(folder / FOLDER / _file_name(entry), []).append(entry)
    for path, entries in files.items():
        path.parent.mkdir(exist_ok=True)
        text = yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)
        write_text(path, _HEADER + text)
    for path in (folder / FOLDER).glob(f"{PREFIX}*.yaml"):
        if path not in files:
            path.unlink()
    return list(files)


def benchmark_results(report: DistillationReport) -> list[tuple[Measurement, EvalResultEntry]]:
    """The student's scores on registered benchmarks, each with the measurement that it is."""
    entries = ((m, _entry(report, m)) for m in report.measurements)
    return [(m, entry) for m, entry in entries if entry is not None]


def _entry(report: DistillationReport, m: Measurement) -> EvalResultEntry | None:
    """One measurement for the Hub; None for all but the student's headline scores on benchmarks."""
    data = report.data[m.data]
    is_headline = m.metric == _HEADLINE.get(data.kind) and m.against is None and m.plain
    if m.model != report.student or not is_headline or data.made_queries:
        return None
    if not data.hub_id or not data.benchmark_task:
        return None
    notes = [
        f"{report.metrics[m.metric].title}, not in percent",
        *([f"split {data.split}"] if data.split else []),
        f"{count(m.n)} {_ITEMS[data.kind]}",
    ]
    if m.interval:
        notes.append(f"{m.interval.level:.0%} interval {span(m.interval)} ({m.interval.method})")
    return EvalResultEntry(
        dataset_id=data.hub_id,
        task_id=data.benchmark_task,
        value=m.value,
        dataset_revision=data.revision,
        date=report.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        notes="; ".join(notes),
    )


def _file_name(entry: EvalResultEntry) -> str:
    name = re.sub(r"[^A-Za-z0-9]+", "-", f"{entry.dataset_id}-{entry.task_id}").strip("-").lower()
    return f"{PREFIX}{name}.yaml"
