"""Preupload and commit: how files get into a repository."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response

from hubdistill.localhub import gitattributes
from hubdistill.localhub.accounts import Account
from hubdistill.localhub.call import Call
from hubdistill.localhub.card_metadata import check_card
from hubdistill.localhub.discussions import add_commit_event, find_discussion, open_pull_request
from hubdistill.localhub.lfs import Pointer, is_oid
from hubdistill.localhub.refusal import EntryNotFound, Refusal
from hubdistill.localhub.repository import PULLS, GitRepository, StaleParent

_MOVED_ON = "A commit has happened since. Please refresh and try again."
_ATTRIBUTES = ".gitattributes"


def preupload(call: Call) -> Response:
    """Tell the client how to send each file, and what is already there."""
    asked = call.json()
    answers = []
    with call.open() as repository:
        head = repository.resolve(call.param("revision"))
        entries = repository.entries(head)
        attributes = repository.text(head, _ATTRIBUTES) or ""
        ignored = asked.get("gitIgnore")
        if ignored is None:
            ignored = repository.text(head, ".gitignore") or ""
        for file in asked.get("files", []):
            path = _checked_path(file.get("path"))
            sample = base64.b64decode(file.get("sample", ""))
            answer: dict[str, Any] = {
                "path": path,
                "uploadMode": gitattributes.upload_mode(attributes, path, int(file.get("size", 0)), sample),
                "shouldIgnore": gitattributes.is_ignored(ignored, path),
            }
            if path in entries:
                pointer = repository.file(path, entries[path]).pointer
                answer["oid"] = entries[path] if pointer is None else pointer.oid
            answers.append(answer)
    return JSONResponse({"files": answers})


def commit(call: Call) -> Response:
    """Apply a list of operations as one commit, to a branch, a pull request or a new pull request."""
    header, operations = _parse(call.body)
    revision = call.param("revision")
    create_pr = call.flag("create_pr")
    parent = header.get("parentCommit")

    def allowed() -> Account:
        if create_pr:
            return call.proposer()
        if revision.startswith(PULLS):
            account = call.proposer()
            settings = call.storage.settings(call.repo)
            if find_discussion(settings, revision.removeprefix(PULLS))["author"] == account.name:
                return account
        return call.writer()

    with call.open_to_write(allowed) as (repository, account):
        if create_pr:
            ref, head = None, repository.resolve(parent or revision)
        else:
            ref = repository.writable_ref(revision)
            head = repository.resolve(ref)
            if parent is not None and not head.startswith(parent):
                raise Refusal(412, _MOVED_ON)
        before = repository.entries(head)
        after = _apply(repository, before, operations)
        message = f"{header['summary']}\n\n{header.get('description') or ''}".strip()
        oid = head
        if after != before or create_pr:
            oid = repository.write_commit(after, parent=head, author=account.name, message=message)
        number = None
        if ref is None:
            number = open_pull_request(
                call.storage,
                call.repo,
                repository,
                author=account.name,
                title=header["summary"],
                description=header.get("description") or "",
                base=head,
                head=oid,
            )
        elif oid != head:
            try:
                repository.move(ref, oid, expected=head)
            except StaleParent:
                raise Refusal(412, _MOVED_ON) from None
            if ref.startswith(PULLS):
                add_commit_event(
                    call.storage, call.repo, ref.removeprefix(PULLS), account.name, repository.commit(oid)
                )
    page = call.endpoint + call.repo.url_path
    return JSONResponse(
        {
            "success": True,
            "commitOid": oid,
            "commitUrl": f"{page}/commit/{oid}",
            "pullRequestUrl": f"{page}/discussions/{number}" if number else None,
            "hookOutput": "" if oid != head else "Nothing to commit: no file has changed.",
        }
    )


@dataclass(frozen=True)
class _Operation:
    key: str
    value: dict[str, Any]


def _parse(body: bytes) -> tuple[dict[str, Any], list[_Operation]]:
    """Read the lines of the request: a header, then operations."""
    header: dict[str, Any] | None = None
    operations = []
    for line in _lines(body):
        key, value = line.get("key"), line.get("value")
        if not isinstance(key, str) or not isinstance(value, dict):
            raise Refusal(400, "each line must be an object with the members 'key' and 'value'")
        if key == "header":
            header = value
        elif key in ("file", "lfsFile", "deletedFile", "deletedFolder"):
            operations.append(_Operation(key, value))
        else:
            raise Refusal(
                400, f"unknown operation '{key}'; expected file, lfsFile, deletedFile or deletedFolder"
            )
    if header is None or not isinstance(header.get("summary"), str) or not header["summary"].strip():
        raise Refusal(400, "the first line must be a header with a summary that is not empty")
    return header, operations


def _lines(body: bytes) -> Iterator[dict[str, Any]]:
    for line in body.split(b"\n"):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise Refusal(400, f"a line of the commit is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise Refusal(400, "each line of the commit must be a JSON object")
        yield value


def _apply(repository: GitRepository, before: dict[str, str], operations: list[_Operation]) -> dict[str, str]:
    """Return the files (path -> blob) after the operations, applied in their order."""
    after = dict(before)
    large = []
    for operation in operations:
        path = _checked_path(operation.value.get("path"))
        if operation.key == "deletedFile":
            if after.pop(path, None) is None:
                raise EntryNotFound(f"A file with this name doesn't exist: {path}")
        elif operation.key == "deletedFolder":
            inside = [each for each in after if each.startswith(f"{path}/")]
            if not inside:
                raise EntryNotFound(f"A folder with this name doesn't exist: {path}")
            for each in inside:
                del after[each]
        elif operation.key == "lfsFile":
            after[path] = repository.add_blob(_pointer(repository, path, operation.value).to_bytes())
            large.append(path)
        else:
            after[path] = repository.add_blob(_content(path, operation.value))
    _check_folders(after)
    if large:
        attributes = repository.read(after[_ATTRIBUTES]).decode() if _ATTRIBUTES in after else ""
        extended = attributes
        for path in large:
            extended = gitattributes.with_large(extended, path)
        if extended != attributes:
            after[_ATTRIBUTES] = repository.add_blob(extended.encode())
    return after


def _content(path: str, value: dict[str, Any]) -> bytes:
    """The bytes of a regular file."""
    content = value.get("content", "")
    try:
        data = base64.b64decode(content) if value.get("encoding", "base64") == "base64" else content.encode()
    except (binascii.Error, ValueError, TypeError):
        raise Refusal(400, f"the content of '{path}' is not base64") from None
    if len(data) > gitattributes.REGULAR_MAX_BYTES:
        raise Refusal(
            400,
            f"'{path}' has {len(data)} bytes; above {gitattributes.REGULAR_MAX_BYTES} send it as lfsFile",
        )
    if path == "README.md":
        errors, _ = check_card(data.decode(errors="replace"))
        if errors:
            raise Refusal(
                400,
                "the metadata in README.md is invalid:\n" + "\n".join(f"- {error}" for error in errors),
                body={"errors": [{"message": error} for error in errors]},
            )
    return data


def _pointer(repository: GitRepository, path: str, value: dict[str, Any]) -> Pointer:
    """The pointer of a large file, which must have been uploaded."""
    oid = value.get("oid")
    stored = (
        repository.lfs.size(str(oid)) if is_oid(oid) and value.get("algo", "sha256") == "sha256" else None
    )
    if stored is None or value.get("size", stored) != stored:
        raise Refusal(400, f"the content of '{path}' (SHA-256 {oid}) was not uploaded to this repository")
    return Pointer(str(oid), stored)


def _checked_path(path: object) -> str:
    """Refuse paths that git or a checkout could not hold."""
    if not isinstance(path, str):
        raise Refusal(400, "a file without a path")
    parts = path.removesuffix("/").split("/")
    if any(
        part in ("", ".", "..") or part.lower() == ".git" or "\0" in part or "\\" in part for part in parts
    ):
        raise Refusal(400, f"'{path}' is not a path a repository can hold")
    return "/".join(parts)


def _check_folders(files: dict[str, str]) -> None:
    """Refuse a file whose path is also a folder."""
    for path in files:
        folder = path.rpartition("/")[0]
        while folder:
            if folder in files:
                raise Refusal(400, f"'{folder}' cannot be a file and hold '{path}'")
            folder = folder.rpartition("/")[0]
