"""Secrets and private paths in text: what they look like, and how to speak of them without repeating them.

Two strengths. *Exact* rules know the form of a token (a prefix and a length) and run on everything, also
on vocabularies. *Prose* rules (a sensitive key with a random-looking value, a path with somebody's name)
run on text that people and programs write, not on vocabularies, whose entries look like anything.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

_NEW_TOKEN = "revoke the token (it may be known by now) and remove it"
_NO_PATH = "replace it by a Hub id, a file name or a relative path"


class Hit(NamedTuple):
    """Something found in a text: its kind, where it starts, and the text itself (never to be shown)."""

    kind: str
    start: int
    text: str
    mend: str


@dataclass(frozen=True)
class _Rule:
    kind: str
    pattern: re.Pattern[str]
    mend: str


def _token(kind: str, pattern: str) -> _Rule:
    return _Rule(kind, re.compile(rf"(?<![A-Za-z0-9])(?:{pattern})"), _NEW_TOKEN)


def _glued(kind: str, pattern: str) -> _Rule:
    """A token whose prefix is so telling that letters may stand before it, as in a percent-encoded URL."""
    return _Rule(kind, re.compile(pattern), _NEW_TOKEN)


EXACT: tuple[_Rule, ...] = (
    _glued("Hugging Face token", r"hf_(?:oauth_|jwt_)[A-Za-z0-9._-]{20,}|(?:hf|api_org)_[A-Za-z0-9]{30,}"),
    _glued("GitHub token", r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}"),
    _token("GitLab token", r"glpat-[A-Za-z0-9_-]{20,}"),
    _token("AWS access key", r"(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _token("Google API key", r"AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_-]{20,}"),
    _token(
        "OpenAI or Anthropic key",
        r"sk-(?=[A-Za-z0-9_-]*[A-Z])(?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{20,}",
    ),
    _token("Slack token", r"xox[abeprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{20,}"),
    _token("Slack webhook", r"https://hooks\.slack\.com/services/[A-Za-z0-9/]{20,}"),
    _token("Stripe key", r"[rs]k_(?:live|test)_[A-Za-z0-9]{20,}"),
    _token("npm or PyPI token", r"npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}"),
    _token("web token (JWT)", r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    _Rule(
        "private key",
        re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d"),
        "replace the key (it may be known by now) and remove it",
    ),
)

_REST = r"[^\s\"'`<>|)\]},;]*"
_SEPARATOR = r"(?:/|\\{1,2})"
# What comes before a path: nothing, a quote, a blank, `=`; not the rest of a URL or of a longer path.
_PATH_START = r"(?:(?<=file://)|(?<![A-Za-z0-9_.~/\\<-]))"
PROSE: tuple[_Rule, ...] = (
    _Rule(
        "path in a home folder",
        re.compile(rf"{_PATH_START}(?:/[\w.-]+){{0,3}}?/(?:home|Users)/[\w.@+-]+(?:/{_REST})?"),
        _NO_PATH,
    ),
    _Rule(
        "path in a home folder",
        re.compile(rf"(?<![A-Za-z0-9])[A-Za-z]:{_SEPARATOR}Users{_SEPARATOR}[^\\/\s\"'`<>|]+[^\s\"'`<>|,;]*"),
        _NO_PATH,
    ),
    _Rule(
        "local path",
        re.compile(
            rf"{_PATH_START}/(?:root|tmp|var/tmp|var/folders|private/var|private/tmp|mnt|media|scratch|gpfs|lustre"
            rf"|nfs|nobackup|workspace|kaggle/working|content/drive|dbfs)/[\w.@+-]{_REST}"
        ),
        _NO_PATH,
    ),
    _Rule(
        "local path",
        # Folders that machines often keep data in; with one more level, as /data/x may mean anything.
        re.compile(
            rf"{_PATH_START}/(?:opt|srv|work|data|storage|projects?|export|code|app|users|[Vv]olumes?)"
            rf"/[\w.@+-]+/[\w.@+-]{_REST}"
        ),
        _NO_PATH,
    ),
    _Rule(
        "local path",
        re.compile(r"(?<![A-Za-z0-9])[A-Z]:\\{1,2}[\w.@+-]+(?:\\{1,2}[\w.@+ -]+)+"),
        _NO_PATH,
    ),
    _Rule(
        "local path",
        re.compile(rf"(?<![A-Za-z0-9_])file://(?:localhost)?/(?!path/to/)[\w.@+-]{_REST}"),
        _NO_PATH,
    ),
    _Rule(
        "password in a URL",
        re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"'<>{}$]+:(?!pass(?:word|wd)?@|pwd@)[^\s/@\"'<>{}$]{3,}@"),
        "change the password and remove it from the URL",
    ),
    _Rule(
        "authorization header",
        re.compile(
            r"(?i)\b(?:bearer|authorization\W{1,4}(?:basic|token))\s+(?=[A-Za-z0-9._~+/=-]*[0-9])[A-Za-z0-9._~+/=-]{12,}"
        ),
        _NEW_TOKEN,
    ),
)
_SENSITIVE = re.compile(
    r"(?i)(?P<key>[\w.-]{0,40}(?:token|secret|passw(?:or)?d|passphrase|api[_-]?key|access[_-]?key|account[_-]?key"
    r"|private[_-]?key|credentials?|auth))[\"']?\s*(?:[:=]|=>)\s*[\"']?(?P<value>[^\s\"',;`)\]}>]{8,})"
)
_PASSWORD_KEY = re.compile(r"(?i)passw|passphrase|secret")
_PLACEHOLDER = re.compile(r"^[<\[{%$]|\(|\*\*\*|\.\.\.|…|(?i:example|placeholder|your[_-]|xxxx|redacted)")
_ABSOLUTE = re.compile(r"^(?:/[\w.@+~ -]+){2,}/?$|^[A-Za-z]:[\\/].|^\\\\[\w.-]+\\|^~[\w-]*/|^file://")


def find_secrets(text: str, *, vocabulary: bool = False) -> Iterator[Hit]:
    """Find what must not travel in a text.

    Args:
        text: a line or more.
        vocabulary: the text lists tokens of a tokenizer; exact rules only.
    """
    for rule in EXACT if vocabulary else (*EXACT, *PROSE):
        for match in rule.pattern.finditer(text):
            yield Hit(rule.kind, match.start(), match[0], rule.mend)
    if vocabulary:
        return
    for match in _SENSITIVE.finditer(text):
        shortest = 8 if _PASSWORD_KEY.search(match["key"]) else 16
        if is_random(match["value"], shortest):
            kind = f"value of '{match['key']}' that looks like a secret"
            yield Hit(kind, match.start("value"), match["value"], _NEW_TOKEN)


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


def mask(text: str) -> str:
    """Show enough to find it, too little to use it."""
    if "/" in text or "\\" in text:
        parts = re.split(r"([/\\]+)", text)
        return "".join(parts[:4]) + "…" if len(parts) > 4 else f"{text[:4]}…"
    return f"{text[:4]}… ({len(text)} characters)"


_IN_URL = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']+")


def redact(message: str, *known: str | None) -> str:
    """Take known tokens, everything that looks like one and signed query strings out of a message."""
    for token in filter(None, known):
        message = message.replace(token, "***")
    for rule in EXACT:
        message = rule.pattern.sub("***", message)
    return _IN_URL.sub(r"\1", message)
