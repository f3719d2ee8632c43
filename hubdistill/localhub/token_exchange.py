"""`/oauth/token`: a job's id token for a token of this Hub, RFC 8693."""

from __future__ import annotations

import logging

from starlette.responses import JSONResponse, Response

from hubdistill.localhub.call import Call
from hubdistill.localhub.id_tokens import IdTokenError, unverified_issuer, verified_claims
from hubdistill.localhub.publishers import Publisher
from hubdistill.localhub.refusal import Refusal
from hubdistill.localhub.storage import KINDS, RepoId

logger = logging.getLogger(__name__)

_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_SUBJECT = "urn:ietf:params:oauth:token-type:id_token"
_ISSUED = "urn:ietf:params:oauth:token-type:access_token"


class OAuthRefusal(Refusal):
    """A refusal in the form of OAuth: 400, an error code and a description.

    Args:
        error: `invalid_request` or `invalid_grant`.
        description: what the client shows.
    """

    def __init__(self, error: str, description: str) -> None:
        super().__init__(400, description, body={"error": error, "error_description": description})


def exchange(call: Call) -> Response:
    """Give a token for one repository to a workflow that it trusts.

    Like the Hub it does not tell the client which check failed; the log does.
    """
    asked = call.json()
    for member, expected in (("grant_type", _GRANT), ("subject_token_type", _SUBJECT)):
        if asked.get(member) != expected:
            raise OAuthRefusal("invalid_request", f"{member} must be {expected}, not {asked.get(member)!r}")
    token = asked.get("subject_token")
    if not isinstance(token, str):
        raise OAuthRefusal("invalid_request", "subject_token is missing")
    repo = _resource(asked.get("resource"))
    try:
        publishers = _with_issuer(call, repo, unverified_issuer(token))
        claims = verified_claims(token, issuer=publishers[0].issuer, audience=call.endpoint)
        publisher = next((each for each in publishers if each.matches(claims)), None)
        if publisher is None:
            raise IdTokenError(
                f"no publisher of {repo} is {claims.get('workflow_ref')} of {claims.get('repository')}, "
                f"ref {claims.get('ref')}, environment {claims.get('environment')}"
            )
    except IdTokenError as error:
        logger.info("no token for %s: %s", repo, error)
        raise OAuthRefusal(
            "invalid_grant",
            "the id token is not one that this repository trusts, or there is no such repository",
        ) from None
    return JSONResponse(
        {
            "access_token": call.hub.publishers.issue(repo, publisher),
            "token_type": "bearer",
            "expires_in": publisher.token_seconds,
            "issued_token_type": _ISSUED,
        }
    )


def _resource(resource: object) -> RepoId:
    parts = str(resource).split("/")
    if len(parts) == 2:
        parts.insert(0, KINDS["model"])
    if len(parts) != 3 or parts[0] not in KINDS.values() or not all(parts):
        raise OAuthRefusal(
            "invalid_request",
            f"resource must be namespace/name, datasets/namespace/name or spaces/namespace/name, "
            f"not {resource!r}",
        )
    return RepoId(*parts)


def _with_issuer(call: Call, repo: RepoId, issuer: str) -> list[Publisher]:
    found = [each for each in call.hub.publishers.of(repo) if each.issuer == issuer]
    if not found or not call.storage.exists(repo):
        raise IdTokenError(f"no publisher of {repo} has its tokens from {issuer}, or there is no {repo}")
    return found
