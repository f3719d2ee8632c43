"""Real models whose embeddings are known: a static table of a few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from hubdistill.evaluation.vectors import Vectors


def word_model(table: Mapping[str, Sequence[float]]) -> SentenceTransformer:
    """A model that gives each word its vector and a text the mean of its words."""
    tokens = Tokenizer(WordLevel({"?": 0, **{word: i for i, word in enumerate(table, 1)}}, unk_token="?"))
    tokens.pre_tokenizer = Whitespace()
    width = len(next(iter(table.values())))
    weights = np.array([[0.0] * width, *table.values()], dtype=np.float32)
    return SentenceTransformer(modules=[StaticEmbedding(tokens, embedding_weights=weights)], device="cpu")


def word_vectors(name: str, table: Mapping[str, Sequence[float]]) -> Vectors:
    """The vectors of such a model."""
    return Vectors(name, word_model(table))


def random_vectors(name: str, texts: Sequence[str], width: int, seed: int) -> Vectors:
    """A model with a random vector for each one-word text."""
    rows = np.random.default_rng(seed).normal(size=(len(texts), width))
    return word_vectors(name, dict(zip(texts, rows.tolist(), strict=True)))


def words(count: int) -> list[str]:
    """Different one-word texts."""
    return [f"word{number}" for number in range(count)]
