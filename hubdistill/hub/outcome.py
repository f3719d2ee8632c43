"""What a push did, for programs and for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from hubdistill.hub.collection import Collection
from hubdistill.hub.files import LeftOut
from hubdistill.hub.gates import GateResult
from hubdistill.hub.plan import FilePlan
from hubdistill.numbers import size

_SHOWN = 80
"""Lines of the card's difference that people are shown."""


@dataclass(frozen=True)
class PushOutcome:
    """What a push did, or would do.

    Args:
        repo_id: namespace/name.
        url: the repository's page.
        commit: the new commit; None when nothing changed, or on a dry run.
        commit_url: its page.
        pull_request_url: the pull request's page.
        revision: where the commit is: a branch, or refs/pr/N.
        tag: the tag on the commit.
        files: every file that travels or is deleted, and what happens to it.
        left_out: what stayed behind, and why.
        created: the repository was made by this push (on a dry run: would be).
        dry_run: nothing was sent.
        branch_created: the branch was made from main by this push (on a dry run: would be).
        gates: the verdict on each condition that was set. On a dry run one that is not met is among them;
            a push it stops.
        notes: what the pusher should know, in sentences.
        card_diff: on a dry run, what would change in the Hub's card, as a unified diff; None: nothing, or
            there is no card yet.
        conflict: on a dry run, what was edited on the Hub's card and would be undone, which stops a push.
        load_back: the largest difference between the vectors of the model on the Hub and of the local one;
            None where it was not loaded back.
        collection: the collection that the model was put into (on a dry run: would be).
    """

    repo_id: str
    url: str
    commit: str | None
    commit_url: str | None
    pull_request_url: str | None
    revision: str
    tag: str | None
    files: tuple[FilePlan, ...]
    left_out: tuple[LeftOut, ...]
    created: bool
    dry_run: bool
    branch_created: bool = False
    gates: tuple[GateResult, ...] = ()
    notes: tuple[str, ...] = ()
    card_diff: str | None = None
    conflict: str | None = None
    load_back: float | None = None
    collection: Collection | None = None

    @property
    def refused(self) -> bool:
        """Whether a gate is not met or the card was edited on the Hub, so that nothing would be pushed."""
        return self.conflict is not None or not all(gate.met for gate in self.gates)

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON types."""
        return {**asdict(self), "left_out": [{"path": path, "why": why} for path, why in self.left_out]}

    def __str__(self) -> str:
        """The outcome in lines for people: where it is, what happened to each file, what stayed behind."""
        numbers = Counter(file.status for file in self.files)
        counts = ", ".join(
            f"{numbers[s]} {s}" for s in ("new", "changed", "removed", "unchanged") if numbers[s]
        )
        changed = [file for file in self.files if file.status != "unchanged"]
        if self.refused:
            unmet = sum(not gate.met for gate in self.gates)
            reasons = [f"{unmet} of {len(self.gates)} gates not met"] if unmet else []
            reasons += ["its card was edited on the Hub"] if self.conflict else []
            headline = f"A push to {self.repo_id} would be refused: {'; '.join(reasons)}"
        elif not changed and self.branch_created:
            made = "would get" if self.dry_run else "has"
            headline = f"{self.repo_id} {made} the new branch {self.revision}; no file differs from main"
        elif not changed:
            headline = f"{self.repo_id} is up to date: nothing changed, so there is no commit"
        elif self.dry_run:
            headline = f"A push to {self.repo_id} would commit ({counts})"
        else:
            headline = f"Pushed to {self.repo_id} ({counts})"
        lines = [headline, f"  {self.pull_request_url or self.commit_url or self.url}"]
        listed = self.files if self.dry_run else changed
        lines += [f"  {file.status:<9} {size(file.size):>9}  {file.path}" for file in listed]
        if self.dry_run and self.created:
            lines.append("The repository does not exist yet and would be made.")
        elif self.branch_created and changed:
            made = "does not exist yet and would be" if self.dry_run else "is new,"
            lines.append(f"The branch {self.revision} {made} made from main.")
        if self.gates:
            lines += ["Gates:", *(f"  {line}" for gate in self.gates for line in str(gate).splitlines())]
        if self.tag:
            lines.append(f"Tag: {self.tag}")
        if self.collection:
            lines.append(self._collection_line(self.collection))
        if self.load_back is not None:
            lines.append(
                "Loaded back from the Hub: its vectors differ from those here by at most "
                f"{self.load_back:.2g}."
            )
        if self.left_out:
            lines += ["Left out:", *(f"  {path}: {why}" for path, why in self.left_out)]
        if self.conflict:
            lines.append(self.conflict)
        elif self.card_diff:
            lines += ["The card would change:", *_beginning(self.card_diff)]
        return "\n".join([*lines, *self.notes])

    def _collection_line(self, collection: Collection) -> str:
        if not collection.added:
            return f"In the collection {collection} already"
        what = "a new collection" if collection.created else "the collection"
        return f"{'Would go' if self.dry_run else 'Put'} into {what} {collection}"


def _beginning(diff: str) -> list[str]:
    """The first lines of a difference, and how many more there are."""
    lines = [f"  {line}".rstrip() for line in diff.splitlines()]
    more = len(lines) - _SHOWN
    return lines if more <= 1 else [*lines[:_SHOWN], f"  ... and {more} more lines; --json has them all"]
