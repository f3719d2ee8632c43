"""Throughput: texts of a set length, interleaved rates, ratios."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from evaluation.word_models import word_model
from sentence_transformers import SentenceTransformer
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.speed import cut_texts, measure_speed, texts_of_length
from hubdistill.evaluation.token_counts import token_counts
from hubdistill.recipe import Speed

TEXTS = ["the text of a model", "this sentence is not in the text", "a b c d e f g h i j k l m n"] * 3


def findings() -> Findings:
    return Findings(resamples=100, seed=12, reproduce="call")


@pytest.mark.parametrize("tokens", [3, 8, 16, 60])
def test_texts_have_the_length_asked_for(tiny_teacher: SentenceTransformer, tokens: int) -> None:
    made = texts_of_length(tiny_teacher, TEXTS, tokens, 20)
    assert len(made) == 20
    lengths = [int(tiny_teacher.preprocess([text])["attention_mask"].sum()) for text in made]
    assert lengths == [tokens] * 20


def test_cutting_leaves_the_model_truncating(tiny_teacher: SentenceTransformer) -> None:
    texts_of_length(tiny_teacher, TEXTS, 16, 4)
    assert tiny_teacher.preprocess(["a " * 500])["input_ids"].shape[1] == 64


def test_a_tokenizer_written_in_python_counts_and_cuts_as_well(
    tiny_teacher: SentenceTransformer, tmp_path: Path
) -> None:
    fast = (texts_of_length(tiny_teacher, TEXTS, 16, 20), token_counts(tiny_teacher, TEXTS))
    vocabulary = tiny_teacher.tokenizer.get_vocab()
    (tmp_path / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)))
    tiny_teacher[0].processor = BertTokenizerLegacy(str(tmp_path / "vocab.txt"), model_max_length=64)
    assert not hasattr(tiny_teacher.tokenizer, "backend_tokenizer")
    assert (texts_of_length(tiny_teacher, TEXTS, 16, 20), token_counts(tiny_teacher, TEXTS)) == fast


def test_a_static_model_has_no_special_tokens() -> None:
    model = word_model({"sun": [1.0], "moon": [2.0]})
    assert texts_of_length(model, ["sun moon sun"], 2, 2) == ["sun moon", "sun moon"]


def test_texts_without_tokens_are_refused() -> None:
    with pytest.raises(EvaluationError, match="no tokens"):
        texts_of_length(word_model({"sun": [1.0]}), ["", " "], 2, 2)


def test_models_are_timed_on_the_same_texts(tiny_teacher: SentenceTransformer) -> None:
    found = findings()
    student = word_model({"the": [1.0, 0.0], "text": [0.0, 1.0]})
    settings = Speed(tokens=(8, 32), batch_sizes=(4,), calls=0, footprint=False, seconds=0.01, repeats=3)
    models = [("teacher", tiny_teacher), ("static", student)]
    cut = cut_texts(found, "speed", models, TEXTS, settings)
    measure_speed(found, "speed", models, cut, settings)
    assert found.data["speed"].n == 256
    figures = {(m.metric, m.model, m.parameters["tokens"]): m for m in found.measurements}
    assert len(figures) == 6
    for (metric, model, _), measurement in figures.items():
        assert measurement.interval is not None
        assert 0 < measurement.interval.low <= measurement.value <= measurement.interval.high
        assert measurement.parameters["batch_size"] == 4
        assert measurement.against == ("teacher" if metric == "speedup" else None)
        assert (metric, model) != ("speedup", "teacher")


def test_every_length_is_measured_at_every_batch_size_the_first_one_first() -> None:
    found = findings()
    models = [("teacher", word_model({"the": [1.0, 0.0], "text": [0.0, 1.0]}))]
    settings = Speed(tokens=(4, 2), batch_sizes=(8, 1, 8), calls=0, footprint=False, seconds=1e-9, repeats=1)
    cut = cut_texts(found, "speed", models, TEXTS, settings)
    measure_speed(found, "speed", models, cut, settings)
    measured = [(m.parameters["batch_size"], m.parameters["tokens"]) for m in found.measurements]
    assert measured == [(8, 2), (8, 4), (1, 2), (1, 4)]


def test_there_are_as_many_texts_as_calls() -> None:
    found = findings()
    settings = Speed(tokens=(2, 3), calls=200)
    cut = cut_texts(found, "speed", [("teacher", word_model({"the": [1.0]}))], TEXTS, settings)
    assert {tokens: len(group) for tokens, group in cut.items()} == {2: 200, 3: 200}
    assert found.data["speed"].n == 400


def test_lengths_beyond_what_any_model_reads_are_left_out(
    tiny_teacher: SentenceTransformer, tiny_teacher_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = SentenceTransformer(str(tiny_teacher_folder), device="cpu")
    short.max_seq_length = 32
    static = word_model({"the": [1.0]})
    models = [("teacher", tiny_teacher), ("short", short), ("static", static)]
    with caplog.at_level(logging.WARNING):
        cut = cut_texts(findings(), "speed", models, TEXTS, Speed(tokens=(8, 32, 64), calls=0))
    assert list(cut) == [8, 32]
    assert "short reads at most 32 tokens: cost at 64 is left out for all models" in caplog.text
    assert list(cut_texts(findings(), "speed", [models[0], models[2]], TEXTS, Speed(tokens=(64,)))) == [64]
    assert list(cut_texts(findings(), "speed", [models[2]], TEXTS, Speed(tokens=(65,)))) == [65]
    with pytest.raises(EvaluationError, match="asks for 33, 65, but short reads at most 32 tokens"):
        cut_texts(findings(), "speed", models, TEXTS, Speed(tokens=(33, 65)))
