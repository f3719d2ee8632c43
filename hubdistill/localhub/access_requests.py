"""Gated repositories: who has asked to read the files, and who may.

https://huggingface.co/docs/hub/models-gated
"""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response

from hubdistill.localhub.accounts import require_account
from hubdistill.localhub.call import Call
from hubdistill.localhub.refusal import Refusal
from hubdistill.localhub.storage import now

_STATUSES = ("pending", "accepted", "rejected")


def require_access(call: Call) -> None:
    """Refuse whoever may see a gated repository but not read its files."""
    settings = call.storage.settings(call.repo)
    if not settings["gated"] or (call.account is not None and call.account.may_see(call.repo)):
        return
    about = f"Access to {call.repo.type} {call.repo} is restricted"
    if call.account is None:
        raise Refusal(401, f"{about}. You must have access to it and be authenticated.", "GatedRepo")
    request = _of_user(settings, call.account.name)
    if request is None:
        raise Refusal(403, f"{about} and you are not in the authorized list. Ask for access.", "GatedRepo")
    if request["status"] != "accepted":
        raise Refusal(403, f"{about}. Your request to access it is {request['status']}.", "GatedRepo")


def ask(call: Call) -> Response:
    """Ask for access, as the form on the Hub's page does; granted at once where the gate is `auto`."""
    with call.storage.lock(call.repo), call.open():
        account = require_account(call.account)
        settings = _gated_settings(call)
        request = _of_user(settings, account.name)
        if request is None:
            fields = dict(parse_qsl(call.body.decode(errors="replace")))
            status = "accepted" if settings["gated"] == "auto" else "pending"
            request = _add(settings, account.name, status, fields)
            call.storage.save_settings(call.repo, settings)
    return JSONResponse({"status": request["status"]})


def index(call: Call) -> Response:
    """List the requests of a status."""
    status = call.param("status")
    if status not in _STATUSES:
        raise Refusal(404, f"requests are {', '.join(_STATUSES)}, not '{status}'")
    with call.open_to_write():
        requests = _gated_settings(call)["access_requests"]
    return JSONResponse([_shown(each) for each in requests if each["status"] == status])


def handle(call: Call) -> Response:
    """Accept, reject or put back a request."""
    asked = call.json()
    status = asked.get("status")
    if status not in _STATUSES:
        raise Refusal(400, f"status must be one of {', '.join(_STATUSES)}, not {status!r}")
    with call.open_to_write():
        settings = _gated_settings(call)
        user = asked.get("user")
        found = [
            each
            for each in settings["access_requests"]
            if (each["requestId"] == asked.get("requestId") if user is None else each["user"] == user)
        ]
        if not found:
            raise Refusal(404, f"no access request of {user or asked.get('requestId')}")
        if found[0]["status"] == status:
            raise Refusal(404, f"the access request is in the {status} list")
        found[0]["status"] = status
        call.storage.save_settings(call.repo, settings)
    return JSONResponse(_shown(found[0]))


def grant(call: Call) -> Response:
    """Give access to a user who has not asked."""
    user = str(call.json().get("user"))
    with call.open_to_write():
        settings = _gated_settings(call)
        if user not in {account.name for account in call.hub.tokens.values()}:
            raise Refusal(404, f"user {user} not found")
        request = _of_user(settings, user)
        if request is not None and request["status"] == "accepted":
            raise Refusal(400, f"user {user} has access")
        if request is None:
            request = _add(settings, user, "accepted", {})
        request["status"] = "accepted"
        call.storage.save_settings(call.repo, settings)
    return JSONResponse(_shown(request))


def _gated_settings(call: Call) -> dict[str, Any]:
    settings = call.storage.settings(call.repo)
    if not settings["gated"]:
        raise Refusal(400, f"{call.repo.type} {call.repo} is not gated")
    settings.setdefault("access_requests", [])
    return settings


def _of_user(settings: dict[str, Any], user: str) -> dict[str, Any] | None:
    return next((each for each in settings.get("access_requests", ()) if each["user"] == user), None)


def _add(settings: dict[str, Any], user: str, status: str, fields: dict[str, str]) -> dict[str, Any]:
    request = {
        "requestId": secrets.token_hex(12),
        "user": user,
        "status": status,
        "timestamp": now(),
        "fields": fields,
    }
    settings["access_requests"].append(request)
    return request


def _shown(request: dict[str, Any]) -> dict[str, Any]:
    user = request["user"]
    return {**request, "user": {"user": user, "fullname": user}}
