"""Vocabulary trimming: what is kept is exact, for every kind of tokenizer."""

from __future__ import annotations

import copy
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding, Transformer
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AutoModel,
    BertConfig,
    BertTokenizer,
    Gemma3TextConfig,
    ModernBertConfig,
    MPNetConfig,
    MPNetTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    Qwen3Config,
    RobertaConfig,
    RobertaTokenizer,
    XLMRobertaConfig,
    XLMRobertaTokenizer,
)

from hubdistill import recipe
from hubdistill.errors import CorpusTooSmallError, StudentError
from hubdistill.students.layers import reduce_layers
from hubdistill.students.static import single_token_vectors, static_tokenizer
from hubdistill.students.vocabulary import Coverage, choose_tokens, measure_coverage, trim_vocabulary

SYLLABLES = ["ba", "ke", "lo", "min", "ter", "ing", "un", "é", "st", "or", "ßa", "日本", "zu"]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
SIZE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 514,
}
ROBERTA: dict[str, Any] = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
DECODER: dict[str, Any] = {**SIZE, "num_key_value_heads": 1, "head_dim": 8}


def sentences(seed: int, number: int) -> list[str]:
    chance = random.Random(seed)
    words = ["".join(chance.choices(SYLLABLES, k=chance.randint(1, 4))) for _ in range(120)]
    common = random.Random(0)
    words += ["".join(common.choices(SYLLABLES, k=common.randint(1, 4))) for _ in range(60)]
    weights = [1 / (1 + rank) for rank in range(120)] + [0.05] * 60
    return [
        " ".join(chance.choices(words, weights, k=chance.randint(1, 9))) + chance.choice(".!?")
        for _ in range(number)
    ]


TRAINING = sentences(1, 400)
CORPUS = sentences(2, 150)
HELD_OUT = sentences(3, 150) + CORPUS[:50]


def byte_level(vocabulary: int, special: list[str], ignore_merges: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    return tokenizer


def vocabulary_and_merges(tokenizer: Tokenizer) -> dict[str, Any]:
    model = models_json(tokenizer)
    return {"vocab": model["vocab"], "merges": [tuple(merge) for merge in model["merges"]]}


def models_json(tokenizer: Tokenizer) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    return model


def roberta() -> tuple[Any, PreTrainedConfig]:
    tokenizer = RobertaTokenizer(**vocabulary_and_merges(byte_level(600, SPECIAL)))
    return tokenizer, RobertaConfig(**SIZE, **ROBERTA, vocab_size=len(tokenizer))


def qwen3() -> tuple[Any, PreTrainedConfig]:
    tokenizer = Qwen2Tokenizer(**vocabulary_and_merges(byte_level(600, [])))
    tokenizer.padding_side = "left"
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", tokenizer.pad_token_id)]
    )
    # The token table of a Qwen model is longer than its tokenizer.
    end = tokenizer.pad_token_id
    return tokenizer, Qwen3Config(
        **DECODER, vocab_size=len(tokenizer) + 7, pad_token_id=end, bos_token_id=end, eos_token_id=[end]
    )


def modernbert(ignore_merges: bool = False) -> tuple[Any, PreTrainedConfig]:
    backend = byte_level(600, ["|||IP|||"], ignore_merges)
    backend.add_tokens([AddedToken("  ", normalized=True)])
    backend.add_special_tokens(["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"])
    cls, sep, pad = (backend.token_to_id(token) for token in ("[CLS]", "[SEP]", "[PAD]"))
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
    )
    ids = {
        "pad_token_id": pad,
        "bos_token_id": cls,
        "eos_token_id": sep,
        "cls_token_id": cls,
        "sep_token_id": sep,
    }
    return tokenizer, ModernBertConfig(**SIZE, **ids, vocab_size=len(tokenizer) + 5)


def llama3() -> tuple[Any, PreTrainedConfig]:
    return modernbert(ignore_merges=True)


def xlm_roberta() -> tuple[Any, PreTrainedConfig]:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=250, special_tokens=SPECIAL[:4], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    vocabulary = [tuple(piece) for piece in models_json(tokenizer)["vocab"]]
    fast = XLMRobertaTokenizer(vocab=[*vocabulary, ("<mask>", 0.0)])
    return fast, XLMRobertaConfig(**SIZE, **ROBERTA, vocab_size=len(fast))


def gemma3() -> tuple[Any, PreTrainedConfig]:
    """BPE on characters, with bytes for unknown ones, and every way to make a token among the merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    trainer = trainers.BpeTrainer(
        vocab_size=550, special_tokens=["<pad>", "<eos>", "<bos>", "<unk>", *BYTES], show_progress=False
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    found = vocabulary_and_merges(tokenizer)
    vocabulary = found["vocab"]
    ways = [
        (token[:cut], token[cut:])
        for token in sorted(vocabulary, key=lambda t: vocabulary[t])
        if token not in BYTES
        for cut in range(1, len(token))
        if token[:cut] in vocabulary and token[cut:] in vocabulary
    ]
    assert len(ways) > 1.3 * len(found["merges"])
    backend = Tokenizer(models.BPE(vocabulary, ways, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = tokenizer.normalizer
    backend.add_special_tokens(["<pad>", "<eos>", "<bos>", "<unk>"])
    backend.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 1)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    )
    return fast, Gemma3TextConfig(
        **DECODER,
        vocab_size=len(fast),
        query_pre_attn_scalar=8,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )


def wordpiece(special: list[str]) -> dict[str, int]:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(TRAINING, trainer)
    vocabulary: dict[str, int] = models_json(tokenizer)["vocab"]
    return vocabulary


def bert() -> tuple[Any, PreTrainedConfig]:
    # As in BERT, special tokens lie between ordinary ones.
    special = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = BertTokenizer(vocab=wordpiece(special))
    return tokenizer, BertConfig(**SIZE, vocab_size=len(tokenizer), pad_token_id=0)


def mpnet() -> tuple[Any, PreTrainedConfig]:
    tokenizer = MPNetTokenizer(vocab=wordpiece(["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]))
    return tokenizer, MPNetConfig(**SIZE, **ROBERTA, vocab_size=len(tokenizer))


def word_level() -> tuple[Any, PreTrainedConfig]:
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(vocab_size=200, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(TRAINING, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        model_input_names=["input_ids", "attention_mask"],
    )
    return fast, RobertaConfig(**SIZE, **ROBERTA, vocab_size=len(fast))


FAMILIES = {
    family.__name__: family
    for family in (bert, mpnet, roberta, modernbert, llama3, qwen3, gemma3, xlm_roberta, word_level)
}


@pytest.fixture(scope="module")
def teacher(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformer:
    return build(tmp_path_factory.mktemp(request.param), *FAMILIES[request.param]())


def build(folder: Path, tokenizer: Any, config: PreTrainedConfig) -> SentenceTransformer:
    torch.manual_seed(0)
    encoder = AutoModel.from_config(config)
    # The usual initialisation is so small that a wrong row hardly shows in the output.
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    modules = [Transformer(str(folder)), Pooling(16, "mean")]
    return SentenceTransformer(modules=modules, prompts={"query": "min lo: "}, device="cpu")


every_family = pytest.mark.parametrize("teacher", FAMILIES, indirect=True)


def pieces(model: SentenceTransformer, text: str) -> list[str]:
    tokens: list[str] = model.tokenizer.convert_ids_to_tokens(
        model.tokenizer(text, truncation=True)["input_ids"]
    )
    return tokens


def kept_texts(teacher: SentenceTransformer, ids: Any, texts: list[str]) -> list[str]:
    kept = set(map(int, ids))
    return [text for text in texts if kept.issuperset(teacher.tokenizer(text)["input_ids"])]


@every_family
@pytest.mark.parametrize("coverage", [0.85, 0.97])
def test_texts_of_kept_tokens_are_cut_and_embedded_as_before_and_after_a_reload(
    teacher: SentenceTransformer, coverage: float, tmp_path: Path
) -> None:
    kept = choose_tokens(teacher, CORPUS, recipe.Vocabulary(coverage=coverage))
    student = trim_vocabulary(teacher, kept.ids)
    texts = kept_texts(teacher, kept.ids, HELD_OUT)
    assert len(texts) > 10
    assert len(kept.ids) < len(teacher.tokenizer)
    student.save(str(tmp_path))
    for model in (student, SentenceTransformer(str(tmp_path), device="cpu", local_files_only=True)):
        assert len(model.tokenizer) == len(kept.ids) == model[0].model.get_input_embeddings().num_embeddings
        assert model[0].model.config.vocab_size == len(kept.ids)
        assert [pieces(model, text) for text in texts] == [pieces(teacher, text) for text in texts]
        np.testing.assert_array_equal(model.encode(texts), teacher.encode(texts))
        # Others are still embedded, of tokens that the student has.
        assert np.isfinite(model.encode(["", "ζ 🙂 " + HELD_OUT[0], *HELD_OUT])).all()


@cache
def trimmed(teacher: SentenceTransformer, tokens: int) -> tuple[set[int], SentenceTransformer]:
    floor = len(choose_tokens(teacher, CORPUS, recipe.Vocabulary(coverage=1e-9)).ids)
    limit = floor + tokens * (len(teacher.tokenizer) - floor) // 4
    ids = choose_tokens(teacher, CORPUS, recipe.Vocabulary(tokens=limit)).ids
    assert len(ids) == limit
    return set(map(int, ids)), trim_vocabulary(teacher, ids)


words = st.lists(st.sampled_from([*SYLLABLES, *"abegiklmnortuz", " ", "  ", ".", "é", "ζ", "🙂", "<mask>"]))
texts_of_words = words.map("".join)


@every_family
@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=texts_of_words, tokens=st.integers(0, 3))
def test_any_text_of_kept_tokens_is_cut_as_before(
    teacher: SentenceTransformer, text: str, tokens: int
) -> None:
    kept, student = trimmed(teacher, tokens)
    cut = teacher.tokenizer(text)["input_ids"]
    unknown = models_json(teacher.tokenizer.backend_tokenizer)["type"] == "WordPiece" and (
        teacher.tokenizer.unk_token_id in cut
    )
    if kept.issuperset(cut) and not unknown:
        assert pieces(student, text) == teacher.tokenizer.convert_ids_to_tokens(cut)


@every_family
def test_coverage_counts_kept_tokens_and_unchanged_texts(teacher: SentenceTransformer) -> None:
    ids = choose_tokens(teacher, CORPUS, recipe.Vocabulary(coverage=0.9)).ids
    cut = [teacher.tokenizer(text, add_special_tokens=False)["input_ids"] for text in HELD_OUT]
    kept = [token in ids for text in cut for token in text]
    found = measure_coverage(teacher, [*HELD_OUT, ""], ids)
    assert found.tokens == sum(kept) / len(kept)
    # A text without tokens does not change either.
    assert found.texts == (len(kept_texts(teacher, ids, HELD_OUT)) + 1) / (len(HELD_OUT) + 1)


@every_family
def test_the_teacher_stays_as_it_is(teacher: SentenceTransformer) -> None:
    before = copy.deepcopy(teacher.state_dict())
    tokenizer, config = teacher.tokenizer.backend_tokenizer.to_str(), teacher[0].model.config.to_dict()
    student = trim_vocabulary(teacher, choose_tokens(teacher, CORPUS, recipe.Vocabulary(coverage=0.9)).ids)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())
    assert teacher.tokenizer.backend_tokenizer.to_str() == tokenizer
    assert teacher[0].model.config.to_dict() == config


@every_family
def test_a_full_vocabulary_is_the_teachers(teacher: SentenceTransformer) -> None:
    size = len(teacher.tokenizer)
    kept = choose_tokens(teacher, CORPUS, recipe.Vocabulary(tokens=size))
    assert (len(kept.ids), kept.available, kept.coverage) == (size, size, 1.0)
    student = trim_vocabulary(teacher, kept.ids)
    assert student.tokenizer.get_vocab() == teacher.tokenizer.get_vocab()
    np.testing.assert_array_equal(student.encode(HELD_OUT), teacher.encode(HELD_OUT))


@every_family
def test_coverage_of_the_whole_corpus_changes_none_of_it(teacher: SentenceTransformer) -> None:
    kept = choose_tokens(teacher, CORPUS, recipe.Vocabulary(coverage=1))
    assert measure_coverage(teacher, CORPUS, kept.ids).texts == kept.coverage == 1


@every_family
def test_texts_are_counted_as_they_are_read_behind_a_prompt(teacher: SentenceTransformer) -> None:
    """Behind a prompt the first word begins with a space: for many tokenizers that is another token."""
    words = sorted({text.split()[0] for text in CORPUS})
    prompt = "zuzu st: "
    kept = choose_tokens(teacher, words, recipe.Vocabulary(coverage=1), prompt=prompt)
    assert kept.coverage == 1
    assert measure_coverage(teacher, words, kept.ids, prompt=prompt) == Coverage(tokens=1, texts=1)
    student = trim_vocabulary(teacher, kept.ids)
    for word in words:
        assert pieces(student, prompt + word) == pieces(teacher, prompt + word)


@every_family
def test_prompts_and_special_tokens_are_kept_whatever_the_corpus(teacher: SentenceTransformer) -> None:
    kept = choose_tokens(teacher, ["ba"], recipe.Vocabulary(coverage=0.01), prompt="zuzu st: ")
    for prompt in ("min lo: ", "zuzu st: "):
        assert set(teacher.tokenizer(prompt)["input_ids"]) <= set(kept.ids)
    student = trim_vocabulary(teacher, kept.ids)
    assert student.tokenizer.special_tokens_map == teacher.tokenizer.special_tokens_map
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        old, new = getattr(teacher[0].model.config, name), getattr(student[0].model.config, name)
        old, new = (value[0] if isinstance(value, list) else value for value in (old, new))
        assert (old is None) == (new is None)
        if old is not None:
            names = student.tokenizer.convert_ids_to_tokens(new), teacher.tokenizer.convert_ids_to_tokens(old)
            assert names[0] == names[1]


@pytest.mark.parametrize("teacher", ["xlm_roberta", "qwen3"], indirect=True)
def test_a_trimmed_model_can_lose_layers_too(teacher: SentenceTransformer) -> None:
    kept = choose_tokens(teacher, CORPUS, recipe.Vocabulary(coverage=0.9))
    texts = kept_texts(teacher, kept.ids, HELD_OUT)
    small = reduce_layers(teacher, [0])
    for student in (trim_vocabulary(small, kept.ids), reduce_layers(trim_vocabulary(teacher, kept.ids), [0])):
        np.testing.assert_array_equal(student.encode(texts), small.encode(texts))


@pytest.mark.parametrize("teacher", ["xlm_roberta"], indirect=True)
def test_a_trimmed_model_can_be_trimmed_again(teacher: SentenceTransformer) -> None:
    larger = trim_vocabulary(teacher, choose_tokens(teacher, CORPUS, recipe.Vocabulary(coverage=0.97)).ids)
    kept = choose_tokens(larger, CORPUS, recipe.Vocabulary(coverage=0.8))
    texts = kept_texts(larger, kept.ids, CORPUS)
    assert pieces(trim_vocabulary(larger, kept.ids), texts[0]) == pieces(larger, texts[0])


@pytest.mark.parametrize("teacher", ["bert", "modernbert", "gemma3", "xlm_roberta"], indirect=True)
def test_static_models_are_trimmed_as_well(teacher: SentenceTransformer, tmp_path: Path) -> None:
    tokenizer = copy.deepcopy(teacher.tokenizer.backend_tokenizer)
    table = np.random.default_rng(0).normal(size=(len(teacher.tokenizer) + 3, 8)).astype(np.float32)
    static = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table)], device="cpu")
    kept = choose_tokens(static, CORPUS, recipe.Vocabulary(coverage=0.9))
    student = trim_vocabulary(static, kept.ids)
    texts = kept_texts(teacher, kept.ids, HELD_OUT)
    student.save(str(tmp_path))
    for model in (student, SentenceTransformer(str(tmp_path), device="cpu", local_files_only=True)):
        assert model[0].num_embeddings == len(kept.ids)
        np.testing.assert_array_equal(model.encode(texts), static.encode(texts))


@pytest.mark.parametrize("teacher", ["bert", "gemma3"], indirect=True)
def test_a_token_beyond_the_table_is_left_out(teacher: SentenceTransformer, tmp_path: Path) -> None:
    """Gemma's tokenizer has one for images, for which its text models have no row."""
    more = copy.deepcopy(teacher)
    more.tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    assert len(more.tokenizer) == more[0].model.get_input_embeddings().num_embeddings + 1
    kept = choose_tokens(more, CORPUS, recipe.Vocabulary(coverage=0.9))
    np.testing.assert_array_equal(
        kept.ids, choose_tokens(teacher, CORPUS, recipe.Vocabulary(coverage=0.9)).ids
    )
    student = trim_vocabulary(more, kept.ids)
    student.save(str(tmp_path))
    texts = kept_texts(teacher, kept.ids, HELD_OUT)
    for model in (student, SentenceTransformer(str(tmp_path), device="cpu", local_files_only=True)):
        np.testing.assert_array_equal(model.encode(texts), teacher.encode(texts))


@pytest.mark.parametrize("teacher", ["gemma3"], indirect=True)
def test_a_token_beyond_the_table_has_no_vector_of_its_own(teacher: SentenceTransformer) -> None:
    rows = len(teacher.tokenizer)
    vectors = single_token_vectors(teacher, static_tokenizer(teacher), rows + 1)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1] * rows + [0])


def test_positions_that_are_counted_from_the_padding_token_stay(tmp_path: Path) -> None:
    vocabulary = ["not special", "<pad>", "<s>", "</s>", "<unk>", "min", "ter", "lo"]
    tokenizer = Tokenizer(models.WordLevel({t: i for i, t in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    teacher = build(tmp_path, fast, RobertaConfig(**{**SIZE, **ROBERTA, "bos_token_id": 2}, vocab_size=8))
    kept = choose_tokens(teacher, ["min lo"], recipe.Vocabulary(coverage=1))
    assert list(kept.ids) == [0, 1, 2, 4, 5, 7]
    student = trim_vocabulary(teacher, kept.ids)
    np.testing.assert_array_equal(student.encode(["lo min min", "lo"]), teacher.encode(["lo min min", "lo"]))


def hand_made(model: Any, special: str = "<unk>") -> SentenceTransformer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([special])
    module = StaticEmbedding(tokenizer, embedding_dim=4)
    return SentenceTransformer(modules=[module], device="cpu")


def test_a_merged_token_brings_the_tokens_that_it_is_merged_from() -> None:
    vocabulary = {t: i for i, t in enumerate(["<unk>", "a", "b", "c", "d", "ab", "cd", "bc", "abcd"])}
    merges = [("c", "d"), ("b", "c"), ("a", "b"), ("ab", "cd")]
    model = hand_made(models.BPE(vocabulary, merges, unk_token="<unk>"))
    kept = choose_tokens(model, ["abcd"], recipe.Vocabulary(coverage=1))
    # "bc" is a way to nowhere: "cd" is merged first.
    assert [model.tokenizer.id_to_token(i) for i in kept.ids] == [
        "<unk>",
        "a",
        "b",
        "c",
        "d",
        "ab",
        "cd",
        "abcd",
    ]
    student = trim_vocabulary(model, kept.ids)
    assert student.tokenizer.encode("abcd").tokens == ["abcd"]
    assert models_json(student.tokenizer)["merges"] == [["c", "d"], ["a", "b"], ["ab", "cd"]]


def test_ends_of_words_are_pieces_of_their_own() -> None:
    vocabulary = {t: i for i, t in enumerate(["<unk>", "a", "b", "a</w>", "b</w>", "ab", "ab</w>"])}
    merges = [("a", "b</w>"), ("a", "b")]
    model = hand_made(models.BPE(vocabulary, merges, unk_token="<unk>", end_of_word_suffix="</w>"))
    kept = choose_tokens(model, ["ab"], recipe.Vocabulary(coverage=1))
    assert [model.tokenizer.id_to_token(i) for i in kept.ids] == ["<unk>", "a", "b</w>", "ab</w>"]


def test_the_lowest_score_stays_for_it_sets_the_score_of_the_unknown() -> None:
    scores = [("<unk>", 0.0), ("a", -1.0), ("ab", -14.0), ("z", -20.0)]
    model = hand_made(models.Unigram(scores, 0, False))
    kept = choose_tokens(model, ["ab ab"], recipe.Vocabulary(coverage=1))
    # "b" is unknown: "a" and it together must cost more than "ab".
    assert [model.tokenizer.id_to_token(i) for i in kept.ids] == ["<unk>", "a", "ab", "z"]
    assert trim_vocabulary(model, kept.ids).tokenizer.encode("ab").tokens == ["ab"]


def test_single_characters_count_in_all_tokens_that_contain_them() -> None:
    vocabulary = {t: i for i, t in enumerate(["[UNK]", "x", "##x", "un", "##til", "u", "##n", "##t", "##i"])}
    model = hand_made(models.WordPiece(vocabulary, unk_token="[UNK]"), "[UNK]")
    kept = choose_tokens(model, ["until until x"], recipe.Vocabulary(tokens=7))
    assert [model.tokenizer.id_to_token(i) for i in kept.ids] == [
        "[UNK]", "un", "##til", "u", "##n", "##t", "##i",
    ]  # fmt: skip
    student = trim_vocabulary(model, kept.ids)
    assert student.tokenizer.encode("unit until").tokens == ["un", "##i", "##t", "un", "##til"]


def test_characters_are_kept_where_nothing_stands_for_the_unknown() -> None:
    vocabulary = {t: i for i, t in enumerate(["<s>", "a", "b", "c", "ab"])}
    model = hand_made(models.BPE(vocabulary, [("a", "b")]), "<s>")
    kept = choose_tokens(model, ["a"], recipe.Vocabulary(coverage=1))
    assert list(kept.ids) == [0, 1, 2, 3]


@pytest.mark.parametrize("teacher", ["bert"], indirect=True)
def test_a_number_of_tokens_out_of_range_is_refused_with_the_range(teacher: SentenceTransformer) -> None:
    size = len(teacher.tokenizer)
    for tokens in (5, size + 1):
        with pytest.raises(StudentError) as raised:
            choose_tokens(teacher, CORPUS, recipe.Vocabulary(tokens=tokens), student="small")
        assert str(raised.value).startswith(
            f"student 'small' asks for {tokens} tokens; its teacher has {size}, of which "
        )
        assert str(raised.value).endswith(f" to {size}")


@pytest.mark.parametrize("teacher", ["roberta"], indirect=True)
def test_ids_without_what_the_tokenizer_needs_are_refused(teacher: SentenceTransformer) -> None:
    kept = choose_tokens(teacher, CORPUS, recipe.Vocabulary(coverage=0.9)).ids
    with pytest.raises(StudentError, match="1 tokens that cannot be missed are not kept, such as '<pad>'"):
        trim_vocabulary(teacher, kept[kept != teacher.tokenizer.pad_token_id])
    with pytest.raises(StudentError, match="the tokenizer has no token 9999"):
        trim_vocabulary(teacher, np.array([*kept, 9999]))


@pytest.mark.parametrize("teacher", ["bert"], indirect=True)
def test_a_model_that_uses_ids_in_another_way_is_refused(teacher: SentenceTransformer) -> None:
    odd = copy.deepcopy(teacher)
    embeddings = odd[0].model.get_input_embeddings()
    embeddings.register_forward_hook(
        lambda _, given, out: out + torch.sin(given[0][..., None] * torch.arange(16))
    )
    with pytest.raises(StudentError, match="BertModel with a trimmed vocabulary does not say the same"):
        trim_vocabulary(odd, choose_tokens(odd, CORPUS, recipe.Vocabulary(coverage=0.8)).ids)


@pytest.mark.parametrize("teacher", ["bert"], indirect=True)
def test_a_corpus_without_tokens_is_refused(teacher: SentenceTransformer) -> None:
    with pytest.raises(CorpusTooSmallError, match="without any tokens"):
        choose_tokens(teacher, [""], recipe.Vocabulary(coverage=0.5))
    with pytest.raises(CorpusTooSmallError, match="these have none"):
        measure_coverage(teacher, [], np.arange(10))


def test_a_tokenizer_that_is_not_fast_is_refused() -> None:
    model = hand_made(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    model[0].tokenizer = object()
    with pytest.raises(StudentError, match="this model's is a object"):
        choose_tokens(model, CORPUS, recipe.Vocabulary(coverage=0.5))


def test_the_real_teacher_keeps_its_embeddings(minilm_folder: Path) -> None:
    teacher = SentenceTransformer(str(minilm_folder), device="cpu", local_files_only=True)
    corpus = [
        "a student learns what its teacher says about the world",
        "embedding models are compared on held-out sentences",
    ]
    kept = choose_tokens(teacher, corpus, recipe.Vocabulary(coverage=1))
    student = trim_vocabulary(teacher, kept.ids)
    texts = [*corpus, "the teacher learns about embedding sentences"]
    assert len(kept.ids) < 100
    assert student.tokenizer.tokenize(texts[2]) == teacher.tokenizer.tokenize(texts[2])
    np.testing.assert_array_equal(student.encode(texts), teacher.encode(texts))
