"""Collections: named lists of models and other things."""

from __future__ import annotations

import re
import secrets
from typing import Any

from starlette.responses import JSONResponse, Response

from hubdistill.localhub.accounts import require_member
from hubdistill.localhub.call import Call
from hubdistill.localhub.refusal import Refusal
from hubdistill.localhub.storage import KINDS, RepoId, now


def _slug(call: Call) -> str:
    return f"{call.param('namespace')}/{call.param('slug')}"


def _visible(call: Call, collection: dict[str, Any]) -> bool:
    return not collection["private"] or (
        call.account is not None and call.account.role_in(collection["owner"]["name"]) is not None
    )


def _find(call: Call, collections: dict[str, dict[str, Any]]) -> dict[str, Any]:
    collection = collections.get(_slug(call))
    if collection is None or not _visible(call, collection):
        raise Refusal(404, f"collection {_slug(call)} not found")
    return collection


def index(call: Call) -> Response:
    """List collections, or those of one owner, newest first."""
    owner, item = call.request.query_params.get("owner"), call.request.query_params.get("item")
    found = [each for each in call.storage.collections().values() if _visible(call, each)]
    if owner:
        found = [each for each in found if each["owner"]["name"] == owner]
    if item:
        found = [
            each for each in found if any(item == f"{one['type']}s/{one['id']}" for one in each["items"])
        ]
    found.sort(key=lambda each: str(each["lastUpdated"]), reverse=True)
    # The client numbers the listed collections itself.
    return JSONResponse([{key: value for key, value in each.items() if key != "position"} for each in found])


def get(call: Call) -> Response:
    """One collection."""
    return JSONResponse(_find(call, call.storage.collections()))


def create(call: Call) -> Response:
    """Create a collection; 409 with its slug where the owner has one of that title."""
    asked = call.json()
    title, namespace = str(asked.get("title", "")).strip(), str(asked.get("namespace", ""))
    require_member(call.account, namespace, "collection.write")
    if not title:
        raise Refusal(400, "a collection needs a title")
    with call.storage.collections_lock:
        collections = call.storage.collections()
        for slug, collection in collections.items():
            if collection["owner"]["name"] == namespace and collection["title"] == title:
                raise Refusal(409, f"the collection '{title}' exists", body={"slug": slug})
        words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "collection"
        made: dict[str, Any] = {
            "slug": f"{namespace}/{words}-{secrets.token_hex(12)}",
            "title": title,
            "description": asked.get("description"),
            "owner": {"type": "user", "name": namespace},
            "items": [],
            "position": 0,
            "private": bool(asked.get("private")),
            "theme": "blue",
            "upvotes": 0,
            "lastUpdated": now(),
        }
        collections[str(made["slug"])] = made
        call.storage.save_collections(collections)
    return JSONResponse(made)


def delete(call: Call) -> Response:
    """Delete a collection."""
    with call.storage.collections_lock:
        collections = call.storage.collections()
        require_member(call.account, _find(call, collections)["owner"]["name"], "collection.write")
        del collections[_slug(call)]
        call.storage.save_collections(collections)
    return JSONResponse({"success": True})


def add_item(call: Call) -> Response:
    """Add a model, data set or space that exists here; 409 where it is in the collection."""
    asked = call.json()
    item = asked.get("item", {})
    name, kind = str(item.get("id")), str(item.get("type"))
    namespace, _, short = name.partition("/")
    if kind not in KINDS:
        raise Refusal(400, f"items of type {kind!r} are not served here; expected one of {', '.join(KINDS)}")
    if not call.storage.exists(RepoId(KINDS[kind], namespace, short)):
        raise Refusal(404, f"{kind} {name} not found")
    with call.storage.collections_lock:
        collections = call.storage.collections()
        collection = _find(call, collections)
        require_member(call.account, collection["owner"]["name"], "collection.write")
        if any((one["type"], one["id"]) == (kind, name) for one in collection["items"]):
            raise Refusal(409, f"{kind} {name} is in the collection")
        added = {"_id": secrets.token_hex(12), "type": kind, "id": name, "position": len(collection["items"])}
        if asked.get("note"):
            added["note"] = {"text": asked["note"], "html": ""}
        collection["items"].append(added)
        collection["lastUpdated"] = now()
        call.storage.save_collections(collections)
    return JSONResponse(collection)
