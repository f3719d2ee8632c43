"""Vectors: embedded once, checked, in the caller's order."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation.word_models import word_model, word_vectors
from sentence_transformers import SentenceTransformer

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.vectors import Vectors, unit_rows

TABLE = {"sun": [3.0, 4.0], "moon": [0.0, 1.0]}


def test_embeddings_come_in_the_order_asked_for_and_as_the_model_gives_them() -> None:
    found = word_vectors("m", TABLE).of(["moon", "sun", "moon", "sun moon"])
    assert found.tolist() == [[0, 1], [3, 4], [0, 1], [1.5, 2.5]]
    assert found.dtype == np.float32


def test_no_text_is_embedded_twice() -> None:
    model = word_model(TABLE)
    seen: list[str] = []
    preprocess = model[0].preprocess

    def counting(inputs: list[str], *args: object, **kwargs: object) -> object:
        seen.extend(inputs)
        return preprocess(inputs, *args, **kwargs)

    model[0].preprocess = counting
    vectors = Vectors("m", model)
    vectors.of(["sun", "moon", "sun"])
    vectors.of(["moon", "sun moon"])
    assert sorted(seen) == ["moon", "sun", "sun moon"]


def test_a_model_treats_queries_with_its_own_prompt(tiny_teacher: SentenceTransformer) -> None:
    tiny_teacher.prompts["query"] = "what is "
    vectors = Vectors("m", tiny_teacher)
    assert vectors.of(["a model"], "query") == pytest.approx(tiny_teacher.encode(["what is a model"]))
    assert vectors.of(["a model"]) == pytest.approx(tiny_teacher.encode(["a model"]))


def test_a_prompt_is_put_before_every_text(tiny_teacher: SentenceTransformer) -> None:
    vectors = Vectors("m", tiny_teacher, prompt="this is ")
    assert vectors.of(["a model"]) == pytest.approx(tiny_teacher.encode(["this is a model"]))


def test_an_embedding_that_is_not_a_number_is_refused() -> None:
    vectors = word_vectors("broken", {**TABLE, "night": [float("nan"), 0.0]})
    with pytest.raises(EvaluationError, match=r"broken gives .* NaN or infinity for text 1 of 2 "):
        vectors.of(["sun", "night"])


def test_no_texts_are_refused() -> None:
    with pytest.raises(EvaluationError, match="no texts"):
        word_vectors("m", TABLE).of([])


def test_rows_get_length_one_and_nothing_stays_nothing() -> None:
    unit = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32))
    assert unit == pytest.approx(np.array([[0.6, 0.8], [0.0, 0.0]]))
