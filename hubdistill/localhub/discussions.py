"""Discussions and pull requests. The commits of a pull request are on `refs/pr/N`, the talk in settings."""

from __future__ import annotations

import secrets
from typing import Any

from starlette.responses import JSONResponse, Response

from hubdistill.localhub.accounts import Account
from hubdistill.localhub.call import Call
from hubdistill.localhub.refusal import Refusal
from hubdistill.localhub.repository import MAIN, PULLS, CommitRecord, GitRepository
from hubdistill.localhub.storage import RepoId, Storage, now, timestamp

_PAGE = 50


def find_discussion(settings: dict[str, Any], number: str) -> dict[str, Any]:
    """The discussion or pull request with this number.

    Raises:
        Refusal: 404, there is none.
    """
    for discussion in settings["discussions"]:
        if str(discussion["num"]) == number:
            found: dict[str, Any] = discussion
            return found
    raise Refusal(404, f"discussion {number} not found")


def open_pull_request(
    storage: Storage,
    repo: RepoId,
    repository: GitRepository,
    *,
    author: str,
    title: str,
    description: str,
    base: str,
    head: str,
    status: str = "open",
) -> int:
    """Open a pull request against main; hold the repository's lock.

    Args:
        base: commit it starts from.
        head: commit `refs/pr/N` is to point to.
        status: `open`, or `draft` where its commits are still to come.

    Returns:
        its number N.
    """
    settings = storage.settings(repo)
    discussion = _new_discussion(settings, author, title, description, status, is_pull_request=True)
    # A server killed between the two writes below leaves a ref without a discussion: leave its number unused.
    discussion["num"] = max([discussion["num"], *(1 + int(number) for number in repository.refs(PULLS))])
    discussion["base"] = base
    if head != base:
        discussion["events"].append(_commit_event(author, repository.commit(head)))
    repository.move(f"{PULLS}{discussion['num']}", head, expected=None)
    storage.save_settings(repo, settings)
    number: int = discussion["num"]
    return number


def add_commit_event(storage: Storage, repo: RepoId, number: str, author: str, commit: CommitRecord) -> None:
    """Note a further commit to a pull request; hold the repository's lock."""
    settings = storage.settings(repo)
    find_discussion(settings, number)["events"].append(_commit_event(author, commit))
    storage.save_settings(repo, settings)


def _new_discussion(
    settings: dict[str, Any], author: str, title: str, description: str, status: str, *, is_pull_request: bool
) -> dict[str, Any]:
    discussion = {
        "num": 1 + max((each["num"] for each in settings["discussions"]), default=0),
        "title": title,
        "author": author,
        "created_at": now(),
        "status": status,
        "is_pull_request": is_pull_request,
        "events": [_comment_event(author, description)],
    }
    settings["discussions"].append(discussion)
    return discussion


def _event(kind: str, author: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": secrets.token_hex(12),
        "type": kind,
        "createdAt": now(),
        "author": {"name": author},
        "data": data,
    }


def _comment_event(author: str, text: str) -> dict[str, Any]:
    latest = {"raw": text, "html": "", "updatedAt": now(), "author": {"name": author}}
    return _event("comment", author, {"edited": False, "hidden": False, "latest": latest, "history": []})


def _commit_event(author: str, commit: CommitRecord) -> dict[str, Any]:
    event = _event("commit", author, {"subject": commit.title, "oid": commit.oid})
    return {**event, "createdAt": timestamp(commit.time)}


def _summary(repo: RepoId, discussion: dict[str, Any]) -> dict[str, Any]:
    return {
        "num": discussion["num"],
        "title": discussion["title"],
        "author": {"name": discussion["author"], "type": "user"},
        "createdAt": discussion["created_at"],
        "status": discussion["status"],
        "isPullRequest": discussion["is_pull_request"],
        "repo": {"name": str(repo), "type": repo.type},
    }


def index(call: Call) -> Response:
    """List discussions, newest first, a page at a time."""
    with call.open():
        found = list(reversed(call.storage.settings(call.repo)["discussions"]))
    kind, status, author = (call.request.query_params.get(name) for name in ("type", "status", "author"))
    if kind in ("discussion", "pull_request"):
        found = [each for each in found if each["is_pull_request"] == (kind == "pull_request")]
    if status in ("open", "closed"):
        found = [each for each in found if (each["status"] in ("open", "draft")) == (status == "open")]
    if author:
        found = [each for each in found if each["author"] == author]
    start = int(call.request.query_params.get("p", "0")) * _PAGE
    shown = [_summary(call.repo, each) for each in found[start : start + _PAGE]]
    return JSONResponse({"discussions": shown, "count": len(found), "start": start})


def create(call: Call) -> Response:
    """Open a discussion, or a draft pull request that waits for its commits."""
    asked = call.json()
    title = str(asked.get("title", "")).strip()
    if len(title) < 3:
        raise Refusal(400, f"the title must have at least 3 characters, not {len(title)}")
    description = str(asked.get("description", ""))
    with call.open_to_write(call.proposer) as (repository, account):
        if asked.get("pullRequest"):
            head = repository.resolve(MAIN)
            number = open_pull_request(
                call.storage,
                call.repo,
                repository,
                author=account.name,
                title=title,
                description=description,
                base=head,
                head=head,
                status="draft",
            )
        else:
            settings = call.storage.settings(call.repo)
            number = _new_discussion(
                settings, account.name, title, description, "open", is_pull_request=False
            )["num"]
            call.storage.save_settings(call.repo, settings)
    url = f"{call.endpoint}{call.repo.url_path}/discussions/{number}"
    return JSONResponse({"num": number, "url": url, "pullRequest": bool(asked.get("pullRequest"))})


def details(call: Call) -> Response:
    """One discussion with its events; for a pull request also diff and conflicts."""
    with call.open() as repository:
        discussion = find_discussion(call.storage.settings(call.repo), call.param("number"))
        answer = {**_summary(call.repo, discussion), "events": discussion["events"]}
        if discussion["is_pull_request"]:
            head = repository.resolve(f"{PULLS}{discussion['num']}")
            merged = discussion.get("merge_commit")
            answer["changes"] = {"base": MAIN, **({"mergeCommitId": merged} if merged else {})}
            answer["filesWithConflicts"] = [] if merged else _merge(repository, discussion["base"], head)[1]
            if call.flag("diff"):
                answer["diff"] = repository.diff(discussion["base"], head)
    return JSONResponse(answer)


def comment(call: Call) -> Response:
    """Add a comment."""
    text = str(call.json().get("comment", ""))
    with call.open_to_write(call.proposer) as (_, account):
        settings = call.storage.settings(call.repo)
        event = _comment_event(account.name, text)
        find_discussion(settings, call.param("number"))["events"].append(event)
        call.storage.save_settings(call.repo, settings)
    return JSONResponse({"newMessage": event})


def _author_or_owner(call: Call) -> Account:
    account = call.proposer()
    discussion = find_discussion(call.storage.settings(call.repo), call.param("number"))
    return account if discussion["author"] == account.name else call.writer()


def rename(call: Call) -> Response:
    """Change the title."""
    title = str(call.json().get("title", "")).strip()
    with call.open_to_write(lambda: _author_or_owner(call)) as (_, account):
        settings = call.storage.settings(call.repo)
        discussion = find_discussion(settings, call.param("number"))
        event = _event("title-change", account.name, {"from": discussion["title"], "to": title})
        discussion["title"] = title
        discussion["events"].append(event)
        call.storage.save_settings(call.repo, settings)
    return JSONResponse({"newTitle": event})


def change_status(call: Call) -> Response:
    """Close, reopen, or open a draft."""
    asked = call.json()
    status = asked.get("status")
    if status not in ("open", "closed"):
        raise Refusal(400, f"status must be 'open' or 'closed', not {status!r}")
    with call.open_to_write(lambda: _author_or_owner(call)) as (_, account):
        settings = call.storage.settings(call.repo)
        discussion = find_discussion(settings, call.param("number"))
        if discussion["status"] == "merged":
            raise Refusal(400, "a merged pull request keeps its status")
        event = _set_status(discussion, account.name, str(status), asked.get("comment"))
        call.storage.save_settings(call.repo, settings)
    return JSONResponse({"newStatus": event})


def _set_status(discussion: dict[str, Any], author: str, status: str, text: str | None) -> dict[str, Any]:
    event = _event("status-change", author, {"status": status})
    discussion["status"] = status
    discussion["events"] += [*([_comment_event(author, text)] if text else []), event]
    return event


def merge(call: Call) -> Response:
    """Merge a pull request into main as one commit."""
    with call.open_to_write() as (repository, account):
        settings = call.storage.settings(call.repo)
        discussion = find_discussion(settings, call.param("number"))
        if not discussion["is_pull_request"] or discussion["status"] != "open":
            raise Refusal(
                400, f"only an open pull request can be merged; this one is '{discussion['status']}'"
            )
        head = repository.resolve(f"{PULLS}{discussion['num']}")
        files, conflicts = _merge(repository, discussion["base"], head)
        if conflicts:
            raise Refusal(409, "main has changed the same files since: " + ", ".join(conflicts))
        main = repository.resolve(MAIN)
        merged = main
        if files != repository.entries(main):
            message = f"{discussion['title']} (#{discussion['num']})\n\n" + "".join(
                f"- {event['data']['subject']} ({event['data']['oid']})\n"
                for event in discussion["events"]
                if event["type"] == "commit"
            )
            merged = repository.write_commit(files, parent=main, author=account.name, message=message.strip())
            repository.move(MAIN, merged, expected=main)
        discussion["merge_commit"] = merged
        event = _set_status(discussion, account.name, "merged", call.json().get("comment"))
        call.storage.save_settings(call.repo, settings)
    return JSONResponse({"newStatus": event, "mergeCommitId": merged})


def _merge(repository: GitRepository, base: str, head: str) -> tuple[dict[str, str], list[str]]:
    """Apply what changed from base to head on top of main.

    Returns:
        the files of the result (path -> blob), and the paths that main changed in another way.
    """
    old, theirs, ours = (repository.entries(oid) for oid in (base, head, repository.resolve(MAIN)))
    merged, conflicts = dict(ours), []
    for path in sorted(old.keys() | theirs.keys()):
        change = theirs.get(path)
        if change == old.get(path):
            continue
        if ours.get(path) not in (old.get(path), change):
            conflicts.append(path)
        elif change is None:
            merged.pop(path, None)
        else:
            merged[path] = change
    return merged, conflicts
