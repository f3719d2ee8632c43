"""The text of a published card, line by line against the card that the report makes.

Kept sections belong to their author, and empty lines do not count. Lines are paired, and the words of a
pair compared: a figure that the report's line does not have is a problem, other words are a note. What the
card must say, it says in the report's words, and must be seen to: its claim, the table below it and its
limitations.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from hubdistill.numbers import listed
from hubdistill.verification.card_reading import Line, Place, read_lines, without_link
from hubdistill.verification.outcome import Problem

CARD: Final = "README.md"
MUST_SAY: Final = ("## Limitations", "### What was not measured")
"""Headings under which the card may not say less than the report."""
MOST_MISSING: Final = 0.2
"""A card that lacks a larger share of the lines does not say what was measured."""
LEAST_ALIKE: Final = 0.5
"""Share of words by which a line is taken for one of the report that was changed."""

_WORD = re.compile(r"[+-]?\d(?:[\d,.]*\d)?(?:e[+-]?\d+)?[%x]?(?!\w)|\w+|<br>|[^\w\s]")
_NUMBER = re.compile(r"([+-]?)(\d[\d,]*)(\.\d+)?(?:e([+-]?\d+))?[%x]?")
_LONGEST_QUOTE = 60


@dataclass
class Comparison:
    """What is different in a card's text.

    Args:
        compared: how many of the report's lines were found on the card.
        expected: how many there are.
        other_template: only lines with the same words were judged, and rounding was forgiven.
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
    must = _must_say(ours)
    missing, added = _leftovers(ours, theirs)
    found = Comparison(len(ours), len(ours) - len(missing), other_template)
    pairs = list((_same_words if other_template else _pairs)(missing, added, ours, theirs))
    for line, wanted in pairs:
        missing.remove(wanted)
        added.remove(line)
        found.compared += 1
        _judge(found, line, wanted, must)
    if not other_template:
        _judge_headers(found, pairs)
        _judge_missing(found, missing, theirs, must)
        _judge_hidden(found, theirs, must)
        _judge_added(found, added, ours)
    return found


def _must_say(ours: Sequence[Line]) -> set[Line]:
    """The first paragraph of the report's card, the tables at its top, and what stands under `MUST_SAY`."""
    top = [line for line in ours if line.heading == "#" and not line.is_heading]
    claim = next((line for line in top if not line.place and not line.text.startswith("<!--")), None)
    return {line for line in ours if line is claim or line.heading in MUST_SAY} | {
        line for line in top if line.place
    }


def _leftovers(ours: Sequence[Line], theirs: Sequence[Line]) -> tuple[list[Line], list[Line]]:
    """Lines of the report that the card lacks, and lines of the card that the report lacks.

    What only stands elsewhere is neither; of rows, the whole table must. A row counts where it stands in its
    table, or in one of another name with the same columns.
    """
    tables = {line.place for line in ours}
    matcher = difflib.SequenceMatcher(
        None, [line.text for line in ours], [line.text for line in theirs], autojunk=False
    )
    missing: list[Line] = []
    added: list[Line] = []
    for kind, i, j, k, n in matcher.get_opcodes():
        if kind != "equal":
            missing += ours[i:j]
            added += theirs[k:n]
            continue
        for wanted, line in zip(ours[i:j], theirs[k:n], strict=True):
            if line.place != wanted.place and (line.place in tables or _header(line) != _header(wanted)):
                missing.append(wanted)
                added.append(line)
    moved = _keys(missing) & _keys(added)
    return _without(missing, moved), _without(added, moved)


def _header(line: Line) -> str:
    return line.place.header if line.place else ""


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
    words = {id(line): Counter(_words(line.text)) for line in (*rest, *waiting)}
    for line in rest:
        best, wanted = LEAST_ALIKE, None
        for one in waiting:
            if (one.place is None) == (line.place is None):
                ours, theirs = words[id(one)], words[id(line)]
                if 2 * (ours & theirs).total() < best * (ours.total() + theirs.total()):
                    continue
                if (likeness := _likeness(line, one)) > best or (wanted is None and likeness == best):
                    best, wanted = likeness, one
        if wanted:
            waiting.remove(wanted)
            yield line, wanted


def _likeness(one: Line, other: Line) -> float:
    """The share of words that two lines have in common, in their order."""
    return difflib.SequenceMatcher(None, _words(one.text), _words(other.text), autojunk=False).ratio()


def _words(text: str) -> list[str]:
    return [word[0] for word in _WORD.finditer(text) if word[0] != "|"]


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
    return (*table, *("#" if _is_figure(word) else word for word in _words(line.text)))


def _is_figure(word: str) -> bool:
    return any(character.isdigit() for character in word)


def _judge(found: Comparison, line: Line, wanted: Line, must: Collection[Line]) -> None:
    """Compare the words of a pair."""
    text = without_link(line, wanted)
    ours, theirs = list(_WORD.finditer(wanted.text)), list(_WORD.finditer(text))
    differ = _rounded_differences if found.other_template else _differences
    bound = line.place is not None or (wanted in must and not wanted.is_heading)
    false: list[str] = []
    other: list[str] = []
    for i, j, k, n in differ([word[0] for word in ours], [word[0] for word in theirs]):
        said, meant = _quote(text, theirs[k:n]), _quote(wanted.text, ours[i:j])
        words = (
            f"says {said} where the report says {meant}"
            if said and meant
            else f"says {said}, which the report does not"
            if said
            else f"leaves out {meant}"
        )
        figures = any(_is_figure(word[0]) for word in theirs[k:n])
        (false if figures or bound else other).append(words)
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


def _judge_headers(found: Comparison, pairs: Iterable[tuple[Line, Line]]) -> None:
    """Rows under other columns than theirs, the first of each table."""
    told = {line.place for line, _ in pairs if line.text == _header(line)}
    for line, wanted in pairs:
        if line.place and line.place not in told and line.label != "-" and _header(line) != _header(wanted):
            told.add(line.place)
            text = f"stands under {_short(_header(line))}, and under {_short(_header(wanted))} in the report"
            found.problems.append(Problem(f"{CARD}, line {line.number}", f"{_short(line.text)} {text}"))


def _judge_missing(
    found: Comparison, missing: Sequence[Line], theirs: Sequence[Line], must: Collection[Line]
) -> None:
    if len(missing) > MOST_MISSING * found.expected:
        text = (
            f"lacks {len(missing)} of the {found.expected} lines that the report calls for; where it is of "
            "your own template, the recipe must name that in card.template, so that the report says so"
        )
        found.problems.append(Problem(CARD, text))
    tables = {line.place for line in theirs if line.place}
    passed_over: dict[str, int] = defaultdict(int)
    for line in missing:
        if line.place in tables and line.place:
            text = f"the row {_short(line.text)} of the report is missing in a table under '{line.heading}'"
            found.problems.append(Problem(CARD, text))
        elif line in must:
            found.problems.append(Problem(CARD, f"does not say what the report knows: {_short(line.text)}"))
        else:
            passed_over[line.heading] += 1
    if passed_over:
        parts = listed(
            f"{n} under '{heading}'" if heading != "#" else f"{n} at the top"
            for heading, n in passed_over.items()
        )
        found.notes.append(f"{CARD} lacks lines that the report calls for: {parts}")


def _judge_hidden(found: Comparison, theirs: Sequence[Line], must: Collection[Line]) -> None:
    wanted = {(line.text, _header(line)) for line in must if not line.hidden}
    wanted -= {(line.text, _header(line)) for line in theirs if not line.hidden}
    if hidden := [line.number for line in theirs if (line.text, _header(line)) in wanted]:
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
