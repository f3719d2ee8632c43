"""What a tokenizer is made of, and its file with fewer tokens.

A text whose tokens are all kept is cut into the same tokens. Why that is so:

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
from functools import cached_property
from itertools import chain, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

from hubdistill.errors import StudentError

Ids = npt.NDArray[np.int64]


class TokenizerParts:
    """A tokenizer, taken apart.

    Args:
        tokenizer: a fast one.
        fixed: token ids that others know and that stay; those that the tokenizer lacks are passed over.
        rows: of the model's token table. Some tokenizers have added tokens beyond it, which no text can hold
            that the model shall embed; they are left out.

    Raises:
        StudentError: the tokenizer is not a fast one.
    """

    def __init__(self, tokenizer: Any, fixed: Collection[int] = (), *, rows: int) -> None:
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
        known = self.backend.get_vocab(with_added_tokens=True)
        self.ids: dict[str, int] = {token: number for token, number in known.items() if number < rows}
        added = self.spec["added_tokens"]
        self.spec["added_tokens"] = [token for token in added if token["id"] < rows]
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
        self.fixed = {number for number in (*named, *fixed) if number in self.tokens}

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
