"""The one way a request is turned down: a status, a message and the Hub's error code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Refusal(Exception):
    """A request that the local Hub turns down.

    Args:
        status: HTTP status.
        message: what the client shows to its user.
        code: value of X-Error-Code, from which the client chooses its exception.
        headers: further headers.
        body: further members of the JSON body, beside `error`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = dict(headers or {})
        self.body = dict(body or {})


class RepoNotFound(Refusal):
    """No such repository, or none that this account may see."""

    def __init__(self) -> None:
        super().__init__(404, "Repository not found", "RepoNotFound")


class RevisionNotFound(Refusal):
    """The repository is there, the branch, tag or commit is not."""

    def __init__(self, revision: str) -> None:
        super().__init__(404, f"Invalid rev id: {revision}", "RevisionNotFound")


class EntryNotFound(Refusal):
    """The revision is there, the file or folder is not."""

    def __init__(self, message: str = "Entry not found", commit: str | None = None) -> None:
        super().__init__(404, message, "EntryNotFound", {"X-Repo-Commit": commit} if commit else None)


def refuse(_request: Request, error: Exception) -> Response:
    """Turn a Refusal into the response that huggingface_hub parses."""
    assert isinstance(error, Refusal)
    # Header values are latin-1 and one line; the body carries the message unharmed.
    headers = {
        **error.headers,
        "X-Error-Message": " ".join(error.message.split()).encode("ascii", "replace").decode(),
    }
    if error.code is not None:
        headers["X-Error-Code"] = error.code
    return JSONResponse({"error": error.message, **error.body}, error.status, headers)
