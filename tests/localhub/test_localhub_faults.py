"""Planned faults, as the unmodified client and a plain one meet them, and the log of requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError

from hubdistill.localhub import Fault, FaultPlan, LocalHub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

TEXT = CommitOperationAdd("a.txt", b"text")
TOKEN = {"Authorization": "Bearer hf_demo"}


@pytest.fixture(autouse=True)
def _well_again(hub: LocalHub, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    hub.clear_requests()
    yield
    hub.faults = FaultPlan()
    # For the server a planned fault is none: neither it nor uvicorn has anything to report.
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelname == "ERROR"] == []


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)


def commit(api: HfApi, repo: str, path: str, content: bytes) -> str:
    # A client keeps in an operation what it has uploaded.
    return str(api.create_commit(repo, [CommitOperationAdd(path, content)], commit_message="C").oid)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_status_is_answered_in_place_of_the_server(
    hub: LocalHub, api: HfApi, repo: str, status: int
) -> None:
    head = api.model_info(repo).sha
    hub.faults = FaultPlan(Fault(status, "commit"))
    with pytest.raises(HfHubHTTPError) as caught:
        commit(api, repo, "a.txt", b"x")
    assert caught.value.response.status_code == status
    assert api.model_info(repo).sha == head
    commit(api, repo, "a.txt", b"x")


def test_a_gateway_may_time_out_after_the_server_acted(hub: LocalHub, api: HfApi, repo: str) -> None:
    head = api.model_info(repo).sha
    hub.faults = FaultPlan(Fault(504, "commit", acted=True))
    with pytest.raises(HfHubHTTPError, match="planned fault: 504"):
        commit(api, repo, "a.txt", b"x")
    assert api.model_info(repo).sha != head


def test_retry_after_is_sent(hub: LocalHub) -> None:
    hub.faults = FaultPlan(Fault(429, retry_after=7))
    answer = httpx2.get(hub.endpoint)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert httpx2.get(hub.endpoint).status_code == 200


def test_a_reset_before_leaves_everything_as_it_was(hub: LocalHub, api: HfApi, repo: str) -> None:
    head = api.model_info(repo).sha
    hub.faults = FaultPlan(Fault("reset before", "commit"))
    with pytest.raises(httpx2.TransportError):
        commit(api, repo, "a.txt", b"x")
    assert api.model_info(repo).sha == head


def test_a_reset_after_has_done_it(hub: LocalHub, api: HfApi, repo: str) -> None:
    head = api.model_info(repo).sha
    hub.faults = FaultPlan(Fault("reset after", "commit"))
    with pytest.raises(httpx2.NetworkError, match="reset"):
        commit(api, repo, "a.txt", b"x")
    assert api.model_info(repo).sha != head
    assert api.list_repo_files(repo) == [".gitattributes", "a.txt"]


@pytest.mark.parametrize("what", ["reset before", "reset after"])
def test_large_bodies_are_reset_too(hub: LocalHub, api: HfApi, repo: str, what: str) -> None:
    hub.faults = FaultPlan(Fault(what, "PUT /api/lfs/*", times=None))  # type: ignore[arg-type]
    href = _upload_address(hub, repo, b"\0" * 3_000_000)
    # A client that is still sending may find the connection gone rather than reset.
    with pytest.raises(httpx2.TransportError):
        httpx2.put(href, content=b"\0" * 3_000_000)
    [put] = [record for record in hub.requests if record.method == "PUT"]
    assert (put.status, put.bytes_out) == (None, 0)
    assert (put.bytes_in == 3_000_000) == (what == "reset after")


def _upload_address(hub: LocalHub, repo: str, content: bytes) -> str:
    import hashlib

    asked = {
        "operation": "upload",
        "objects": [{"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}],
    }
    url = f"{hub.endpoint}/{repo}.git/info/lfs/objects/batch"
    [answer] = httpx2.post(url, json=asked, headers=TOKEN).json()["objects"]
    return str(answer["actions"]["upload"]["href"])


@pytest.mark.usefixtures("_impatient")
def test_the_client_sends_a_large_file_again_after_a_reset(hub: LocalHub, api: HfApi, repo: str) -> None:
    hub.faults = FaultPlan(Fault("reset before", "lfs upload", times=2))
    commit(api, repo, "a.bin", b"\0large")
    assert [record.route for record in hub.requests if record.fault] == ["lfs upload"] * 2
    assert api.model_info(repo, files_metadata=True).siblings[1].size == 6  # type: ignore[index]


@pytest.mark.usefixtures("_impatient")
def test_an_upload_with_a_wrong_byte_is_refused(hub: LocalHub, api: HfApi, repo: str) -> None:
    head = api.model_info(repo).sha
    hub.faults = FaultPlan(Fault("corrupt", "lfs upload", times=None))
    with pytest.raises(RuntimeError, match="Error while uploading") as caught:
        commit(api, repo, "a.bin", b"\0large")
    assert "expected 6 bytes with SHA-256" in str(caught.value.__cause__)
    assert api.model_info(repo).sha == head
    hub.faults = FaultPlan()
    commit(api, repo, "a.bin", b"\0large")


def test_a_download_with_a_wrong_byte_has_the_right_etag(hub: LocalHub, api: HfApi, repo: str) -> None:
    commit(api, repo, "a.txt", b"abcde")
    url = f"{hub.endpoint}/{repo}/resolve/main/a.txt"
    right = httpx2.get(url)
    hub.faults = FaultPlan(Fault("corrupt", "resolve"))
    wrong = httpx2.get(url)
    assert (right.content, wrong.content) == (b"abcde", b"abbde")
    assert wrong.headers["etag"] == right.headers["etag"]


def test_a_truncated_answer_announces_more_than_it_sends(hub: LocalHub, api: HfApi, repo: str) -> None:
    commit(api, repo, "a.txt", b"0123456789")
    hub.faults = FaultPlan(Fault("truncated", "resolve"))
    url = f"{hub.endpoint}/{repo}/resolve/main/a.txt"
    with httpx2.Client() as client, client.stream("GET", url) as answer:
        assert answer.headers["content-length"] == "10"
        blocks = answer.iter_raw()
        assert next(blocks) == b"01234"
        with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete message body"):
            next(blocks)
    assert httpx2.get(url).content == b"0123456789"


def test_a_slow_answer_takes_its_time(hub: LocalHub, api: HfApi, repo: str) -> None:
    commit(api, repo, "a.txt", b"0123456789" * 10)
    hub.faults = FaultPlan(Fault("slow", "resolve", seconds=0.3))
    started = time.monotonic()
    with httpx2.stream("GET", f"{hub.endpoint}/{repo}/resolve/main/a.txt") as answer:
        blocks = list(answer.iter_raw())
    assert time.monotonic() - started >= 0.3
    assert b"".join(blocks) == b"0123456789" * 10
    assert len(blocks) > 2


def test_a_fault_counts_the_requests_of_its_route(hub: LocalHub, api: HfApi, repo: str) -> None:
    hub.faults = plan = FaultPlan(Fault(503, "page", index=1, times=2), Fault(500, index=4))
    get = f"{hub.endpoint}/{repo}"
    assert [httpx2.get(get).status_code for _ in range(6)] == [200, 503, 503, 200, 500, 200]
    assert [fault.what for fault in plan.struck] == [503, 503, 500]
    hub.faults = FaultPlan(Fault(503, times=None))
    assert {httpx2.get(get).status_code for _ in range(3)} == {503}


def test_a_plan_counts_exactly_for_many_threads_at_once(hub: LocalHub) -> None:
    hub.faults = FaultPlan(Fault(503, "page", index=3, times=5))
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(httpx2.get(hub.endpoint).status_code)) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found.count(503), found.count(200)) == (5, 11)


def test_mistakes_in_a_plan_are_named(hub: LocalHub) -> None:
    with pytest.raises(ValueError, match=r"no route 'comit'; expected .*commit"):
        hub.faults = FaultPlan(Fault(503, "comit"))
    with pytest.raises(ValueError, match="not 'explode'"):
        Fault("explode")  # type: ignore[arg-type]


def test_requests_are_recorded_without_secrets(hub: LocalHub, api: HfApi, repo: str) -> None:
    api.create_commit(
        repo, [TEXT, CommitOperationAdd("a.bin", b"\0" * 1000)], commit_message="C", parent_commit=None
    )
    routes = [record.route for record in hub.requests if record.path != f"/api/models/{repo}/revision/main"]
    assert routes == ["create", "preupload", "lfs batch", "lfs upload", "lfs verify", "commit"]
    upload, posted = (
        next(record for record in hub.requests if record.route == name) for name in ("lfs upload", "commit")
    )
    assert (upload.path, upload.account, upload.status, upload.bytes_in) == ("/api/lfs/...", None, 200, 1000)
    assert (posted.method, posted.account, posted.status) == ("POST", "demo", 200)
    assert posted.bytes_out > 100
    httpx2.get(f"{hub.endpoint}/api/models/{repo}?token=secret", headers=TOKEN)
    assert "secret" not in repr(hub.requests)
    assert "hf_demo" not in repr(hub.requests)
    hub.clear_requests()
    assert hub.requests == []
