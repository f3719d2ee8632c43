"""One commit on top of the newest head, whatever happens on the way."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from httpx2 import HTTPError
from huggingface_hub import HfApi
from huggingface_hub.hf_api import RepoFile

from hubdistill.card.keep import kept_sections
from hubdistill.card.stamp import words
from hubdistill.conditions import Condition, NoRegression
from hubdistill.errors import CardError, GateError, ReportError, StaleParentError
from hubdistill.hub.access import Preflight
from hubdistill.hub.card_conflicts import compare_cards, explain
from hubdistill.hub.card_on_hub import card_diff, merge_card, read, read_card, stamp_card
from hubdistill.hub.failures import is_passing, is_stale
from hubdistill.hub.files import CARD, Selection, is_chosen, role_of
from hubdistill.hub.gates import GateResult, judge, refuse_unmet
from hubdistill.hub.load_back import refuse_no_room
from hubdistill.hub.local import LocalFile
from hubdistill.hub.plan import Plan, differences, is_same, make_plan, read_content, read_tree
from hubdistill.hub.references import find_head, refuse_taken_tag
from hubdistill.hub.retry import ATTEMPTS, Progress, wait
from hubdistill.hub.upload import Operation, upload
from hubdistill.push_rules import MAIN
from hubdistill.report import FILE_NAME, DistillationReport, parse_report

_SEARCHED = 20
"""Commits looked through for one of our own whose answer was lost."""


@dataclass(frozen=True)
class Wish:
    """What is to be pushed, and how."""

    selection: Selection
    local: Mapping[str, LocalFile]
    title: str
    description: str
    create_pr: bool
    private: bool | None
    tag: str | None
    include: Sequence[str]
    exclude: Sequence[str]
    report: DistillationReport | None
    gates: Sequence[Condition | NoRegression]
    load_back: bool
    force: bool

    @property
    def model_bytes(self) -> int:
        """The size of the model's files as they are sent."""
        return sum(file.size for path, file in self.local.items() if self.is_of_the_model(path))

    @property
    def partial(self) -> bool:
        """Whether --include or --exclude keep back files of the model, so that the Hub's may be others."""
        return any(
            self.is_of_the_model(path) and not is_chosen(path, self.include, self.exclude)
            for path, _ in self.selection.left_out
        )

    def is_of_the_model(self, path: str) -> bool:
        """Whether a file decides what vectors the model gives."""
        return role_of(path, self.selection.module_folders) in ("config", "tokenizer", "weights")


@dataclass(frozen=True)
class Prepared:
    """What a push onto one head would do, and the verdict of the gates against the report there."""

    plan: Plan
    notes: tuple[str, ...]
    gates: tuple[GateResult, ...]
    new_branch: bool
    card_diff: str | None
    conflict: str | None
    """What was edited on the Hub's card and this push would undo, which stops it."""
    load_back: bool
    """The commit changes the model, and it is to be loaded back."""


@dataclass(frozen=True)
class Commit:
    """A commit that has landed."""

    oid: str
    revision: str
    pull_request_url: str | None


def land(api: HfApi, place: Preflight, wish: Wish, tell: Progress) -> tuple[Prepared, Commit | None]:
    """Commit on top of the newest head; begin again when it has moved or the Hub did not answer.

    Raises:
        GateError: a gate is not met.
        CardError: the card was edited on the Hub, and the push would undo it.
        StaleParentError: the branch moved at every attempt.
        HTTPError: the Hub refuses, or could not be reached at every attempt.
    """
    pulls: set[str] | None = None
    sent: Prepared | None = None
    new_branch = False
    for attempt in range(ATTEMPTS):
        try:
            if not place.exists:
                refuse_unmet({place.repo_id: prepare(api, place, wish).gates})
                api.create_repo(place.repo_id, private=wish.private, exist_ok=True)
            if pulls is None:
                pulls = _pull_requests(api, place.repo_id) if wish.create_pr else set()
            # A commit whose answer was lost may have landed: look before anything is sent again.
            if sent and (commit := _find_own(api, place, wish, sent.plan, pulls)):
                return sent, commit
            prepared = prepare(api, replace(place, exists=True), wish)
            refuse_unmet({place.repo_id: prepared.gates})
            if prepared.conflict:
                raise CardError(prepared.conflict)
            plan = prepared.plan
            if prepared.new_branch:
                new_branch = True
                api.create_branch(place.repo_id, branch=place.revision, revision=plan.parent, exist_ok=True)
            prepared = replace(prepared, new_branch=new_branch)
            if plan.empty:
                return prepared, None
            if wish.create_pr and (proposed := _find_open(api, place, wish, plan)):
                note = f"{proposed.pull_request_url} is open already and proposes just this."
                return replace(prepared, notes=(*prepared.notes, note)), proposed
            tell(f"uploading {len(plan.changes)} of {len(wish.local)} files")
            with upload(
                api, place.repo_id, plan, revision=place.revision, create_pr=wish.create_pr
            ) as operations:
                sent = prepared
                return prepared, _commit(api, place, wish, plan, operations)
        except (HTTPError, RuntimeError, OSError, ValueError) as error:
            stale = is_stale(error)
            if not stale and not is_passing(error):
                raise
            if attempt < ATTEMPTS - 1:
                happened = f"{place.repo_id} has moved" if stale else "the Hub did not answer"
                tell(f"{happened}; trying again")
                wait(error, attempt)
                continue
            if sent and (commit := _find_own(api, place, wish, sent.plan, pulls or set())):
                return sent, commit
            if not stale:
                raise
            raise StaleParentError(
                f"{place.repo_id} changed {ATTEMPTS} times while this push was made; nothing was committed: "
                "push again when nobody else does"
            ) from error
    raise AssertionError("the last attempt returns or raises")


def prepare(api: HfApi, place: Preflight, wish: Wish) -> Prepared:
    """Compare with the newest head, and judge the gates against the report there. Nothing is sent.

    Raises:
        PublishError: the tag is on another commit, the branch is none, or there is no room to load the model
            back.
    """
    head, there = find_head(api, place) if place.exists else (None, place.revision == MAIN)
    tree: dict[str, RepoFile] = read_tree(api, place.repo_id, head) if head else {}
    local = dict(wish.local)
    notes: tuple[str, ...] = ()
    changed_lines: str | None = None
    lost: tuple[str, ...] = ()
    if CARD in local:
        local[CARD] = stamp_card(local[CARD])
    if head and CARD in local and CARD in tree and not is_same(local[CARD], tree[CARD]):
        on_hub = read_card(api, place.repo_id, head)
        card, lost, notes = _merge(api, place, wish, head, on_hub, wish.local[CARD])
        local[CARD] = stamp_card(card)
        changed_lines = card_diff(on_hub, local[CARD]) or None
    plan = make_plan(
        head,
        tree,
        local,
        present=wish.selection.present,
        module_folders=wish.selection.module_folders,
        include=wish.include,
        exclude=wish.exclude,
    )
    refuse_taken_tag(api, place, wish.tag, plan)
    touched = (*(file.path for file in plan.changes), *plan.removals)
    load_back = wish.load_back and any(map(wish.is_of_the_model, touched))
    if load_back:
        refuse_no_room(wish.model_bytes)
    gates = _judge(api, place, wish, head)
    return Prepared(plan, notes, gates, not there, changed_lines, explain(lost) if lost else None, load_back)


def _merge(
    api: HfApi, place: Preflight, wish: Wish, head: str, on_hub: str, ours: LocalFile
) -> tuple[LocalFile, tuple[str, ...], tuple[str, ...]]:
    """The card with what the Hub's has, what of the Hub's it undoes, and what to say about it."""
    try:
        edits = compare_cards(api, place.repo_id, head, on_hub=on_hub, ours=read(ours))
    except CardError as error:
        raise CardError(f"the card on the Hub or in the folder: {error}") from None
    notes = [
        f"kept section '{name}': the Hub's text stays, which is newer than the folder's"
        for name in sorted(() if wish.force else edits.behind)
    ]
    names = {section.name for section in kept_sections(on_hub)} if wish.force else edits.newer
    filled = {section.name for section in kept_sections(read(ours)) if words(section.text)}
    lost = () if wish.force else edits.lost
    if lost and wish.create_pr:
        lost = ()
        notes.append(
            "The card on the Hub was edited there; the pull request would undo some of it: see there."
        )
    return merge_card(ours, on_hub, ours=names & filled), lost, tuple(notes)


def _judge(api: HfApi, place: Preflight, wish: Wish, head: str | None) -> tuple[GateResult, ...]:
    """Hold the report against the gates; `no_regression` also against the report of a commit."""
    if wish.report is None:
        return ()
    published = None
    if head and any(isinstance(gate, NoRegression) for gate in wish.gates):
        content = read_content(api, place.repo_id, FILE_NAME, head)
        try:
            if content is not None:
                published = parse_report(content, name=f"the published {FILE_NAME}")
        except ReportError as error:
            raise GateError(
                f"no_regression: {error}; push once without this gate, to put a readable report there"
            ) from error
    return judge(wish.report, wish.gates, published)


def _commit(api: HfApi, place: Preflight, wish: Wish, plan: Plan, operations: Sequence[Operation]) -> Commit:
    with warnings.catch_warnings():
        # The card was validated before, and its warnings are among the notes.
        warnings.filterwarnings("ignore", message="Warnings while validating metadata")
        made = api.create_commit(
            place.repo_id,
            list(operations),
            commit_message=wish.title,
            commit_description=wish.description,
            revision=place.revision,
            create_pr=wish.create_pr,
            parent_commit=plan.parent,
        )
    return Commit(made.oid, made.pr_revision or place.revision, made.pr_url)


def _find_own(api: HfApi, place: Preflight, wish: Wish, plan: Plan, pulls: set[str]) -> Commit | None:
    """Find a commit of ours among those made since the plan: our title, and exactly what we sent."""
    branches = sorted(_pull_requests(api, place.repo_id) - pulls) if wish.create_pr else [place.revision]
    for branch in branches:
        for commit in api.list_repo_commits(place.repo_id, revision=branch)[:_SEARCHED]:
            if commit.commit_id == plan.parent:
                break
            if commit.title == wish.title and not differences(
                plan, read_tree(api, place.repo_id, commit.commit_id)
            ):
                url = f"{place.url}/discussions/{branch.rpartition('/')[2]}" if wish.create_pr else None
                return Commit(commit.commit_id, branch, url)
    return None


def _find_open(api: HfApi, place: Preflight, wish: Wish, plan: Plan) -> Commit | None:
    """Find an open pull request of an earlier push of the same: our title, and exactly what would be sent."""
    for found in api.get_repo_discussions(
        place.repo_id, discussion_type="pull_request", discussion_status="open"
    ):
        revision = f"refs/pr/{found.num}"
        if found.title == wish.title and not differences(plan, read_tree(api, place.repo_id, revision)):
            newest = api.list_repo_commits(place.repo_id, revision=revision)[0]
            return Commit(newest.commit_id, revision, f"{place.url}/discussions/{found.num}")
    return None


def _pull_requests(api: HfApi, repo_id: str) -> set[str]:
    refs = api.list_repo_refs(repo_id, include_pull_requests=True)
    return {ref.ref for ref in refs.pull_requests or ()}
