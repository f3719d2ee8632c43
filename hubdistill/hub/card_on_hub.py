"""The card in the repository: what a person wrote there stays, and the Hub must accept its metadata."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any

from huggingface_hub import HfApi, get_session, hf_raise_for_status

from hubdistill.card import render_card
from hubdistill.card.keep import kept_sections, merge_kept
from hubdistill.card.metadata import check_metadata
from hubdistill.card.stamp import stamped, without_stamp, words
from hubdistill.errors import CardError
from hubdistill.figures import planned_figures
from hubdistill.hub.access import authorization
from hubdistill.hub.files import CARD
from hubdistill.hub.local import LocalFile, from_bytes
from hubdistill.hub.plan import read_content
from hubdistill.report import DistillationReport


def merge_card(local: LocalFile, on_hub: str, *, ours: Collection[str] = ()) -> LocalFile:
    """Take the kept sections of the card on the Hub into the card that is pushed.

    The Hub's card is the one that people edit, so its text wins where both have one; a section that is
    empty there leaves the local one alone.

    Args:
        local: README.md of the folder.
        on_hub: README.md of the repository.
        ours: names of the sections in which the folder's text wins.

    Raises:
        CardError: one of the cards has a kept section that is not closed, or a name twice.
    """
    card = read(local)
    lines = on_hub.splitlines(keepends=True)
    for section in reversed(kept_sections(on_hub)):
        if not words(section.text) or section.name in ours:
            del lines[section.start : section.stop + 1]
    return from_bytes(CARD, merge_kept(card, "".join(lines)).encode())


def stamp_card(card: LocalFile) -> LocalFile:
    """Note on a card what it says, so that the next push sees what was edited on the Hub since."""
    return from_bytes(CARD, stamped(read(card)).encode())


def read(card: LocalFile) -> str:
    """The text of a card.

    Raises:
        CardError: it is not UTF-8.
    """
    assert isinstance(card.source, bytes)
    try:
        return card.source.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CardError(f"{CARD} is not UTF-8 ({error}); write it with `hubdistill card`") from None


def address_card(card: LocalFile, report: DistillationReport, repo_id: str) -> LocalFile:
    """Give a card the id of its repository, if it was written without one.

    Only a card that is just what the report and our template make is written anew: any other is its author's.
    """
    text, figures = read(card), planned_figures(report)
    try:
        if report.owner.template or text != render_card(report, previous=text, figures=figures):
            return card
        named = render_card(report, repo_id=repo_id, previous=text, figures=figures)
    except CardError:
        return card
    return from_bytes(CARD, named.encode())


def read_card(api: HfApi, repo_id: str, commit: str) -> str:
    """Read README.md of a commit."""
    return (read_content(api, repo_id, CARD, commit) or b"").decode("utf-8", errors="replace")


def card_diff(on_hub: str, card: LocalFile) -> str:
    """What a push would change in the card, as a unified diff; stamps aside."""
    before, after = (without_stamp(text).splitlines() for text in (on_hub, read(card)))
    lines = difflib.unified_diff(before, after, f"{CARD} on the Hub", f"{CARD} to push", lineterm="")
    return "".join(f"{line}\n" for line in lines)


def refuse_invalid_card(card: LocalFile) -> None:
    """Check the card's metadata before anything is sent.

    Raises:
        CardError: it is not valid; every problem is named.
    """
    if problems := check_metadata(read(card)):
        raise CardError(
            f"the metadata of {CARD} is not valid:\n" + "\n".join(f"  {line}" for line in problems)
        )


def validate_on_hub(api: HfApi, card: LocalFile) -> tuple[str, ...]:
    """Let the Hub check the card's metadata, as it will on the commit; gives its warnings.

    Raises:
        CardError: the Hub does not accept it.
    """
    response = get_session().post(
        f"{api.endpoint}/api/validate-yaml",
        json={"content": read(card), "repoType": "model"},
        headers=authorization(api),
    )
    if response.status_code != 400:
        hf_raise_for_status(response)
    said: dict[str, Any] = response.json()
    if errors := said.get("errors"):
        raise CardError(
            "the Hub does not accept the card's metadata: " + "; ".join(e["message"] for e in errors)
        )
    return tuple(f"the Hub on the card's metadata: {w['message']}" for w in said.get("warnings") or ())
