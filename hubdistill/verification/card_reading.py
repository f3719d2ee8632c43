"""The lines of a card as they are compared: what renders alike reads alike.

A paragraph or a list item is one line wherever its author breaks it. Padding and bold type in a table, the
kind of a minus sign and of a line break change nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from hubdistill.card.keep import kept_sections
from hubdistill.card.text import outside_fences
from hubdistill.errors import CardError
from hubdistill.numbers import MINUS
from hubdistill.verification.visible import hidden_lines

HEADING: Final = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*")

# CommonMark 0.31, sections 4 and 5: what begins anew even without an empty line before it.
_HTML = re.compile(
    r"<(?:[!?]|/?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details"
    r"|dialog|dir|div|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html"
    r"|iframe|legend|li|link|main|menu|menuitem|nav|noframes|ol|optgroup|option|p|param|pre|script|search"
    r"|section|style|summary|table|tbody|td|textarea|tfoot|th|thead|title|tr|track|ul)(?=[\s/>]|\Z))",
    re.IGNORECASE,
)
_BEGINS = re.compile(r"#{1,6}(?:\s|\Z)|(?:[-*+]|1[.)])\s|([-*_])(?:\s*\1){2,}\s*\Z|-+\s*\Z|[|]")
_DELIMITER = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")
_LINK = re.compile(r"\[([^\[\]]*)\]\([^()\s]*\)")
_TAG = re.compile(r"<[^<>]*>")
_PIPE = re.compile(r"(?<!\\)\|")


class Place(NamedTuple):
    """Which table a row is of: the heading above it, the table's own title if any, and its first row."""

    heading: str
    title: str
    header: str


@dataclass(frozen=True)
class Line:
    """A line of a card: a paragraph, a list item, a row, or what stands on one line of a code block.

    Args:
        number: of its first line in the file, from 1.
        text: without white space at its end; outside of code as it is compared.
        heading: the heading above it; all titles are `#`.
        place: the table that it is a row of.
        hidden: a reader of the card does not see all of it as text.
    """

    number: int
    text: str
    heading: str
    place: Place | None = None
    hidden: bool = False

    @property
    def cell(self) -> str:
        """Of a row its first cell."""
        return self.text.strip("| ").partition(" | ")[0].strip() if self.place else ""

    @property
    def label(self) -> str:
        """Of a row its first cell, links being their words."""
        return _LINK.sub(r"\1", self.cell)

    @property
    def is_heading(self) -> bool:
        """Whether it is a heading itself."""
        return HEADING.fullmatch(self.text) is not None


def read_lines(text: str, first_line: int = 1) -> list[Line]:
    """The lines of a card that are to be compared: neither empty nor in a kept section.

    A kept section that is not closed keeps nothing.
    """
    lines = [line.rstrip() for line in text.splitlines()]
    hidden = hidden_lines(lines)
    try:
        for section in kept_sections(text):
            lines[section.start : section.stop + 1] = [""] * (section.stop + 1 - section.start)
    except CardError:
        pass  # Whoever reads the card is told by `check_card`.
    free = {number for number, _ in outside_fences(lines)}
    rows = _rows(lines, free)
    found: list[Line] = []
    heading, title, header = "", "", ""
    goes_on = in_html = quoted = False
    for number, line in enumerate(lines):
        words, unseen = line.strip(), number in hidden
        if not words or number not in free:
            header = ""
            goes_on = in_html = quoted = False
            if words:
                title = ""
                found.append(Line(first_line + number, line, heading, hidden=unseen))
            continue
        if number in rows:
            row = _row(words)
            header = header or row
            goes_on = quoted = False
            found.append(Line(first_line + number, row, heading, Place(heading, title, header), unseen))
            continue
        header = ""
        inner = words.removeprefix(">").strip()
        if goes_on and not _begins(inner) and (inner == words or quoted) and inner:
            before = found.pop()
            joined = f"{before.text} {_plain(inner)}"
            found.append(replace(before, text=joined, hidden=before.hidden or unseen))
            title = f"{title} {_title(words)}" if title else ""
            continue
        match = HEADING.fullmatch(line)
        if match:
            heading = match[1] if match[1] == "#" else f"{match[1]} {match[2]}"
        title = _title(words) if words.startswith(("**", "<details>")) else ""
        in_html = in_html or bool(_HTML.match(words))
        quoted = inner != words
        goes_on = not (match or in_html) and bool(inner)
        found.append(Line(first_line + number, _plain(line), heading, hidden=unseen))
    return found


def without_link(line: Line, wanted: Line) -> str:
    """The text of a row; of a link in its first cell only the words where the other row has none."""
    if line.cell == wanted.cell or _LINK.search(wanted.cell):
        return line.text
    return line.text.replace(line.cell, line.label, 1)


def _begins(words: str) -> bool:
    return _BEGINS.match(words) is not None or _HTML.match(words) is not None


def _rows(lines: Sequence[str], free: Collection[int]) -> set[int]:
    """Which lines are rows of tables, with a pipe at their beginning or without."""
    rows: set[int] = set()
    in_table = False
    for number, line in enumerate(lines):
        words = line.strip()
        if not words or number not in free:
            in_table = False
        elif "|" in words and _DELIMITER.fullmatch(words) and number - 1 in free and "|" in lines[number - 1]:
            rows |= {number - 1, number}
            in_table = True
        elif words.startswith("|") or (in_table and not _begins(words) and not words.startswith(">")):
            rows.add(number)
        else:
            in_table = False
    return rows


def _row(words: str) -> str:
    cells = [cell.strip() for cell in _PIPE.split(words)]
    cells = cells[1:] if len(cells) > 1 and not cells[0] else cells
    while len(cells) > 1 and not cells[-1]:
        cells.pop()  # A row is filled up with empty cells anyway.
    if _DELIMITER.fullmatch(words):
        cells = ["-"] * len(cells)
    return f"| {' | '.join(map(_plain, cells))} |"


def _title(words: str) -> str:
    return _TAG.sub("", _plain(words))


def _plain(text: str) -> str:
    """Words without what an editor may write one way or another."""
    return _BREAK.sub("<br>", _BOLD.sub(r"\1", text)).replace(MINUS, "-")
