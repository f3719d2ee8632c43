"""Requests that no well-behaved client sends, and the raw answers that one relies on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from huggingface_hub import HfApi

from hubdistill.localhub import LocalHub, transfer


@pytest.fixture
def http(hub: LocalHub) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=hub.endpoint, headers={"Authorization": "Bearer hf_demo"}) as client:
        yield client


def header(**more: str) -> dict[str, Any]:
    return {"key": "header", "value": {"summary": "S", **more}}


def text(path: str, content: str) -> dict[str, Any]:
    return {"key": "file", "value": {"path": path, "content": content, "encoding": "utf-8"}}


def commit(http: httpx2.Client, repo: str, *lines: object) -> httpx2.Response:
    body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return http.post(f"/api/models/{repo}/commit/main", content=body)


def ask_to_upload(http: httpx2.Client, repo: str, content: bytes, size: int | None = None) -> dict[str, Any]:
    oid = hashlib.sha256(content).hexdigest()
    asked = {
        "operation": "upload",
        "transfers": ["basic", "multipart"],
        "objects": [{"oid": oid, "size": len(content) if size is None else size}],
        "ref": {"name": "main"},
    }
    [answer] = http.post(f"/{repo}.git/info/lfs/objects/batch", json=asked).json()["objects"]
    found: dict[str, Any] = answer
    return found


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["not json"], "a line of the commit is not JSON"),
        (["[1]"], "each line of the commit must be a JSON object"),
        ([{"key": "header"}], "'key' and 'value'"),
        ([header(), {"key": "symlink", "value": {}}], "unknown operation 'symlink'"),
        ([text("a", "x")], "the first line must be a header"),
        ([header(), {"key": "file", "value": {"content": ""}}], "a file without a path"),
        (
            [header(), {"key": "file", "value": {"path": "a", "content": "x", "encoding": "base64"}}],
            "not base64",
        ),
        ([header(), text("a", "x" * 5_000_001)], "send it as lfsFile"),
    ],
)
def test_malformed_commits_are_refused(
    http: httpx2.Client, repo: str, lines: list[object], message: str
) -> None:
    answer = commit(http, repo, *lines)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_a_commit_that_changes_nothing_answers_with_the_head(
    http: httpx2.Client, api: HfApi, repo: str
) -> None:
    first = commit(http, repo, header(), text("a.txt", "a")).json()
    second = commit(http, repo, header(), text("a.txt", "a")).json()
    assert second["commitOid"] == first["commitOid"]
    assert "Nothing to commit" in second["hookOutput"]
    assert len(api.list_repo_commits(repo)) == 2


def test_the_answer_to_a_commit_has_the_members_that_the_client_reads(http: httpx2.Client, repo: str) -> None:
    answer = commit(http, repo, header(description="Why"), text("ä/ö.txt", "ü")).json()
    assert answer["commitUrl"] == f"{str(http.base_url).rstrip('/')}/{repo}/commit/{answer['commitOid']}"
    assert answer["pullRequestUrl"] is None


def test_content_that_is_not_what_was_announced_is_not_stored(http: httpx2.Client, repo: str) -> None:
    actions = ask_to_upload(http, repo, b"announced")["actions"]
    assert http.put(actions["upload"]["href"], content=b"different").status_code == 400
    assert http.put(actions["upload"]["href"], content=b"longer than announced").status_code == 413
    assert "actions" in ask_to_upload(http, repo, b"announced")
    oid = hashlib.sha256(b"announced").hexdigest()
    assert http.post(actions["verify"]["href"], json={"oid": oid, "size": 9}).status_code == 404
    assert http.put(actions["upload"]["href"], content=b"announced").status_code == 200
    assert http.post(actions["verify"]["href"], json={"oid": oid, "size": 9}).status_code == 200
    assert "actions" not in ask_to_upload(http, repo, b"announced")


def test_an_upload_address_works_once(http: httpx2.Client, repo: str) -> None:
    href = ask_to_upload(http, repo, b"once")["actions"]["upload"]["href"]
    assert http.put(href, content=b"once").status_code == 200
    assert http.put(href, content=b"once").status_code == 403


def test_parts_are_numbered_and_must_be_complete(
    http: httpx2.Client, repo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PART_BYTES", 4)
    content = b"0123456789"
    upload = ask_to_upload(http, repo, content)["actions"]["upload"]
    assert {name for name in upload["header"] if name.isdigit()} == {"1", "2", "3"}
    assert upload["header"]["chunk_size"] == "4"
    etags = [
        http.put(upload["header"][n], content=part).headers["etag"]
        for n, part in (("1", b"0123"), ("2", b"4567"))
    ]
    parts = [{"partNumber": number, "etag": etag} for number, etag in enumerate(etags, 1)]
    assert (
        http.post(upload["href"], json={"parts": [*parts, {"partNumber": 3, "etag": "x"}]}).status_code == 400
    )
    assert http.put(f"{upload['href']}/4", content=b"x").status_code == 400
    assert http.put(upload["header"]["3"], content=b"too long").status_code == 413
    etags.append(http.put(upload["header"]["3"], content=b"89").headers["etag"])
    parts.append({"partNumber": 3, "etag": etags[2]})
    assert http.post(upload["href"], json={"parts": parts}).status_code == 200
    assert "actions" not in ask_to_upload(http, repo, content)


def test_parts_that_do_not_make_the_file_are_refused(
    http: httpx2.Client, repo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PART_BYTES", 4)
    upload = ask_to_upload(http, repo, b"01234567")["actions"]["upload"]
    parts = [
        {
            "partNumber": number,
            "etag": http.put(upload["header"][str(number)], content=b"xxxx").headers["etag"],
        }
        for number in (1, 2)
    ]
    answer = http.post(upload["href"], json={"parts": parts})
    assert answer.status_code == 400
    assert "SHA-256" in answer.json()["error"]


def test_the_batch_names_bad_objects_one_by_one(http: httpx2.Client, repo: str) -> None:
    asked = {"operation": "upload", "objects": [{"oid": "short", "size": 1}, {"oid": "a" * 64, "size": 1}]}
    bad, good = http.post(f"/{repo}.git/info/lfs/objects/batch", json=asked).json()["objects"]
    assert bad["error"]["code"] == 422
    assert "upload" in good["actions"]
    answer = http.post(f"/{repo}.git/info/lfs/objects/batch", json={"operation": "download", "objects": []})
    assert answer.status_code == 400


def test_bodies_must_be_json_objects(http: httpx2.Client) -> None:
    assert http.post("/api/repos/create", content=b"{").status_code == 400
    assert http.post("/api/repos/create", content=b"[]").status_code == 400
    assert http.post("/api/repos/create", json={"name": "x", "type": "bucket"}).status_code == 400
    assert http.post("/api/repos/create", json={"name": "x", "visibility": "secret"}).status_code == 400


def test_creating_twice_answers_with_the_address(http: httpx2.Client, repo: str) -> None:
    answer = http.post("/api/repos/create", json={"name": repo.split("/")[1], "organization": "demo"})
    assert answer.status_code == 409
    assert answer.json()["url"] == f"{str(http.base_url).rstrip('/')}/{repo}"


def test_card_checks_answer_as_the_client_parses_them(http: httpx2.Client) -> None:
    good = http.post("/api/validate-yaml", json={"content": "# no metadata", "repoType": "model"})
    assert (good.status_code, good.json()["errors"], len(good.json()["warnings"])) == (200, [], 1)
    bad = http.post("/api/validate-yaml", json={"content": "---\nlicense: x\n---\n", "repoType": "model"})
    assert bad.status_code == 400
    assert "license" in bad.json()["errors"][0]["message"]


def test_a_pull_request_is_reached_by_its_plain_name_too(http: httpx2.Client, repo: str) -> None:
    http.post(
        f"/api/models/{repo}/commit/main?create_pr=1",
        content="\n".join(json.dumps(line) for line in (header(), text("a.txt", "proposed"))),
    )
    assert http.get(f"/{repo}/resolve/refs/pr/1/a.txt").text == "proposed"
    assert http.get(f"/{repo}/resolve/refs%2Fpr%2F1/a.txt").text == "proposed"


def test_a_pointer_without_its_content_is_said(http: httpx2.Client, repo: str) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 5\n"
    commit(http, repo, header(), text("a.bin", pointer))
    answer = http.get(f"/{repo}/resolve/main/a.bin")
    assert answer.status_code == 404
    assert "not stored here" in answer.json()["error"]
