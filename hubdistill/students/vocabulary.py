"""Vocabulary trimming: the teacher with only those tokens that a corpus needs.

Most of a small multilingual encoder is its token table, and most of its rows belong to languages and
words that its users never send. Here are the choice of the tokens to keep, the model that keeps them,
and what of other texts they cover. Nothing is trained, and what is kept is exact: a text whose tokens
are all kept is cut into the same tokens, and embedded as before. Why that is so:

- WordPiece takes the longest piece that fits; taking others away does not make it another one. Only a
  word in which the teacher finds an unknown piece, and which is [UNK] as a whole, may become known.
- Unigram takes the best-scored way to cut a text; with fewer pieces there are fewer ways, and the best
  one is still there. The score of an unknown character is the lowest of all pieces, less ten: that
  piece stays, so that "unknown" scores as before, and worse than any character that was taken away.
- BPE merges the pair of lowest rank until none is left. All that was merged on the way to a kept token
  stays, and so do the merges between kept tokens, in order: each step finds the same pair, among fewer.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice, pairwise
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hubdistill import recipe
from hubdistill.errors import CorpusTooSmallError, StudentError
from hubdistill.progress import track
from hubdistill.students.copying import copy_model
from hubdistill.students.static import Texts

Ids = npt.NDArray[np.int64]

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
        texts: a corpus; its texts are counted whole, without prompt.
        settings: how many tokens, or how much of the corpus they shall cover.
        prompt: text that is put before every input, besides the prompts that the model knows.
        student: the student's name, for error messages.

    Raises:
        CorpusTooSmallError: the texts have no tokens.
        StudentError: the model has no fast tokenizer; more tokens than it has were asked for, or fewer
            than cannot be missed.
    """
    parts = _Parts(model)
    counts = np.zeros(parts.rows, np.int64)
    for tokens, _ in _tokenized(parts.counter, texts):
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


def measure_coverage(model: SentenceTransformer, texts: Texts, ids: Ids) -> Coverage:
    """Measure how much of some texts a student with fewer tokens sees as the teacher does.

    Args:
        model: the untrimmed model.
        texts: texts that the tokens were not chosen by.
        ids: the kept tokens' ids in the model, shape (kept,).

    Raises:
        CorpusTooSmallError: the texts have no tokens.
        StudentError: the model has no fast tokenizer.
    """
    parts = _Parts(model)
    kept = np.zeros(parts.rows, bool)
    kept[ids] = True
    total = covered = unchanged = 0
    for tokens, lengths in _tokenized(parts.counter, texts):
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
    parts = _Parts(model)
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


class _Parts:
    """A model's tokenizer, taken apart."""

    def __init__(self, model: SentenceTransformer) -> None:
        tokenizer = getattr(model[0], "tokenizer", None)
        if isinstance(tokenizer, PreTrainedTokenizerFast):
            self.backend: Tokenizer = tokenizer.backend_tokenizer
            named = tokenizer.all_special_ids
        elif isinstance(tokenizer, Tokenizer):
            self.backend, named = tokenizer, []
        else:
            raise StudentError(
                f"a vocabulary can be trimmed where the tokenizer is a fast one, this model's is a "
                f"{type(tokenizer).__name__}; leave out the student's `vocabulary`, or use another teacher"
            )
        self.spec: dict[str, Any] = json.loads(self.backend.to_str())
        self.ids: dict[str, int] = self.backend.get_vocab(with_added_tokens=True)
        self.tokens = {number: token for token, number in self.ids.items()}
        self.available = len(self.tokens)
        # Not the count: the ids of some tokenizers have gaps.
        self.rows = max(self.tokens) + 1
        self.model: dict[str, Any] = self.spec["model"]
        self.kind: str = self.model["type"]
        vocabulary = self.model["vocab"]
        self.vocabulary = {p for p, _ in vocabulary} if self.kind == "Unigram" else set(vocabulary)
        self.prefix: str = self.model.get("continuing_subword_prefix") or ""
        self.suffix: str = self.model.get("end_of_word_suffix") or ""
        self.ranks: dict[tuple[str, str], int] = {
            (left, right): rank for rank, (left, right) in enumerate(self.model.get("merges", ()))
        }
        self.fixed = {number for number in (*named, *_used_by_encoder(model)) if number in self.tokens}

    @cached_property
    def counter(self) -> Tokenizer:
        """The tokenizer for whole texts: no padding, no truncation."""
        return Tokenizer.from_str(json.dumps({**self.spec, "padding": None, "truncation": None}))

    def required(self, prompts: Collection[str] = ()) -> set[int]:
        """Tokens without which the tokenizer would fail, or cut other texts differently."""
        found = {added["id"] for added in self.spec["added_tokens"]} | self.fixed
        found |= {place[key] for place, key in _processor_ids(self.spec["post_processor"])}
        if self.spec["padding"]:
            found.add(self.spec["padding"]["pad_id"])
        unknown = self.model.get("unk_token")
        names = [] if unknown is None else [unknown]
        if self.kind == "Unigram":
            scores = [score for _, score in self.model["vocab"]]
            found.add(int(np.argmin(scores)))
            if self.model["unk_id"] is not None:
                unknown = self.model["vocab"][self.model["unk_id"]][0]
                found.add(self.model["unk_id"])
        if self.model.get("byte_fallback"):
            names += [f"<0x{byte:02X}>" for byte in range(256)]
        if "ByteLevel" in json.dumps([self.spec["normalizer"], self.spec["pre_tokenizer"]]):
            names += ByteLevel.alphabet()
        elif unknown is None and not self.model.get("byte_fallback"):
            names += [token for token in self.vocabulary if len(self.letters(token)) == 1]
        found |= {self.ids[name] for name in names if name in self.ids}
        for prompt in prompts:
            found.update(self.counter.encode(prompt, add_special_tokens=False).ids)
        return set(chain.from_iterable(map(self.with_ancestors, found)))

    def check(self, ids: Collection[int]) -> None:
        """Make sure that these tokens can be kept without the others."""
        if absent := sorted(set(ids) - self.tokens.keys()):
            raise StudentError(
                f"the tokenizer has no token {absent[0]}; its ids are in the range from 0 to {self.rows - 1}"
            )
        needed = self.required().union(*map(self.with_ancestors, ids))
        if missing := sorted(needed.difference(ids)):
            raise StudentError(
                f"{len(missing)} tokens that cannot be missed are not kept, such as "
                f"{self.tokens[missing[0]]!r}; take the ids that choose_tokens gives"
            )

    def letters(self, token: str) -> list[str]:
        """The smallest pieces that a token can be made of, in the form that they have there."""
        if self.kind == "WordLevel":
            return []
        inner = token.removeprefix(self.prefix).removesuffix(self.suffix)
        letters = [self.prefix + letter for letter in inner]
        if letters and not token.startswith(self.prefix):
            letters[0] = inner[0]
        if letters and self.suffix and token.endswith(self.suffix):
            letters[-1] += self.suffix
        return letters

    def with_characters(self, counts: Ids) -> Ids:
        """Counts in which single characters count in all tokens that contain them, shape (tokens,)."""
        found = counts.copy()
        for number in np.flatnonzero(counts):
            token = self.tokens[int(number)]
            if token in self.vocabulary:
                for letter in set(self.letters(token)) - {token}:
                    if letter in self.vocabulary:
                        found[self.ids[letter]] += counts[number]
        return found

    def with_ancestors(self, number: int) -> set[int]:
        """A token and those that BPE goes through on the way to it.

        No merge reaches over the ends of a token that a text is cut into. So what happens between them is
        what happens to the token's letters alone, and one token has one set of ancestors.
        """
        token = self.tokens[number]
        if self.kind != "BPE" or token not in self.vocabulary:
            return {number}
        pieces = self.letters(token)
        made = set(pieces)
        while len(pieces) > 1:
            never = len(self.ranks)
            rank, place = min((self.ranks.get(pair, never), i) for i, pair in enumerate(pairwise(pieces)))
            if rank == never:
                break
            pieces[place : place + 2] = [self._merged(*pieces[place : place + 2])]
            made.add(pieces[place])
        # What merges do not lead to is looked up whole (ignore_merges), or not in use.
        return {self.ids[piece] for piece in made} if pieces == [token] else {number}

    def trimmed_spec(self, new_ids: dict[int, int]) -> dict[str, Any]:
        """The tokenizer's file with only the tokens that have new ids."""
        spec = {**self.spec, "model": dict(self.model), "post_processor": None}
        if self.kind == "Unigram":
            vocabulary = self.model["vocab"]
            spec["model"]["vocab"] = [vocabulary[i] for i in new_ids if self.tokens[i] in self.vocabulary]
            if self.model["unk_id"] is not None:
                spec["model"]["unk_id"] = new_ids[self.model["unk_id"]]
        else:
            kept = {self.tokens[old]: new for old, new in new_ids.items()}
            spec["model"]["vocab"] = {t: new for t, new in kept.items() if t in self.vocabulary}
            if self.kind == "BPE":
                spec["model"]["merges"] = [
                    pair
                    for pair in self.model["merges"]
                    if pair[0] in kept and pair[1] in kept and self._merged(*pair) in kept
                ]
        added = [{**added, "id": new_ids[added["id"]]} for added in self.spec["added_tokens"]]
        spec["added_tokens"] = sorted(added, key=lambda token: token["id"])
        spec["post_processor"] = copy.deepcopy(self.spec["post_processor"])
        for place, key in _processor_ids(spec["post_processor"]):
            place[key] = new_ids[place[key]]
        if padding := self.spec["padding"]:
            spec["padding"] = {**padding, "pad_id": new_ids[padding["pad_id"]]}
        return spec

    def _merged(self, left: str, right: str) -> str:
        return left + right.removeprefix(self.prefix)


def _tokenized(
    tokenizer: Tokenizer, texts: Texts
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """The tokens of some texts after the other, and how many each text has."""
    remaining = iter(texts)
    with track(len(texts), "Counting tokens") as advance:
        while batch := list(islice(remaining, _TEXTS)):
            found = [e.ids for e in tokenizer.encode_batch_fast(batch, add_special_tokens=False)]
            lengths = np.array([len(ids) for ids in found], np.int64)
            yield np.fromiter(chain.from_iterable(found), np.int64, lengths.sum()), lengths
            advance(len(batch))


def _processor_ids(processor: dict[str, Any] | None) -> Iterator[tuple[list[Any], int]]:
    """Where a post-processor has token ids: lists, and places in them."""
    if processor is None:
        return
    for part in processor.get("processors", ()):
        yield from _processor_ids(part)
    # Bert and Roberta have ["[SEP]", 102], a template {"[SEP]": {"ids": [102], ...}}.
    for name in ("sep", "cls"):
        if name in processor:
            yield processor[name], 1
    for special in processor.get("special_tokens", {}).values():
        for place in range(len(special["ids"])):
            yield special["ids"], place


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
