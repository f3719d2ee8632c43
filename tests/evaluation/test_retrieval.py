"""Retrieval: sets on disk, overlap, and quality against ir-measures."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from evaluation.word_models import random_vectors, word_vectors, words

from hubdistill.errors import EvaluationError
from hubdistill.evaluation import check_held_out, check_sets
from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.retrieval import measure_retrieval, ndcg, recall, reciprocal_rank, usable_k
from hubdistill.evaluation.retrieval_set import held_out_retrieval, read_retrieval_set
from hubdistill.recipe import Evaluation, RetrievalSet

QRELS = "query-id\tcorpus-id\tscore\nq2\td1\t2\nq1\td3\t1\nq1\td0\t0\n"


def write_set(folder: Path, qrels: str | None = QRELS, name: str = "tiny") -> RetrievalSet:
    root = folder / name
    root.mkdir()
    documents = [{"_id": f"d{i}", "title": f"title{i}", "text": f"text{i}"} for i in range(5)]
    queries = [{"_id": f"q{i}", "text": f"query{i}"} for i in range(4)]
    for file, rows in (("corpus.jsonl", documents), ("queries.jsonl", queries)):
        (root / file).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if qrels is not None:
        (root / "qrels.tsv").write_text(qrels, encoding="utf-8")
    return RetrievalSet(name=name, folder=name, language="en")


def test_a_set_in_beir_form(tmp_path: Path) -> None:
    task = read_retrieval_set(write_set(tmp_path), tmp_path)
    assert task.documents[1] == "title1 text1"
    assert task.queries == ["query1", "query2"]  # judged ones, in the file's order
    assert task.judgements == [{3: 1, 0: 0}, {1: 2}]
    assert (task.data.n, task.data.documents, task.data.source) == (2, 5, "tiny")


def test_without_judgements_every_query_counts(tmp_path: Path) -> None:
    task = read_retrieval_set(write_set(tmp_path, qrels=None), tmp_path)
    assert len(task.queries) == 4
    assert task.judgements is None


def test_judged_documents_come_before_others_under_a_limit(tmp_path: Path) -> None:
    settings = write_set(tmp_path).model_copy(update={"documents": 4})
    task = read_retrieval_set(settings, tmp_path)
    assert task.documents == [f"title{i} text{i}" for i in (0, 1, 2, 3)]
    task = read_retrieval_set(settings.model_copy(update={"documents": 2}), tmp_path)
    assert task.documents == ["title0 text0", "title1 text1"]
    assert (task.queries, task.judgements) == (["query2"], [{1: 2}])


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        (
            "query-id\tcorpus-id\tscore\nq1\td9\t1\nq1\td8\t1\n",
            "2 documents that are not there, for example 'd8'",
        ),
        ("query-id\tcorpus-id\tscore\nq9\td1\t1\n", "1 queries that are not there, for example 'q9'"),
        ("query-id\tcorpus-id\tscore\nq1\td1\tgood\n", "qrels.tsv line 2: expected query-id, corpus-id"),
        ("q1\td1\t1\n", "qrels.tsv begins with a judgement"),
        ("query-id\tcorpus-id\tscore\nq1\td1\t0\n", "no document relevant to any query"),
    ],
)
def test_judgements_that_do_not_fit_are_refused(tmp_path: Path, qrels: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=f"tiny: .*{message}"):
        read_retrieval_set(write_set(tmp_path, qrels), tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("queries.jsonl", b'{"_id": "q1", "text": 3}', "queries.jsonl line 1: `text` is 3, not a text"),
        ("corpus.jsonl", b'{"_id": "d1"', "corpus.jsonl line 1 is not JSON"),
        ("qrels.tsv", b"query-id\tcorpus-id\tscore\nq\xe9\td1\t1\n", "cannot read .*qrels.tsv"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    settings = write_set(tmp_path)
    (tmp_path / settings.folder / file).write_bytes(content)
    with pytest.raises(EvaluationError, match=message):
        read_retrieval_set(settings, tmp_path)


def test_what_is_wrong_with_a_set_is_found_before_any_work(tmp_path: Path) -> None:
    one = write_set(tmp_path)
    check_sets(Evaluation(retrieval=(one,), k=(1,)), tmp_path)
    with pytest.raises(EvaluationError, match=r"evaluation\.k asks for 50"):
        check_sets(Evaluation(retrieval=(one,), k=(50,)), tmp_path)


def test_too_few_held_out_texts_are_found_before_any_work() -> None:
    check_held_out(Evaluation(k=(5,)), ["a text"] * 8)
    with pytest.raises(EvaluationError, match="too few for retrieval"):
        check_held_out(Evaluation(k=(5,)), ["a text"] * 3)
    with pytest.raises(EvaluationError, match="there are 6 documents"):
        check_held_out(Evaluation(k=(10,)), ["a text"] * 8)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"absent: cannot read .*corpus\.jsonl"):
        read_retrieval_set(RetrievalSet(name="absent", folder="absent"), tmp_path)


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    settings = write_set(tmp_path, qrels=None)
    (tmp_path / "tiny" / "queries.jsonl").write_text("")
    with pytest.raises(EvaluationError, match="tiny: no queries"):
        read_retrieval_set(settings, tmp_path)


def test_the_first_held_out_texts_look_for_the_others() -> None:
    task = held_out_retrieval("held", words(20), 500)
    assert (task.queries, task.documents) == (words(20)[:5], words(20)[5:])
    assert len(held_out_retrieval("held", words(20), 3).queries) == 3
    with pytest.raises(EvaluationError, match="3 held-out texts are too few"):
        held_out_retrieval("held", words(3), 500)


def test_k_beyond_the_documents_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    task = held_out_retrieval("held", words(20), 500)
    with caplog.at_level(logging.WARNING):
        assert usable_k(task, (10, 15, 20, 30)) == [10, 15]
    assert "held has 15 documents: Precision@k for k = 20, 30 is left out" in caplog.text
    with pytest.raises(
        EvaluationError, match=r"held: evaluation\.k asks for 20, 30, but there are 15 documents"
    ):
        usable_k(task, (20, 30))


def test_overlap_worked_by_hand() -> None:
    # The query is at angle 0; documents a, b, c follow at growing angles, in another order for the student.
    teacher = word_vectors("teacher", {"q": [1, 0], "a": [1, 0.1], "b": [1, 0.5], "c": [1, 1]})
    student = word_vectors("student", {"q": [1, 0], "a": [1, 0.1], "b": [1, 1], "c": [1, 0.5]})
    findings = Findings(resamples=100, seed=12, reproduce="call")
    task = held_out_retrieval("held", ["q", "a", "b", "c"], 1)
    measure_retrieval(findings, [teacher, student], task, k=(1, 2, 3), index="exact")
    assert {m.parameters["k"]: m.value for m in findings.measurements} == {1: 1.0, 2: 0.5, 3: 1.0}


def test_a_perfect_student_agrees_wholly_and_students_are_compared_both_ways() -> None:
    texts = words(80)
    models = [
        random_vectors(name, texts, 8, seed=seed) for name, seed in (("t", 1), ("same", 1), ("other", 2))
    ]
    findings = Findings(resamples=100, seed=12, reproduce="call")
    measure_retrieval(findings, models, held_out_retrieval("held", texts, 20), k=(5, 10), index="exact")
    found = {(m.model, m.against): m for m in findings.measurements if m.parameters == {"k": 10}}
    assert found.keys() == {("same", "t"), ("other", "t"), ("other", "same"), ("same", "other")}
    perfect = found["same", "t"]
    assert perfect.interval is not None
    assert (perfect.value, perfect.interval.low, perfect.interval.high) == (1, 1, 1)
    assert found["other", "same"].value == found["same", "other"].value == found["other", "t"].value < 1


def test_quality_worked_by_hand() -> None:
    ranking = np.array([[2, 0, 1], [1, 2, 0]])
    judgements = [{0: 2, 1: 1, 5: 1}, {7: 1}]
    ideal = 2 + 1 / np.log2(3) + 1 / 2
    assert ndcg(ranking, judgements) == pytest.approx([(2 / np.log2(3) + 1 / 2) / ideal, 0])
    assert reciprocal_rank(ranking, judgements) == pytest.approx([0.5, 0])
    assert recall(ranking, judgements) == pytest.approx([2 / 3, 0])


def test_quality_is_that_of_ir_measures() -> None:
    reference = pytest.importorskip("ir_measures")
    generator = np.random.default_rng(4)
    ranking = np.array([generator.permutation(300)[:100] for _ in range(30)])
    judgements = [
        {int(d): int(generator.integers(-1, 4)) for d in generator.permutation(300)[:25]} for _ in range(30)
    ]
    qrels = {str(q): {str(d): grade for d, grade in judged.items()} for q, judged in enumerate(judgements)}
    run = {
        str(q): {str(d): 1000.0 - place for place, d in enumerate(row)}
        for q, row in enumerate(ranking.tolist())
    }
    ours = {
        "nDCG@10": ndcg(ranking[:, :10], judgements),
        "RR@10": reciprocal_rank(ranking[:, :10], judgements),
        "R@100": recall(ranking, judgements),
    }
    theirs = reference.iter_calc([reference.parse_measure(name) for name in ours], qrels, run)
    compared = 0
    for value in theirs:
        assert ours[str(value.measure)][int(value.query_id)] == pytest.approx(value.value, abs=1e-6)
        compared += 1
    assert compared == 90
