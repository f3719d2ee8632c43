"""A card's metadata, refused where reading it would take far longer than writing it did."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import yaml

from hubdistill.front_matter import split_front_matter
from hubdistill.localhub import card_metadata

_DEEPEST = 50
_LONGEST = 1_000_000


def read_metadata(text: str) -> dict[str, Any]:
    """The metadata of a card; empty where there is none that can be read.

    Args:
        text: the whole card.
    """
    return {} if refusal(text) else card_metadata.read_metadata(text) or {}


def refusal(text: str) -> str:
    """Why the metadata of a card is not read: it is nested too deeply, or its aliases make too much of it.

    Args:
        text: the whole card.

    Returns:
        What it is and what mends it; empty where nothing is to be feared, and for what is no YAML.
    """
    said = split_front_matter(text)[0]
    try:
        length, height = _extent(said)
    except (yaml.YAMLError, ValueError):
        return ""
    if height > _DEEPEST:
        return f"it is nested more than {_DEEPEST} levels deep; write it flatter"
    if length > _LONGEST + 2 * len(said):
        return "its aliases (*name) repeat so much that it is not read; write out what they stand for"
    return ""


class _Extent(NamedTuple):
    """Characters and levels of a value with its aliases written out."""

    length: float
    height: float


def _extent(said: str) -> _Extent:
    """Measure YAML without following its aliases; a value within itself is infinite.

    Raises:
        YAMLError: it is no YAML.
    """
    named: dict[str, _Extent] = {}
    outer = [_Extent(0, 0)]
    within: list[str | None] = []
    for event in yaml.parse(said, yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            if len(outer) > _DEEPEST:
                return _Extent(math.inf, math.inf)
            outer.append(_Extent(2, 0))
            within.append(event.anchor)
            named |= {event.anchor: _Extent(math.inf, math.inf)} if event.anchor else {}
            continue
        anchor = None
        if isinstance(event, yaml.CollectionEndEvent):
            (length, height), anchor = outer.pop(), within.pop()
            found = _Extent(length, height + 1)
        elif isinstance(event, yaml.ScalarEvent):
            found, anchor = _Extent(len(event.value) + 1, 0), event.anchor
        elif isinstance(event, yaml.AliasEvent):
            found = named.get(str(event.anchor), _Extent(0, 0))
        else:
            continue
        if anchor:
            named[anchor] = found
        outer[-1] = _Extent(outer[-1].length + found.length, max(outer[-1].height, found.height))
    return outer[0]
