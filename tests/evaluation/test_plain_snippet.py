"""The snippet without sentence-transformers, run beside it on small models of each family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from conftest import wordpiece_tokenizer
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import (
    Dropout,
    Normalize,
    Pooling,
    StaticEmbedding,
    Transformer,
)
from torch import nn
from transformers import (
    AutoModel,
    BertConfig,
    DistilBertConfig,
    Gemma3TextConfig,
    ModernBertConfig,
    MPNetConfig,
    PreTrainedConfig,
    Qwen3Config,
    RobertaConfig,
    T5Config,
    T5EncoderModel,
    XLMRobertaConfig,
)

from hubdistill.evaluation.plain_snippet import PlainSnippet, plain_snippet
from hubdistill.evaluation.quick_start import SENTENCES, TOLERANCE
from hubdistill.evaluation.run_snippets import Answer, run
from hubdistill.report import PLACEHOLDER

WIDTH = 16
SIZE: dict[str, Any] = {
    "vocab_size": 120,
    "hidden_size": WIDTH,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 66,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
DECODER: dict[str, Any] = {**SIZE, "num_key_value_heads": 1, "head_dim": 8}
FAMILIES: dict[str, PreTrainedConfig] = {
    "bert": BertConfig(**SIZE),
    "roberta": RobertaConfig(**SIZE),
    "xlm-roberta": XLMRobertaConfig(**SIZE),
    "mpnet": MPNetConfig(**SIZE),
    "distilbert": DistilBertConfig(
        vocab_size=120, dim=WIDTH, n_layers=3, n_heads=2, hidden_dim=24, max_position_embeddings=66
    ),
    "modernbert": ModernBertConfig(**SIZE, cls_token_id=2, sep_token_id=3, local_attention=8),
    "qwen3": Qwen3Config(**DECODER),
    "gemma3": Gemma3TextConfig(**DECODER, sliding_window=8, query_pre_attn_scalar=8),
}
MEAN = Pooling(WIDTH, "mean")


@pytest.fixture(autouse=True)
def _client_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` is made for a process of its own, where it stands in for the Hub's client."""
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", huggingface_hub.hf_hub_download)


def encoder_folder(folder: Path, config: PreTrainedConfig, *, padding_side: str = "right") -> Path:
    torch.manual_seed(0)
    encoder = AutoModel.from_config(config) if config.model_type != "t5" else T5EncoderModel(config)
    # The usual initialisation is so small that every text would get nearly the same vector.
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    encoder.save_pretrained(folder)
    tokenizer = wordpiece_tokenizer()
    tokenizer.padding_side = padding_side
    tokenizer.save_pretrained(folder)
    return folder


def saved(folder: Path, modules: Sequence[nn.Module], **settings: Any) -> SentenceTransformer:
    model = SentenceTransformer(modules=list(modules), device="cpu", **settings)
    model.save(str(folder), create_model_card=False)
    return SentenceTransformer(str(folder), device="cpu")


def run_beside(
    model: SentenceTransformer, folder: Path, *, prompt: str | None = None
) -> tuple[PlainSnippet, Answer]:
    snippet = plain_snippet(model, folder, SENTENCES["en"], prompt=prompt)
    assert snippet is not None
    loaded = f"from sentence_transformers import SentenceTransformer as S\nmodel = S({str(folder)!r})\n"
    code = f"{loaded}sentences = {list(SENTENCES['en'])}"
    plain = snippet.code.replace(f'"{PLACEHOLDER}"', repr(str(folder)))
    answer = run({"quick_start": code, "plain": plain, "max_length": snippet.max_length, "prompt": prompt})
    return snippet, answer


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", ["mean", "lasttoken"])
def test_vectors_are_those_of_sentence_transformers(family: str, mode: Any, tmp_path: Path) -> None:
    side = "left" if family == "qwen3" else "right"
    encoder = encoder_folder(tmp_path / "encoder", FAMILIES[family], padding_side=side)
    transformer = Transformer(str(encoder), max_seq_length=40)
    model = saved(tmp_path / "model", [transformer, Pooling(WIDTH, mode), Normalize()])
    snippet, answer = run_beside(model, tmp_path / "model")
    assert answer["problem"] is None
    assert answer["difference"] is not None
    assert answer["difference"] <= TOLERANCE
    assert answer["texts"] == 6
    assert snippet.max_length == 40
    assert "AutoModel.from_pretrained" in snippet.code


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("mode", Pooling.POOLING_MODES)
def test_poolings(mode: Any, side: str, tmp_path: Path) -> None:
    encoder = encoder_folder(tmp_path / "encoder", FAMILIES["bert"], padding_side=side)
    folder = tmp_path / "model"
    model = saved(folder, [Transformer(str(encoder), max_seq_length=40), Pooling(WIDTH, mode)])
    if mode in ("mean_sqrt_len_tokens", "weightedmean"):
        assert plain_snippet(model, folder, SENTENCES["en"]) is None
        return
    snippet, answer = run_beside(model, folder)
    assert answer["difference"] is not None
    assert answer["difference"] <= TOLERANCE
    assert "normalize" not in snippet.code


def test_another_pooling_shows_as_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = encoder_folder(tmp_path / "encoder", FAMILIES["bert"])
    model = saved(tmp_path / "model", [Transformer(str(encoder), max_seq_length=40), MEAN])
    monkeypatch.setitem(vars(model[1]), "pooling_mode", "cls")
    _, answer = run_beside(model, tmp_path / "model")
    assert answer["difference"] is not None
    assert answer["difference"] > 100 * TOLERANCE


def test_dense_layers_are_read_from_their_own_files(tmp_path: Path) -> None:
    encoder = encoder_folder(tmp_path / "encoder", FAMILIES["bert"])
    torch.manual_seed(1)
    modules = [
        Transformer(str(encoder), max_seq_length=40),
        MEAN,
        Dense(WIDTH, 12),
        Normalize(),
        Dense(12, 8, bias=False, activation_function=nn.Identity()),
    ]
    model = saved(tmp_path / "model", modules)
    snippet, answer = run_beside(model, tmp_path / "model")
    assert answer["difference"] is not None
    assert answer["difference"] <= TOLERANCE
    assert 'load_file(hf_hub_download("MODEL_ID", "2_Dense/model.safetensors"))' in snippet.code
    assert 'torch.tanh(vectors @ dense_1["linear.weight"].T + dense_1["linear.bias"])' in snippet.code
    assert 'return vectors @ dense_2["linear.weight"].T\n' in snippet.code


def test_prompts_stand_before_every_text(tmp_path: Path) -> None:
    encoder = encoder_folder(tmp_path / "encoder", FAMILIES["bert"])
    settings = {"prompts": {"search": 'find "it": '}, "default_prompt_name": "search"}
    modules = [Transformer(str(encoder), max_seq_length=40), MEAN]
    model = saved(tmp_path / "model", modules, **settings)
    for prompt, quoted in (
        (None, r'["find \"it\": " + text for text in texts]'),
        ("über ", '["über " + text'),
    ):
        snippet, answer = run_beside(model, tmp_path / "model", prompt=prompt)
        assert quoted in snippet.code
        assert answer["difference"] is not None
        assert answer["difference"] <= TOLERANCE


def test_weights_of_half_the_width_are_widened(tmp_path: Path) -> None:
    encoder = encoder_folder(tmp_path / "encoder", FAMILIES["bert"])
    modules = [Transformer(str(encoder), max_seq_length=40), MEAN, Dense(WIDTH, 8)]
    SentenceTransformer(modules=modules, device="cpu").bfloat16().save(str(tmp_path / "model"))
    model = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    snippet, answer = run_beside(model, tmp_path / "model")
    assert 'dtype="float32"' in snippet.code
    assert answer["difference"] is not None
    assert answer["difference"] <= TOLERANCE


def test_a_class_that_automodel_does_not_give_is_named(tmp_path: Path) -> None:
    config = T5Config(vocab_size=120, d_model=WIDTH, d_kv=8, d_ff=24, num_layers=2, num_heads=2)
    encoder = encoder_folder(tmp_path / "encoder", config)
    model = saved(tmp_path / "model", [Transformer(str(encoder), max_seq_length=40), MEAN])
    snippet, answer = run_beside(model, tmp_path / "model")
    assert "from transformers import AutoTokenizer, T5EncoderModel\n" in snippet.code
    assert answer["difference"] is not None
    assert answer["difference"] <= TOLERANCE


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("modules", [[], [Normalize()]])
def test_static_models_need_no_torch(dtype: torch.dtype, modules: list[nn.Module], tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32)
    static = StaticEmbedding(wordpiece_tokenizer(), embedding_weights=table).to(dtype)
    model = saved(tmp_path / "model", [static, *modules])
    snippet, answer = run_beside(model, tmp_path / "model")
    assert ("torch" in snippet.packages) == (dtype != torch.float32)
    assert ("torch" in snippet.code) == (dtype != torch.float32)
    assert snippet.max_length is None
    assert answer["difference"] is not None
    assert answer["difference"] <= TOLERANCE


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh()])
def test_a_hidden_layer_of_a_static_model_needs_numpy_only(activation: nn.Module, tmp_path: Path) -> None:
    torch.manual_seed(0)
    static = StaticEmbedding(wordpiece_tokenizer(), embedding_dim=8)
    layers = [Dense(8, 32, activation_function=activation), Dense(32, 6, activation_function=None)]
    model = saved(tmp_path / "model", [static, *layers, Normalize()])
    snippet, answer = run_beside(model, tmp_path / "model")
    assert "torch" not in snippet.code
    assert answer["difference"] is not None
    assert answer["difference"] <= TOLERANCE


@pytest.mark.parametrize(
    "unknown",
    [
        lambda: [MEAN, Dropout()],
        lambda: [Pooling(WIDTH, ("mean", "cls"))],
        lambda: [Pooling(WIDTH, "mean", include_prompt=False)],
        lambda: [MEAN, Dense(WIDTH, 8, activation_function=nn.GELU())],
        lambda: [MEAN, Dense(WIDTH, 8, use_residual=True)],
    ],
)
def test_unknown_parts_have_no_snippet(unknown: Callable[[], list[nn.Module]], tmp_path: Path) -> None:
    encoder = encoder_folder(tmp_path / "encoder", FAMILIES["bert"])
    model = saved(tmp_path / "model", [Transformer(str(encoder)), *unknown()])
    assert plain_snippet(model, tmp_path / "model", SENTENCES["en"]) is None
