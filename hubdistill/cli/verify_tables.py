"""What a verification found, for people: claimed and measured side by side, what does not hold first."""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from hubdistill import numbers
from hubdistill.card.text import plain
from hubdistill.cli.output import Table
from hubdistill.verification.outcome import CheckedClaim, Problem, Verdict, Verification

_VERDICTS: Final[tuple[Verdict, ...]] = ("not run", "same", "holds", "differs")
"""Of several, the last is told."""
_COLUMNS: Final = ("student", "teacher", "kept")
_DERIVED = ("kept ", "difference ", "ratio ")
_MORE = "figures of cut or quantized vectors, slices, or approximate search"


def verification_parts(found: Verification) -> Iterator[object]:
    """Paragraphs and tables, in the order in which they are printed."""
    found = printable(found)
    how = " (a sample)" if found.quick else ""
    yield f"{found.model} at {found.revision[:19]}: claimed and measured{how}"
    claims = [claim for claim in found.claims if claim.source != "card" or claim.verdict == "differs"]
    if wrong := [differing(claim) for claim in claims if claim.verdict == "differs"]:
        yield _listed("NOT AS CLAIMED", wrong, bullet="\N{BALLOT X}")
    if found.problems:
        yield _listed("Problems", [f"{problem.place}: {problem.text}" for problem in found.problems])
    again = [claim for claim in claims if claim.data and claim.source != "card"]
    for data in dict.fromkeys(claim.data for claim in again):
        yield from _of_data(found, data, [claim for claim in again if claim.data == data])
    if folded := list(_folded(found)):
        yield "\n".join(folded)
    absent = Counter((claim.why, claim.data or "the model") for claim in claims if claim.verdict == "not run")
    if absent:
        reasons: dict[str, list[str]] = {}
        for (why, data), count in absent.items():
            reasons.setdefault(why, []).append(f"{data} ({count})")
        yield _listed("Not measured again", [f"{', '.join(what)}: {why}" for why, what in reasons.items()])
    if found.notes:
        yield _listed("Notes", found.notes)
    yield _last_line(found)


def printable(found: Verification) -> Verification:
    """The same without what a terminal would act on: names and texts are a stranger's."""
    claims = tuple(
        replace(
            claim,
            figure=plain(claim.figure),
            model=plain(claim.model),
            data=plain(claim.data),
            why=plain(claim.why),
        )
        for claim in found.claims
    )
    return replace(
        found,
        model=plain(found.model),
        revision=plain(found.revision),
        claims=claims,
        problems=tuple(Problem(plain(one.place), plain(one.text)) for one in found.problems),
        notes=tuple(map(plain, found.notes)),
        student=plain(found.student),
        teacher=plain(found.teacher),
    )


def differing(claim: CheckedClaim) -> str:
    """What is not as claimed, with the reason."""
    measured = "nothing" if claim.measured is None else _number(claim, claim.measured)
    words = ("the card says", "the report") if claim.source == "card" else ("claimed", "measured")
    place = f"{claim.data}: " if claim.data else ""
    why = f" ({claim.why})" if claim.why and claim.source != "card" else ""
    return (
        f"{place}{claim.figure} of {claim.model.rpartition('/')[2]}: "
        f"{words[0]} {_number(claim, claim.claimed)}, {words[1]} {measured}{why}"
    )


def _of_data(found: Verification, data: str, claims: Sequence[CheckedClaim]) -> Iterator[object]:
    """The figures of one data set, student and teacher side by side."""
    plain: dict[str, dict[str, CheckedClaim]] = {}
    verdicts: dict[str, list[Verdict]] = {}
    for claim in claims:
        if claim.variant or claim.measured is None or claim.verdict == "not run":
            continue
        kind, figure = _kind(claim, found)
        verdicts.setdefault(figure, []).append(claim.verdict)
        if kind in _COLUMNS:
            plain.setdefault(figure, {})[kind] = claim
    kinds = [kind for kind in _COLUMNS if any(kind in cells for cells in plain.values())]
    rows = []
    for figure, cells in plain.items():
        row = [figure]
        for kind in kinds:
            row += _cells(cells[kind]) if kind in cells else ["", ""]
        rows.append([*row, max(verdicts[figure], key=_VERDICTS.index)])
    if rows:
        headings = ["figure", *(word for kind in kinds for word in (kind, "measured")), "verdict"]
        yield Table(headings, rows, title=data)
    variants = [claim for claim in claims if claim.variant and claim.verdict != "not run"]
    if variants:
        yield f"{data}, {len(variants)} {_MORE}: {_verdicts(variants)}"


def _kind(claim: CheckedClaim, found: Verification) -> tuple[str, str]:
    """The column of a claim, and the figure of its row."""
    for derived in _DERIVED:
        if claim.figure.startswith(derived):
            figure = claim.figure.removeprefix(derived)
            return (derived.strip(), figure) if derived != "ratio " else ("student", claim.figure)
    return ("teacher" if claim.model == found.teacher else "student"), claim.figure


def _cells(claim: CheckedClaim) -> list[str]:
    """What was claimed and what was measured; of what is not exact, the interval."""
    assert claim.measured is not None
    measured = _number(claim, claim.measured)
    if claim.verdict == "holds" and claim.measured_interval:
        low, high = (_number(claim, end, short=True) for end in claim.measured_interval)
        measured = f"[{low}, {high}]"
    return [_number(claim, claim.claimed), measured]


def _number(claim: CheckedClaim, value: float, *, short: bool = False) -> str:
    if not claim.data:
        return numbers.count(int(value))
    if claim.figure.startswith("kept "):
        return f"{100 * value:.0f}%" if short else f"{100 * value:.2f}%"
    return f"{value:.2f}" if short and abs(value) >= 0.1 else numbers.score(value)


def _folded(found: Verification) -> Iterator[str]:
    """Claims that need no table while they are as they should be."""
    facts = [claim for claim in found.claims if not claim.data and claim.source == "report"]
    for model in dict.fromkeys(claim.model for claim in facts):
        about = [claim for claim in facts if claim.model == model]
        yield f"What {model} is made of, {len(about)} facts: {_verdicts(about)}"
    on_card = [claim for claim in found.claims if claim.source == "card"]
    if on_card:
        yield f"The card's metadata against the report, {len(on_card)} figures: {_verdicts(on_card)}"


def _verdicts(claims: Sequence[CheckedClaim]) -> str:
    """`all same`, or how many of each."""
    counts = Counter(claim.verdict for claim in claims)
    if len(counts) == 1:
        return f"all {claims[0].verdict}"
    return numbers.listed(
        f"{counts[verdict]} {verdict}" for verdict in reversed(_VERDICTS) if verdict in counts
    )


def _listed(title: str, items: Sequence[str], *, bullet: str = "-") -> str:
    width = min(shutil.get_terminal_size().columns, 100)
    lines = [
        textwrap.fill(
            item,
            width,
            break_on_hyphens=False,
            initial_indent=f"  {bullet} ",
            subsequent_indent="    ",
            break_long_words=False,
        )
        for item in items
    ]
    return "\n".join([title, *lines])


def _last_line(found: Verification) -> str:
    """`286 of 287 claims hold; 1 does not`, and what else there is to know."""
    claims = [claim for claim in found.claims if claim.source != "card"]
    wrong, absent = (sum(claim.verdict == verdict for claim in claims) for verdict in ("differs", "not run"))
    on_card = found.counts.get("differs", 0) - wrong
    said = [f"{found.checked - wrong} of {found.checked} claims that were measured again hold"]
    said += [f"{wrong} {'does' if wrong == 1 else 'do'} not"] if wrong else []
    said += [f"{on_card} on the card {'is' if on_card == 1 else 'are'} not the report's"] if on_card else []
    said += [f"{len(found.problems)} problem{'s' * (len(found.problems) > 1)}"] if found.problems else []
    said += [f"{absent} not measured again"] if absent else []
    sentence = f"{'; '.join(said)} ({numbers.duration(found.seconds)})"
    if found.empty:
        sentence += "\nNo measurement could be repeated: nothing is verified. See above what is missing."
    return sentence
