"""Roles in organisations, fine-grained tokens, gated repositories and rate limits."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import parse_ratelimit_headers

from hubdistill.localhub import Account, LocalHub, RateLimit

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

Client = Callable[[str | bool], HfApi]

TOKENS = {
    "hf_admin": Account("ann", orgs={"acme": "admin"}),
    "hf_writer": Account("will", orgs={"acme": "write"}),
    "hf_contributor": Account("cora", orgs={"acme": "contributor"}),
    "hf_reader": Account("rita", orgs={"acme": "read"}),
    "hf_stranger": Account("stranger"),
    "hf_fine": Account(
        "ann",
        role="fineGrained",
        orgs={"acme": "admin"},
        scopes={"ann/student": ("repo.content.read", "repo.write"), "acme": ("repo.content.read",)},
    ),
    "hf_fine_org": Account(
        "ann", role="fineGrained", orgs={"acme": "admin"}, scopes={"acme": ("repo.write", "discussion.write")}
    ),
}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with LocalHub(tmp_path_factory.mktemp("roles"), tokens=TOKENS) as running:
        yield running


@pytest.fixture(scope="module")
def client(hub: LocalHub) -> Client:
    return lambda token: HfApi(endpoint=hub.endpoint, token=token)


@pytest.fixture
def shared(client: Client) -> str:
    """A private repository of the organisation, made by its admin."""
    name = f"acme/shared-{next(_numbers)}"
    client("hf_admin").create_repo(name, private=True)
    return name


def status(call: Callable[[], object]) -> int:
    """What the Hub answers: 200 where the client raises nothing."""
    try:
        call()
    except HfHubHTTPError as error:
        return error.response.status_code
    return 200


def upload(api: HfApi, repo: str) -> Callable[[], object]:
    content = str(next(_numbers)).encode()
    return lambda: api.upload_file(path_or_fileobj=content, path_in_repo="a.txt", repo_id=repo)


@pytest.mark.parametrize(
    ("token", "role", "read", "write", "create"),
    [
        ("hf_admin", "admin", 200, 200, 200),
        ("hf_writer", "write", 200, 200, 200),
        ("hf_contributor", "contributor", 200, 403, 200),
        ("hf_reader", "read", 200, 403, 403),
        ("hf_stranger", None, 404, 404, 403),
    ],
)
def test_a_role_in_an_organisation_says_what_one_may_do(
    client: Client, shared: str, token: str, role: str | None, read: int, write: int, create: int
) -> None:
    api = client(token)
    assert [org["roleInOrg"] for org in api.whoami()["orgs"]] == ([role] if role else [])
    assert status(lambda: api.model_info(shared)) == read
    assert (shared in [model.id for model in api.list_models(author="acme")]) == (read == 200)
    assert status(upload(api, shared)) == write
    assert status(lambda: api.create_tag(shared, tag="v1")) == write
    assert status(lambda: api.update_repo_settings(shared, private=True)) == write
    assert status(lambda: api.create_repo(f"acme/new-{next(_numbers)}")) == create
    assert status(lambda: api.delete_repo(shared)) == write


def test_a_contributor_writes_to_what_he_has_made(client: Client) -> None:
    api = client("hf_contributor")
    own = f"acme/own-{next(_numbers)}"
    api.create_repo(own)
    assert status(upload(api, own)) == 200
    assert status(lambda: api.auth_check(own, write=True)) == 200
    assert status(upload(client("hf_writer"), own)) == 200
    assert status(lambda: api.delete_repo(own)) == 200


def test_a_contributor_may_propose_what_he_may_not_write(client: Client, shared: str) -> None:
    done = client("hf_contributor").upload_file(
        path_or_fileobj=b"x", path_in_repo="a.txt", repo_id=shared, create_pr=True
    )
    assert done.pr_num == 1


def test_a_fine_grained_token_lists_its_scopes(client: Client) -> None:
    token = client("hf_fine").whoami()["auth"]["accessToken"]
    assert token["role"] == "fineGrained"
    assert token["fineGrained"]["scoped"] == [
        {
            "entity": {"type": "model", "name": "ann/student"},
            "permissions": ["repo.content.read", "repo.write"],
        },
        {"entity": {"type": "org", "name": "acme"}, "permissions": ["repo.content.read"]},
    ]


def test_a_fine_grained_token_writes_where_its_scopes_say(client: Client, shared: str) -> None:
    fine, wide = client("hf_fine"), client("hf_fine_org")
    client("hf_admin").create_repo("ann/student", private=True)
    client("hf_admin").create_repo("ann/teacher", private=True)
    assert status(upload(fine, "ann/student")) == 200
    assert status(lambda: fine.model_info("ann/teacher")) == 404
    assert status(lambda: fine.model_info(shared)) == 200
    with pytest.raises(HfHubHTTPError, match=f"lacks the permission 'repo.write' for {shared}"):
        upload(fine, shared)()
    assert status(lambda: fine.create_repo("ann/new")) == 403
    assert status(lambda: fine.create_collection("New", namespace="ann")) == 403
    assert status(upload(wide, shared)) == 200
    assert status(lambda: wide.create_repo(f"acme/new-{next(_numbers)}")) == 200
    assert status(lambda: wide.model_info("ann/student")) == 404


@pytest.fixture
def gated(client: Client, hub: LocalHub) -> Callable[[str], str]:
    def make(gate: str) -> str:
        name = f"acme/gated-{next(_numbers)}"
        client("hf_admin").create_repo(name)
        client("hf_admin").update_repo_settings(name, gated=gate)  # type: ignore[arg-type]
        return name

    return make


def ask(hub: LocalHub, repo: str, token: str = "hf_stranger") -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.post(f"{hub.endpoint}/{repo}/ask-access", headers=headers, data={"Company": "Example"})


def test_a_manual_gate_opens_by_hand(
    hub: LocalHub, client: Client, gated: Callable[[str], str], tmp_path: Path
) -> None:
    repo, owner, reader = gated("manual"), client("hf_admin"), client("hf_stranger")
    with pytest.raises(GatedRepoError, match="not in the authorized list"):
        reader.hf_hub_download(repo, ".gitattributes", cache_dir=tmp_path)
    assert ask(hub, repo).json() == {"status": "pending"}
    with pytest.raises(GatedRepoError, match="Your request to access it is pending"):
        reader.auth_check(repo)
    [request] = owner.list_pending_access_requests(repo)
    assert (request.username, request.fullname, request.status) == ("stranger", "stranger", "pending")
    assert request.fields == {"Company": "Example"}
    assert time.time() - request.timestamp.timestamp() < 60
    owner.accept_access_request(repo, "stranger")
    assert Path(reader.hf_hub_download(repo, ".gitattributes", cache_dir=tmp_path)).stat().st_size > 0
    reader.auth_check(repo)
    assert [each.username for each in owner.list_accepted_access_requests(repo)] == ["stranger"]
    owner.reject_access_request(repo, request_id=request.request_id, rejection_reason="No")
    with pytest.raises(GatedRepoError, match="rejected"):
        reader.auth_check(repo)
    assert [each.request_id for each in owner.list_rejected_access_requests(repo)] == [request.request_id]
    owner.cancel_access_request(repo, "stranger")
    assert len(list(owner.list_pending_access_requests(repo))) == 1
    owner.grant_access(repo, "stranger")
    reader.auth_check(repo)


def test_an_automatic_gate_opens_when_asked(
    hub: LocalHub, client: Client, gated: Callable[[str], str], tmp_path: Path
) -> None:
    repo = gated("auto")
    assert client(False).model_info(repo).gated == "auto"
    with pytest.raises(GatedRepoError) as caught:
        client(False).hf_hub_download(repo, ".gitattributes", cache_dir=tmp_path)
    assert caught.value.response.status_code == 401
    assert httpx2.post(f"{hub.endpoint}/{repo}/ask-access").status_code == 401
    assert ask(hub, repo).json() == {"status": "accepted"}
    assert ask(hub, repo).json() == {"status": "accepted"}
    client("hf_stranger").auth_check(repo)
    client("hf_reader").auth_check(repo)


def test_mistakes_about_a_gate_are_answered_as_the_client_documents(
    hub: LocalHub, client: Client, shared: str, gated: Callable[[str], str]
) -> None:
    repo, owner = gated("manual"), client("hf_admin")
    owner.grant_access(repo, "rita")
    assert status(lambda: owner.accept_access_request(shared, "rita")) == 400
    assert status(lambda: owner.grant_access(shared, "rita")) == 400
    assert status(lambda: owner.grant_access(repo, "rita")) == 400
    assert status(lambda: owner.grant_access(repo, "nobody")) == 404
    assert status(lambda: owner.accept_access_request(repo, "stranger")) == 404
    assert status(lambda: owner.accept_access_request(repo, "rita")) == 404
    assert status(lambda: client("hf_reader").grant_access(repo, "stranger")) == 403
    assert status(lambda: list(client("hf_reader").list_pending_access_requests(repo))) == 403
    with pytest.raises(RepositoryNotFoundError):
        client("hf_stranger").grant_access(shared, "stranger")


def test_a_rate_limit_is_announced_kept_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr("hubdistill.localhub.rate_limit.time", SimpleNamespace(monotonic=lambda: clock[0]))
    with LocalHub(tmp_path, tokens=TOKENS, rate_limit=RateLimit(requests=4, seconds=30)) as limited:
        headers = {"Authorization": "Bearer hf_writer"}
        with httpx2.Client(base_url=limited.endpoint, headers=headers) as http:
            answers = [http.get("/api/whoami-v2") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 4 + [429] * 2
        first, *_, last = (parse_ratelimit_headers(answer.headers) for answer in answers)
        assert first is not None
        assert last is not None
        assert (first.remaining, first.limit, first.window_seconds) == (3, 4, 30)
        assert (last.resource_type, last.remaining, last.reset_in_seconds) == ("api", 0, 30)
        assert answers[-1].headers["retry-after"] == "30"
        # Another account has a limit of its own, and the client waits where it tries again at all.
        api = HfApi(endpoint=limited.endpoint, token="hf_stranger")
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", sleep)
        assert [list(api.list_models()) for _ in range(9)] == [[]] * 9
        assert waits == [31, 31]
        refused = [record.account for record in limited.requests if record.status == 429]
        assert refused == ["will", "will", "stranger", "stranger"]
