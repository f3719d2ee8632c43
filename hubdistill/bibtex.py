"""BibTeX entries: finding them in the card of a model or data set, and reading them whole."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hubdistill.errors import CardError

_START = re.compile(r"@\s*([A-Za-z]+)\s*\{\s*([^\s,{}\"]+)\s*,")
_FIELD = re.compile(r"\s*([A-Za-z][\w-]*)\s*=\s*")
_NUMBER_OR_NAME = re.compile(r"[\w.+-]+")
_CODE_BLOCK = re.compile(r"^```[^\n`]*\n\s*(@.*?)^```", re.MULTILINE | re.DOTALL)
_LONGEST, _MOST = 5_000, 10
"""Characters of an entry, and entries, that are taken over from a card."""


@dataclass(frozen=True)
class Entry:
    """One BibTeX entry."""

    kind: str
    """`article`, `misc`, ..."""
    key: str
    text: str
    """The entry as it was written."""


def card_citations(card: str) -> tuple[str, ...]:
    """The BibTeX entries in the code blocks of a model's card; what is none is left out."""
    found: list[str] = []
    for block in _CODE_BLOCK.findall(card):
        try:
            found += [entry.text for entry in parse_bibtex(block) if len(entry.text) <= _LONGEST]
        except CardError:
            continue
    return tuple(found[:_MOST])


def parse_bibtex(text: str, place: str = "BibTeX") -> list[Entry]:
    """Split a text into its BibTeX entries and check that each is whole.

    Args:
        place: where the text comes from, for the message.

    Raises:
        CardError: there is text outside of entries, or an entry that a BibTeX reader would refuse.
    """
    entries = []
    position = 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        start = _START.match(text, position)
        if not start:
            raise _refusal(place, text, position, "expected an entry: @misc{key, title = {...}}")
        end = _fields_end(text, start.end(), place)
        entries.append(Entry(start[1].lower(), start[2], text[position:end]))
        position = end
    return entries


def _fields_end(text: str, position: int, place: str) -> int:
    """Read `name = value, ...}` and return the place behind the closing brace."""
    while True:
        position += len(text[position:]) - len(text[position:].lstrip())
        if text[position : position + 1] == "}":
            return position + 1
        field = _FIELD.match(text, position)
        if not field:
            raise _refusal(place, text, position, "expected a field: name = {value}")
        position = _value_end(text, field.end(), place)
        position += len(text[position:]) - len(text[position:].lstrip())
        if text[position : position + 1] == ",":
            position += 1
        elif text[position : position + 1] != "}":
            raise _refusal(place, text, position, "expected a comma or the entry's closing brace")


def _value_end(text: str, position: int, place: str) -> int:
    opening = text[position : position + 1]
    if opening not in ("{", '"'):
        plain = _NUMBER_OR_NAME.match(text, position)
        if not plain:
            raise _refusal(place, text, position, "expected a value in braces or quotes")
        return plain.end()
    depth = 0
    for place_now in range(position + (opening == '"'), len(text)):
        character = text[place_now]
        escaped = text[place_now - 1] == "\\"
        if character == "{" and not escaped:
            depth += 1
        elif character == "}" and not escaped:
            depth -= 1
        if depth < 0:
            break
        if depth == 0 and ((opening == "{" and character == "}") or (opening == '"' and character == '"')):
            return place_now + 1
    raise _refusal(place, text, position, "this value is never closed")


def _refusal(place: str, text: str, position: int, expected: str) -> CardError:
    near = " ".join(text[position : position + 60].split())
    return CardError(f"{place} is not valid BibTeX at '{near}': {expected}")
