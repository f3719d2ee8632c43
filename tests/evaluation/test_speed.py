"""Throughput: texts of a set length, interleaved rates, ratios."""

from __future__ import annotations

import logging

import pytest
from evaluation.word_models import word_model
from sentence_transformers import SentenceTransformer

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.speed import measure_speed, texts_of_length
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


def test_a_static_model_has_no_special_tokens() -> None:
    model = word_model({"sun": [1.0], "moon": [2.0]})
    assert texts_of_length(model, ["sun moon sun"], 2, 2) == ["sun moon", "sun moon"]


def test_texts_without_tokens_are_refused() -> None:
    with pytest.raises(EvaluationError, match="no tokens"):
        texts_of_length(word_model({"sun": [1.0]}), ["", " "], 2, 2)


def test_models_are_timed_on_the_same_texts(tiny_teacher: SentenceTransformer) -> None:
    found = findings()
    student = word_model({"the": [1.0, 0.0], "text": [0.0, 1.0]})
    settings = Speed(tokens=(8, 32), batch_size=4, seconds=0.01, repeats=3)
    measure_speed(found, "speed", [("teacher", tiny_teacher), ("static", student)], TEXTS, settings)
    assert found.data["speed"].n == 256
    figures = {(m.metric, m.model, m.parameters["tokens"]): m for m in found.measurements}
    assert len(figures) == 6
    for (metric, model, _), measurement in figures.items():
        assert measurement.interval is not None
        assert 0 < measurement.interval.low <= measurement.value <= measurement.interval.high
        assert measurement.parameters["batch_size"] == 4
        assert measurement.against == ("teacher" if metric == "speedup" else None)
        assert (metric, model) != ("speedup", "teacher")


def test_lengths_beyond_the_teacher_are_left_out(
    tiny_teacher: SentenceTransformer, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Speed(tokens=(8, 65), batch_size=4, seconds=0.01, repeats=1)
    with caplog.at_level(logging.WARNING):
        found = findings()
        measure_speed(found, "speed", [("teacher", tiny_teacher)], TEXTS, settings)
    assert {m.parameters["tokens"] for m in found.measurements} == {8}
    assert "takes at most 64 tokens: throughput at 65 is left out" in caplog.text
    with pytest.raises(EvaluationError, match="asks for 65, but the teacher takes at most 64"):
        measure_speed(
            findings(),
            "speed",
            [("teacher", tiny_teacher)],
            TEXTS,
            settings.model_copy(update={"tokens": (65,)}),
        )
