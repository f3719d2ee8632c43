"""Vectors: embedded once, checked, in the caller's order."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation.word_models import word_model, word_vectors
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.vectors import Vectors
from hubdistill.students.dimensions import unit_rows

TABLE = {"sun": [3.0, 4.0], "moon": [0.0, 1.0]}


def test_embeddings_come_in_the_order_asked_for_and_as_the_model_gives_them() -> None:
    found = word_vectors("m", TABLE).of(["moon", "sun", "moon", "sun moon"])
    assert found.tolist() == [[0, 1], [3, 4], [0, 1], [1.5, 2.5]]
    assert found.dtype == np.float32


def counted(model: SentenceTransformer) -> list[str]:
    """What the model is given from now on."""
    seen: list[str] = []
    preprocess = model.preprocess

    def counting(inputs: list[str], *args: object, **kwargs: object) -> object:
        seen.extend(inputs)
        return preprocess(inputs, *args, **kwargs)

    model.preprocess = counting
    return seen


def test_no_text_is_embedded_twice() -> None:
    model = word_model(TABLE)
    seen = counted(model)
    vectors = Vectors("m", model)
    vectors.of(["sun", "moon", "sun"])
    vectors.of(["moon", "sun moon"])
    assert sorted(seen) == ["moon", "sun", "sun moon"]


def test_a_model_without_prompts_embeds_queries_and_documents_as_it_does_other_texts() -> None:
    model = word_model(TABLE)
    seen = counted(model)
    vectors = Vectors("m", model)
    plain, query, document = (vectors.of(["sun", "moon"], task) for task in (None, "query", "document"))
    assert sorted(seen) == ["moon", "sun"]
    assert (plain == query).all()
    assert (plain == document).all()


@pytest.mark.parametrize(
    ("prompts", "default", "prompt", "embedded"),
    [
        ({"query": "moon "}, None, None, 2),  # documents are plain
        ({"query": "moon ", "document": "moon "}, None, None, 2),  # queries are documents
        ({"query": "moon ", "document": "sun "}, None, None, 3),
        ({"moonlit": "moon "}, "moonlit", None, 2),  # the default is not for queries and documents
        ({}, None, "moon ", 2),
        ({"query": "moon "}, None, "moon ", 2),  # queries are plain
        ({"query": "moon "}, "query", "", 2),  # documents are plain
    ],
)
def test_texts_that_the_model_is_given_alike_are_embedded_once(
    prompts: dict[str, str], default: str | None, prompt: str | None, embedded: int
) -> None:
    model = word_model(TABLE)
    model.prompts.update(prompts)
    model.default_prompt_name = default
    plain = model.encode(["sun"], prompt=prompt)
    query, document = model.encode_query(["sun"]), model.encode_document(["sun"])
    seen = counted(model)
    vectors = Vectors("m", model, prompt)
    assert (vectors.of(["sun"]) == plain).all()
    assert (vectors.of(["sun"], "query") == query).all()
    assert (vectors.of(["sun"], "document") == document).all()
    assert len(seen) == embedded


def test_documents_get_the_first_prompt_of_the_names_that_the_library_looks_for() -> None:
    model = word_model(TABLE)
    model.prompts = {"corpus": "sun ", "passage": "moon "}
    model.default_prompt_name = "corpus"
    vectors = Vectors("m", model)
    assert (vectors.of(["sun"], "document") == model.encode_document(["sun"])).all()
    assert (vectors.of(["sun"], "query") == model.encode_query(["sun"])).all()


def test_a_model_with_a_route_for_each_task_embeds_a_text_for_each() -> None:
    asked, told = (word_model(table)[0] for table in (TABLE, {"sun": [1.0, 0.0], "moon": [2.0, 0.0]}))
    router = Router.for_query_document([asked], [told], default_route="document")
    model = SentenceTransformer(modules=[router], device="cpu")
    vectors = Vectors("m", model)
    assert vectors.of(["sun"], "query").tolist() == [[3, 4]]
    assert vectors.of(["sun"], "document").tolist() == [[1, 0]]
    assert vectors.of(["sun"]).tolist() == [[1, 0]]


def test_seconds_add_up_and_what_is_there_costs_none() -> None:
    vectors = word_vectors("m", TABLE)
    assert vectors.seconds == 0
    vectors.of(["sun"])
    first = vectors.seconds
    assert first > 0
    vectors.of(["sun"])
    assert vectors.seconds == first
    vectors.of(["moon"])
    assert vectors.seconds > first


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
