"""The one table from what the Hub's client raises to what hubdistill raises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError

from httpx2 import HTTPError
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    OIDCError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hubdistill.errors import NoTokenError, NotYourRepositoryError, PublishError
from hubdistill.private_text import redact

NO_TOKEN = "log in with `hf auth login`, set HF_TOKEN, or pass --token; a token with write access is needed (https://huggingface.co/settings/tokens)"
PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed a little later."""

_SPENT_ADDRESS = frozenset({400, 403, 404, 410})
"""What storage answers when an upload address has run out, or other bytes arrived than were announced. The
next attempt asks for a new address, and sends only what is not stored."""

_STATUS: dict[int, tuple[type[PublishError], str]] = {
    401: (NoTokenError, f"the token is not valid there; {NO_TOKEN}"),
    403: (NotYourRepositoryError, "the token may not do this; use one with write access to this repository"),
    404: (PublishError, "not found; check the repository id and the endpoint"),
    409: (PublishError, "it exists already"),
    413: (PublishError, "too large for the Hub"),
    429: (PublishError, "the Hub's rate limit is reached; wait and push again"),
}
_KINDS: tuple[tuple[type[BaseException], type[PublishError], str], ...] = (
    (OfflineModeIsEnabled, PublishError, "HF_HUB_OFFLINE is set; unset it to push"),
    (LocalTokenNotFoundError, NoTokenError, f"no token; {NO_TOKEN}"),
    (
        OIDCError,
        NoTokenError,
        "trusted publishing failed; the job needs `permissions: id-token: write`, and HF_OIDC_RESOURCE the "
        "repository's id",
    ),
    (GatedRepoError, NotYourRepositoryError, "the repository is gated, and this account has no access"),
    (DisabledRepoError, PublishError, "the Hub has disabled the repository"),
    (RevisionNotFoundError, PublishError, "there is no such revision"),
    (
        RepositoryNotFoundError,
        NotYourRepositoryError,
        "there is no such repository, or the token may not see it",
    ),
)


def is_passing(error: BaseException) -> bool:
    """Whether a request failed in a way that says nothing about the request: network, overload."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in PASSING_STATUS
    if isinstance(error, RuntimeError) and (cause := error.__cause__):  # the client on an LFS upload
        spent = isinstance(cause, HfHubHTTPError) and cause.response.status_code in _SPENT_ADDRESS
        return spent or is_passing(cause)
    # JSONDecodeError: an answer that was cut off on the way.
    passing = (HTTPError, ConnectionError, TimeoutError, JSONDecodeError)
    return isinstance(error, passing) and not isinstance(error, OfflineModeIsEnabled)


def is_stale(error: BaseException) -> bool:
    """Whether a commit was refused because the branch is no longer where it was to go on from."""
    return isinstance(error, HfHubHTTPError) and error.response.status_code == 412


@contextmanager
def explained(doing: str, *, endpoint: str, token: str | None = None) -> Iterator[None]:
    """Turn what the client raises inside the block into a PublishError that says what mends it.

    Args:
        doing: what is being done, as the start of a sentence: `pushing to demo/student`.
        endpoint: the Hub in question.
        token: taken out of every message.

    Raises:
        PublishError: or the subclass that fits.
    """
    try:
        yield
    except PublishError:
        raise
    except (HTTPError, OSError, OIDCError, ValueError, RuntimeError, LookupError, TypeError) as error:
        kind, message = _explain(error, endpoint)
        raise kind(redact(f"{doing}: {message}", token)) from error


def _explain(error: Exception, endpoint: str) -> tuple[type[PublishError], str]:
    for known, kind, message in _KINDS:
        if isinstance(error, known):
            said = f" ({error})" if isinstance(error, OIDCError) else _said(error)
            return kind, f"{message}{said}"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        kind, message = _STATUS.get(status, (PublishError, f"the Hub at {endpoint} answered {status}"))
        return kind, f"{message}{_said(error)}"
    if isinstance(error, HTTPError):
        return (
            PublishError,
            f"cannot reach {endpoint} ({error or type(error).__name__}); check the network and HF_ENDPOINT",
        )
    if isinstance(error, LookupError | TypeError):
        return PublishError, f"the answer of {endpoint} makes no sense ({type(error).__name__}: {error})"
    cause = error.__cause__
    if isinstance(cause, HfHubHTTPError):
        return PublishError, f"{error} {_explain(cause, endpoint)[1]}"
    return PublishError, f"{error}{f' {cause}' if cause else ''}"


def _said(error: BaseException) -> str:
    message = getattr(error, "server_message", None)
    return f" (the Hub says: {' '.join(message.split())})" if message else ""
