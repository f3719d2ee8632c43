"""Preflight: everything that can refuse a push, asked before anything is made or trained."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from httpx2 import ConnectError
from huggingface_hub import HfApi, get_token, is_offline_mode
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

import hubdistill
from hubdistill.errors import NoTokenError, NotYourRepositoryError, PublishError
from hubdistill.git_names import describe_refusal, is_git_name
from hubdistill.hub.collection import Collection, find_collection
from hubdistill.hub.failures import NO_TOKEN, explained
from hubdistill.hub.retry import Progress, patiently
from hubdistill.push_rules import MAIN, contradiction


@dataclass(frozen=True)
class Preflight:
    """A destination that a push may go to.

    Args:
        repo_id: namespace/name.
        endpoint: the Hub.
        user: whose token it is; None for a trusted publisher's token.
        namespaces: where this account may make repositories.
        exists: whether the repository is there.
        revision: the branch that a push goes to (`main` unless said otherwise).
        collection: where the model is to be put.
    """

    repo_id: str
    endpoint: str
    user: str | None
    namespaces: tuple[str, ...]
    exists: bool
    revision: str
    collection: Collection | None = None

    @property
    def url(self) -> str:
        """The repository's page."""
        return f"{self.endpoint}/{self.repo_id}"


def preflight(
    repo_id: str,
    *,
    token: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    tag: str | None = None,
    collection: str | None = None,
    collection_note: str | None = None,
    endpoint: str | None = None,
    progress: Progress | None = None,
) -> Preflight:
    """Find out whether a push to a repository would be let in. Nothing is made, nothing is changed.

    Args:
        repo_id: namespace/name, or a name in the user's own namespace.
        token: a Hub token; by default the one of HF_TOKEN, `hf auth login` or a trusted publisher.
        private: the repository is to be private, or (False) public; the namespace's default when left out.
        revision: branch to push to.
        create_pr: the push is to open a pull request.
        tag: to be put on the commit.
        collection: title or slug of the collection that the model goes into.
        collection_note: to stand beside the model there.
        endpoint: the Hub's address; HF_ENDPOINT by default.
        progress: called with a short sentence when something has to be tried again.

    Raises:
        NoTokenError: no token, or one that the Hub does not know.
        NotYourRepositoryError: the token may not write there.
        PublishError: the repository id or the name of a branch or tag is not valid, the Hub cannot be
            reached, or the wishes do not fit.
    """
    check_repo_id(repo_id)
    for option, name in (("--revision", revision), ("--tag", tag)):
        if name and not is_git_name(name):
            raise PublishError(f"{option}: {describe_refusal(name)}")
    if problem := contradiction(
        create_pr=create_pr,
        revision=revision,
        tag=tag,
        collection=collection,
        collection_note=collection_note,
    ):
        raise PublishError(problem)
    api = client(token, endpoint)
    with explained(f"preflight of {repo_id}", endpoint=api.endpoint, token=secret(api)):
        return patiently(
            lambda: _ask(api, repo_id, private, revision or MAIN, create_pr=create_pr, collection=collection),
            progress or (lambda _: None),
            # Nobody there, or no such name: rather HF_ENDPOINT than a moment's trouble.
            unless=ConnectError,
        )


def _ask(
    api: HfApi,
    repo_id: str,
    private: bool | None,
    revision: str,
    *,
    create_pr: bool,
    collection: str | None,
) -> Preflight:
    account = _account(api, repo_id)
    user = str(account["name"]) if account else None
    namespaces = _namespaces(account) if account else ()
    if "/" not in repo_id:
        if user is None:
            raise PublishError(f"'{repo_id}' names no namespace; give namespace/name")
        repo_id = f"{user}/{repo_id}"
    is_private = _visibility(api, repo_id)
    if account:
        # What is not there has to be made first, for which a pull request's permission is too little.
        _check_role(account, repo_id, create_pr=create_pr and is_private is not None)
    if is_private is None:
        _check_may_create(repo_id, user, namespaces)
    elif not create_pr:
        _check_may_write(api, repo_id, user, namespaces)
    if private and is_private is False:
        raise PublishError(
            f"{repo_id} exists and is public; --private holds for new repositories only: make it private "
            f"in its settings ({api.endpoint}/{repo_id}/settings), or leave out --private"
        )
    shelf = None
    if collection is not None:
        shelf = find_collection(api, collection, repo_id=repo_id, user=user, namespaces=namespaces)
    exists = is_private is not None
    return Preflight(repo_id, api.endpoint, user, namespaces, exists, revision, shelf)


def client(token: str | None, endpoint: str | None) -> HfApi:
    """Make a client with a token in hand.

    Raises:
        NoTokenError: there is none.
        PublishError: HF_HUB_OFFLINE is set.
    """
    if is_offline_mode():
        raise PublishError("HF_HUB_OFFLINE is set, so nothing can be pushed; unset it")
    api = HfApi(endpoint=endpoint, library_name="hubdistill", library_version=hubdistill.__version__)
    with explained("looking for a token", endpoint=api.endpoint):
        api.token = token or get_token()
    if not api.token:
        raise NoTokenError(f"no Hub token; {NO_TOKEN}")
    return api


def secret(api: HfApi) -> str:
    """The token that a client uses, so that it can be kept out of messages."""
    return str(api.token)


def authorization(api: HfApi) -> dict[str, str]:
    """Headers for the few requests that the client has no method for."""
    return {"authorization": f"Bearer {secret(api)}"}


def check_repo_id(repo_id: str) -> None:
    """Refuse what cannot be a repository id, with the nearest one that can.

    Raises:
        PublishError: not `namespace/name` in the Hub's characters.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        parts = re.sub(r"^(?:https?://[^/]+/)?(?:models/)?", "", repo_id).split("/")[:2]
        better = "/".join(
            re.sub(r"-{2,}|\.{2,}", "-", re.sub(r"[^\w.-]+", "-", p)).strip("-.") for p in parts
        )
        better = better.removesuffix(".git")[:96]
        hint = f"; did you mean '{better}'?" if better.strip("/") and better != repo_id else ""
        raise PublishError(
            f"'{repo_id}' is not a repository id: namespace/name, of letters, digits, '-', '_' and '.', "
            f"without '--' and '..', at most 96 characters{hint}"
        ) from None


def _account(api: HfApi, repo_id: str) -> dict[str, Any] | None:
    """Who the token belongs to; None for a trusted publisher, whose token stands for one repository."""
    resource = os.environ.get("HF_OIDC_RESOURCE")
    try:
        return dict(api.whoami())
    except HfHubHTTPError as error:
        if error.response.status_code == 401 and not resource:
            raise NoTokenError(
                f"{api.endpoint} does not know this token ({error.args[0].splitlines()[0]}); {NO_TOKEN}"
            ) from error
        if not resource or error.response.status_code not in (401, 403):
            raise
    if resource != repo_id:
        raise NotYourRepositoryError(
            f"the trusted publisher's token is for {resource}; to push there, set HF_OIDC_RESOURCE={repo_id}"
        )
    return None


def _namespaces(account: Mapping[str, Any]) -> tuple[str, ...]:
    orgs = [org["name"] for org in account.get("orgs") or [] if org.get("roleInOrg") != "read"]
    return (str(account["name"]), *map(str, orgs))


def _check_role(account: Mapping[str, Any], repo_id: str, *, create_pr: bool) -> None:
    """Refuse tokens that may only read, or that are for something else."""
    token = (account.get("auth") or {}).get("accessToken") or {}
    if token.get("role") == "read":
        raise NotYourRepositoryError(f"this token of '{account['name']}' has the role 'read'; {NO_TOKEN}")
    granted = token.get("fineGrained") or {}
    scopes = granted.get("scoped")
    if token.get("role") == "fineGrained" and scopes is not None:
        enough = {"repo.write", "discussion.write"} if create_pr else {"repo.write"}
        if enough.intersection(granted.get("global") or ()):
            return
        writable = {
            str((scope.get("entity") or {}).get("name"))
            for scope in scopes
            if enough.intersection(scope.get("permissions") or ())
        }
        if not writable & {repo_id, repo_id.partition("/")[0]}:
            may = f"only to {', '.join(sorted(writable))}" if writable else "to no repository"
            permission = "Write access to contents/settings of repos"
            if create_pr:
                permission = "Interact with discussions / Open pull requests"
            raise NotYourRepositoryError(
                f"this fine-grained token of '{account['name']}' may write {may}, not to {repo_id}; give it "
                f"the permission '{permission}' there (https://huggingface.co/settings/tokens)"
            )


def _visibility(api: HfApi, repo_id: str) -> bool | None:
    """Whether the repository is private; None when it is not there (or not to be seen)."""
    try:
        return bool(api.model_info(repo_id).private)
    except RepositoryNotFoundError:
        return None


def _check_may_create(repo_id: str, user: str | None, namespaces: tuple[str, ...]) -> None:
    if user is None:
        raise NotYourRepositoryError(
            f"{repo_id} does not exist; a trusted publisher's token cannot make it: make it on the Hub first"
        )
    if repo_id.partition("/")[0] not in namespaces:
        raise _foreign(repo_id, user, namespaces)


def _check_may_write(api: HfApi, repo_id: str, user: str | None, namespaces: tuple[str, ...]) -> None:
    try:
        api.auth_check(repo_id, write=True)
    except HfHubHTTPError as error:
        if error.response.status_code not in (401, 403, 404):
            raise
        raise _foreign(repo_id, user or "this publisher", namespaces) from error


def _foreign(repo_id: str, user: str, namespaces: tuple[str, ...]) -> NotYourRepositoryError:
    name = repo_id.partition("/")[2]
    own = " or ".join(f"{namespace}/{name}" for namespace in namespaces)
    return NotYourRepositoryError(
        f"'{user}' may not write to {repo_id}; push to {own}, or propose the change with --create-pr"
    )
