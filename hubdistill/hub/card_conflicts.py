"""What was edited on the Hub's card since the last push, and whether another push would undo it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from huggingface_hub import HfApi

from hubdistill.card.foreign import is_ours
from hubdistill.card.keep import kept_sections
from hubdistill.card.metadata import read_metadata
from hubdistill.card.stamp import body_lines, read_stamp, stamp_of, words
from hubdistill.errors import CardError
from hubdistill.hub.access import Preflight, client, secret
from hubdistill.hub.card_on_hub import read_card
from hubdistill.hub.failures import explained
from hubdistill.hub.files import CARD
from hubdistill.hub.references import find_head

_SEARCHED = 20
"""Earlier cards that are looked at."""
_SHOWN = 40
"""Lines of a conflict that are shown."""


@dataclass(frozen=True)
class Edits:
    """How the folder's card and the Hub's stand to each other.

    Args:
        newer: kept sections that only the folder has changed since the last push.
        behind: kept sections of which the Hub has a newer text.
        lost: what was edited on the Hub and the folder's card would undo, as the lines of a difference.
    """

    newer: frozenset[str] = frozenset()
    behind: frozenset[str] = frozenset()
    lost: tuple[str, ...] = ()


def compare_cards(api: HfApi, repo_id: str, head: str, *, on_hub: str, ours: str) -> Edits:
    """Find out what was edited on the Hub.

    A kept section that differs is the folder's where the Hub's was not edited since the last push, the Hub's
    where an earlier card had the folder's words, and a conflict otherwise. Outside of the kept sections,
    whatever was added or taken away on the Hub is lost unless the folder's card has it so as well. Of a card
    that hubdistill did not write all is lost, unless it is metadata alone that the folder's card has as well.

    Args:
        head: the commit that the push goes on top of.
        on_hub: its card.
        ours: the card that is pushed.

    Raises:
        CardError: a kept section of one of the cards is not closed, or a name is used twice.
    """
    pushed, now = read_stamp(on_hub), stamp_of(on_hub)
    mine = {section.name: words(section.text) for section in kept_sections(ours)}
    apart = {
        section.name: words(section.text)
        for section in kept_sections(on_hub)
        if words(section.text) and mine.get(section.name) and mine[section.name] != words(section.text)
    }
    edited = pushed is not None and pushed.body != now.body
    earlier = list(_earlier_cards(api, repo_id, head)) if apart or edited else []
    known = {(section.name, *words(section.text)) for card in earlier for section in kept_sections(card)}
    behind = {name for name in apart if (name, *mine[name]) in known}
    conflicts = apart.keys() - behind
    newer = conflicts if pushed is not None and pushed.kept == now.kept else set()
    lost: list[str] = []
    for name in apart:
        if name in conflicts and name not in newer:
            lost += _difference(apart[name], mine[name], f"kept section '{name}' on the Hub", "in the folder")
    if _is_foreign(on_hub):
        lost += _replaced(on_hub, ours)
    if edited and pushed is not None:
        base = next((card for card in earlier if stamp_of(card).body == pushed.body), None)
        lost += _lost(base, on_hub, ours)
    return Edits(frozenset(newer), frozenset(behind), tuple(lost))


def refuse_foreign_card(place: Preflight, *, token: str | None = None) -> None:
    """Find out before any work whether a push would have to replace a card that hubdistill did not write.

    Raises:
        CardError: it would.
        PublishError: the Hub cannot be asked.
    """
    if not place.exists:
        return
    api = client(token, place.endpoint)
    with explained(f"looking for a card in {place.repo_id}", endpoint=place.endpoint, token=secret(api)):
        head, _ = find_head(api, place)
        card = read_card(api, place.repo_id, head) if head else ""
    if _is_foreign(card) and _words_of(card):
        raise CardError(
            f"{place.url} has a card that hubdistill did not write, and a push would replace it; put what "
            "you need of it into the recipe's `card:` or into kept sections, and add --force (`force=True`)"
        )


def explain(lost: Sequence[str]) -> str:
    """A conflict in words, with the difference."""
    more = [f"... and {len(lost) - _SHOWN} more lines"] if len(lost) > _SHOWN else []
    shown = "\n".join(f"  {line}" for line in [*lost[:_SHOWN], *more])
    return (
        f"the card on the Hub was written or edited there, and this push would undo it:\n{shown}\n"
        "Move such words into a kept section on the Hub, or into the recipe's `card:`, and push again; "
        "--force puts the folder's card in their place"
    )


def _lost(base: str | None, on_hub: str, ours: str) -> list[str]:
    """The edits of the Hub's card that ours has not; all that differs, where the pushed card is not found."""
    hub, folder = body_lines(on_hub), body_lines(ours)
    if base is None:
        return _difference(hub, folder, "the card on the Hub", "the card of the folder")
    edits = _difference(body_lines(base), hub, "the card as it was pushed", "as it is on the Hub")
    undone = [
        line
        for line in edits[2:]
        if (line[0] == "+" and line[1:] not in folder) or (line[0] == "-" and line[1:] in folder)
    ]
    return edits if undone else []


def _is_foreign(card: str) -> bool:
    """Whether hubdistill neither wrote a card nor pushed it."""
    return read_stamp(card) is None and not is_ours(card)


def _replaced(on_hub: str, ours: str) -> list[str]:
    """What a card of somebody else says, if more than metadata that ours has as well."""
    try:
        replaced = bool(_words_of(on_hub) or read_metadata(on_hub)[0].keys() - read_metadata(ours)[0].keys())
    except CardError:
        replaced = True
    hub, folder = body_lines(on_hub), body_lines(ours)
    return _difference(hub, folder, "the card on the Hub", "the card of the folder") if replaced else []


def _words_of(card: str) -> str:
    """What a card says besides its metadata."""
    try:
        return read_metadata(card)[1].strip()
    except CardError:
        return card.strip()


def _difference(before: Sequence[str], after: Sequence[str], one: str, other: str) -> list[str]:
    return list(difflib.unified_diff(before, after, one, other, n=0, lineterm=""))


def _earlier_cards(api: HfApi, repo_id: str, head: str) -> Iterator[str]:
    """The cards before the one of a commit, newest first; those that nobody can read are left out."""
    history = [commit.commit_id for commit in api.list_repo_commits(repo_id, revision=head)]
    revision = head
    for number in range(_SEARCHED + 1):
        [*found] = api.get_paths_info(repo_id, [CARD], revision=revision, expand=True)
        changed = found[0].last_commit if found else None
        if changed is None or changed.oid not in history:
            return
        if number:
            card = read_card(api, repo_id, changed.oid)
            try:
                kept_sections(card)
                yield card
            except CardError:
                pass
        place = history.index(changed.oid) + 1
        if place == len(history):
            return
        revision = history[place]
