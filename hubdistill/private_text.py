"""Secrets and private paths in text: how to find them, and how to speak of them without repeating them.

Three strengths. *Exact* rules know the form of a token (a prefix and a length) and run on everything, also on
vocabularies, whose entries look like anything. *Binary* adds paths that give themselves away, for the text in
binary files. *Prose* adds what needs a context (a sensitive key with a random-looking value, a folder that
may be private), for text that people and programs write.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

from hubdistill.private_text_rules import BINARY, EXACT, NEW_TOKEN, PROSE, Hit, Rule

Strength = Literal["exact", "binary", "prose"]

_SENSITIVE_WORDS = (
    "token",
    "secret",
    "passw",
    "passphrase",
    "pwd",
    "credential",
    "auth",
    "webhook",
    "key",
    "pat",
)
_SENSITIVE_ANCHORS = tuple(
    spelling for word in _SENSITIVE_WORDS for spelling in (word, word.capitalize(), word.upper())
)
_ASSIGNED = re.compile(
    r"(?:(?i:token|secret|passw(?:or)?d|passphrase|pwd|credentials?|auth|webhook|key(?:[_-]?id)?)|PAT)"
    r"[\"']?[^\S\n]*(?:[:=]|=>)[^\S\n]*[\"']?(?P<value>[^\s\"',;`)\]}>]{8,})"
)
_KEY_START = re.compile(r"[\w.-]{0,40}$")
# What makes a key more than that of a table; a plain `key` needs a longer value.
_KEY_OF = re.compile(
    r"(?i:api|access|account|private|secret|auth|encryption|signing|master|service|client|shared)[_-]?$|[A-Z0-9]_$"
)
_PASSWORD_KEY = re.compile(r"(?i)passw|passphrase|secret|pwd")
_PLACEHOLDER = re.compile(r"^[<\[{%$]|\(|\*\*\*|\.\.\.|…|(?i:example|placeholder|your[_-]|xxxx|redacted)")
_ABSOLUTE = re.compile(r"^(?:/[\w.@+~ -]+){2,}/?$|^[A-Za-z]:[\\/].|^\\\\[\w.-]+\\|^~[\w-]*/|^file://")
_LONG_WORD = re.compile(r"(?<![\w+/.%-])[A-Za-z0-9+/_-]{32,256}(?![\w+/%-])")
_LONGEST_URL = 256
_PUBLIC = re.compile(r"(?:ssh-\w+ |://\S*|base64,)$")
_DIGEST = re.compile(r"sha(?:256|384|512)-")


def find_secrets(text: str, *, strength: Strength = "prose", also: Sequence[Rule] = ()) -> Iterator[Hit]:
    """Find what must not travel in a text; of hits that overlap, the first rule's.

    Args:
        text: a line or more.
        strength: which rules to use; see the module.
        also: further rules, for what is known by value.
    """
    rules = (*also, *EXACT, *{"exact": (), "binary": BINARY, "prose": PROSE}[strength])
    taken: list[tuple[int, int]] = []
    hits = [hit for rule in rules for hit in rule.find(text)]
    if strength == "prose":
        hits += [*_assigned(text), *_drawn(text)]
    for hit in hits:
        start, end = hit.start, hit.start + len(hit.text)
        if not any(start < other_end and other < end for other, other_end in taken):
            taken.append((start, end))
            yield hit


def _assigned(text: str) -> Iterator[Hit]:
    """Random-looking values of keys such as `password`, `HF_TOKEN` and `"client_secret"`."""
    for anchor in _SENSITIVE_ANCHORS:
        at = text.find(anchor)
        while at >= 0:
            if match := _ASSIGNED.match(text, at):
                start = _KEY_START.search(text, max(0, at - 40), at)
                before = start[0] if start else ""
                key = f"{before}{text[at : at + len(anchor)]}"
                shortest = 8 if _PASSWORD_KEY.search(key) else 16
                if anchor.lower() == "key" and not _KEY_OF.search(before):
                    shortest = 0 if before else 32
                if shortest and is_random(match["value"], shortest):
                    kind = f"value of '{key}' that looks like a secret"
                    yield Hit(kind, match.start("value"), match["value"], NEW_TOKEN)
            at = text.find(anchor, at + 1)


def _drawn(text: str) -> Iterator[Hit]:
    """Words that nobody wrote: long, with capitals, small letters and digits thoroughly mixed.

    Letters and digits drawn at random change their class (capital, small, digit) after 62 % of the
    characters, names in camel case much more seldom. Words in URLs are left alone: those name documents.
    """
    for match in _LONG_WORD.finditer(text):
        word = match[0]
        classes = "".join(
            "A" if c.isupper() else "a" if c.islower() else "0" if c.isdigit() else " " for c in word
        )
        if min(map(classes.count, "Aa")) < 3 or classes.count("0") < 2 or _PLACEHOLDER.search(word):
            continue
        parts = classes.split()
        changes = sum(a != b for part in parts for a, b in pairwise(part))
        if changes < 0.4 * len(word) or len(word) < 8 * len(parts):
            continue
        if not _DIGEST.match(word) and not _PUBLIC.search(
            text, max(0, match.start() - _LONGEST_URL), match.start()
        ):
            yield Hit("word that looks drawn at random, as keys are", match.start(), word, NEW_TOKEN)


def is_random(value: str, shortest: int = 16) -> bool:
    """Whether a value looks drawn at random: long, of letters and digits, and with high entropy.

    The threshold is 3 bits a character (Shannon, over the characters of the value itself) for values of 16
    characters and more; 32 random hexadecimal digits have about 3.6, English words in snake case no digits.
    """
    if len(value) < shortest or _PLACEHOLDER.search(value):
        return False
    if not (any(c.isdigit() for c in value) and any(c.isalpha() for c in value)):
        return False
    counts = Counter(value)
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return entropy >= min(3.0, 0.8 * math.log2(len(value)))


def is_local_path(value: str) -> bool:
    """Whether a whole value of a configuration is a path on somebody's machine."""
    return bool(_ABSOLUTE.match(value))


_ROOT = re.compile(
    r"(?:file://)?(?:/[a-zA-Z]{1,12}/|[A-Za-z]:[\\/]+(?:Users[\\/]+)?|\\\\|~|[a-z0-9]{2,6}:/+)"
)


def mask(text: str) -> str:
    """Show enough to find it, too little to use it: the first folder of a path, or a few characters."""
    if root := _ROOT.match(text):
        return f"{root[0]}…"
    return f"{text[: min(4, len(text) // 4)]}… ({len(text)} characters)"


_IN_URL = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']+")


def redact(message: str, *known: str | None) -> str:
    """Take known tokens, everything that looks like one and signed query strings out of a message."""
    for token in filter(None, known):
        message = message.replace(token, "***")
    for rule in EXACT:
        if any(anchor in message for anchor in rule.anchors):
            message = rule.pattern.sub("***", message)
    return _IN_URL.sub(r"\1", message)
