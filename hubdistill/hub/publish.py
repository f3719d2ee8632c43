"""The push: one commit of model, card, figures and report, or none when nothing changed."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from httpx2 import HTTPError
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from hubdistill.errors import PublishError, StaleParentError
from hubdistill.hub.access import MAIN, Preflight, client, preflight, secret
from hubdistill.hub.card_on_hub import merge_card, read_card, refuse_invalid_card, validate_on_hub
from hubdistill.hub.failures import explained, is_passing
from hubdistill.hub.files import CARD, Selection, select
from hubdistill.hub.local import LocalFile, read_files
from hubdistill.hub.outcome import PushOutcome
from hubdistill.hub.plan import Plan, differences, is_same, make_plan, read_tree
from hubdistill.hub.upload import Operation, upload

ATTEMPTS = 5
"""How often a push is tried when the repository moves or the network fails."""
_SEARCHED = 20
"""Commits looked through for one of our own whose answer was lost."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class _Commit:
    oid: str
    revision: str
    pull_request_url: str | None


@dataclass(frozen=True)
class _Wish:
    """What is to be pushed, and how."""

    selection: Selection
    local: Mapping[str, LocalFile]
    title: str
    description: str
    create_pr: bool
    private: bool
    tag: str | None
    include: Sequence[str]
    exclude: Sequence[str]


def push(
    folder: Path,
    repo_id: str,
    *,
    token: str | None = None,
    private: bool = False,
    create_pr: bool = False,
    revision: str | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
    tag: str | None = None,
    dry_run: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    endpoint: str | None = None,
    progress: Progress | None = None,
) -> PushOutcome:
    """Publish a model folder with its card in one commit.

    The folder is read, hashed and scanned first; nothing is sent when something in it must not travel. The
    repository and the branch are made when they are missing. Files that are on the Hub already are not in
    the commit, and without any difference there is no commit. What an earlier version of the model left
    there is deleted in the same commit; files of the owner are left alone. Sections of the card between
    `hubdistill:keep` markers are taken from the Hub's card.

    Args:
        folder: a model saved by sentence-transformers, with README.md.
        repo_id: namespace/name, or a name in the user's own namespace.
        token: a Hub token; by default the one of HF_TOKEN, `hf auth login` or a trusted publisher.
        private: make a new repository private.
        create_pr: open a pull request instead of committing to main.
        revision: branch to commit to; made from main when it is missing.
        commit_message: the first line is the commit's title.
        commit_description: the commit's text.
        tag: put on the commit. A tag that is already on this very commit is fine.
        dry_run: find out what would happen, and send nothing.
        include: glob patterns as of `hf upload`; only what matches one of them travels.
        exclude: glob patterns; what matches one of them stays behind.
        endpoint: the Hub's address; HF_ENDPOINT by default.
        progress: called with a short sentence at each step.

    Raises:
        PublishError: the folder is not a model with a card, or the Hub refuses; nothing was committed unless
            the message says so.
        LeakError: a secret or a private path would have been published.
        CardError: the card's metadata is not valid.
        NoTokenError: no token, or one that the Hub does not know.
        NotYourRepositoryError: the token may not write there.
        StaleParentError: others kept committing at the same time.
    """
    tell = progress or (lambda _: None)
    folder = Path(folder)
    if create_pr and tag:
        raise PublishError(
            "a tag marks a commit of a branch; merge the pull request first, then push with --tag"
        )
    selection = select(folder, include=include, exclude=exclude)
    api = client(token, endpoint)
    name = repo_id.rpartition("/")[2]
    title, _, rest = (commit_message or f"Publish {name} with hubdistill").strip().partition("\n")
    description = "\n\n".join(part.strip() for part in (rest, commit_description or "") if part.strip())
    tell(f"reading {len(selection.files)} files")
    local = read_files(selection, message=f"{title}\n{description}", known=(secret(api),))
    if CARD in local:
        refuse_invalid_card(local[CARD])
    wish = _Wish(selection, local, title, description, create_pr, private, tag, include, exclude)
    place = preflight(
        repo_id, token=secret(api), private=private, revision=revision, create_pr=create_pr, endpoint=endpoint
    )
    with explained(f"pushing to {place.repo_id}", endpoint=api.endpoint, token=secret(api)):
        return _dry_run(api, place, wish) if dry_run else _push(api, place, wish, tell)


def _dry_run(api: HfApi, place: Preflight, wish: _Wish) -> PushOutcome:
    warned = _validate_card(api, wish)
    plan, notes = _plan(api, place.repo_id, _head(api, place) if place.exists else None, wish)
    _check_tag(api, place, wish, plan)
    return replace(_outcome(place, wish, plan, notes + warned), dry_run=True)


def _push(api: HfApi, place: Preflight, wish: _Wish, tell: Progress) -> PushOutcome:
    warned = _validate_card(api, wish)
    plan, notes, commit = _land(api, place, wish, tell)
    outcome = _outcome(place, wish, plan, notes + warned)
    if commit is None:
        tell("nothing changed, so there is no commit")
    else:
        tell(f"committed {commit.oid}")
        outcome = replace(
            outcome,
            commit=commit.oid,
            commit_url=f"{place.url}/commit/{commit.oid}",
            revision=commit.revision,
            pull_request_url=commit.pull_request_url,
        )
    done = f"{place.repo_id} is at commit {outcome.commit or plan.parent}, but"
    with explained(f"{done} reading it back or tagging it failed", endpoint=api.endpoint, token=secret(api)):
        if commit and (wrong := differences(plan, read_tree(api, place.repo_id, commit.oid))):
            raise PublishError(f"{done} these files are not what was sent: {', '.join(wrong)}; push again")
        if wish.tag and (target := outcome.commit or plan.parent):
            _tag(api, place, wish.tag, target)
    return outcome


def _validate_card(api: HfApi, wish: _Wish) -> tuple[str, ...]:
    return validate_on_hub(api, wish.local[CARD]) if CARD in wish.local else ()


def _land(
    api: HfApi, place: Preflight, wish: _Wish, tell: Progress
) -> tuple[Plan, tuple[str, ...], _Commit | None]:
    """Commit on top of the newest head; begin again when it has moved or the Hub did not answer."""
    pulls: set[str] | None = None
    sent: tuple[Plan, tuple[str, ...]] | None = None
    for attempt in range(ATTEMPTS):
        try:
            if not place.exists:
                api.create_repo(place.repo_id, private=wish.private or None, exist_ok=True)
            if pulls is None:
                pulls = _pull_requests(api, place.repo_id) if wish.create_pr else set()
            # A commit whose answer was lost may have landed: look before anything is sent again.
            if sent and (commit := _find_own(api, place, wish, sent[0], pulls)):
                return *sent, commit
            plan, notes = _plan(api, place.repo_id, _head(api, place, make=True), wish)
            _check_tag(api, place, wish, plan)
            if plan.empty:
                return plan, notes, None
            tell(f"uploading {len(plan.changes)} of {len(wish.local)} files")
            with upload(
                api, place.repo_id, plan, revision=place.revision, create_pr=wish.create_pr
            ) as operations:
                sent = plan, notes
                return plan, notes, _commit(api, place, wish, plan, operations)
        except HTTPError as error:
            stale = isinstance(error, HfHubHTTPError) and error.response.status_code == 412
            if not stale and not is_passing(error):
                raise
            if attempt < ATTEMPTS - 1:
                tell(
                    f"{place.repo_id} has moved; trying again"
                    if stale
                    else "the Hub did not answer; trying again"
                )
                time.sleep(random.uniform(0, 0.1 * 2**attempt) if stale else 2**attempt)
                continue
            if sent and (commit := _find_own(api, place, wish, sent[0], pulls or set())):
                return *sent, commit
            if not stale:
                raise
            raise StaleParentError(
                f"{place.repo_id} changed {ATTEMPTS} times while this push was made; nothing was committed: "
                "push again when nobody else does"
            ) from error
    raise AssertionError("the last attempt returns or raises")


def _head(api: HfApi, place: Preflight, *, make: bool = False) -> str | None:
    """The commit that the branch is at; of main for a branch that is still to be made."""
    try:
        return api.model_info(place.repo_id, revision=place.revision).sha
    except RevisionNotFoundError:
        if place.revision == MAIN:
            return None
        if make:
            api.create_branch(place.repo_id, branch=place.revision, exist_ok=True)
        return api.model_info(place.repo_id, revision=place.revision if make else MAIN).sha


def _plan(api: HfApi, repo_id: str, head: str | None, wish: _Wish) -> tuple[Plan, tuple[str, ...]]:
    tree: dict[str, RepoFile] = read_tree(api, repo_id, head) if head else {}
    local = dict(wish.local)
    notes: tuple[str, ...] = ()
    if head and CARD in local and CARD in tree and not is_same(local[CARD], tree[CARD]):
        local[CARD], notes = merge_card(local[CARD], read_card(api, repo_id, head))
    plan = make_plan(
        head,
        tree,
        local,
        present=wish.selection.present,
        module_folders=wish.selection.module_folders,
        include=wish.include,
        exclude=wish.exclude,
    )
    return plan, notes


def _commit(
    api: HfApi, place: Preflight, wish: _Wish, plan: Plan, operations: Sequence[Operation]
) -> _Commit:
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
    return _Commit(made.oid, made.pr_revision or place.revision, made.pr_url)


def _find_own(api: HfApi, place: Preflight, wish: _Wish, plan: Plan, pulls: set[str]) -> _Commit | None:
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
                return _Commit(commit.commit_id, branch, url)
    return None


def _pull_requests(api: HfApi, repo_id: str) -> set[str]:
    refs = api.list_repo_refs(repo_id, include_pull_requests=True)
    return {ref.ref for ref in refs.pull_requests or ()}


def _check_tag(api: HfApi, place: Preflight, wish: _Wish, plan: Plan) -> None:
    """Refuse a tag that is on another commit, before anything is sent."""
    if wish.tag is None or plan.parent is None:
        return
    tags = {tag.name: tag.target_commit for tag in api.list_repo_refs(place.repo_id).tags}
    if wish.tag in tags and not (plan.empty and tags[wish.tag] == plan.parent):
        raise PublishError(
            f"{place.repo_id} has a tag '{wish.tag}' on commit {tags[wish.tag][:12]}, which is not the one "
            "that this push makes; choose another --tag"
        )


def _tag(api: HfApi, place: Preflight, tag: str, commit: str) -> None:
    try:
        api.create_tag(place.repo_id, tag=tag, revision=commit)
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
        tags = {ref.name: ref.target_commit for ref in api.list_repo_refs(place.repo_id).tags}
        if tags.get(tag) != commit:
            raise PublishError(
                f"{place.repo_id} is at commit {commit}, but meanwhile the tag '{tag}' was put on another; "
                "choose another --tag and push again"
            ) from error


def _outcome(place: Preflight, wish: _Wish, plan: Plan, notes: tuple[str, ...]) -> PushOutcome:
    return PushOutcome(
        repo_id=place.repo_id,
        url=place.url,
        commit=None,
        commit_url=None,
        pull_request_url=None,
        revision=place.revision,
        tag=wish.tag,
        files=plan.files,
        left_out=wish.selection.left_out,
        created=not place.exists,
        dry_run=False,
        notes=notes,
    )
