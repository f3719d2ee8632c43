"""The hidden layer of a static student, before it is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from conftest import wordpiece_tokenizer
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, StaticEmbedding

from hubdistill.students.hidden_layer import UNITS, add_hidden_layer

TEXTS = ["the cat", "a model of the text, not that one", "42 is this", "that was for it"]
WIDTH = 8


def solved() -> SentenceTransformer:
    torch.manual_seed(0)
    table = 50 * torch.randn(len(wordpiece_tokenizer()), WIDTH)
    static = StaticEmbedding(wordpiece_tokenizer(), embedding_weights=table)
    return SentenceTransformer(modules=[static, Normalize()], device="cpu", similarity_fn_name="cosine")


def test_it_changes_nothing_at_first_whatever_the_scale_of_the_table() -> None:
    model = solved()
    before = model.encode(TEXTS)
    deeper = add_hidden_layer(model, TEXTS, seed=0)
    np.testing.assert_allclose(deeper.encode(TEXTS), before, atol=1e-6)
    np.testing.assert_array_equal(model.encode(TEXTS), before)
    assert deeper.similarity_fn_name == "cosine"
    means = deeper[0](deeper[0].preprocess(TEXTS))["sentence_embedding"]
    assert 0.3 < means.norm(dim=1).median() < 3


def test_it_is_made_of_the_librarys_own_parts_and_survives_a_reload(tmp_path: Path) -> None:
    deeper = add_hidden_layer(solved(), TEXTS, seed=0)
    assert [type(module) for module in deeper] == [StaticEmbedding, Dense, Dense, Normalize]
    assert deeper[1].out_features == UNITS * WIDTH
    deeper.save_pretrained(str(tmp_path), create_model_card=False)
    loaded = SentenceTransformer(str(tmp_path), device="cpu")
    np.testing.assert_array_equal(loaded.encode(TEXTS), deeper.encode(TEXTS))


def test_every_unit_can_learn() -> None:
    torch.manual_seed(1)
    deeper = add_hidden_layer(solved(), TEXTS, seed=0)
    wanted = torch.randn(len(TEXTS), WIDTH)
    for _ in range(2):
        found = deeper(deeper[0].preprocess(TEXTS))["sentence_embedding"]
        (1 - torch.nn.functional.cosine_similarity(found, wanted)).sum().backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for parameter in deeper.parameters():
                assert parameter.grad is not None
                parameter -= 0.1 * parameter.grad
    # Those without effect get their first gradient once their way out is no longer zero.
    reached = deeper[1].linear.weight.grad.abs().sum(dim=1) > 0
    active = (deeper[1].linear(deeper[0](deeper[0].preprocess(TEXTS))["sentence_embedding"]) > 0).any(dim=0)
    assert reached[active].all()
    assert active.sum() > UNITS * WIDTH // 2
