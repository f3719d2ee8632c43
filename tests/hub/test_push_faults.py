"""One fault at every request of a push: the repository stays as it was, or has exactly one new commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import huggingface_hub
import pytest
from hub.model_folder import WRITE, safetensors
from huggingface_hub import HfApi

from hubdistill.errors import HubDistillError
from hubdistill.hub import PushOutcome, push
from hubdistill.localhub.server import LocalHub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


class OneFault(httpx2.HTTPTransport):
    """A network on which one request goes wrong, once."""

    at: int | None = None
    kind = ""
    seen = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.seen += 1
        if self.at is None or self.seen != self.at + 1:
            return super().handle_request(request)
        if self.kind == "answer lost":
            super().handle_request(request).read()
            raise httpx2.RemoteProtocolError("peer closed connection", request=request)
        if self.kind == "not reached":
            raise httpx2.ConnectError("connection refused", request=request)
        return httpx2.Response(int(self.kind), json={"error": "fault"}, request=request)

    def expect(self, at: int | None, kind: str) -> None:
        self.at, self.kind, self.seen = at, kind, 0


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[OneFault]:
    monkeypatch.setattr("time.sleep", lambda _: None)
    transport = OneFault()
    huggingface_hub.set_client_factory(lambda: httpx2.Client(transport=transport, follow_redirects=True))
    yield transport
    huggingface_hub.set_client_factory(lambda: httpx2.Client(follow_redirects=True))


@pytest.mark.parametrize(
    ("kind", "options"),
    [("answer lost", {"tag": "v2"}), ("answer lost", {"create_pr": True}), ("503", {"tag": "v2"})],
    ids=["answer lost", "answer lost, pull request", "503"],
)
def test_every_request_may_fail(
    hub: LocalHub,
    model: Path,
    new_name: Callable[[], str],
    network: OneFault,
    kind: str,
    options: dict[str, object],
) -> None:
    api = HfApi(endpoint=hub.endpoint, token=WRITE)

    def send(repo_id: str) -> PushOutcome:
        return push(model, repo_id, token=WRITE, endpoint=hub.endpoint, commit_message="Second", **options)  # type: ignore[arg-type]

    def state(repo_id: str) -> tuple[int, int]:
        """How many commits of the second push there are, and how many pull requests."""
        refs = api.list_repo_refs(repo_id, include_pull_requests=True)
        pulls = [ref.ref for ref in refs.pull_requests or ()]
        histories = [api.list_repo_commits(repo_id, revision=ref) for ref in ("main", *pulls)]
        return sum(commit.title == "Second" for history in histories for commit in history), len(pulls)

    landed, messages = 0, list[str]()
    at = 0
    while True:
        repo_id = f"demo/{new_name()}"
        network.expect(None, "")
        (model / "config.json").write_text('{"model_type": "bert"}')
        (model / "model.safetensors").write_bytes(safetensors())
        (model / "vocab.txt").write_text("[PAD]\n")
        push(model, repo_id, token=WRITE, endpoint=hub.endpoint, commit_message="First")
        (model / "config.json").write_text("{}")
        (model / "model.safetensors").write_bytes(safetensors(fill=1))
        (model / "vocab.txt").unlink()
        network.expect(at, kind)
        try:
            send(repo_id)
            landed += 1
        except HubDistillError as error:
            messages.append(str(error))
        reached = network.seen > at
        network.expect(None, "")
        commits, pulls = state(repo_id)
        assert commits <= 1, f"request {at}"
        assert pulls <= 1, f"request {at}"
        if not commits:
            send(repo_id)
        elif "tag" in options:
            assert send(repo_id).commit is None
            assert [ref.name for ref in api.list_repo_refs(repo_id).tags] == ["v2"]
        assert state(repo_id) == (1, int("create_pr" in options)), f"request {at}"
        if not reached:
            break
        at += 1
    assert at > 12
    assert landed > len(messages)
    assert WRITE not in "".join(messages)
