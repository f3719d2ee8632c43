"""Retrieval sets of the Hub: read from a running local one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_on_hub import Publish, publisher, serving
from evaluation.word_models import random_vectors, words
from sentence_transformers.sentence_transformer.evaluation import NanoBEIREvaluator

from hubdistill.errors import CorpusError, EvaluationError
from hubdistill.evaluation.retrieval import quality_of_queries, rank
from hubdistill.evaluation.retrieval_set import Retrieval, read_retrieval_set
from hubdistill.recipe import MadeQueries, RetrievalSet

CORPUS = [{"_id": f"d{i}", "title": f"title{i}", "text": f"text{i} is long enough"} for i in range(4)]
QUERIES = [{"_id": 7, "text": "query7"}, {"_id": 8, "text": "query8"}]
QRELS = [{"query-id": 8, "corpus-id": "d1", "score": 2.0}, {"query-id": 8, "corpus-id": "d0", "score": 0.0}]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("hub")) as address:
        yield address


@pytest.fixture
def publish(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    return publisher(endpoint, tmp_path, monkeypatch)


def read(dataset: str, **settings: Any) -> Retrieval:
    return read_retrieval_set(RetrievalSet(name="tiny", dataset=dataset, **settings), Path())


def test_a_set_in_the_form_of_mteb(publish: Publish) -> None:
    tables = {("corpus", "corpus"): CORPUS, ("queries", "queries"): QUERIES, ("default", "test"): QRELS}
    commit = publish("mteb", tables)
    task = read("demo/mteb", benchmark_task="tiny", language="en")
    assert task.documents[1] == "title1 text1 is long enough"
    assert (task.queries, task.judgements) == (["query8"], [{1: 2, 0: 0}])
    facts = task.data
    assert (facts.hub_id, facts.source, facts.revision) == ("demo/mteb", "demo/mteb", commit)
    assert (facts.config, facts.split, facts.benchmark_task) == ("default", "test", "tiny")

    part = read("demo/mteb", benchmark_task="tiny", documents=2).data
    assert (part.source, part.documents) == ("demo/mteb, 2 of 4 documents", 2)
    assert {part.hub_id, part.config, part.split, part.revision, part.benchmark_task} == {None}
    assert read("demo/mteb", documents=4).data.hub_id == "demo/mteb"

    with pytest.raises(EvaluationError, match=r"tiny: demo/mteb has no configuration 'qrels' .* 'dev'.*test"):
        read("demo/mteb", split="dev")
    with pytest.raises(CorpusError, match="cannot open the data set 'demo/absent'"):
        read("demo/absent")


def test_quality_on_nanobeir_is_that_of_its_own_evaluator(publish: Publish) -> None:
    generator = np.random.default_rng(3)
    texts = [" ".join(generator.choice(words(50), size=6)) for _ in range(170)]
    documents = [{"_id": f"d{i}", "text": text} for i, text in enumerate(texts[:150])]
    queries = [{"_id": f"q{i}", "text": text} for i, text in enumerate(texts[150:])]
    qrels = [
        {"query-id": query["_id"], "corpus-id": f"d{place}"}
        for query in queries
        for place in generator.permutation(150)[: generator.integers(1, 9)].tolist()
    ]
    split = "NanoMSMARCO"
    publish("nano", {("corpus", split): documents, ("queries", split): queries, ("qrels", split): qrels})

    task = read("demo/nano", split=split)
    assert (task.data.config, task.data.split, task.data.n) == ("qrels", split, 20)
    model = random_vectors("model", words(50), 16, seed=5)
    assert task.judgements is not None
    ours = quality_of_queries(rank(model, task, 100, "exact"), task.judgements)
    evaluator = NanoBEIREvaluator(["msmarco"], "demo/nano", precision_recall_at_k=[100], write_csv=False)
    theirs = evaluator(model.model)
    for name, of_queries in ours.items():
        expected = theirs[f"NanoMSMARCO_cosine_{name.replace('_at_', '@')}"]
        assert 0 < of_queries.mean() == pytest.approx(expected, abs=1e-6)


def test_documents_alone_are_enough_where_queries_are_made(publish: Publish) -> None:
    publish("corpus-only", {("corpus", "corpus"): CORPUS})
    task = read("demo/corpus-only", make_queries=MadeQueries(method="title"))
    assert (task.queries[1], task.documents[1], task.judgements[1]) == (
        "title1",
        "text1 is long enough",
        {1: 1},
    )
    assert (task.data.config, task.data.split) == ("corpus", "corpus")
    with pytest.raises(EvaluationError, match="demo/corpus-only has no configuration 'queries'"):
        read("demo/corpus-only")


def test_a_grade_is_a_whole_number(publish: Publish) -> None:
    qrels = [{"query-id": 8, "corpus-id": "d1", "score": 0.5}]
    publish("halves", {("corpus", "test"): CORPUS, ("queries", "test"): QUERIES, ("qrels", "test"): qrels})
    with pytest.raises(
        EvaluationError, match=r"tiny: demo/halves \(qrels, test\) row 1: the score 0\.5 is not"
    ):
        read("demo/halves")


def test_documents_of_a_query_may_stand_in_one_row(publish: Publish) -> None:
    qrels = [{"query-id": 7, "corpus-id": ["d3", "d1"]}]
    publish("listed", {("corpus", "test"): CORPUS, ("queries", "test"): QUERIES, ("qrels", "test"): qrels})
    assert read("demo/listed").judgements == [{3: 1, 1: 1}]
