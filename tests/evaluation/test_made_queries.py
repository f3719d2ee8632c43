"""Queries made from documents: what is taken out, what stays, and which documents are passed over."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import wordpiece_tokenizer
from evaluation.word_models import word_vectors
from transformers import T5Config, T5ForConditionalGeneration

from hubdistill.errors import EvaluationError, TeacherError
from hubdistill.evaluation.beir import Document
from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.made_queries import Made, crop, first_sentence, make_queries
from hubdistill.evaluation.retrieval import measure_retrieval
from hubdistill.evaluation.retrieval_set import held_out_retrieval, read_retrieval_set
from hubdistill.recipe import MadeQueries, RetrievalSet


def make(documents: list[Document], base: Path = Path(), seed: int = 0, **settings: object) -> Made:
    return make_queries("set", documents, MadeQueries.model_validate(settings), base=base, seed=seed)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("It rains all day. We stay in.", "It rains all day."),
        ("Dr. No came in! Then he left.", "Dr. No came in!"),
        ("Version 2.5 is out now. Take it.", "Version 2.5 is out now."),
        ('"Is this the end?" he asked.', '"Is this the end?"'),
        ("A line of words\nand another one", "A line of words"),
        ("今日は雨です。家にいます。", "今日は雨です。"),
        ("你去哪里\uff1f我回家。", "你去哪里\uff1f"),
        ("यह एक वाक्य है। यह दूसरा है।", "यह एक वाक्य है।"),
        ("إلى أين تذهب الآن؟ إلى البيت", "إلى أين تذهب الآن؟"),
        ("No end in sight", ""),
        ("", ""),
    ],
)
def test_first_sentences_of_many_scripts(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence


def test_a_title_leaves_the_text() -> None:
    documents = [
        Document("Rivers", "Rivers run to the sea."),
        Document("", "No title here at all."),
        Document("Hills", "Flat."),
        Document("Lakes", "Water lies still in lakes."),
    ]
    made = make(documents, method="title")
    assert made.queries == ["Rivers", "Lakes"]
    assert made.sources == [0, 3]
    assert made.documents == [
        "run to the sea.",
        "No title here at all.",
        "Hills Flat.",
        "Water lies still in lakes.",
    ]
    assert made.how == "title, removed from its document"


def test_a_first_sentence_leaves_its_document_wherever_it_stands() -> None:
    documents = [
        Document("Rain is wet today.", "Rain is wet today. So we stay in."),
        Document("", "One sentence is no source."),
    ]
    made = make(documents, method="first-sentence")
    assert (made.queries, made.sources) == (["Rain is wet today."], [0])
    assert made.documents == ["So we stay in.", "One sentence is no source."]


def test_a_crop_is_a_span_of_words_and_leaves_its_document() -> None:
    texts = [" ".join(f"w{number}x{place}" for place in range(40)) for number in range(50)]
    made = make([Document("Head", text) for text in texts], method="crop")
    assert made.sources == list(range(50))
    lengths = set()
    for query, rest, text in zip(made.queries, made.documents, texts, strict=True):
        lengths.add(len(query.split()))
        assert query in text
        assert query not in rest
        assert sorted([*query.split(), *rest.split()]) == sorted(["Head", *text.split()])
    assert min(lengths) == 5
    assert max(lengths) == 15
    assert make([Document("Head", text) for text in texts], method="crop") == made
    assert make([Document("Head", text) for text in texts], method="crop", seed=1) != made


def test_a_crop_is_at_most_half_and_knows_scripts_without_spaces() -> None:
    generator = np.random.default_rng(0)
    assert crop("one two three four five six seven eight nine", generator) == ""
    assert len(crop("one two three four five six seven eight nine ten", generator).split()) == 5
    assert 5 <= len(crop("春眠不覚暁処処聞啼鳥夜来風雨声花落知多少", generator)) <= 10


def test_the_seed_chooses_and_no_two_queries_are_the_same() -> None:
    documents = [Document(f"title {number % 30}", "a text of words") for number in range(60)]
    assert len(make(documents, method="title").queries) == 30
    few = make(documents, method="title", count=7)
    assert len(few.queries) == 7
    assert few.sources == sorted(few.sources)
    assert [documents[place].title for place in few.sources] == few.queries
    assert make(documents, method="title", count=7, seed=1).sources != few.sources


@pytest.mark.parametrize("method", ["title", "first-sentence", "crop"])
def test_documents_that_yield_nothing_are_refused(method: str) -> None:
    with pytest.raises(
        EvaluationError, match=rf"set: none of 2 documents .* '{method}'.*make_queries\.method"
    ):
        make([Document("", "short"), Document("", "")], method=method)


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny T5 with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("writers") / "tiny-t5"
    tokenizer = wordpiece_tokenizer()
    model = T5ForConditionalGeneration(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=16,
            d_kv=8,
            d_ff=32,
            num_layers=1,
            num_heads=2,
            pad_token_id=0,
            eos_token_id=3,
            decoder_start_token_id=0,
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_model_writes_to_whole_documents(writer: Path) -> None:
    documents = [Document("", f"the {letter} of text") for letter in "abcdefghijklmnopqrstuvwxyz"]
    documents.append(Document("", ""))
    made = make(documents, base=writer.parent, method="model", model="tiny-t5", count=20)
    assert made.documents == [document.text for document in documents]
    assert 2 <= len(set(made.queries)) == len(made.queries) <= 20
    assert all(made.queries)
    assert made == make(documents, base=writer.parent, method="model", model="tiny-t5", count=20)
    assert made.how.startswith("question that tiny-t5 (sha256:")
    assert str(writer.parent) not in made.how


def test_a_model_that_writes_no_text_is_refused(tiny_teacher_folder: Path, tmp_path: Path) -> None:
    documents = [Document("", "some text")]
    with pytest.raises(EvaluationError, match="cannot be loaded as a text2text model"):
        make(documents, base=tiny_teacher_folder.parent, method="model", model=tiny_teacher_folder.name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TeacherError, match="so it is not a model that can be loaded"):
        make(documents, base=tmp_path, method="model", model="empty")


def test_a_folder_without_queries_is_enough_where_they_are_made(tmp_path: Path) -> None:
    rows = [{"_id": f"d{i}", "title": f"title {i}", "text": f"text {i} of it"} for i in range(6)]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = RetrievalSet(
        name="set",
        folder="set",
        documents=5,
        make_queries=MadeQueries(method="title", count=2),
        benchmark_task="set",
    )
    task = read_retrieval_set(settings, tmp_path, seed=3)
    assert (len(task.documents), len(task.queries), task.symmetric) == (5, 2, False)
    assert task.judgements is not None
    for query, judged in zip(task.queries, task.judgements, strict=True):
        ((place, grade),) = judged.items()
        assert (task.documents[place], grade) == (f"text {query.split()[1]} of it", 1)
    assert task.data.made_queries == "title, removed from its document"
    # Other queries than its own: no result of the benchmark.
    assert task.data.benchmark_task is None


def test_held_out_texts_find_themselves() -> None:
    texts = [f"{name} lives here alone. {name} {name} {name}" for name in ("ann", "ben", "cem", "dan", "eva")]
    task = held_out_retrieval("held", texts, 500, make=MadeQueries(method="first-sentence"), seed=1)
    assert task.queries[1] == "ben lives here alone."
    assert task.documents[1] == "ben ben ben"
    assert task.data.made_queries == "first sentence, removed from its document"
    table = {
        name: row.tolist() for name, row in zip(("ann", "ben", "cem", "dan", "eva"), np.eye(5), strict=True)
    }
    findings = Findings(resamples=100, seed=12, reproduce="call")
    measure_retrieval(findings, [word_vectors("model", table)], task, k=(1,), index="exact")
    assert {m.metric: m.value for m in findings.measurements} == {
        "ndcg_at_10": 1,
        "mrr_at_10": 1,
        "recall_at_100": 1,
        "map_at_100": 1,
    }
    with pytest.raises(EvaluationError, match="3 held-out texts are too few"):
        held_out_retrieval("held", texts[:3], 500, make=MadeQueries(method="crop"))
