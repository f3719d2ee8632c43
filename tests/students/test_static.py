"""Static students of a tiny teacher, from its tokenizer to a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from hubdistill.errors import CorpusTooSmallError, StudentError
from hubdistill.recipe import StaticStudent
from hubdistill.students.static import (
    build_static_student,
    single_token_vectors,
    static_tokenizer,
    token_counts,
    token_prior,
)

SETTINGS = StaticStudent(kind="static", name="tiny-static", ridge=1.0, iterations=10, reweight=1)
LONG = "the x " * 200


def sentences(n: int) -> list[str]:
    rng = np.random.default_rng(0)
    words = [
        "the",
        "a",
        "of",
        "and",
        "to",
        "in",
        "is",
        "that",
        "for",
        "with",
        "as",
        "was",
        "on",
        "are",
        "this",
        "not",
        "sentence",
        "text",
        "model,",
        "42",
        "cat.",
    ]
    return [" ".join(rng.choice(words, rng.integers(2, 15))) for _ in range(n)]


def test_a_static_student_is_made_of_the_librarys_own_parts_and_survives_a_reload(
    tiny_teacher: SentenceTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = sentences(600)
    targets = tiny_teacher.encode(texts).astype(np.float16)
    train, held_out = slice(0, 500), slice(500, 600)

    student, facts = build_static_student(
        tiny_teacher,
        texts[train],
        targets[train],
        held_out_texts=texts[held_out],
        held_out_targets=targets[held_out],
        settings=SETTINGS,
    )

    assert [type(module) for module in student] == [StaticEmbedding, Normalize]
    vectors = student.encode(texts[held_out])
    cosine = float((vectors * targets[held_out]).sum(axis=1).mean())
    assert facts.log[-1].teacher_cosine is not None
    assert cosine == pytest.approx(max(line.teacher_cosine or 0 for line in facts.log[1:]), abs=1e-3)
    assert cosine > (facts.log[0].teacher_cosine or 1)
    assert facts.texts == 500
    assert facts.loss_parameters == {"ridge": 1.0}

    with monkeypatch.context() as patch:
        patch.setattr("sentence_transformers.base.model_card.get_model_info", pytest.fail)
        student.save(str(tmp_path))
    loaded = SentenceTransformer(str(tmp_path), device="cpu")
    np.testing.assert_array_equal(loaded.encode(texts[held_out]), vectors)


def test_too_few_texts_are_refused_before_the_teacher_is_asked(
    tiny_teacher: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SentenceTransformer, "forward", pytest.fail)
    with pytest.raises(CorpusTooSmallError, match="32 dimensions"):
        build_static_student(
            tiny_teacher,
            ["a text"] * 31,
            np.ones((31, 32), np.float16),
            held_out_texts=["a text"],
            held_out_targets=np.ones((1, 32), np.float16),
            settings=SETTINGS,
        )


def test_counts_are_those_of_the_models_own_tokens(tiny_teacher: SentenceTransformer) -> None:
    tokenizer = static_tokenizer(tiny_teacher)
    texts = ["The model, the cat.", "", LONG]
    counts = token_counts(tokenizer, texts)
    assert counts.shape == (3, tokenizer.get_vocab_size())
    assert counts.sum(axis=1)[2] == 400
    features = StaticEmbedding(tokenizer, embedding_dim=2).preprocess(texts)
    for row, ids in enumerate(np.split(features["input_ids"].numpy(), features["offsets"].numpy()[1:])):
        np.testing.assert_array_equal(counts[[row]].toarray()[0], np.bincount(ids, minlength=counts.shape[1]))


def test_the_teachers_tokenizer_stays_as_it_was(tiny_teacher: SentenceTransformer) -> None:
    before = len(tiny_teacher.tokenizer(LONG, truncation=True)["input_ids"])
    static_tokenizer(tiny_teacher).normalizer = None
    assert len(tiny_teacher.tokenizer(LONG, truncation=True)["input_ids"]) == before == 64
    assert tiny_teacher.tokenizer.backend_tokenizer.normalizer is not None


def test_a_token_alone_is_what_the_teacher_says_of_it_as_a_text(tiny_teacher: SentenceTransformer) -> None:
    tokenizer = static_tokenizer(tiny_teacher)
    vectors = single_token_vectors(tiny_teacher, tokenizer, tokenizer.get_vocab_size())
    words = ["the", "that", "x"]
    ids = [tokenizer.token_to_id(word) for word in words]
    # The pass over the vocabulary may be in bfloat16.
    np.testing.assert_allclose(vectors[ids], tiny_teacher.encode(words), atol=0.03)


def test_frequent_tokens_count_less_in_the_prior(tiny_teacher: SentenceTransformer) -> None:
    tokenizer = static_tokenizer(tiny_teacher)
    texts = ["the the the model", *sentences(99)]
    counts = token_counts(tokenizer, texts)
    prior = token_prior(tiny_teacher, tokenizer, counts, tiny_teacher.encode(texts))
    norms = np.linalg.norm(prior, axis=1)
    unseen, seen = tokenizer.token_to_id("q"), tokenizer.token_to_id("the")
    assert counts.toarray()[:, unseen].sum() == 0
    assert norms[unseen] > 5 * norms[seen] > 0


def test_a_teacher_without_a_fast_tokenizer_is_refused() -> None:
    tokens = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    teacher = SentenceTransformer(modules=[StaticEmbedding(tokens, torch.zeros(1, 4))], device="cpu")
    with pytest.raises(StudentError, match="this teacher's is a Tokenizer"):
        static_tokenizer(teacher)


def distil(teacher: SentenceTransformer, texts: list[str], **settings: Any) -> SentenceTransformer:
    vectors = teacher.encode(texts)
    student, _ = build_static_student(
        teacher,
        texts[:-100],
        vectors[:-100],
        held_out_texts=texts[-100:],
        held_out_targets=vectors[-100:],
        settings=SETTINGS.model_copy(update=settings),
    )
    return student


def test_a_table_in_bfloat16_is_half_as_large_and_nearly_as_good(
    tiny_teacher: SentenceTransformer, tmp_path: Path
) -> None:
    texts = sentences(600)
    full = distil(tiny_teacher, texts).encode(texts)
    student = distil(tiny_teacher, texts, dtype="bfloat16", hidden_layer=False)
    vectors = student.encode(["", *texts])
    student.save_pretrained(str(tmp_path), create_model_card=False)
    loaded = SentenceTransformer(str(tmp_path), device="cpu")
    assert loaded.dtype == torch.bfloat16
    np.testing.assert_array_equal(loaded.encode(["", *texts]), vectors)
    np.testing.assert_array_equal(vectors[0], np.zeros(32))
    np.testing.assert_allclose(vectors[1:], full, atol=0.01)
