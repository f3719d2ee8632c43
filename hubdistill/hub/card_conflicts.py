"""Words that somebody wrote on the Hub's card and that a push would take away."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import yaml
from huggingface_hub import HfApi

from hubdistill import __version__
from hubdistill.card import render_card
from hubdistill.card.keep import KeptSection, kept_sections
from hubdistill.card.metadata import read_metadata
from hubdistill.errors import CardError, ReportError
from hubdistill.figures import planned_figures
from hubdistill.hub.files import CARD
from hubdistill.hub.plan import read_content
from hubdistill.report import FILE_NAME, DistillationReport, parse_report

_SEARCHED = 20
"""Earlier cards that are looked through for the folder's words."""
_OF_OURS = 0.8
"""Share of its lines by which a card is of our template; of others nobody can say what was edited."""
_SHOWN = 40
"""Lines of a difference that are shown."""


def refuse_lost_words(api: HfApi, repo_id: str, head: str, *, on_hub: str, ours: str) -> None:
    """Stop where a push would undo what was edited on the Hub.

    That is, a kept section which folder and Hub changed apart (of one that only the Hub changed, its text is
    taken), and words that were written outside of the kept sections.

    Args:
        head: the commit that the push goes on top of.
        on_hub: its card.
        ours: the card that is pushed.

    Raises:
        CardError: there is such a place; the difference is shown.
    """
    lost = [*_both_changed(api, repo_id, head, on_hub, ours), *_outside(api, repo_id, head, on_hub, ours)]
    if lost:
        more = [f"... {len(lost) - _SHOWN} lines more"] if len(lost) > _SHOWN else []
        shown = "\n".join(f"  {line}" for line in [*lost[:_SHOWN], *more])
        raise CardError(
            f"the card on the Hub was edited there, and this push would undo it:\n{shown}\n"
            "Put such words into a keep section on the Hub, or into the recipe's `card:`, and push again; "
            "--force replaces them with the folder's"
        )


def words(section: KeptSection) -> str:
    """What stands between the two marker lines of a kept section."""
    return "".join(section.text.splitlines(keepends=True)[1:-1]).strip()


def _both_changed(api: HfApi, repo_id: str, head: str, on_hub: str, ours: str) -> Iterator[str]:
    mine = {section.name: words(section) for section in kept_sections(ours)}
    apart = [
        section
        for section in kept_sections(on_hub)
        if words(section) and mine.get(section.name) not in (None, "")
    ]
    apart = [section for section in apart if mine[section.name] != words(section)]
    earlier = _earlier(api, repo_id, head) if apart else set()
    for section in apart:
        if (section.name, mine[section.name]) not in earlier:
            yield from difflib.unified_diff(
                words(section).splitlines(),
                mine[section.name].splitlines(),
                f"kept section '{section.name}' on the Hub",
                "in the folder",
                lineterm="",
            )


def _earlier(api: HfApi, repo_id: str, head: str) -> set[tuple[str, str]]:
    """The kept sections of earlier cards: with these words, the folder is only behind."""
    found = set()
    for commit in api.list_repo_commits(repo_id, revision=head)[1 : _SEARCHED + 1]:
        content = read_content(api, repo_id, CARD, commit.commit_id)
        try:
            sections = kept_sections((content or b"").decode("utf-8", errors="replace"))
        except CardError:
            continue
        found |= {(section.name, words(section)) for section in sections}
    return found


def _outside(api: HfApi, repo_id: str, head: str, on_hub: str, ours: str) -> list[str]:
    """What stands on the Hub's card beyond what its report makes, and not on ours."""
    made = _as_it_was_made(api, repo_id, head, on_hub)
    if made is None:
        return []
    differences = difflib.unified_diff(
        _lines(made), _lines(on_hub), "the card as its report makes it", "as it is on the Hub", "", "", 0, ""
    )
    kept = set(_lines(ours))
    lost = [line for line in differences if line[:1] != "+" or line[1:] not in kept]
    written = [line for line in lost if line[:1] == "+" and line[:3] != "+++" and line[1:].strip()]
    return lost if written else []


def _as_it_was_made(api: HfApi, repo_id: str, head: str, on_hub: str) -> str | None:
    """The card of the report beside it; None where that report is not there, or made by other templates."""
    content = read_content(api, repo_id, FILE_NAME, head)
    try:
        report = parse_report(content) if content is not None else None
        if report is None or report.hubdistill_version != __version__ or report.owner.template:
            return None
        cards = [_render(report, on_hub, name) for name in (repo_id, None)]
    except (CardError, ReportError):
        return None
    # It may have been written before anyone knew where it goes.
    there = set(_lines(on_hub))
    found, card = max(
        (len(there.intersection(_lines(card))) / len(set(_lines(card))), card) for card in cards
    )
    return card if found > _OF_OURS else None


def _render(report: DistillationReport, on_hub: str, repo_id: str | None) -> str:
    return render_card(report, repo_id=repo_id, previous=on_hub, figures=planned_figures(report))


def _lines(card: str) -> list[str]:
    """A card's lines without empty ones; its metadata in one order, whoever wrote it."""
    try:
        metadata, text = read_metadata(card)
    except CardError:
        return [line.rstrip() for line in card.splitlines() if line.strip()]
    front = yaml.safe_dump(metadata, sort_keys=True, allow_unicode=True, width=100).splitlines()
    return [*front, *(line.rstrip() for line in text.splitlines() if line.strip())]
