"""What is said of a model's make, for the families that name things differently."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import wordpiece_tokenizer
from evaluation.word_models import word_model
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    StaticEmbedding,
    Transformer,
)
from transformers import (
    AutoModel,
    DistilBertConfig,
    ModernBertConfig,
    MPNetConfig,
    PreTrainedConfig,
    Qwen3Config,
    XLMRobertaConfig,
)

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.architecture import describe_architecture, environment
from hubdistill.model_files import model_bytes
from hubdistill.students.layers import reduce_layers

SIZE: dict[str, Any] = {
    "vocab_size": 120,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
TOKENS = 120 * 16
# Family: configuration, and how many rows of 16 its tables have besides the tokens'.
FAMILIES: dict[str, tuple[PreTrainedConfig, int]] = {
    "xlm-roberta": (XLMRobertaConfig(**SIZE), 64 + 2),
    "mpnet": (MPNetConfig(**SIZE), 64),
    "distilbert": (
        DistilBertConfig(
            vocab_size=120, dim=16, n_layers=3, n_heads=2, hidden_dim=24, max_position_embeddings=64
        ),
        64,
    ),
    "modernbert": (ModernBertConfig(**SIZE, cls_token_id=2, sep_token_id=3), 0),
    "qwen3": (Qwen3Config(**SIZE, num_key_value_heads=1, head_dim=8), 0),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_families_name_things_differently(family: str, tmp_path: Path) -> None:
    config, other_rows = FAMILIES[family]
    AutoModel.from_config(config).save_pretrained(tmp_path)
    wordpiece_tokenizer().save_pretrained(tmp_path)
    modules = [Transformer(str(tmp_path), max_seq_length=40), Pooling(16, "cls")]
    found = describe_architecture(SentenceTransformer(modules=modules, device="cpu"))
    assert (found.kind, found.family) == ("transformer", family)
    assert (found.layers, found.hidden_size, found.attention_heads, found.feed_forward) == (3, 16, 2, 24)
    assert (found.vocabulary, found.max_length, found.dimensions) == (120, 40, 16)
    assert (found.pooling, found.normalized) == ("cls", False)
    assert found.modules == ("Transformer", "Pooling")
    assert found.embedding_parameters == TOKENS + other_rows * 16
    assert found.parameters == sum(p.numel() for module in modules for p in module.parameters())


def test_the_dump_shows_depth_and_widths(tiny_teacher: SentenceTransformer) -> None:
    found = describe_architecture(reduce_layers(tiny_teacher, [0, 3]), [0, 3])
    assert found.kept_layers == (0, 3)
    assert found.normalized
    assert "(0-1): 2 x BertLayer(" in found.dump
    assert "Linear(in_features=32, out_features=64, bias=True)" in found.dump
    assert "(1): Pooling({" in found.dump
    assert "BertLayer" in describe_architecture(tiny_teacher).dump
    assert "(0-3): 4 x BertLayer(" in describe_architecture(tiny_teacher).dump


def test_a_static_model() -> None:
    model = word_model({"sun": [1.0, 0.0, 2.0], "moon": [0.0, 1.0, 2.0]})
    model.append(Normalize())
    found = describe_architecture(model)
    assert (found.kind, found.family, found.layers, found.max_length) == ("static", "static", 0, None)
    assert (found.vocabulary, found.hidden_size, found.parameters, found.embedding_parameters) == (3, 3, 9, 9)
    assert found.normalized
    assert "(embedding): EmbeddingBag(3, 3" in found.dump


@pytest.mark.parametrize(("widths", "hidden"), [((), None), ((12,), None), ((32, 8), 32)])
def test_a_static_model_has_a_hidden_layer_between_two_dense_modules(
    widths: tuple[int, ...], hidden: int | None
) -> None:
    static = StaticEmbedding(wordpiece_tokenizer(), embedding_dim=8)
    dense = [Dense(given, made) for given, made in pairwise((8, *widths))]
    model = SentenceTransformer(modules=[static, *dense], device="cpu")
    assert describe_architecture(model).feed_forward == hidden


def test_another_kind_of_model_is_refused() -> None:
    with pytest.raises(EvaluationError, match="starts with Normalize"):
        describe_architecture(SentenceTransformer(modules=[Normalize()], device="cpu"))


def test_bytes_are_those_of_what_the_model_needs(tmp_path: Path) -> None:
    for name, size in {
        "model.safetensors": 1000,
        "pytorch_model.bin": 900,
        "config.json": 50,
        "1_Pooling/config.json": 7,
        "2_Dense/pytorch_model.bin": 20,
        "README.md": 300,
        "report.json": 400,
        "summary.png": 500,
        "training_args.bin": 60,
        "checkpoint-10/model.safetensors": 1000,
        "onnx/model.json": 5,
        ".cache/huggingface/x.json": 5,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    assert model_bytes(tmp_path) == 1000 + 50 + 7 + 20


def test_the_environment_names_hardware_and_libraries_but_no_host() -> None:
    import platform

    found = environment(12, "cpu")
    assert (found.device, found.seed) == ("cpu", 12)
    assert found.processor
    assert found.memory_bytes > 0
    assert {"torch", "sentence-transformers"} <= found.libraries.keys()
    assert platform.node() not in found.platform
