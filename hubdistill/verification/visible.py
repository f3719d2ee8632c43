"""Which lines of a card a reader sees: those in no comment, no code and no element that hides its text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from hubdistill.card.text import outside_fences

_PART: Final = re.compile(
    r"(?P<ticks>`+)(?!`)(?:(?!\n\n).)+?(?<!`)(?P=ticks)(?!`)"  # code in a line has no markup
    r"|(?P<gap>\n\n)"
    r"|(?P<comment><!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<\?.*?(?:\?>|\Z))"
    r"|<(?P<end>/?)(?P<tag>[A-Za-z][A-Za-z0-9-]*)(?=[\s/>])(?P<attributes>(?:\"[^\"]*\"|'[^']*'|[^<>\"'])*)>",
    re.DOTALL,
)
_VALUE: Final = re.compile(r"=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>]+)")
_HIDING: Final = re.compile("details|dialog|iframe|noscript|script|select|style|svg|template|textarea|title")
_HIDING_ATTRIBUTES: Final = {"hidden", "style", "class"}
_BLOCKS: Final = re.compile(
    "article|aside|blockquote|center|div|dl|fieldset|figure|footer|form|header|main|nav|ol|p|pre|section|table|ul"
)
"""Elements that may hold more than a line, and hide it by their attributes."""


def hidden_lines(lines: Sequence[str]) -> set[int]:
    """Which lines, counted from 0, are code or stand behind something that was opened and hides them."""
    free = list(outside_fences(lines))
    hidden = _hidden("\n".join(line for _, line in free))
    found = set(range(len(lines))) - {number for number, _ in free}
    place = 0
    for number, line in free:
        if any(start < place < end for start, end in hidden):
            found.add(number)
        place += len(line) + 1
    return found


def _hidden(text: str) -> list[tuple[int, int]]:
    """Where the hidden parts of a text begin and end."""
    found: list[tuple[int, int]] = []
    opened: list[str] = []
    since = 0
    for part in _PART.finditer(text):
        before = bool(opened)
        if part["comment"]:
            found.append(part.span())
        elif part["gap"]:
            # A paragraph ends with it, closed or not.
            opened = [tag for tag in opened if tag != "p"]
        elif part["tag"]:
            _follow(part, opened)
        if opened and not before:
            since = part.start()
        elif before and not opened:
            found.append((since, part.start()))
    return [*found, (since, len(text))] if opened else found


def _follow(part: re.Match[str], opened: list[str]) -> None:
    """Add the element that a tag opens, if it hides, and take away what it closes."""
    tag = part["tag"].lower()
    if not part["end"]:
        if _is_hiding(part) and (_HIDING.fullmatch(tag) or _BLOCKS.fullmatch(tag)):
            opened.append(tag)
    elif tag in opened:
        del opened[opened.index(tag) :]


def _is_hiding(part: re.Match[str]) -> bool:
    names = _VALUE.sub(" ", part["attributes"].lower()).split()
    return bool(_HIDING.fullmatch(part["tag"].lower())) or not _HIDING_ATTRIBUTES.isdisjoint(names)
