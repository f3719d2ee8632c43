"""Choosing layers by the teacher's vectors."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from hubdistill.corpus import write_texts
from hubdistill.errors import CorpusTooSmallError, StudentError
from hubdistill.students import layer_search
from hubdistill.students.layer_search import search_layers
from hubdistill.students.layers import encoder_blocks, reduce_layers
from hubdistill.text_table import TextTable

WORDS = ["the", "a", "of", "and", "to", "in", "is", "that", "for", "it", "this", "not", "sentence", "text"]


@pytest.fixture
def texts(tmp_path: Path) -> TextTable:
    rng = np.random.default_rng(0)
    return write_texts(tmp_path, [" ".join(rng.choice(WORDS, 6)) + f" {number}" for number in range(200)])


def make_idle(block: Any) -> None:
    """Let a BERT block give what it is given: both its branches add zero to normalised states."""
    with torch.no_grad():
        for part in (block.attention.output, block.output):
            for parameter in part.dense.parameters():
                parameter.zero_()
            part.LayerNorm.weight.fill_(1.0)
            part.LayerNorm.bias.zero_()


@pytest.mark.parametrize("idle", [1, 2])
def test_a_layer_that_does_nothing_goes_first(
    tiny_teacher: SentenceTransformer, texts: TextTable, idle: int
) -> None:
    blocks: Any = encoder_blocks(tiny_teacher)
    before = blocks[idle - 1].output.LayerNorm
    with torch.no_grad():
        before.weight.fill_(1.0)  # so that normalising again changes nothing
        before.bias.zero_()
    make_idle(blocks[idle])
    targets = tiny_teacher.encode(list(texts))
    path = search_layers(tiny_teacher, 3, texts, targets)
    assert path == [(0, 1, 2, 3), tuple(layer for layer in range(4) if layer != idle)]


def test_one_search_serves_students_of_every_depth(
    tiny_teacher: SentenceTransformer, texts: TextTable
) -> None:
    path = search_layers(tiny_teacher, 1, texts, tiny_teacher.encode(list(texts)))
    assert [len(layers) for layers in path] == [4, 3, 2, 1]
    assert all(set(less) < set(more) for more, less in pairwise(path))


def test_one_text_is_not_enough(tiny_teacher: SentenceTransformer, texts: TextTable) -> None:
    with pytest.raises(CorpusTooSmallError, match="name the layers"):
        search_layers(tiny_teacher, 3, texts.head(1), np.zeros((1, 32), np.float32))


def test_layers_that_cannot_stand_alone_are_passed_over(
    tiny_teacher: SentenceTransformer, texts: TextTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_with_the_first(teacher: SentenceTransformer, layers: tuple[int, ...]) -> SentenceTransformer:
        if layers[0] != 0:
            raise StudentError("the first block is built differently")
        return reduce_layers(teacher, layers)

    monkeypatch.setattr(layer_search, "reduce_layers", only_with_the_first)
    targets = tiny_teacher.encode(list(texts))
    assert search_layers(tiny_teacher, 1, texts, targets)[-1] == (0,)
    monkeypatch.setattr(layer_search, "reduce_layers", lambda *_: only_with_the_first(tiny_teacher, (1,)))
    with pytest.raises(StudentError, match="name the layers instead"):
        search_layers(tiny_teacher, 3, texts, targets)


def test_the_score_is_the_cosine_after_a_linear_map() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((400, 8)).astype(np.float32)
    turned, _ = np.linalg.qr(rng.standard_normal((8, 8)))
    assert layer_search._mapped_cosine(vectors, (vectors @ turned).astype(np.float32)) > 0.999
    unrelated = rng.standard_normal((400, 8)).astype(np.float32)
    assert abs(layer_search._mapped_cosine(vectors, unrelated)) < 0.2
