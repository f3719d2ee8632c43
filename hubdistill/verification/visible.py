"""Which lines of a card a reader sees: those in no comment, no code and no element that hides its text."""

from __future__ import annotations

import re
from typing import Final

from hubdistill.card.text import outside_fences

_ENDS: Final = {"<!--": "-->", "<![CDATA[": "]]>", "<?": "?>"}
"""What is never shown, by its beginning."""
_HIDING: Final = re.compile(
    "details|dialog|iframe|noscript|object|script|select|style|svg|template|textarea|title", re.IGNORECASE
)
_BEGINNING: Final = re.compile(r"<!--|<!\[CDATA\[|<\?|<(/?)([A-Za-z][\w-]*)([^<>]*)")
_HIDDEN: Final = re.compile(r"\b(?:hidden|style|class)\b", re.IGNORECASE)


def visible_lines(text: str) -> set[str]:
    """The lines before which nothing was opened that hides them, without white space at their end."""
    found: set[str] = set()
    opened: list[str] = []
    for _, line in outside_fences([line.rstrip() for line in text.splitlines()]):
        if not opened:
            found.add(line)
        _follow(line, opened)
    return found


def hides(line: str) -> bool:
    """Whether a line has anything that could hide its own words."""
    return any(match[2] is None or _is_hiding(match) for match in _BEGINNING.finditer(line))


def _follow(line: str, opened: list[str]) -> None:
    """Add what a line opens, and take away what it closes."""
    rest = line
    while True:
        if opened and opened[-1] in _ENDS:
            _, end, rest = rest.partition(_ENDS[opened[-1]])
            if not end:
                return
            opened.pop()
        match = _BEGINNING.search(rest)
        if match is None:
            return
        rest = rest[match.end() :]
        if match[2] is None:
            opened.append(match[0])
        elif match[1] and (name := match[2].lower()) in opened:
            del opened[opened.index(name) :]
        elif _is_hiding(match):
            opened.append(match[2].lower())


def _is_hiding(tag: re.Match[str]) -> bool:
    return not tag[1] and bool(_HIDING.fullmatch(tag[2]) or _HIDDEN.search(tag[3]))
