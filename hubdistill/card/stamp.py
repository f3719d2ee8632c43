"""What a card said when it was pushed, so that the next push knows whether somebody has edited it since.

A pushed card ends with a comment that holds two digests: of all that was generated or written by its author,
and of its kept sections. The order of its metadata, empty lines and line ends do not count.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

import yaml

from hubdistill.card.keep import kept_sections
from hubdistill.card.metadata import read_metadata
from hubdistill.errors import CardError

_COMMENT = re.compile(r"\n*^<!-- hubdistill:pushed ([0-9a-f]{16}) ([0-9a-f]{16}) -->[ \t]*\r?$", re.MULTILINE)


class Stamp(NamedTuple):
    """Digests of a card."""

    body: str
    """Of everything outside of its kept sections."""
    kept: str
    """Of its kept sections."""


def stamped(card: str) -> str:
    """A card with the stamp of what it says.

    Raises:
        CardError: a kept section is not closed, or two have one name.
    """
    text = without_stamp(card).rstrip("\n")
    return f"{text}\n\n<!-- hubdistill:pushed {' '.join(stamp_of(card))} -->\n"


def stamp_of(card: str) -> Stamp:
    """The digests of what a card says now.

    Raises:
        CardError: as `stamped`.
    """
    kept = sorted(line for section in kept_sections(card) for line in (section.name, *words(section.text)))
    return Stamp(_digest(body_lines(card)), _digest(kept))


def read_stamp(card: str) -> Stamp | None:
    """The digests of what a card said when it was pushed; None if no push of ours put it there."""
    found = _COMMENT.search(card)
    return Stamp(found[1], found[2]) if found else None


def without_stamp(card: str) -> str:
    """A card as it was before it was pushed."""
    return _COMMENT.sub("", card)


def body_lines(card: str) -> list[str]:
    """All lines outside of the kept sections that are not empty; the metadata in one order.

    Raises:
        CardError: as `stamped`.
    """
    card = without_stamp(card)
    lines = card.splitlines()
    for section in reversed(kept_sections(card)):
        del lines[section.start : section.stop + 1]
    text = "\n".join(lines)
    try:
        metadata, text = read_metadata(text)
        front = yaml.safe_dump(metadata, allow_unicode=True, width=100).splitlines()
    except CardError:
        front = []
    return [*front, *(line.rstrip() for line in text.splitlines() if line.strip())]


def words(section: str) -> list[str]:
    """The lines between the two markers of a kept section, without empty ones around them."""
    return [line.rstrip() for line in "\n".join(section.splitlines()[1:-1]).strip().splitlines()]


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
