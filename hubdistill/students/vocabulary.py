"""Vocabulary trimming: the teacher with only those tokens that a corpus needs.

Most of a small multilingual encoder is its token table, and most of its rows belong to languages and
words that its users never send. Here are the choice of the tokens to keep, the model that keeps them,
and what of other texts they cover. Nothing is trained, and what is kept is exact: a text whose tokens
are all kept is cut into the same tokens (`tokenizer_parts` says why), and embedded as before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice, takewhile
from typing import Any, cast

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedModel

from hubdistill import recipe
from hubdistill.errors import CorpusTooSmallError, StudentError
from hubdistill.progress import track
from hubdistill.students.copying import copy_model, refuse_router
from hubdistill.students.static import Texts
from hubdistill.students.tokenizer_parts import Ids, TokenizerParts

_TEXTS = 8_192
_PROBE = 16


@dataclass(frozen=True)
class KeptTokens:
    """The tokens that a student keeps."""

    ids: Ids
    """Their ids in the teacher's tokenizer, increasing, shape (kept,)."""
    available: int
    """How many tokens the teacher has."""
    coverage: float
    """Share of the corpus's tokens, repeats counted, that are kept."""


@dataclass(frozen=True)
class Coverage:
    """What kept tokens cover of some texts."""

    tokens: float
    """Share of the texts' tokens, repeats counted, that are kept."""
    texts: float
    """Share of the texts whose tokens are all kept; their embeddings do not change."""


def choose_tokens(
    model: SentenceTransformer,
    texts: Texts,
    settings: recipe.Vocabulary,
    *,
    prompt: str | None = None,
    student: str = "student",
) -> KeptTokens:
    """Choose the tokens that a student keeps: the most frequent ones of a corpus.

    A single character counts as often as it occurs inside other tokens, because it is what a word falls
    back on when its own tokens are gone. Kept whatever the count: special and added tokens, the tokens
    of prompts, bytes, and what the tokenizer itself stands on. A BPE token comes with the tokens that it
    is merged from. If more tokens are asked for than the corpus has, those of the lowest ids fill up.

    Args:
        model: the teacher, or a student with its tokenizer.
        texts: a corpus; its texts are counted whole, and without the tokens of the prompt.
        settings: how many tokens, or how much of the corpus they shall cover.
        prompt: text that is put before every input, besides the prompts that the model knows. The first word
            of a text may be another token behind it.
        student: the student's name, for error messages.

    Raises:
        CorpusTooSmallError: the texts have no tokens.
        StudentError: the model has no fast tokenizer; more tokens than it has were asked for, or fewer
            than cannot be missed.
    """
    parts = _parts(model)
    counts = np.zeros(parts.rows, np.int64)
    for tokens, _ in _tokenized(parts.counter, texts, prompt):
        counts += np.bincount(tokens, minlength=parts.rows)
    total = int(counts.sum())
    if not total:
        raise CorpusTooSmallError(
            f"student '{student}' chooses its vocabulary by a corpus without any tokens; give it texts "
            "(corpus.sources, or the student's `texts`)"
        )
    required = parts.required([p for p in (*model.prompts.values(), prompt) if p])
    limit = parts.available if settings.tokens is None else settings.tokens
    if not len(required) <= limit <= parts.available:
        raise StudentError(
            f"student '{student}' asks for {limit} tokens; its teacher has {parts.available}, of which "
            f"{len(required)} cannot be missed (special tokens, prompts, bytes): set vocabulary.tokens to "
            f"a number from {len(required)} to {parts.available}"
        )
    target = total if settings.coverage is None else settings.coverage * total
    kept = np.zeros(parts.rows, bool)
    kept[list(required)] = True
    size, covered = len(required), int(counts[kept].sum())
    for token in np.argsort(-parts.with_characters(counts), kind="stable"):
        if size == limit or (settings.coverage is not None and covered >= target):
            break
        if kept[token] or token not in parts.tokens:
            continue
        new = [part for part in parts.with_ancestors(int(token)) if not kept[part]]
        # One with fewer ancestors may still fit.
        if size + len(new) <= limit:
            kept[new] = True
            size += len(new)
            covered += int(counts[new].sum())
    return KeptTokens(np.flatnonzero(kept), parts.available, covered / total)


def measure_coverage(
    model: SentenceTransformer, texts: Texts, ids: Ids, *, prompt: str | None = None
) -> Coverage:
    """Measure how much of some texts a student with fewer tokens sees as the teacher does.

    Args:
        model: the untrimmed model.
        texts: texts that the tokens were not chosen by.
        ids: the kept tokens' ids in the model, shape (kept,).
        prompt: text that is put before every input.

    Raises:
        CorpusTooSmallError: the texts have no tokens.
        StudentError: the model has no fast tokenizer.
    """
    parts = _parts(model)
    kept = np.zeros(parts.rows, bool)
    kept[ids] = True
    total = covered = unchanged = 0
    for tokens, lengths in _tokenized(parts.counter, texts, prompt):
        lost = np.concatenate([[0], np.cumsum(~kept[tokens])])
        ends = np.cumsum(lengths)
        total += len(tokens)
        covered += len(tokens) - int(lost[-1])
        unchanged += int((lost[ends] == lost[ends - lengths]).sum())
    if not total:
        raise CorpusTooSmallError("coverage is measured on texts with tokens, and these have none")
    return Coverage(covered / total, unchanged / len(texts))


def trim_vocabulary(model: SentenceTransformer, ids: Ids) -> SentenceTransformer:
    """Make a model that has only some of another's tokens, and else is the same.

    Its tokenizer, token table and configuration are renumbered; tokens keep their order. It has storage
    of its own and an empty model card. The given model is left as it is.

    Args:
        model: starts with a transformer or a StaticEmbedding.
        ids: the tokens to keep, as `choose_tokens` gives them, shape (kept,).

    Raises:
        StudentError: the model has no fast tokenizer or no plain token table, `ids` lack a token that
            cannot be missed, or the model uses token ids in a way that is not known here.
    """
    parts = _parts(model)
    kept = sorted(set(map(int, ids)))
    parts.check(kept)
    # Tokens that the tokenizer's model does not know must come last: their ids are not in its file.
    kept.sort(key=lambda token: (parts.tokens[token] not in parts.vocabulary, token))
    new_ids = {old: new for new, old in enumerate(kept)}
    spec = parts.trimmed_spec(new_ids)

    instead: dict[int, Any] = {id(parts.backend): Tokenizer.from_str(json.dumps(spec))}
    for name in ("vocab", "merges"):
        if held := getattr(model.tokenizer, f"_{name}", None):
            instead[id(held)] = spec["model"].get(name, held)
    for table in _token_tables(model):
        rows = torch.tensor(kept, device=next(table.parameters()).device)
        for parameter in table.parameters(recurse=False):
            with torch.no_grad():
                chosen = parameter.index_select(0, rows)
            instead[id(parameter)] = nn.Parameter(chosen, requires_grad=parameter.requires_grad)
    student = copy_model(model, instead)
    _renumber(student, new_ids)
    _check_same(model, student, kept)
    return student


def _parts(model: SentenceTransformer) -> TokenizerParts:
    refuse_router(model)
    rows = len(next(_token_tables(model)[0].parameters()))
    return TokenizerParts(getattr(model[0], "tokenizer", None), _used_by_encoder(model), rows=rows)


def _tokenized(tokenizer: Tokenizer, texts: Texts, prompt: str | None) -> Iterator[tuple[Ids, Ids]]:
    """The tokens of some texts behind the prompt, one after the other, and how many each text has."""
    prompt = prompt or ""
    before = tokenizer.encode(prompt, add_special_tokens=False).ids
    remaining = (f"{prompt}{text}" for text in texts)
    with track(len(texts), "Counting tokens") as advance:
        while batch := list(islice(remaining, _TEXTS)):
            found = [
                _behind(before, encoded.ids)
                for encoded in tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            ]
            lengths = np.array([len(ids) for ids in found], np.int64)
            yield np.fromiter(chain.from_iterable(found), np.int64, lengths.sum()), lengths
            advance(len(batch))


def _behind(before: list[int], tokens: list[int]) -> list[int]:
    """Tokens without those that the prompt alone begins with; its end may have merged with the text."""
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(before, tokens, strict=False))
    return tokens[sum(1 for _ in shared) :]


def _encoder(model: SentenceTransformer) -> PreTrainedModel | None:
    return model.transformers_model


def _token_tables(model: SentenceTransformer) -> list[nn.Module]:
    """Modules with one row for each token: the input embeddings, and the output head where there is one."""
    if isinstance(model[0], StaticEmbedding):
        return [model[0].embedding]
    encoder = _encoder(model)
    table = encoder.get_input_embeddings() if encoder is not None else None
    if encoder is None or not isinstance(table, nn.Embedding):
        raise StudentError(
            f"cannot find the token table of {type(encoder or model[0]).__name__}: expected an Embedding, "
            f"found {type(table).__name__}; leave out the student's `vocabulary`"
        )
    head = encoder.get_output_embeddings()
    return [table] if head is None else [table, head]


def _configs(encoder: PreTrainedModel) -> list[Any]:
    config, text = encoder.config, encoder.config.get_text_config()
    return [config] if text is config else [config, text]


def _used_by_encoder(model: SentenceTransformer) -> set[int]:
    """Token ids that the encoder itself knows."""
    encoder = _encoder(model)
    if encoder is None:
        return set()
    found: set[int] = set()
    for config in _configs(encoder):
        for name, value in vars(config).items():
            if name.endswith("_token_id"):
                found.update(i for i in (value if isinstance(value, list) else [value]) if i is not None)
    # RoBERTa and its kin count positions from the padding token's id, so that one must not move.
    first = max((t.padding_idx for t in _other_tables(encoder) if t.padding_idx is not None), default=-1)
    return found | set(range(first + 1))


def _other_tables(encoder: PreTrainedModel) -> list[nn.Embedding]:
    table = encoder.get_input_embeddings()
    return [m for m in encoder.modules() if isinstance(m, nn.Embedding) and m is not table]


def _renumber(student: SentenceTransformer, new_ids: dict[int, int]) -> None:
    """Write the new number of tokens and the new ids wherever modules and configuration have them."""
    for table in _token_tables(student):
        for size in ("num_embeddings", "out_features"):
            if hasattr(table, size):
                setattr(table, size, len(new_ids))
    if isinstance(student[0], StaticEmbedding):
        student[0].num_embeddings = len(new_ids)
    encoder = _encoder(student)
    if encoder is None:
        return
    positions = _other_tables(encoder)
    for module in encoder.modules():
        if module not in positions and isinstance(getattr(module, "padding_idx", None), int):
            module.padding_idx = new_ids.get(cast(int, module.padding_idx))  # type: ignore[assignment]
    for config in _configs(encoder):
        # A student is a model of its own, and the name may be a folder on this machine.
        config.name_or_path = ""
        if hasattr(config, "vocab_size"):
            config.vocab_size = len(new_ids)
        for name, value in list(vars(config).items()):
            if name.endswith("_token_id") and value is not None:
                many = isinstance(value, list)
                setattr(config, name, [new_ids[i] for i in value] if many else new_ids.get(value))


@torch.no_grad()
def _check_same(model: SentenceTransformer, student: SentenceTransformer, kept: list[int]) -> None:
    """Make sure that both say the same of the same tokens.

    Architectures differ in what else depends on token ids; one pass over a few tokens shows it.
    """
    old = np.linspace(0, len(kept) - 1, min(_PROBE, len(kept)), dtype=np.int64)
    said = []
    for one, ids in ((model, np.array(kept)[old]), (student, old)):
        inputs = torch.tensor(ids, device=one.device)
        if isinstance(one[0], StaticEmbedding):
            features = {"input_ids": inputs, "offsets": torch.tensor([0], device=one.device)}
        else:
            features = {"input_ids": inputs[None], "attention_mask": torch.ones_like(inputs[None])}
        training = one.training
        said.append(one.eval()(features)["sentence_embedding"].float())
        one.train(training)
    if not torch.allclose(said[0], said[1], atol=1e-4, equal_nan=True):
        raise StudentError(
            f"{type(_encoder(model) or model[0]).__name__} with a trimmed vocabulary does not say the same "
            "of the same tokens: it uses token ids in another way; leave out the student's `vocabulary`"
        )
