"""The text of a published card, line by line against the card that the report makes.

Kept sections belong to their author, and empty lines do not count. Lines are paired, and the words of a
pair compared: a figure that the report's line does not have is a problem, other words are a note. What the
card must say must also be seen.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from hubdistill.card.keep import kept_sections
from hubdistill.card.text import outside_fences
from hubdistill.errors import CardError
from hubdistill.numbers import MINUS, listed
from hubdistill.verification.outcome import Problem
from hubdistill.verification.visible import hides, visible_lines

CARD: Final = "README.md"
MUST_SAY: Final = ("## Limitations", "### What was not measured")
"""Headings under which the card may not say less than the report."""
MOST_MISSING: Final = 0.2
"""A card that lacks a larger share of the lines is of another template, not of another hand."""
LEAST_ALIKE: Final = 0.5
"""Share of words by which a line is taken for one of the report that was changed."""

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*")
_WORD = re.compile(rf"[+{MINUS}-]?\d(?:[\d,.]*\d)?(?:e[+-]?\d+)?[%x]?(?!\w)|\w+|<br>|[^\w\s]")
_NUMBER = re.compile(rf"([+{MINUS}-]?)(\d[\d,]*)(\.\d+)?(?:e([+-]?\d+))?[%x]?")
_LONGEST_QUOTE = 60


class Place(NamedTuple):
    """Which table a row is of: the heading above it, the table's own title if any, and its first row."""

    heading: str
    title: str
    header: str


@dataclass(frozen=True)
class Line:
    """A line of a card.

    Args:
        number: in the file, from 1.
        text: without white space at its end.
        heading: the heading above it; all titles are `#`.
        place: the table that it is a row of.
    """

    number: int
    text: str
    heading: str
    place: Place | None = None

    @property
    def label(self) -> str:
        """Of a row its first cell."""
        return self.text.strip("| ").partition(" | ")[0].strip() if self.place else ""


@dataclass
class Comparison:
    """What is different in a card's text.

    Args:
        compared: how many of the report's lines were found on the card.
        expected: how many there are.
        other_template: the card is not of the template that it was compared with; only lines with the same
            words were judged, and rounding was forgiven.
    """

    expected: int
    compared: int = 0
    other_template: bool = False
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def compare_text(
    card: str, expected: str, *, first_line: int = 1, other_template: bool = False
) -> Comparison:
    """Compare the text of a card with what the report makes of it.

    Args:
        card: what comes after the front matter.
        expected: the same part of the card that the report makes.
        first_line: of `card` in its file.
        other_template: another template or another version of hubdistill is known to have made it.
    """
    theirs, ours = read_lines(card, first_line), read_lines(expected)
    missing, added = _leftovers(ours, theirs)
    found = Comparison(len(ours), len(ours) - len(missing))
    found.other_template = other_template or len(missing) > MOST_MISSING * len(ours)
    pairs = _same_words if found.other_template else _pairs
    for line, wanted in pairs(missing, added, ours, theirs):
        missing.remove(wanted)
        added.remove(line)
        found.compared += 1
        _judge(found, line, wanted)
    if not found.other_template:
        _judge_missing(found, missing, theirs)
        _judge_hidden(found, ours, theirs, visible_lines(expected) - visible_lines(card))
        _judge_added(found, added, ours)
    return found


def read_lines(text: str, first_line: int = 1) -> list[Line]:
    """The lines of a card that are to be compared: neither empty nor in a kept section.

    A kept section that is not closed keeps nothing.
    """
    lines = [line.rstrip() for line in text.splitlines()]
    try:
        for section in kept_sections(text):
            lines[section.start : section.stop + 1] = [""] * (section.stop + 1 - section.start)
    except CardError:
        pass  # Whoever reads the card is told by `check_card`.
    free = dict(outside_fences(lines))
    found: list[Line] = []
    heading, title, header = "", "", ""
    for number, line in enumerate(lines):
        in_table = number in free and line.startswith("|")
        if not in_table:
            header = ""
            if number in free and (match := _HEADING.fullmatch(line)):
                heading = match[1] if match[1] == "#" else f"{match[1]} {match[2]}"
            if line:
                title = line if line.startswith(("**", "<details>")) else ""
        elif not header:
            header = line
        if line:
            place = Place(heading, title, header) if in_table else None
            found.append(Line(first_line + number, line, heading, place))
    return found


def _leftovers(ours: Sequence[Line], theirs: Sequence[Line]) -> tuple[list[Line], list[Line]]:
    """Lines of the report that the card lacks, and lines of the card that the report lacks.

    What only stands elsewhere is neither; of rows, the whole table must.
    """
    matcher = difflib.SequenceMatcher(
        None, [line.text for line in ours], [line.text for line in theirs], autojunk=False
    )
    missing: list[Line] = []
    added: list[Line] = []
    for kind, i, j, k, n in matcher.get_opcodes():
        if kind != "equal":
            missing += ours[i:j]
            added += theirs[k:n]
    moved = _keys(missing) & _keys(added)
    return _without(missing, moved), _without(added, moved)


def _keys(lines: Iterable[Line]) -> Counter[tuple[str, Place | None]]:
    return Counter((line.text, line.place) for line in lines)


def _without(lines: list[Line], moved: Counter[tuple[str, Place | None]]) -> list[Line]:
    left = moved.copy()
    kept = []
    for line in lines:
        if left[key := (line.text, line.place)]:
            left[key] -= 1
        else:
            kept.append(line)
    return kept


Pairs = Iterator[tuple[Line, Line]]
"""A line of the card, and the line of the report that it was."""


def _pairs(missing: list[Line], added: list[Line], _ours: Sequence[Line], _theirs: Sequence[Line]) -> Pairs:
    """Rows with the same label in the same table, then lines that are alike."""
    waiting = list(missing)
    rest: list[Line] = []
    for line in list(added):
        same = (w for w in waiting if w.place and w.place == line.place and w.label == line.label)
        if wanted := next(same, None):
            waiting.remove(wanted)
            yield line, wanted
        else:
            rest.append(line)
    for line in rest:
        alike = [w for w in waiting if (w.place is None) == (line.place is None)]
        likeness = {w: _likeness(line, w) for w in alike}
        wanted = max(alike, key=likeness.__getitem__, default=None)
        if wanted and likeness[wanted] >= LEAST_ALIKE:
            waiting.remove(wanted)
            yield line, wanted


def _likeness(one: Line, other: Line) -> float:
    """The share of words that two lines have in common, in their order."""
    ours, theirs = ([word[0] for word in _WORD.finditer(line.text)] for line in (one, other))
    return difflib.SequenceMatcher(None, ours, theirs, autojunk=False).ratio()


def _same_words(
    missing: list[Line], added: list[Line], ours: Sequence[Line], theirs: Sequence[Line]
) -> Pairs:
    """Lines that differ in their figures only, and that cannot be taken for another."""
    seen = [Counter(map(_words_of, lines)) for lines in (ours, theirs)]
    waiting: dict[tuple[str, ...], Line] = {_words_of(line): line for line in missing}
    for line in list(added):
        words = _words_of(line)
        if words in waiting and all(counts[words] == 1 for counts in seen):
            yield line, waiting[words]


def _words_of(line: Line) -> tuple[str, ...]:
    """The words of a line, figures left out; of a row also its table and its label."""
    table = (line.place.title, line.place.header, line.label) if line.place else ()
    return (*table, *("#" if _is_figure(word[0]) else word[0] for word in _WORD.finditer(line.text)))


def _is_figure(word: str) -> bool:
    return any(character.isdigit() for character in word)


def _judge(found: Comparison, line: Line, wanted: Line) -> None:
    """Compare the words of a pair."""
    ours, theirs = list(_WORD.finditer(wanted.text)), list(_WORD.finditer(line.text))
    differ = _rounded_differences if found.other_template else _differences
    hidden = wanted.heading in MUST_SAY and hides(line.text) and not hides(wanted.text)
    false: list[str] = []
    other: list[str] = []
    for i, j, k, n in differ([word[0] for word in ours], [word[0] for word in theirs]):
        said, meant = _quote(line.text, theirs[k:n]), _quote(wanted.text, ours[i:j])
        words = (
            f"says {said} where the report says {meant}"
            if said and meant
            else f"says {said}, which the report does not"
            if said
            else f"leaves out {meant}"
        )
        figures = any(_is_figure(word[0]) for word in theirs[k:n])
        (false if figures or line.place or hidden else other).append(words)
    label = f"{line.label}: " if line.label else ""
    if false:
        found.problems.append(Problem(f"{CARD}, line {line.number}", label + "; ".join(false)))
    elif other:
        found.notes.append(
            f"{CARD}, line {line.number}, is not worded as the report has it: it {'; '.join(other[:3])}"
        )


Runs = Iterator[tuple[int, int, int, int]]
"""Words of the report and words of the card that take the same place: start and stop of each."""


def _differences(ours: Sequence[str], theirs: Sequence[str]) -> Runs:
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    return ((i, j, k, n) for kind, i, j, k, n in matcher.get_opcodes() if kind != "equal")


def _rounded_differences(ours: Sequence[str], theirs: Sequence[str]) -> Runs:
    """Of lines with the same words: one figure for one."""
    for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        if one != other and not _same_rounded(one, other):
            yield i, i + 1, i, i + 1


def _quote(text: str, words: Sequence[re.Match[str]]) -> str:
    """Words as they stand in their line."""
    if not words:
        return ""
    quoted = text[words[0].start() : words[-1].end()]
    return f"'{quoted if len(quoted) <= _LONGEST_QUOTE else quoted[:_LONGEST_QUOTE] + '…'}'"


def _same_rounded(one: str, other: str) -> bool:
    """Whether two figures are the same but for their last digit, or for how much of a hash is shown."""
    first, second = _NUMBER.fullmatch(one), _NUMBER.fullmatch(other)
    if first is None or second is None:
        return one.startswith(other) or other.startswith(one)
    (a, unit_a), (b, unit_b) = _value(first), _value(second)
    return abs(a - b) <= 1.01 * max(unit_a, unit_b)


def _value(number: re.Match[str]) -> tuple[float, float]:
    """A number, and one unit of its last decimal."""
    sign, whole, decimals, exponent = number.groups()
    scale = 10.0 ** int(exponent or 0)
    value = float(whole.replace(",", "") + (decimals or "")) * scale
    unit = 10.0 ** -(len(decimals or ".") - 1) * scale
    return (value if sign in ("", "+") else -value), unit


def _judge_missing(found: Comparison, missing: Sequence[Line], theirs: Sequence[Line]) -> None:
    tables = {line.place for line in theirs if line.place}
    passed_over: dict[str, int] = defaultdict(int)
    for line in missing:
        if line.place in tables and line.place:
            text = f"the row {_short(line.text)} of the report is missing in a table under '{line.heading}'"
            found.problems.append(Problem(CARD, text))
        elif line.heading in MUST_SAY:
            found.problems.append(Problem(CARD, f"does not say what the report knows: {_short(line.text)}"))
        else:
            passed_over[line.heading] += 1
    if passed_over:
        parts = listed(
            f"{n} under '{heading}'" if heading != "#" else f"{n} at the top"
            for heading, n in passed_over.items()
        )
        found.notes.append(f"{CARD} lacks lines that the report calls for: {parts}")


def _judge_hidden(
    found: Comparison, ours: Sequence[Line], theirs: Sequence[Line], unseen: Collection[str]
) -> None:
    must_say = {line.text for line in ours if line.heading in MUST_SAY}
    if hidden := [line.number for line in theirs if line.text in must_say and line.text in unseen]:
        text = "what the report knows is hidden in a comment, in code or in a folded part"
        found.problems.append(Problem(f"{CARD}, {_ranges(hidden)}", text))


def _judge_added(found: Comparison, added: Sequence[Line], ours: Sequence[Line]) -> None:
    tables = {line.place for line in ours if line.place}
    by_hand: list[int] = []
    for line in added:
        if line.place in tables and line.place:
            text = f"the report does not have the row {_short(line.text)} of this table"
            found.problems.append(Problem(f"{CARD}, line {line.number}", text))
        else:
            by_hand.append(line.number)
    if by_hand:
        found.notes.append(
            f"{CARD}, {_ranges(by_hand)}: not from the report, and in no kept section; "
            "nothing there was checked"
        )


def _short(text: str) -> str:
    return f"'{text if len(text) <= 2 * _LONGEST_QUOTE else text[: 2 * _LONGEST_QUOTE] + '…'}'"


def _ranges(numbers: Sequence[int]) -> str:
    """Line numbers with runs folded; the empty lines between them count to the run."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number - runs[-1][-1] <= 2:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = listed(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f"line{'s' if len(numbers) > 1 else ''} {words}"
