"""Recall of Qdrant's HNSW graph, in the real embedded engine."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from evaluation.word_models import random_vectors, words

from hubdistill.errors import EvaluationError, MissingExtraError
from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.hnsw import measure_hnsw
from hubdistill.evaluation.retrieval_set import Retrieval, held_out_retrieval
from hubdistill.evaluation.search import nearest, qdrant_index
from hubdistill.students.dimensions import unit_rows

pytest.importorskip("qdrant_edge", reason="needs the extra 'qdrant'")


def task_and_findings(texts: int, queries: int) -> tuple[Retrieval, Findings]:
    task = held_out_retrieval("held", words(texts), queries)
    findings = Findings(resamples=100, seed=12, reproduce="call")
    findings.add_data(task.name, task.data)
    return task, findings


def test_a_deeper_search_finds_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    task, findings = task_and_findings(1200, 100)
    models = [random_vectors(name, words(1200), 24, seed) for seed, name in enumerate(("teacher", "student"))]
    measure_hnsw(findings, models, task, k=10, ef=(256, 10, 64), index="exact")
    found = {(m.model, m.parameters["ef"]): m for m in findings.measurements}
    assert [m.parameters for m in findings.measurements[::2]] == [{"k": 10, "ef": ef} for ef in (10, 64, 256)]
    compared = {c.parameters["ef"]: c for c in findings.comparisons}
    assert [(c.model, c.against) for c in compared.values()] == [("student", "teacher")] * 3
    assert compared[10].difference == found["student", 10].value - found["teacher", 10].value
    for model in ("teacher", "student"):
        shallow, middle, deep = (found[model, ef] for ef in (10, 64, 256))
        assert 0.5 < shallow.value < middle.value <= deep.value
        assert deep.value > 0.99
        assert shallow.interval is not None
        assert shallow.interval.low < shallow.value < shallow.interval.high
        assert (shallow.metric, shallow.against, shallow.n) == ("ann_recall_at_k", None, 100)
        assert not shallow.plain
    assert not list(tmp_path.iterdir())


def test_the_graph_is_really_searched_and_exact_search_is_exact() -> None:
    generator = np.random.default_rng(1)
    documents, queries = (generator.normal(size=(n, 16)).astype(np.float32) for n in (2000, 50))
    exact = nearest(documents, queries, 10).tolist()
    with qdrant_index(documents, ":memory:", graph=True) as (search, indexed):
        assert indexed == len(documents)
        assert [found.tolist() for found in search(unit_rows(queries), 10, None)] == exact
        assert [found.tolist() for found in search(unit_rows(queries), 10, 10)] != exact
    with qdrant_index(documents, ":memory:", graph=False) as (search, indexed):
        assert indexed == 0


def test_a_depth_below_k_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    task, findings = task_and_findings(100, 10)
    models = [random_vectors("teacher", words(100), 16, 1)]
    with caplog.at_level(logging.WARNING):
        measure_hnsw(findings, models, task, k=10, ef=(4, 16), index=":memory:")
        measure_hnsw(findings, models, task, k=10, ef=(4,), index=":memory:")
    assert "held: ef = 4 is left out, for it is below k = 10" in caplog.text
    assert [m.parameters["ef"] for m in findings.measurements] == [16]


def test_too_few_documents_for_a_graph_are_said(caplog: pytest.LogCaptureFixture) -> None:
    task, findings = task_and_findings(8, 2)
    with caplog.at_level(logging.WARNING):
        measure_hnsw(findings, [random_vectors("teacher", words(8), 4, 1)], task, k=2, ef=(4,), index="exact")
    assert "recall of HNSW is left out for teacher, for Qdrant put 0 of 6 documents" in caplog.text
    assert not findings.measurements


def test_fewer_documents_than_k_are_refused() -> None:
    task, findings = task_and_findings(8, 2)
    with pytest.raises(EvaluationError, match=r"held: evaluation\.k asks for 10, but there are 6 documents"):
        measure_hnsw(
            findings, [random_vectors("teacher", words(8), 4, 1)], task, k=10, ef=(16,), index="exact"
        )


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qdrant_edge", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hubdistill\[qdrant\]'"):
        nearest(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32), 1, index=":memory:")
