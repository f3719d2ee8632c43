"""What a client reads of a repository: model info, trees, commits, refs."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response

from hubdistill.localhub.call import Call
from hubdistill.localhub.card_metadata import read_metadata
from hubdistill.localhub.info_tags import info_tags, listed
from hubdistill.localhub.model_facts import eval_results, model_config, parameter_counts
from hubdistill.localhub.refusal import EntryNotFound, Refusal
from hubdistill.localhub.repository import BRANCHES, MAIN, PULLS, TAGS, CommitRecord, File, GitRepository
from hubdistill.localhub.storage import KINDS, RepoId, Storage, timestamp

# What the Hub finds out by means that there are none of here: it may be asked for, and is not answered.
_NEVER_KNOWN = (
    "gguf",
    "inference",
    "inferenceProviderMapping",
    "mask_token",
    "resourceGroup",
    "transformersInfo",
    "widgetData",
)
_NOT_LISTED = (
    "siblings",
    "cardData",
    "model-index",
    "usedStorage",
    "config",
    "safetensors",
    "evalResults",
    *_NEVER_KNOWN,
)


def describe(
    storage: Storage, repo: RepoId, repository: GitRepository, oid: str, *, blobs: bool
) -> dict[str, Any]:
    """All that the Hub's info endpoint says of a repository at a commit."""
    settings = storage.settings(repo)
    card = read_metadata(repository.text(oid, "README.md") or "") or {}
    files = repository.files(oid)
    return {
        "_id": f"{repo}",
        "id": str(repo),
        "modelId": str(repo),
        "author": repo.namespace,
        "sha": oid,
        "lastModified": timestamp(repository.commit(oid).time),
        "createdAt": settings["created_at"],
        "private": settings["private"],
        "gated": settings["gated"],
        "disabled": False,
        "downloads": 0,
        "downloadsAllTime": 0,
        "likes": 0,
        "tags": info_tags(card, [file.path for file in files]),
        "pipeline_tag": card.get("pipeline_tag"),
        "library_name": card.get("library_name"),
        "trendingScore": 0,
        "baseModels": listed(card.get("base_model")) or None,
        "childrenModelCount": 0,
        "spaces": [],
        "config": model_config(repository, oid),
        "safetensors": parameter_counts(repository, files),
        "evalResults": eval_results(repository, oid, files) or None,
        "cardData": card,
        "model-index": card.get("model-index"),
        "siblings": [_sibling(file, blobs=blobs) for file in files],
        "usedStorage": sum(file.size for file in files),
        **dict.fromkeys(_NEVER_KNOWN),
    }


def _sibling(file: File, *, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": file.path}
    sibling: dict[str, Any] = {"rfilename": file.path, "blobId": file.blob, "size": file.size}
    if file.pointer is not None:
        sibling["lfs"] = {"sha256": file.pointer.oid, "size": file.size, "pointerSize": file.blob_size}
    return sibling


def info(call: Call) -> Response:
    """Model info at a revision, or only the expanded properties."""
    with call.open() as repository:
        oid = repository.resolve(call.param("revision", "main"))
        everything = describe(call.storage, call.repo, repository, oid, blobs=call.flag("blobs"))
    expand = call.query("expand")
    if expand:
        return JSONResponse(
            {"_id": everything["_id"], "id": everything["id"], **expanded(everything, expand)}
        )
    return JSONResponse({key: value for key, value in everything.items() if value is not None})


def expanded(everything: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Keep the named properties.

    Raises:
        Refusal: 400, the Hub has no such property.
    """
    unknown = [name for name in names if name not in everything]
    if unknown:
        raise Refusal(400, f"cannot expand {', '.join(unknown)}; expected some of {', '.join(everything)}")
    return {name: everything[name] for name in names if everything[name] is not None}


def index(call: Call) -> Response:
    """List the repositories of a kind that this account may see."""
    if call.param("kind") not in KINDS.values():
        raise Refusal(404, f"there are {', '.join(KINDS.values())} here, no {call.param('kind')}")
    found = []
    author, search = call.request.query_params.get("author"), call.request.query_params.get("search", "")
    wanted = set(call.query("filter"))
    for repo in call.storage.all(call.param("kind")):
        private = call.storage.settings(repo)["private"]
        visible = not private or (call.account is not None and call.account.may_see(repo))
        if not visible or (author and repo.namespace != author) or search.lower() not in str(repo).lower():
            continue
        with call.storage.open(repo) as repository:
            item = describe(call.storage, repo, repository, repository.resolve(MAIN), blobs=False)
        if wanted <= {*item["tags"], item["pipeline_tag"], item["library_name"]}:
            found.append(item)
    found.sort(key=lambda item: str(item["lastModified"]), reverse=True)
    limit = call.request.query_params.get("limit")
    found = found[: int(limit)] if limit else found
    if expand := call.query("expand"):
        return JSONResponse([{"id": item["id"], **expanded(item, expand)} for item in found])
    hidden = {name for name in _NOT_LISTED if not (call.flag("full") or call.flag(name))}
    return JSONResponse([{key: value for key, value in item.items() if key not in hidden} for item in found])


def tree(call: Call) -> Response:
    """List a folder."""
    folder = call.param("path").strip("/")
    with call.open() as repository:
        oid = repository.resolve(call.param("revision"))
        folders = repository.folders(oid)
        if folder not in folders:
            raise EntryNotFound(f"{folder} does not exist on {call.param('revision')}", oid)
        items = [_folder_item(path, sha) for path, sha in folders.items() if path]
        items += [_file_item(file) for file in repository.files(oid)]
        prefix = f"{folder}/" if folder else ""
        items = [item for item in items if item["path"].startswith(prefix)]
        if not call.flag("recursive"):
            items = [item for item in items if "/" not in item["path"][len(prefix) :]]
        if call.flag("expand"):
            _add_last_commits(repository, oid, items)
    return JSONResponse(sorted(items, key=lambda item: str(item["path"])), headers={"X-Repo-Commit": oid})


def paths_info(call: Call) -> Response:
    """Describe the files and folders asked for; those that do not exist are left out."""
    if call.request.headers.get("content-type", "").startswith("application/json"):
        form = call.json()
        paths, expand = form.get("paths", []), bool(form.get("expand"))
    else:
        fields = parse_qs(call.body.decode())
        paths, expand = fields.get("paths", []), fields.get("expand", ["false"])[0].lower() == "true"
    with call.open() as repository:
        oid = repository.resolve(call.param("revision"))
        entries, folders = repository.entries(oid), repository.folders(oid)
        items = []
        for path in (str(each).strip("/") for each in paths):
            if path in entries:
                items.append(_file_item(repository.file(path, entries[path])))
            elif path in folders:
                items.append(_folder_item(path, folders[path]))
        if expand:
            _add_last_commits(repository, oid, items)
    return JSONResponse(items)


def _file_item(file: File) -> dict[str, Any]:
    item: dict[str, Any] = {"type": "file", "path": file.path, "size": file.size, "oid": file.blob}
    if file.pointer is not None:
        item["lfs"] = {"oid": file.pointer.oid, "size": file.size, "pointerSize": file.blob_size}
    return item


def _folder_item(path: str, sha: str) -> dict[str, Any]:
    return {"type": "directory", "path": path, "size": 0, "oid": sha}


def _add_last_commits(repository: GitRepository, oid: str, items: list[dict[str, Any]]) -> None:
    last = repository.last_commits(oid, [item["path"] for item in items])
    for item in items:
        commit = last[item["path"]]
        item["lastCommit"] = {"id": commit.oid, "title": commit.title, "date": timestamp(commit.time)}


def commits(call: Call) -> Response:
    """List the commits of a revision, newest first."""
    formatted = "formatted" in call.query("expand")
    with call.open() as repository:
        oid = repository.resolve(call.param("revision"))
        return JSONResponse([_commit_item(record, formatted=formatted) for record in repository.history(oid)])


def _commit_item(record: CommitRecord, *, formatted: bool) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": record.oid,
        "title": record.title,
        "message": record.description,
        "authors": [{"user": record.author}],
        "date": timestamp(record.time),
    }
    if formatted:
        item["formatted"] = {"title": record.title, "message": record.description}
    return item


def refs(call: Call) -> Response:
    """List branches, tags and, on request, pull requests."""
    with call.open() as repository:
        answer = {
            "branches": _refs(repository, BRANCHES),
            "converts": [],
            "tags": _refs(repository, TAGS),
        }
        if call.flag("include_prs"):
            answer["pullRequests"] = [
                {**each, "name": each["ref"].removeprefix("refs/")} for each in _refs(repository, PULLS)
            ]
    return JSONResponse(answer)


def _refs(repository: GitRepository, prefix: str) -> list[dict[str, str]]:
    return [
        {"name": name, "ref": prefix + name, "targetCommit": oid}
        for name, oid in repository.refs(prefix).items()
    ]
