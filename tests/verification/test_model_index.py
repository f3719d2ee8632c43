"""Figures of cards without a report, measured again on data sets of a local Hub."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from data_on_hub import Publish, publisher, serving
from evaluation.word_models import random_vectors, words
from huggingface_hub import constants
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import (
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
)

from hubdistill.verification import model_index
from hubdistill.verification.model_index import rerun_model_index
from hubdistill.verification.outcome import CheckedClaim

WORDS = words(60)
STS = {"name": "STS", "type": "demo/sts", "split": "test"}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("hub")) as address:
        yield address


@pytest.fixture
def publish(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    return publisher(endpoint, tmp_path, monkeypatch)


@pytest.fixture
def model() -> SentenceTransformer:
    return random_vectors("model", WORDS, 8, seed=5).model


def pairs(score: str, seed: int = 0) -> list[dict[str, Any]]:
    generator = np.random.default_rng(seed)
    rows = zip(
        generator.choice(WORDS, 40), generator.choice(WORDS, 40), generator.uniform(size=40), strict=True
    )
    return [{"sentence1": str(a), "sentence2": str(b), score: float(c)} for a, b, c in rows]


def correlations(model: SentenceTransformer, rows: Sequence[dict[str, Any]], score: str) -> dict[str, float]:
    """As sentence-transformers has them."""
    evaluator = EmbeddingSimilarityEvaluator(
        *([row[column] for row in rows] for column in ("sentence1", "sentence2", score)),
        similarity_fn_names=["cosine", "dot", "euclidean", "manhattan"],
        write_csv=False,
    )
    return evaluator(model)


def card(*results: tuple[str, Mapping[str, Any], Mapping[str, float | str]]) -> str:
    """A card with figures by task, data set and metric."""
    index = [
        {
            "task": {"type": task},
            "dataset": dict(dataset),
            "metrics": [{"type": name, "value": value} for name, value in metrics.items()],
        }
        for task, dataset, metrics in results
    ]
    return f"---\n{yaml.safe_dump({'model-index': [{'name': 'm', 'results': index}]})}---\n# A model\n"


def verdicts(claims: Sequence[CheckedClaim]) -> list[str]:
    return [claim.verdict for claim in claims]


def test_a_true_card_of_sentence_transformers_and_one_of_mteb(
    publish: Publish, model: SentenceTransformer
) -> None:
    rows = pairs("label")
    commit = publish("sts", {("default", "test"): rows, ("de", "test"): pairs("label", seed=1)})
    true = correlations(model, rows, "label")
    ours = {name: round(true[name], 4) for name in ("spearman_cosine", "pearson_dot", "pearson_manhattan")}
    theirs = {
        "cos_sim_spearman": round(100 * true["spearman_cosine"], 2),
        "euclidean_pearson": round(100 * true["pearson_euclidean"], 2),
        "spearman": round(100 * true["spearman_cosine"], 4),
    }
    pinned = {**STS, "name": "MTEB STS", "config": "default", "revision": commit}
    claims, notes = rerun_model_index(
        card(("semantic-similarity", {**STS, "config": "default"}, ours), ("STS", pinned, theirs)),
        model,
        name="demo/model",
    )
    assert verdicts(claims) == ["same"] * 6
    first, percent = claims[0], claims[3]
    assert (first.figure, first.model, first.data) == ("spearman_cosine", "demo/model", "STS")
    assert first.source == "model-index"
    assert first.measured == pytest.approx(true["spearman_cosine"], abs=1e-6)
    assert percent.measured == pytest.approx(100 * true["spearman_cosine"], abs=1e-4)
    assert percent.measured_interval is not None
    assert percent.measured_interval[0] < percent.claimed < percent.measured_interval[1]
    assert notes == [f"demo/sts: the card names no revision; it was read at {commit[:12]}, of today"]


def test_a_figure_that_was_changed(publish: Publish, model: SentenceTransformer) -> None:
    rows = pairs("score")
    publish("changed", {("default", "test"): rows})
    true = correlations(model, rows, "score")["spearman_cosine"]
    dataset = {**STS, "type": "demo/changed"}
    claims, _ = rerun_model_index(
        card(("STS", dataset, {"spearman_cosine": 0.9312, "pearson_cosine": true + 0.05})), model, name="m"
    )
    assert verdicts(claims) == ["differs", "holds"]
    assert claims[0].why == f"off by {0.9312 - true:.2g}; measured with no prompt, for the model names none"
    assert "inside the interval" in claims[1].why


def test_the_models_own_prompt_applies_and_is_named(publish: Publish, model: SentenceTransformer) -> None:
    rows = pairs("score")
    publish("prompted", {("default", "test"): rows})
    model.prompts, model.default_prompt_name = {"sts": f"{WORDS[0]} {WORDS[1]} "}, "sts"
    true = correlations(model, rows, "score")["spearman_cosine"]
    dataset = {**STS, "type": "demo/prompted"}
    entries = {"spearman_cosine": true, "pearson_cosine": -0.99}
    claims, _ = rerun_model_index(card(("STS", dataset, entries)), model, name="m")
    assert verdicts(claims) == ["same", "differs"]
    assert claims[1].why.endswith("measured with the model's prompts 'sts'")


def retrieval_rows() -> tuple[list[dict[str, str]], list[dict[str, str]], list[dict[str, Any]]]:
    generator = np.random.default_rng(3)
    texts = [" ".join(generator.choice(WORDS, size=6)) for _ in range(140)]
    # As in many sets, documents and queries are both counted from 0.
    documents = [{"_id": f"{i}", "text": text} for i, text in enumerate(texts[:120])]
    queries = [{"_id": f"{i}", "text": text} for i, text in enumerate(texts[120:])]
    qrels = [
        {"query-id": query["_id"], "corpus-id": f"{place}", "score": int(grade)}
        for query in queries
        for place, grade in zip(generator.permutation(120)[:4], (2, 1, 1, 0), strict=True)
    ]
    return documents, queries, qrels


def test_retrieval_as_sentence_transformers_and_as_mteb_name_it(
    publish: Publish, model: SentenceTransformer
) -> None:
    documents, queries, qrels = retrieval_rows()
    tables = {("corpus", "corpus"): documents, ("queries", "queries"): queries, ("default", "test"): qrels}
    commit = publish("ir", tables)
    relevant: dict[str, set[str]] = {}
    for row in qrels:
        if row["score"]:
            relevant.setdefault(row["query-id"], set()).add(row["corpus-id"])
    evaluator = InformationRetrievalEvaluator(
        {row["_id"]: row["text"] for row in queries},
        {row["_id"]: row["text"] for row in documents},
        relevant,
        map_at_k=[2, 100],
        write_csv=False,
    )
    true = evaluator(model)
    names = ("ndcg@10", "mrr@10", "recall@5", "precision@3", "accuracy@1", "map@100", "map@2")
    ours = {f"cosine_{name}": round(true[f"cosine_{name}"], 4) for name in names}
    dataset = {"name": "IR", "type": "demo/ir", "revision": commit}
    theirs = {"recall_at_10": 100 * true["cosine_recall@10"], "ndcg_at_10": 100 * true["cosine_ndcg@10"]}
    claims, notes = rerun_model_index(
        card(
            ("information-retrieval", dataset, ours),
            ("Retrieval", {**dataset, "name": "MTEB IR", "config": "default", "split": "test"}, theirs),
        ),
        model,
        name="m",
    )
    assert verdicts(claims)[:8] == ["same"] * 6 + ["not run", "same"]
    assert "average precision" in claims[6].why
    # mteb counts grades, of which sentence-transformers knows none.
    graded, binary = claims[8], claims[0]
    assert graded.measured is not None
    assert binary.measured is not None
    assert abs(graded.measured / 100 - binary.measured) > 1e-3
    assert notes == []


def test_of_nanobeir_the_split_is_enough(
    publish: Publish, model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents, queries, qrels = retrieval_rows()
    split = "NanoMSMARCO"
    publish("nano", {("corpus", split): documents, ("queries", split): queries, ("qrels", split): qrels})
    monkeypatch.setattr(model_index, "NANOBEIR", "demo/nano")
    task = ("information-retrieval", {"name": split, "type": split}, {"cosine_ndcg@10": 0.9999})
    (claim,), _ = rerun_model_index(card(task), model, name="m")
    assert (claim.data, claim.verdict) == (split, "differs")


NOT_RUN = [
    ("STS", {"type": "sts-dev"}, "spearman_cosine", "'sts-dev' is no data set on the Hub"),
    ("STS", {"type": "demo/absent"}, "pearson", "'demo/absent' is no data set on the Hub, or a private one"),
    ("STS", {"type": "demo/odd", "revision": "v9"}, "pearson", "'demo/odd' at the revision 'v9' is no data"),
    ("STS", {"type": "not an/id!"}, "spearman_cosine", "'not an/id!' is no data set on the Hub"),
    ("STS", {"type": "demo/odd"}, "spearman_max", "the metric 'spearman_max' is not known here"),
    ("Clustering", {"type": "demo/odd"}, "v_measure", "tasks of the type 'Clustering' are not known here"),
    ("STS", {"type": "demo/odd"}, "spearman_cosine", "has the columns a and b, and not sentence1"),
    ("STS", {"type": "demo/odd", "split": "dev"}, "pearson", "cannot open the data set 'demo/odd'"),
    ("Retrieval", {"type": "demo/odd"}, "ndcg_at_10", "demo/odd has no configuration 'corpus'"),
    ("Retrieval", {"type": "demo/itself"}, "ndcg_at_10", "queries are among the documents"),
]


def test_what_cannot_be_measured_says_why(publish: Publish, model: SentenceTransformer) -> None:
    documents, _, _ = retrieval_rows()
    qrels = [{"query-id": "1", "corpus-id": "2"}]
    publish("odd", {("default", "test"): [{"a": "x", "b": 1.0}]})
    publish(
        "itself", {("corpus", "test"): documents, ("queries", "test"): documents, ("qrels", "test"): qrels}
    )
    results = [(task, dataset, {metric: 0.5}) for task, dataset, metric, _ in NOT_RUN]
    claims, _ = rerun_model_index(card(*results), model, name="m")
    assert [(claim.verdict, claim.measured) for claim in claims] == [("not run", None)] * len(NOT_RUN)
    for claim, (*_, why) in zip(claims, NOT_RUN, strict=True):
        assert why in claim.why


def test_large_sets_are_not_fetched(
    publish: Publish, model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("large", {("default", "test"): pairs("score")})
    monkeypatch.setattr(model_index, "MOST_BYTES", 1_000)
    (claim,), _ = rerun_model_index(
        card(("STS", {"type": "demo/large"}, {"spearman_cosine": 0.5})), model, name="m"
    )
    assert "and more than 1.00 kB are not fetched" in claim.why


def test_a_quick_check_measures_one_set_of_a_kind(publish: Publish, model: SentenceTransformer) -> None:
    for name in ("one", "two"):
        publish(name, {("default", "test"): pairs("score")})
    sets = [("STS", {"type": f"demo/{name}"}, {"spearman_cosine": 0.99}) for name in ("one", "two")]
    claims, _ = rerun_model_index(card(*sets), model, name="m", quick=True)
    assert [(claim.verdict, claim.why[:8]) for claim in claims] == [
        ("differs", "off by 1"),
        ("not run", "left out"),
    ]


def test_without_a_hub_nothing_is_measured(
    publish: Publish, model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    (claim,), _ = rerun_model_index(card(("STS", STS, {"spearman_cosine": 0.5})), model, name="m")
    assert claim.verdict == "not run"
    assert claim.why.startswith("the Hub cannot be asked for 'demo/sts'")


def test_cards_that_claim_nothing(model: SentenceTransformer) -> None:
    assert rerun_model_index("# A model\n", model, name="m")[0] == []
    claims, (note,) = rerun_model_index("---\nlicense: mit\n---\n", model, name="m")
    assert (claims, note[:28]) == ([], "the card has no model-index,")
    claims, notes = rerun_model_index(card(("STS", STS, {"pearson": "high"})), model, name="m")
    assert notes[0] == "pearson on STS: the value 'high' is not a number"
