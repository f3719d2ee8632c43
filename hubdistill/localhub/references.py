"""Tags and branches."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from hubdistill.localhub.call import Call
from hubdistill.localhub.refusal import Refusal, RevisionNotFound
from hubdistill.localhub.repository import BRANCHES, MAIN, TAGS, StaleParent, is_ref_name


def create_tag(call: Call) -> Response:
    """Tag a revision; with a message the tag is an annotated one."""
    asked = call.json()
    tag, message = asked.get("tag"), asked.get("message")
    if not isinstance(tag, str) or not is_ref_name(TAGS + tag) or tag.startswith("refs/"):
        raise Refusal(400, f"Invalid reference for a tag: {tag}")
    with call.open_to_write() as (repository, account):
        oid = repository.resolve(call.param("revision"))
        try:
            if message:
                repository.annotate(tag, oid, author=account.name, message=str(message))
            else:
                repository.move(TAGS + tag, oid, expected=None)
        except StaleParent:
            raise Refusal(409, f"Tag reference exists already: {tag}") from None
    return JSONResponse({"name": tag, "ref": TAGS + tag, "targetCommit": oid})


def delete_tag(call: Call) -> Response:
    """Delete a tag."""
    return _delete(call, TAGS)


def create_branch(call: Call) -> Response:
    """Create a branch, from main unless a starting point is named."""
    branch = call.param("branch")
    if not is_ref_name(BRANCHES + branch) or branch.startswith("refs/"):
        raise Refusal(400, f"Invalid reference for a branch: {branch}")
    with call.open_to_write() as (repository, _):
        oid = repository.resolve(str(call.json().get("startingPoint", MAIN)))
        try:
            repository.move(BRANCHES + branch, oid, expected=None)
        except StaleParent:
            raise Refusal(409, f"Reference already exists: {branch}") from None
    return JSONResponse({"name": branch, "ref": BRANCHES + branch, "targetCommit": oid})


def delete_branch(call: Call) -> Response:
    """Delete a branch other than main."""
    if call.param("branch") == "main":
        raise Refusal(403, "the branch 'main' is protected")
    return _delete(call, BRANCHES)


def _delete(call: Call, prefix: str) -> Response:
    name = call.param("branch") or call.param("revision")
    with call.open_to_write() as (repository, _):
        if repository.head(prefix + name) is None:
            raise RevisionNotFound(name)
        repository.remove_ref(prefix + name)
    return JSONResponse({"success": True})
