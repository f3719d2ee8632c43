"""Retrieval: sets on disk, overlap, quality, and the use of a student with the teacher's documents."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from evaluation.word_models import random_vectors, word_vectors, words
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

from hubdistill.errors import EvaluationError
from hubdistill.evaluation import check_held_out, check_sets
from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.held_out import HeldOut
from hubdistill.evaluation.retrieval import measure_retrieval, quality_of_queries, rank, usable_k
from hubdistill.evaluation.retrieval_set import Retrieval, held_out_retrieval, read_retrieval_set
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


def test_other_judgements_of_the_same_texts_are_other_data(tmp_path: Path) -> None:
    settings = write_set(tmp_path)
    data = read_retrieval_set(settings, tmp_path).data
    header, *lines = QRELS.splitlines()
    for qrels, same in ((["q2\td1\t1", *lines[1:]], False), (lines[::-1], True)):
        (tmp_path / "tiny" / "qrels.tsv").write_text("\n".join([header, *qrels]))
        other = read_retrieval_set(settings, tmp_path).data
        assert other.sha256 == data.sha256
        assert (other.labels_sha256 == data.labels_sha256) == same
    (tmp_path / "tiny" / "qrels.tsv").unlink()
    assert read_retrieval_set(settings, tmp_path).data.labels_sha256 is None


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


def test_a_folder_may_hold_the_judgements_of_several_splits(tmp_path: Path) -> None:
    settings = write_set(tmp_path, qrels=None)
    folder = tmp_path / "tiny" / "qrels"
    folder.mkdir()
    for split, query in (("dev", "q1"), ("test", "q2")):
        (folder / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{query}\td1\t1\n")
    assert read_retrieval_set(settings, tmp_path).queries == ["query2"]
    dev = settings.model_copy(update={"split": "dev"})
    assert read_retrieval_set(dev, tmp_path).queries == ["query1"]
    absent = settings.model_copy(update={"split": "train"})
    with pytest.raises(EvaluationError, match=r"tiny/qrels has no .* train\.tsv; .* there: dev, test"):
        read_retrieval_set(absent, tmp_path)


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
    check_held_out(Evaluation(k=(5,)), HeldOut(["a text"] * 8))
    with pytest.raises(EvaluationError, match="too few for retrieval"):
        check_held_out(Evaluation(k=(5,)), HeldOut(["a text"] * 3))
    with pytest.raises(EvaluationError, match="there are 6 documents"):
        check_held_out(Evaluation(k=(10,)), HeldOut(["a text"] * 8))


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


def write_arguments(
    folder: Path, qrels: str = "query-id\tcorpus-id\tscore\na\tb\t1\nx\tc\t1\n"
) -> RetrievalSet:
    """As ArguAna: the query `a` is the document `a`, and `b` only has the id of another one."""
    root = folder / "arguments"
    root.mkdir()
    documents = [{"_id": key, "title": "", "text": key} for key in "abcde"]
    queries = [{"_id": "a", "text": "a"}, {"_id": "b", "text": "x"}, {"_id": "x", "text": "x"}]
    for file, rows in (("corpus.jsonl", documents), ("queries.jsonl", queries)):
        (root / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "qrels.tsv").write_text(qrels)
    return RetrievalSet(name="arguments", folder="arguments")


CIRCLE = {key: [np.cos(angle), np.sin(angle)] for angle, key in enumerate("abcde")} | {"x": [1, -0.1]}


def test_a_query_that_is_a_document_does_not_find_itself(tmp_path: Path) -> None:
    task = read_retrieval_set(write_arguments(tmp_path), tmp_path)
    assert (task.own, task.findable, task.data.own_documents) == ({0: 0}, 4, 1)
    teacher = word_vectors("teacher", CIRCLE)
    # Nearest to x is a, which is not x itself.
    assert rank(teacher, task, 2, "exact").tolist() == [[1, 2], [0, 1]]
    assert rank(teacher, task, 4, "exact").shape == (2, 4)
    assert usable_k(task, (4, 5)) == [4]

    other = word_vectors("other", CIRCLE | {"b": CIRCLE["c"], "c": CIRCLE["b"]})
    findings = Findings(resamples=100, seed=12, reproduce="call")
    measure_retrieval(findings, [teacher, other], task, k=(1,), index="exact", asymmetric=["other"])
    found = {(m.metric, m.model, "documents" in m.parameters): m.value for m in findings.measurements}
    assert found["mrr_at_10", "teacher", False] == pytest.approx((1 + 1 / 3) / 2)
    assert found["mrr_at_10", "other", False] == pytest.approx((1 / 2 + 1 / 2) / 2)
    # They have the nearest of x in common, and not that of a; with the teacher's documents both.
    assert found["precision_at_k", "other", False] == 0.5
    assert found["precision_at_k", "other", True] == 1
    assert found["mrr_at_10", "other", True] == found["mrr_at_10", "teacher", False]


def test_a_query_that_is_judged_relevant_to_itself_is_found(tmp_path: Path) -> None:
    qrels = "query-id\tcorpus-id\tscore\na\ta\t1\n"
    task = read_retrieval_set(write_arguments(tmp_path, qrels), tmp_path)
    assert (task.own, task.findable, task.data.own_documents) == ({}, 5, None)
    assert rank(word_vectors("model", CIRCLE), task, 1, "exact").tolist() == [[0]]


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
    ranking = np.array([[2, 0, 1, 4], [1, 2, 0, 3]])
    judgements = [{0: 2, 1: 1, 5: 1, 2: -1, 4: 0}, {7: 1}]
    found = quality_of_queries(ranking, judgements)
    ideal = 2 + 1 / np.log2(3) + 1 / 2
    # The second query finds nothing relevant.
    assert found["ndcg_at_10"] == pytest.approx([(2 / np.log2(3) + 1 / 2) / ideal, 0])
    assert found["mrr_at_10"] == pytest.approx([1 / 2, 0])
    assert found["recall_at_100"] == pytest.approx([2 / 3, 0])
    assert found["map_at_100"] == pytest.approx([(1 / 2 + 2 / 3) / 3, 0])


def test_quality_stops_at_its_depth() -> None:
    ranking = np.arange(120)[None]
    found = quality_of_queries(ranking, [{10: 1, 99: 1, 100: 1}])
    assert found["ndcg_at_10"] == found["mrr_at_10"] == 0
    assert found["recall_at_100"] == pytest.approx(2 / 3)
    assert found["map_at_100"] == pytest.approx((1 / 11 + 2 / 100) / 3)


def judged_task(folder: Path, documents: int = 150, queries: int = 30) -> Retrieval:
    """Texts of a few words, and for each query a few relevant documents."""
    generator = np.random.default_rng(8)

    def texts(count: int) -> list[str]:
        return [" ".join(generator.choice(words(60), size=6)) for _ in range(count)]

    (folder / "set").mkdir()
    for file, count in (("corpus", documents), ("queries", queries)):
        rows = [json.dumps({"_id": f"{file}{i}", "text": text}) for i, text in enumerate(texts(count))]
        (folder / "set" / f"{file}.jsonl").write_text("\n".join(rows))
    qrels = [
        f"queries{query}\tcorpus{document}\t1"
        for query in range(queries)
        for document in generator.permutation(documents)[: generator.integers(1, 9)]
    ]
    (folder / "set" / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *qrels]))
    return read_retrieval_set(RetrievalSet(name="set", folder="set"), folder)


def test_quality_is_that_of_sentence_transformers(tmp_path: Path) -> None:
    # Its gains are 0 or 1, as the grades here are; and its ids sort equal scores, of which there are none.
    task = judged_task(tmp_path)
    model = random_vectors("model", words(60), 16, seed=3)
    assert task.judgements is not None
    found = quality_of_queries(rank(model, task, 100, "exact"), task.judgements)
    evaluator = InformationRetrievalEvaluator(
        {str(i): text for i, text in enumerate(task.queries)},
        {str(i): text for i, text in enumerate(task.documents)},
        {str(i): {str(place) for place in judged} for i, judged in enumerate(task.judgements)},
        precision_recall_at_k=[100],
        write_csv=False,
    )
    theirs = evaluator(model.model)
    for ours, name in (
        ("ndcg_at_10", "ndcg@10"),
        ("mrr_at_10", "mrr@10"),
        ("recall_at_100", "recall@100"),
        ("map_at_100", "map@100"),
    ):
        assert found[ours].mean() == pytest.approx(theirs[f"cosine_{name}"], abs=1e-6)


def test_a_students_queries_find_the_teachers_documents(tmp_path: Path) -> None:
    task = judged_task(tmp_path)
    teacher, same = (random_vectors(name, words(60), 16, seed=3) for name in ("teacher", "same"))
    other = random_vectors("other", words(60), 16, seed=4)
    narrow = random_vectors("narrow", words(60), 8, seed=3)
    findings = Findings(resamples=100, seed=12, reproduce="call")
    measure_retrieval(
        findings,
        [teacher, same, other, narrow],
        task,
        k=(5, 10),
        index="exact",
        asymmetric=("same", "other", "narrow"),
    )
    mixed = [m for m in findings.measurements if m.parameters.get("documents") == "teacher"]
    assert {m.model for m in mixed} == {"same", "other"}
    overlaps = {(m.model, m.parameters["k"]): m for m in mixed if m.metric == "precision_at_k"}
    assert all(m.against == "teacher" for m in overlaps.values())
    assert overlaps["same", 5].value == overlaps["same", 10].value == 1 > overlaps["other", 10].value

    ndcg = {(m.model, len(m.parameters)): m.value for m in findings.measurements if m.metric == "ndcg_at_10"}
    assert ndcg["same", 1] == ndcg["same", 0] == ndcg["teacher", 0]
    assert not mixed[-1].plain
    compared = {
        c.model: c
        for c in findings.comparisons
        if (c.metric, c.parameters) == ("ndcg_at_10", {"documents": "teacher"})
    }
    assert {c.against for c in compared.values()} == {"teacher"}
    assert (compared["same"].difference, compared["same"].interval.low, compared["same"].kept) == (0, 0, 1)
    assert compared["other"].difference == ndcg["other", 1] - ndcg["teacher", 0]


def test_asymmetric_use_embeds_nothing_again() -> None:
    texts = words(40)
    models = [random_vectors(name, texts, 8, seed=seed) for seed, name in enumerate(("teacher", "student"))]
    embedded: list[int] = []
    for model in models:
        encode = model._encode
        model._encode = lambda part, task, encode=encode: (embedded.append(len(part)), encode(part, task))[1]
    task = held_out_retrieval("held", texts, 10)
    findings = Findings(resamples=100, seed=12, reproduce="call")
    measure_retrieval(findings, models, task, k=(5,), index="exact", asymmetric=["student"])
    assert sum(embedded) == 2 * len(texts)
    assert {"documents" in m.parameters for m in findings.measurements} == {False, True}


def test_students_are_compared_by_their_agreement_with_the_teacher() -> None:
    texts = words(80)
    models = [random_vectors(name, texts, 8, seed=seed) for name, seed in (("t", 1), ("far", 2), ("same", 1))]
    findings = Findings(resamples=100, seed=12, reproduce="call")
    measure_retrieval(findings, models, held_out_retrieval("held", texts, 20), k=(5, 10), index="exact")
    assert [(c.model, c.against, c.parameters["k"]) for c in findings.comparisons] == [
        ("same", "far", 5),
        ("same", "far", 10),
    ]
    of = {(m.model, m.against): m.value for m in findings.measurements if m.parameters == {"k": 10}}
    assert findings.comparisons[1].difference == of["same", "t"] - of["far", "t"] == 1 - of["far", "t"]
    assert findings.comparisons[1].decided
