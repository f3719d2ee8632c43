"""What a person wrote on a card stays there.

A kept section stands between two lines of its own:

    <!-- hubdistill:keep NAME -->
    anything
    <!-- /hubdistill:keep -->

Its bytes are carried from the previous card to the next one. A section whose name the template does not
have goes to the end of the part under the heading that it stood under, or, without that heading, to the
end of the card.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hubdistill.card.text import outside_fences
from hubdistill.errors import CardError

_OPEN = re.compile(r"<!-- hubdistill:keep ([A-Za-z0-9][A-Za-z0-9 ._-]*?) -->\s*")
_CLOSE = re.compile(r"<!-- /hubdistill:keep -->\s*")
_MARKER = re.compile(r"\s*<!--\s*/?\s*hubdistill:keep\b.*-->\s*")
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*")


@dataclass(frozen=True)
class KeptSection:
    """A kept section of a card."""

    name: str
    heading: str | None
    """The heading that it stands under, with its marks: `## Evaluation`; all titles are `#`."""
    start: int
    """Line of the opening marker, counted from 0."""
    stop: int
    """Line of the closing marker."""
    text: str
    """Both markers and all between."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing between the markers."""
        return self.stop == self.start + 1


def kept_sections(card: str) -> list[KeptSection]:
    """Find the kept sections of a card, in order.

    Raises:
        CardError: a marker without its counterpart, inside another section, or a name used twice.
    """
    lines = card.splitlines(keepends=True)
    sections: list[KeptSection] = []
    number = 0
    heading: str | None = None
    while number < len(lines):
        # Begin anew behind each section: a code block that a person left open must not hide the rest.
        for offset, line in outside_fences(lines[number:]):
            place = number + offset
            if match := _OPEN.fullmatch(line):
                sections.append(_section(lines, place, match[1], heading))
                number = sections[-1].stop + 1
                break
            if _MARKER.fullmatch(line):
                raise CardError(
                    f"README.md, line {place + 1}: {line.strip()} opens or closes no section; write "
                    "<!-- hubdistill:keep NAME --> before and <!-- /hubdistill:keep --> after what is to stay"
                )
            if match := _HEADING.fullmatch(line):
                heading = _anchor(match)
        else:
            break
    names = [section.name for section in sections]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise CardError(f"README.md has two kept sections named '{twice}'; give each a name of its own")
    return sections


def merge_kept(card: str, previous: str) -> str:
    """Put the kept sections of the previous card into a new one.

    Raises:
        CardError: as `kept_sections`.
    """
    lines = card.splitlines(keepends=True)
    places = {section.name: section for section in kept_sections(card)}
    replacements: dict[int, tuple[int, str]] = {}
    additions: dict[int, list[str]] = {}
    ends = _ends_of_parts(lines, list(places.values()))
    for section in kept_sections(previous):
        if section.name in places:
            place = places[section.name]
            replacements[place.start] = (place.stop, section.text)
        elif not section.empty:
            end = ends.get(section.heading, len(lines))
            additions.setdefault(end, []).append(section.text)
    merged: list[str] = []
    number = 0
    while number <= len(lines):
        for text in additions.get(number, ()):
            if merged and merged[-1].strip():
                merged.append("\n")
            merged += [text if text.endswith("\n") else f"{text}\n", "\n" if number < len(lines) else ""]
        if number in replacements:
            stop, text = replacements[number]
            merged.append(text if text.endswith("\n") else f"{text}\n")
            number = stop
        elif number < len(lines):
            merged.append(lines[number])
        number += 1
    return "".join(merged)


def _section(lines: list[str], start: int, name: str, heading: str | None) -> KeptSection:
    stop = next((n for n in range(start + 1, len(lines)) if _MARKER.fullmatch(lines[n])), None)
    if stop is None or not _CLOSE.fullmatch(lines[stop]):
        raise CardError(
            f"README.md, line {start + 1}: the kept section '{name}' is not closed; end it with a line "
            "<!-- /hubdistill:keep -->"
        )
    return KeptSection(name, heading, start, stop, "".join(lines[start : stop + 1]))


def _ends_of_parts(lines: list[str], sections: list[KeptSection]) -> dict[str | None, int]:
    """For each heading the line where the part under it ends."""
    inside = {n for section in sections for n in range(section.start, section.stop + 1)}
    ends: dict[str | None, int] = {}
    heading: str | None = None
    for number, line in outside_fences(lines):
        if number not in inside and (match := _HEADING.fullmatch(line)):
            if heading is not None:
                ends.setdefault(heading, number)
            heading = _anchor(match)
    ends.setdefault(heading, len(lines))
    return ends


def _anchor(heading: re.Match[str]) -> str:
    """A heading as it is found again: the title may change with the model's name."""
    marks, words = heading.groups()
    return marks if marks == "#" else f"{marks} {words}"
