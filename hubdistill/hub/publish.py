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
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile

from hubdistill.conditions import Condition, NoRegression
from hubdistill.errors import GateError, PublishError, ReportError, StaleParentError
from hubdistill.hub.access import MAIN, Preflight, client, preflight, secret
from hubdistill.hub.card_on_hub import merge_card, read_card, refuse_invalid_card, validate_on_hub
from hubdistill.hub.failures import explained, is_passing
from hubdistill.hub.files import CARD, Selection, select
from hubdistill.hub.gates import GateResult, judge, parse_gates, refuse_unmet
from hubdistill.hub.local import LocalFile, read_files
from hubdistill.hub.outcome import PushOutcome
from hubdistill.hub.plan import Plan, differences, is_same, make_plan, read_content, read_tree
from hubdistill.hub.references import find_head, put_tag, refuse_taken_tag
from hubdistill.hub.upload import Operation, upload
from hubdistill.report import FILE_NAME, DistillationReport, load_report, parse_report

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
    report: DistillationReport | None
    gates: Sequence[Condition | NoRegression]


@dataclass(frozen=True)
class _Prepared:
    """What a push onto one head would do, and the verdict of the gates against the report there."""

    plan: Plan
    notes: tuple[str, ...]
    gates: tuple[GateResult, ...]
    new_branch: bool


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
    gates: Sequence[str] = (),
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
        gates: conditions on report.json, such as `spearman_cosine@stsb-test >= 0.95*teacher` or
            `no_regression` (against the report that is on the Hub); unless all are met, nothing is pushed.
            On a dry run the outcome has their verdicts. See `hubdistill.conditions`.
        endpoint: the Hub's address; HF_ENDPOINT by default.
        progress: called with a short sentence at each step.

    Raises:
        PublishError: the folder is not a model with a card, or the Hub refuses; nothing was committed unless
            the message says so.
        LeakError: a secret or a private path would have been published.
        GateError: a gate is not met, or cannot be judged.
        ReportError: report.json cannot be read.
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
    conditions = parse_gates(gates)
    selection = select(folder, include=include, exclude=exclude)
    api = client(token, endpoint)
    name = repo_id.rpartition("/")[2]
    title, _, rest = (commit_message or f"Publish {name} with hubdistill").strip().partition("\n")
    description = "\n\n".join(part.strip() for part in (rest, commit_description or "") if part.strip())
    tell(f"reading {len(selection.files)} files")
    local = read_files(selection, message=f"{title}\n{description}", known=(secret(api),))
    if CARD in local:
        refuse_invalid_card(local[CARD])
    wish = _Wish(
        selection=selection,
        local=local,
        title=title,
        description=description,
        create_pr=create_pr,
        private=private,
        tag=tag,
        include=include,
        exclude=exclude,
        report=_report(folder, local, gated=bool(conditions)),
        gates=conditions,
    )
    place = preflight(
        repo_id,
        token=secret(api),
        private=private,
        revision=revision,
        create_pr=create_pr,
        tag=tag,
        endpoint=endpoint,
    )
    with explained(f"pushing to {place.repo_id}", endpoint=api.endpoint, token=secret(api)):
        return _dry_run(api, place, wish) if dry_run else _push(api, place, wish, tell)


def _report(folder: Path, local: Mapping[str, LocalFile], *, gated: bool) -> DistillationReport | None:
    """The report as it is sent, or that of the folder where it stays behind and gates ask for it."""
    if FILE_NAME in local:
        content = local[FILE_NAME].source
        assert isinstance(content, bytes)
        return parse_report(content, name=str(folder / FILE_NAME))
    return load_report(folder) if gated else None


def _dry_run(api: HfApi, place: Preflight, wish: _Wish) -> PushOutcome:
    warned = _validate_card(api, wish)
    prepared = _prepare(api, place, wish)
    return replace(_outcome(place, wish, prepared, warned), dry_run=True)


def _push(api: HfApi, place: Preflight, wish: _Wish, tell: Progress) -> PushOutcome:
    warned = _validate_card(api, wish)
    prepared, commit = _land(api, place, wish, tell)
    plan = prepared.plan
    outcome = _outcome(place, wish, prepared, warned)
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
            put_tag(api, place, wish.tag, target)
    return outcome


def _validate_card(api: HfApi, wish: _Wish) -> tuple[str, ...]:
    return validate_on_hub(api, wish.local[CARD]) if CARD in wish.local else ()


def _land(api: HfApi, place: Preflight, wish: _Wish, tell: Progress) -> tuple[_Prepared, _Commit | None]:
    """Commit on top of the newest head; begin again when it has moved or the Hub did not answer."""
    pulls: set[str] | None = None
    sent: _Prepared | None = None
    new_branch = False
    for attempt in range(ATTEMPTS):
        try:
            if not place.exists:
                refuse_unmet({place.repo_id: _judge(api, place, wish, None)})
                api.create_repo(place.repo_id, private=wish.private or None, exist_ok=True)
            if pulls is None:
                pulls = _pull_requests(api, place.repo_id) if wish.create_pr else set()
            # A commit whose answer was lost may have landed: look before anything is sent again.
            if sent and (commit := _find_own(api, place, wish, sent.plan, pulls)):
                return sent, commit
            prepared = _prepare(api, replace(place, exists=True), wish)
            refuse_unmet({place.repo_id: prepared.gates})
            plan = prepared.plan
            if prepared.new_branch:
                new_branch = True
                api.create_branch(place.repo_id, branch=place.revision, revision=plan.parent, exist_ok=True)
            prepared = replace(prepared, new_branch=new_branch)
            if plan.empty:
                return prepared, None
            tell(f"uploading {len(plan.changes)} of {len(wish.local)} files")
            with upload(
                api, place.repo_id, plan, revision=place.revision, create_pr=wish.create_pr
            ) as operations:
                sent = prepared
                return prepared, _commit(api, place, wish, plan, operations)
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
            if sent and (commit := _find_own(api, place, wish, sent.plan, pulls or set())):
                return sent, commit
            if not stale:
                raise
            raise StaleParentError(
                f"{place.repo_id} changed {ATTEMPTS} times while this push was made; nothing was committed: "
                "push again when nobody else does"
            ) from error
    raise AssertionError("the last attempt returns or raises")


def _prepare(api: HfApi, place: Preflight, wish: _Wish) -> _Prepared:
    """Compare with the newest head, and judge the gates against the report there. Nothing is sent."""
    head, there = find_head(api, place) if place.exists else (None, place.revision == MAIN)
    plan, notes = _plan(api, place.repo_id, head, wish)
    refuse_taken_tag(api, place, wish.tag, plan)
    return _Prepared(plan, notes, _judge(api, place, wish, head), new_branch=not there)


def _judge(api: HfApi, place: Preflight, wish: _Wish, head: str | None) -> tuple[GateResult, ...]:
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


def _outcome(place: Preflight, wish: _Wish, prepared: _Prepared, warned: tuple[str, ...]) -> PushOutcome:
    return PushOutcome(
        repo_id=place.repo_id,
        url=place.url,
        commit=None,
        commit_url=None,
        pull_request_url=None,
        revision=place.revision,
        tag=wish.tag,
        files=prepared.plan.files,
        left_out=wish.selection.left_out,
        created=not place.exists,
        branch_created=prepared.new_branch,
        dry_run=False,
        gates=prepared.gates,
        notes=prepared.notes + warned,
    )
