"""Layer-reduced students, on tiny random-weight models of every encoder family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Normalize,
    Pooling,
    Router,
    StaticEmbedding,
    Transformer,
    WeightedLayerPooling,
)
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    DistilBertConfig,
    Gemma3TextConfig,
    LongformerConfig,
    ModernBertConfig,
    MPNetConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    RobertaConfig,
    XLMRobertaConfig,
)

from hubdistill import recipe
from hubdistill.errors import StudentDepthError, StudentError
from hubdistill.students.layers import (
    count_layers,
    encoder_blocks,
    freeze_token_embeddings,
    reduce_layers,
    select_layers,
)
from hubdistill.students.vocabulary import choose_tokens

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
WORDS = ["a", "small", "model", "learns", "what", "its", "large", "teacher", "says", "about", "the", "world"]
TEXTS = ["a small model", "the large teacher says what its model learns about the world " * 3]
SIZE: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 16,
    "num_hidden_layers": 6,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
DECODER: dict[str, Any] = {**SIZE, "num_key_value_heads": 1, "head_dim": 8}

FAMILIES: dict[str, PreTrainedConfig] = {
    "bert": BertConfig(**SIZE),
    "roberta": RobertaConfig(**SIZE),
    "xlm-roberta": XLMRobertaConfig(**SIZE),
    "mpnet": MPNetConfig(**SIZE),
    "distilbert": DistilBertConfig(
        vocab_size=32, dim=16, n_layers=6, n_heads=2, hidden_dim=24, max_position_embeddings=64
    ),
    "modernbert": ModernBertConfig(
        **SIZE, cls_token_id=1, sep_token_id=2, local_attention=4, global_attn_every_n_layers=3
    ),
    "qwen3": Qwen3Config(**DECODER, use_sliding_window=True, sliding_window=4, max_window_layers=2),
    "gemma3": Gemma3TextConfig(**DECODER, sliding_window=4, query_pre_attn_scalar=8),
}


def make_teacher(folder: Path, config: PreTrainedConfig, pooling: str = "mean") -> SentenceTransformer:
    torch.manual_seed(0)
    encoder = AutoModel.from_config(config)
    # The usual initialisation is so small that blocks hardly show in the output.
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    encoder.save_pretrained(folder)
    tokens = Tokenizer(WordLevel({word: i for i, word in enumerate(SPECIAL + WORDS)}, unk_token="[UNK]"))
    tokens.pre_tokenizer = Whitespace()
    tokens.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokens,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)
    transformer = Transformer(str(folder), max_seq_length=40)
    modules = [transformer, Pooling(16, pooling), Normalize()]
    return SentenceTransformer(
        modules=modules, prompts={"query": "what ", "document": ""}, similarity_fn_name="dot", device="cpu"
    )


def bypass(teacher: SentenceTransformer, layers: tuple[int, ...]) -> np.ndarray:
    """What the teacher says when its other blocks let everything through: the reference."""
    blocks = encoder_blocks(teacher)
    handles = [
        block.register_forward_hook(lambda _, given, out: _through(given[0], out))
        for place, block in enumerate(blocks)
        if place not in layers
    ]
    vectors: np.ndarray = teacher.encode(TEXTS)
    for handle in handles:
        handle.remove()
    return vectors


def _through(given: torch.Tensor, out: Any) -> Any:
    return (given, *out[1:]) if isinstance(out, tuple) else given


@pytest.mark.parametrize(
    ("available", "keep", "strategy", "expected"),
    [
        (12, 4, "ends", (0, 1, 10, 11)),
        (6, 3, "ends", (0, 1, 5)),
        (6, 2, "ends", (0, 5)),
        (6, 1, "ends", (0,)),
        (24, 8, "ends", (0, 1, 2, 3, 20, 21, 22, 23)),
        (3, 3, "ends", (0, 1, 2)),
        (12, 4, "even", (0, 3, 6, 9)),
        (6, 4, "even", (0, 1, 3, 4)),
        (6, 2, "first", (0, 1)),
        (6, 2, "last", (4, 5)),
        (6, [0, 3, 5], "ends", (0, 3, 5)),
    ],
)
def test_layers_are_selected_as_documented(
    available: int, keep: Any, strategy: Any, expected: tuple[int, ...]
) -> None:
    assert select_layers(available, keep, strategy) == expected


def test_a_student_deeper_than_its_teacher_is_refused_by_name() -> None:
    with pytest.raises(StudentDepthError) as raised:
        select_layers(6, 8, student="tiny", teacher="all-MiniLM-L6-v2", index=1)
    assert str(raised.value) == (
        "student 'tiny' asks for 8 layers, but all-MiniLM-L6-v2 has 6; set students[1].layers to at most 6"
    )


def test_a_layer_that_the_teacher_lacks_is_refused() -> None:
    with pytest.raises(StudentDepthError, match="asks for layer 6, but the teacher has layers 0 to 5"):
        select_layers(6, [0, 6])


@pytest.mark.parametrize("layers", [[0, 0], [3, 1]])
def test_a_list_of_layers_names_each_once_and_in_order(layers: list[int]) -> None:
    with pytest.raises(StudentError, match=r"set students\[0\].layers to"):
        select_layers(6, layers)


def test_a_student_keeps_at_least_one_layer() -> None:
    with pytest.raises(StudentError, match="keeps no layers"):
        select_layers(6, [])


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_says_what_its_kept_blocks_said_and_survives_a_reload(
    family: str, pooling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if pooling == "cls" and family in ("qwen3", "gemma3"):
        pooling = "lasttoken"
    teacher = make_teacher(tmp_path / "teacher", FAMILIES[family], pooling)
    before = teacher.encode(TEXTS)
    expected = bypass(teacher, (0, 1, 5))

    student = reduce_layers(teacher, (0, 1, 5))

    assert count_layers(student) == 3
    vectors = student.encode(TEXTS)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert np.abs(vectors - before).max() > 1e-3
    np.testing.assert_array_equal(teacher.encode(TEXTS), before)

    with monkeypatch.context() as patch:
        patch.setattr("sentence_transformers.base.model_card.get_model_info", pytest.fail)
        student.save(str(tmp_path / "student"))
    loaded = SentenceTransformer(str(tmp_path / "student"), device="cpu")
    np.testing.assert_allclose(loaded.encode(TEXTS), vectors, atol=1e-6)
    saved = "".join(file.read_text("utf-8") for file in (tmp_path / "student").rglob("*.json"))
    assert str(tmp_path) not in saved


def test_a_student_of_all_layers_is_its_teacher(tmp_path: Path) -> None:
    teacher = make_teacher(tmp_path, FAMILIES["bert"])
    np.testing.assert_array_equal(reduce_layers(teacher, range(6)).encode(TEXTS), teacher.encode(TEXTS))


def test_a_student_keeps_settings_and_shares_nothing(tmp_path: Path) -> None:
    teacher = make_teacher(tmp_path, FAMILIES["bert"])
    teacher._model_card_text = "# the teacher's own words"

    student = reduce_layers(teacher, (0, 5))

    assert student.prompts == teacher.prompts
    assert student.similarity_fn_name == "dot"
    assert student.max_seq_length == 40
    assert [type(module) for module in student] == [type(module) for module in teacher]
    assert not student._model_card_text
    assert student.model_card_data.model is student
    assert teacher.model_card_data.model is teacher
    storages = {p.untyped_storage().data_ptr() for p in teacher.parameters()}
    assert not any(p.untyped_storage().data_ptr() in storages for p in student.parameters())
    student.prompts["query"] = "other"
    assert teacher.prompts["query"] == "what "


def test_attention_patterns_follow_the_kept_layers(tmp_path: Path) -> None:
    teacher = make_teacher(tmp_path, FAMILIES["modernbert"])
    config = reduce_layers(teacher, (0, 3, 4)).config
    assert config.layer_types == ["full_attention", "full_attention", "sliding_attention"]
    assert "global_attn_every_n_layers" not in config.to_dict()


def test_window_layers_follow_the_kept_layers(tmp_path: Path) -> None:
    config = reduce_layers(make_teacher(tmp_path, FAMILIES["qwen3"]), (0, 2, 5)).config
    assert config.max_window_layers == 1
    assert config.layer_types == ["full_attention", "sliding_attention", "sliding_attention"]


def test_blocks_know_their_new_place(tmp_path: Path) -> None:
    student = reduce_layers(make_teacher(tmp_path, FAMILIES["qwen3"]), (0, 2, 5))
    assert [block.self_attn.layer_idx for block in encoder_blocks(student)] == [0, 1, 2]


def test_a_block_that_fits_only_its_own_place_is_refused(tmp_path: Path) -> None:
    teacher = make_teacher(tmp_path, FAMILIES["modernbert"])
    with pytest.raises(StudentError, match="keep layer 0 as well"):
        reduce_layers(teacher, (1, 5))


def test_precision_and_mode_are_the_teachers(tmp_path: Path) -> None:
    teacher = make_teacher(tmp_path, FAMILIES["gemma3"]).to(torch.bfloat16).train()
    student = reduce_layers(teacher, (0, 5))
    assert {p.dtype for p in student.parameters()} == {torch.bfloat16}
    assert all(module.training for module in student.modules())


def test_a_stack_that_repeats_one_block_is_refused(tmp_path: Path) -> None:
    teacher = make_teacher(tmp_path, AlbertConfig(**SIZE, embedding_size=16))
    with pytest.raises(StudentError, match="expected one list of 6 equal blocks, found none"):
        count_layers(teacher)


def test_two_equal_stacks_are_refused(tmp_path: Path) -> None:
    teacher = make_teacher(tmp_path, FAMILIES["bert"])
    teacher.transformers_model.other = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(6))
    with pytest.raises(StudentError, match=r"found 2 of them: encoder\.layer, other"):
        encoder_blocks(teacher)


def test_an_architecture_that_counts_its_layers_elsewhere_is_refused(tmp_path: Path) -> None:
    config = LongformerConfig(**SIZE, attention_window=[8] * 6)
    teacher = make_teacher(tmp_path, config)
    with pytest.raises(StudentError, match=r"LongformerModel cannot be built with only the layers \[0, 5\]"):
        reduce_layers(teacher, (0, 5))


def test_a_pooling_over_all_layers_is_refused(tmp_path: Path) -> None:
    bert = make_teacher(tmp_path, FAMILIES["bert"])
    weighted = SentenceTransformer(
        modules=[bert[0], WeightedLayerPooling(16, num_hidden_layers=6), bert[1]], device="cpu"
    )
    with pytest.raises(StudentError, match="a weight for each of its layers"):
        reduce_layers(weighted, (0, 5))


def test_a_router_is_refused(tmp_path: Path) -> None:
    queries, documents = (make_teacher(tmp_path / name, FAMILIES["bert"]) for name in ("q", "d"))
    routed = SentenceTransformer(
        modules=[Router.for_query_document([queries[0], queries[1]], [documents[0], documents[1]])],
        device="cpu",
    )
    with pytest.raises(StudentError, match="only one of them would be cut"):
        reduce_layers(routed, (0, 5))
    with pytest.raises(StudentError, match="only one of them would be cut"):
        choose_tokens(routed, ["a text"], recipe.Vocabulary(coverage=1))


def test_a_model_without_layers_is_refused() -> None:
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    static = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=4)], device="cpu")
    with pytest.raises(StudentError, match="starts with StaticEmbedding"):
        count_layers(static)


@pytest.mark.parametrize("family", ["bert", "distilbert", "gemma3"])
def test_only_the_token_table_is_frozen(family: str, tmp_path: Path) -> None:
    model = make_teacher(tmp_path, FAMILIES[family])
    freeze_token_embeddings(model)
    assert [tuple(p.shape) for p in model.parameters() if not p.requires_grad] == [(32, 16)]


BGE_M3 = XLMRobertaConfig(
    vocab_size=250_002,
    max_position_embeddings=8_194,
    type_vocab_size=1,
    hidden_size=1024,
    num_hidden_layers=24,
    num_attention_heads=16,
    intermediate_size=4096,
)
MXBAI_LARGE = BertConfig(
    vocab_size=30_522,
    max_position_embeddings=512,
    hidden_size=1024,
    num_hidden_layers=24,
    num_attention_heads=16,
    intermediate_size=4096,
)


@pytest.mark.parametrize(
    ("config", "keep", "millions"),
    [
        (BGE_M3, 24, 567.8),
        (BGE_M3, 8, 366.2),
        (BGE_M3, 6, 341.0),
        (BGE_M3, 4, 315.8),
        (MXBAI_LARGE, 24, 335.1),
        (MXBAI_LARGE, 8, 133.6),
    ],
)
def test_parameters_of_published_geometries(config: PreTrainedConfig, keep: int, millions: float) -> None:
    """Pooler included, as sentence-transformers loads and the Hub counts these models."""
    with torch.device("meta"):
        encoder: PreTrainedModel = AutoModel.from_config(config)
    teacher = SentenceTransformer(modules=[_Bare(encoder)], device="meta")
    student = reduce_layers(teacher, select_layers(24, keep))
    assert round(sum(p.numel() for p in student.parameters()) / 1e6, 1) == millions


class _Bare(torch.nn.Module):
    """An encoder without a tokenizer: enough to count parameters."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
