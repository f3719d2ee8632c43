"""Sending large files in: the git-lfs batch API, PUT in one piece or in parts, verify."""

from __future__ import annotations

import hashlib
from math import ceil
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hubdistill.localhub.call import Call, Hub
from hubdistill.localhub.lfs import ChecksumError, LfsStore, Pointer, is_oid
from hubdistill.localhub.refusal import Refusal
from hubdistill.localhub.repository import PULLS

# Files above this size travel in parts of this size.
PART_BYTES = 256 * 1024 * 1024


def batch(call: Call) -> Response:
    """Tell the client where to send each large file; nothing to send for one already stored."""
    asked = call.json()
    if asked.get("operation") != "upload":
        raise Refusal(400, "only the operation 'upload' is served; read files under /resolve/")
    with call.open() as repository:
        ref = asked.get("ref", {}).get("name")
        # Without a ref the upload is for a pull request, which any writer may open.
        if ref is None or ref.startswith(PULLS):
            call.proposer()
        else:
            call.writer()
        multipart = "multipart" in asked.get("transfers", [])
        objects = [_instruct(call, repository.lfs, each, multipart) for each in asked.get("objects", [])]
    return JSONResponse(
        {"transfer": "multipart" if multipart else "basic", "objects": objects, "hash_algo": "sha256"},
        media_type="application/vnd.git-lfs+json",
    )


def _instruct(call: Call, store: LfsStore, asked: dict[str, Any], multipart: bool) -> dict[str, Any]:
    oid, size = asked.get("oid"), asked.get("size")
    if not is_oid(oid) or not isinstance(size, int) or size < 0:
        error = {"code": 422, "message": "oid must be a SHA-256 in hexadecimal and size a number of bytes"}
        return {"oid": str(oid), "size": size if isinstance(size, int) else 0, "error": error}
    pointer = Pointer(str(oid), size)
    if store.size(pointer.oid) == size:
        return {"oid": oid, "size": size}
    key = call.hub.uploads.begin(call.repo, pointer)
    href = f"{call.endpoint}/api/lfs/{key}"
    header = {}
    if multipart and size > PART_BYTES:
        header = {str(number): f"{href}/{number}" for number in range(1, ceil(size / PART_BYTES) + 1)}
        header["chunk_size"] = str(PART_BYTES)
    return {
        "oid": oid,
        "size": size,
        "actions": {
            "upload": {"href": href, "header": header},
            "verify": {"href": f"{call.endpoint}/api/{call.repo.kind}/{call.repo}/lfs/verify"},
        },
    }


async def receive(request: Request) -> Response:
    """PUT of a whole file. The address is the permission, as with a signed storage URL."""
    hub: Hub = request.app.state.hub
    key = request.path_params["key"]
    upload = hub.uploads.find(key)
    store = LfsStore(hub.storage.path(upload.repo) / "lfs")
    with store.incoming() as path:
        etag = await _save(request, path, upload.pointer.size)
        try:
            await run_in_threadpool(store.adopt, path, upload.pointer)
        except ChecksumError as error:
            raise Refusal(400, str(error)) from None
    hub.uploads.end(key)
    return Response(headers={"ETag": f'"{etag}"'})


async def receive_part(request: Request) -> Response:
    """PUT of one part of a file."""
    hub: Hub = request.app.state.hub
    key, number = request.path_params["key"], request.path_params["number"]
    upload = hub.uploads.find(key)
    parts = ceil(upload.pointer.size / PART_BYTES)
    if not 1 <= number <= parts:
        raise Refusal(400, f"part {number} is not among the {parts} parts of this upload")
    path = hub.storage.path(upload.repo) / "lfs" / "tmp" / f"{key}.{number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    etag = await _save(request, path, PART_BYTES)
    upload.parts[number] = (etag, path)
    return Response(headers={"ETag": f'"{etag}"'})


async def _save(request: Request, path: Path, limit: int) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    received = 0
    with path.open("wb") as file:
        async for block in request.stream():
            received += len(block)
            if received > limit:
                raise Refusal(413, f"more than the announced {limit} bytes")
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def complete(call: Call) -> Response:
    """Join the parts of a file."""
    key = call.param("key")
    upload = call.hub.uploads.find(key)
    named = [
        (part.get("partNumber"), str(part.get("etag")).strip('"')) for part in call.json().get("parts", [])
    ]
    held = [(number, etag) for number, (etag, _) in sorted(upload.parts.items())]
    if named != held:
        raise Refusal(400, f"the parts named ({len(named)}) are not the parts received ({len(held)})")
    paths = [path for _, (_, path) in sorted(upload.parts.items())]
    try:
        LfsStore(call.storage.path(upload.repo) / "lfs").join(paths, upload.pointer)
    except ChecksumError as error:
        raise Refusal(400, str(error)) from None
    finally:
        for path in paths:
            path.unlink(missing_ok=True)
        call.hub.uploads.end(key)
    return JSONResponse({"oid": upload.pointer.oid})


def verify(call: Call) -> Response:
    """Confirm that a large file arrived whole."""
    asked = call.json()
    oid = asked.get("oid")
    with call.open() as repository:
        if not is_oid(oid) or repository.lfs.size(str(oid)) != asked.get("size"):
            raise Refusal(404, f"no large file {oid} of {asked.get('size')} bytes is stored here")
    return JSONResponse({"oid": oid, "size": asked["size"]})
