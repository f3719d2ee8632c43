"""Accounts and repositories as wholes: whoami, create, delete, move, settings, access checks."""

from __future__ import annotations

from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]
from starlette.responses import JSONResponse, Response

from hubdistill.localhub.access_requests import require_access
from hubdistill.localhub.accounts import (
    Account,
    require_account,
    require_member,
    require_reader,
    require_writer,
)
from hubdistill.localhub.call import Call
from hubdistill.localhub.refusal import Refusal
from hubdistill.localhub.storage import KINDS, RepoId


def whoami(call: Call) -> Response:
    """Say whose token this is, what it allows and which organisations the user belongs to."""
    account = require_account(call.account)
    if account.resource is not None:
        raise Refusal(403, "this token stands for a repository, not for a user")
    orgs = [
        {"type": "org", "id": name, "name": name, "fullname": name, "isEnterprise": False, "roleInOrg": role}
        for name, role in account.org_roles.items()
    ]
    return JSONResponse(
        {
            "type": "user",
            "id": account.name,
            "name": account.name,
            "fullname": account.name,
            "isPro": False,
            "orgs": orgs,
            "auth": {"type": "access_token", "accessToken": _describe_token(account)},
        }
    )


def _describe_token(account: Account) -> dict[str, Any]:
    described: dict[str, Any] = {"displayName": account.name, "role": account.role}
    if account.role == "fineGrained":
        kinds = {account.name: "user", **dict.fromkeys(account.org_roles, "org")}
        scoped = [
            {"entity": {"type": kinds.get(entity, "model"), "name": entity}, "permissions": list(permissions)}
            for entity, permissions in account.scopes.items()
        ]
        described["fineGrained"] = {"canReadGatedRepos": False, "global": [], "scoped": scoped}
    return described


def _asked_repo(call: Call, asked: dict[str, Any]) -> RepoId:
    kind = KINDS.get(str(asked.get("type") or "model"))
    if kind is None:
        raise Refusal(400, f"type must be one of {', '.join(KINDS)}, not {asked.get('type')!r}")
    namespace = asked.get("organization") or require_account(call.account).name
    return _valid(RepoId(kind, str(namespace), str(asked.get("name"))))


def _valid(repo: RepoId) -> RepoId:
    try:
        validate_repo_id(str(repo))
    except HFValidationError as error:
        raise Refusal(400, str(error)) from None
    return repo


def create(call: Call) -> Response:
    """Create a repository; 409 with its address where it exists."""
    asked = call.json()
    repo = _asked_repo(call, asked)
    account = require_member(call.account, repo.namespace)
    visibility = asked.get("visibility", "private" if asked.get("private") else "public")
    if visibility not in ("public", "private"):
        raise Refusal(400, f"visibility must be 'public' or 'private', not {visibility!r}")
    url = call.endpoint + repo.url_path
    try:
        call.storage.create(repo, private=visibility == "private", author=account.name)
    except Refusal as error:
        raise Refusal(error.status, error.message, body={"url": url}) from None
    return JSONResponse({"url": url, "name": str(repo), "id": str(repo)})


def _own(call: Call, repo: RepoId) -> RepoId:
    """The repository, if it is there and the account may do with it what it likes."""
    settings = call.storage.settings(repo)
    require_reader(call.account, repo, private=settings["private"])
    if require_writer(call.account, repo, creator=settings["created_by"]).resource is not None:
        raise Refusal(403, "a trusted publisher writes files to a repository; it cannot move or delete it")
    return repo


def delete(call: Call) -> Response:
    """Delete a repository with all it holds."""
    call.storage.delete(_own(call, _asked_repo(call, call.json())))
    return JSONResponse({"success": True})


def move(call: Call) -> Response:
    """Rename a repository or hand it to another namespace of the same account."""
    asked = call.json()
    repos = []
    for member in ("fromRepo", "toRepo"):
        namespace, _, name = str(asked.get(member, "")).partition("/")
        repos.append(_asked_repo(call, {"organization": namespace, "name": name, "type": asked.get("type")}))
    source, target = repos
    require_member(call.account, target.namespace)
    call.storage.move(_own(call, source), target)
    return JSONResponse({"success": True, "url": call.endpoint + target.url_path})


def update_settings(call: Call) -> Response:
    """Change visibility or gate."""
    asked = call.json()
    with call.open_to_write():
        settings = call.storage.settings(call.repo)
        if "visibility" in asked or "private" in asked:
            settings["private"] = asked.get("visibility") == "private" or asked.get("private") is True
        if "gated" in asked:
            if asked["gated"] not in ("auto", "manual", False):
                raise Refusal(400, f"gated must be 'auto', 'manual' or false, not {asked['gated']!r}")
            settings["gated"] = asked["gated"]
        call.storage.save_settings(call.repo, settings)
    return JSONResponse({"private": settings["private"], "gated": settings["gated"]})


def auth_check(call: Call) -> Response:
    """Succeed where the account may read the repository and its files."""
    with call.open():
        require_access(call)
        return JSONResponse({})


def auth_check_write(call: Call) -> Response:
    """Succeed where the account may write to the repository."""
    with call.open_to_write():
        return JSONResponse({})


def no_xet(call: Call) -> Response:
    """Tell a client with Xet on how to speak to a Hub without it."""
    raise Refusal(
        404,
        "this Hub stores large files with git-lfs, not Xet; set HF_HUB_DISABLE_XET=1 before starting Python",
    )
