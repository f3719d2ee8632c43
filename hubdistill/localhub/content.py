"""`/resolve/`: the content of files, whole or in part."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from hubdistill.localhub.access_requests import require_access
from hubdistill.localhub.call import Call
from hubdistill.localhub.refusal import EntryNotFound, Refusal
from hubdistill.localhub.repository import File, GitRepository

_BLOCK = 1 << 20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_PULL_PATH = re.compile(r"pr/(\d+)/(.+)")


def resolve(call: Call) -> Response:
    """Send a file of a revision."""
    revision, path = call.param("revision"), call.param("path")
    if revision == "refs" and (match := _PULL_PATH.fullmatch(path)):
        # A person types refs/pr/1; the client writes refs%2Fpr%2F1.
        revision, path = f"refs/pr/{match[1]}", match[2]
    with call.open() as repository:
        require_access(call)
        oid = repository.resolve(revision)
        blob = repository.entries(oid).get(path)
        if blob is None:
            raise EntryNotFound(commit=oid)
        file = repository.file(path, blob)
        stored = _stored(repository, file)
    headers = _headers(file, oid)
    start, end = _asked_range(call, file.size)
    status = 200 if (start, end) == (0, file.size) and "range" not in call.request.headers else 206
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    headers["Content-Length"] = str(end - start)
    if call.request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    body = stored[start:end] if isinstance(stored, bytes) else _blocks(stored, start, end)
    if isinstance(body, bytes):
        return Response(body, status, headers)
    return StreamingResponse(body, status, headers)


def _stored(repository: GitRepository, file: File) -> bytes | Path:
    if file.pointer is None:
        return repository.read(file.blob)
    if repository.lfs.size(file.pointer.oid) is None:
        raise Refusal(
            404, f"'{file.path}' points to a large file that is not stored here: {file.pointer.oid}"
        )
    return repository.lfs.path(file.pointer.oid)


def _headers(file: File, oid: str) -> dict[str, str]:
    etag = file.blob if file.pointer is None else file.pointer.oid
    headers = {
        "X-Repo-Commit": oid,
        "ETag": f'"{etag}"',
        "Accept-Ranges": "bytes",
        "Content-Type": _media_type(file),
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(file.path.rpartition('/')[2])}",
        # Files come from whoever may push: a browser shows them, and runs nothing.
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    if file.pointer is not None:
        headers["X-Linked-Etag"] = f'"{file.pointer.oid}"'
        headers["X-Linked-Size"] = str(file.size)
    return headers


def _media_type(file: File) -> str:
    guessed = mimetypes.guess_type(file.path)[0] or ""
    if guessed.startswith("image/"):
        return guessed
    return "text/plain; charset=utf-8" if file.pointer is None else "application/octet-stream"


def _asked_range(call: Call, size: int) -> tuple[int, int]:
    """The half-open range of bytes to send; the whole file where none, or one we do not know, is asked."""
    asked = call.request.headers.get("range")
    match = _RANGE.fullmatch(asked.replace(" ", "")) if asked else None
    if match is None or match.group(0) == "bytes=-":
        return 0, size
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    else:
        start, end = max(size - int(last), 0), size
    if start >= end:
        raise Refusal(
            416, f"range {asked} is outside of {size} bytes", headers={"Content-Range": f"bytes */{size}"}
        )
    return start, end


def _blocks(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        left = end - start
        while left > 0 and (block := file.read(min(_BLOCK, left))):
            left -= len(block)
            yield block
