"""What refuses a push before anything is made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx2
import huggingface_hub
import pytest
from dulwich.refs import check_ref_format
from hub.model_folder import READ, STRANGER, WRITE
from huggingface_hub import HfApi

from hubdistill.errors import HubDistillError, NoTokenError, NotYourRepositoryError, PublishError
from hubdistill.git_names import is_git_name
from hubdistill.hub import preflight
from hubdistill.localhub.server import LocalHub


def test_new_repository_of_the_user_and_of_the_organisation(hub: LocalHub) -> None:
    for repo_id in ("demo/new", "acme/new"):
        place = preflight(repo_id, token=WRITE, endpoint=hub.endpoint)
        assert (place.repo_id, place.exists, place.user) == (repo_id, False, "demo")
        assert place.namespaces == ("demo", "acme")
        assert place.url == f"{hub.endpoint}/{repo_id}"
        assert not HfApi(endpoint=hub.endpoint, token=WRITE).repo_exists(repo_id)


def test_name_without_a_namespace_is_the_users_own(hub: LocalHub) -> None:
    assert preflight("new", token=WRITE, endpoint=hub.endpoint).repo_id == "demo/new"


def test_no_token_says_how_to_get_one(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", "/nowhere/token")
    with pytest.raises(NoTokenError, match=r"hf auth login.*HF_TOKEN") as refused:
        preflight("demo/new", endpoint=hub.endpoint)
    assert refused.value.exit_code == 2


def test_unknown_token(hub: LocalHub) -> None:
    with pytest.raises(NoTokenError, match="does not know this token") as refused:
        preflight("demo/new", token="hf_nobody_has_this_one", endpoint=hub.endpoint)
    assert "nobody" not in str(refused.value)


def test_token_of_the_environment_is_used(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", WRITE)
    assert preflight("demo/new", endpoint=hub.endpoint).user == "demo"


def test_token_that_only_reads(hub: LocalHub) -> None:
    with pytest.raises(NotYourRepositoryError, match="has the role 'read'"):
        preflight("demo/new", token=READ, endpoint=hub.endpoint)


def test_foreign_namespace_names_ones_own(hub: LocalHub) -> None:
    with pytest.raises(NotYourRepositoryError, match=r"push to demo/new or acme/new, or .*--create-pr"):
        preflight("stranger/new", token=WRITE, endpoint=hub.endpoint)


def test_repository_of_somebody_else(hub: LocalHub, new_name: Callable[[], str]) -> None:
    repo_id = f"stranger/{new_name()}"
    HfApi(endpoint=hub.endpoint, token=STRANGER).create_repo(repo_id)
    with pytest.raises(NotYourRepositoryError, match=f"'demo' may not write to {repo_id}"):
        preflight(repo_id, token=WRITE, endpoint=hub.endpoint)
    assert preflight(repo_id, token=WRITE, endpoint=hub.endpoint, create_pr=True).exists


@pytest.mark.parametrize(
    ("given", "suggested"),
    [
        ("demo/my model", "demo/my-model"),
        ("demo/a--b", "demo/a-b"),
        ("https://huggingface.co/demo/student", "demo/student"),
        ("demo/student/main", "demo/student"),
        ("demo/-student.", "demo/student"),
    ],
)
def test_bad_repository_id_comes_with_a_good_one(given: str, suggested: str) -> None:
    with pytest.raises(PublishError, match=f"is not a repository id: .*did you mean '{suggested}'"):
        preflight(given, token=WRITE)


def test_pull_requests_are_against_main(hub: LocalHub) -> None:
    with pytest.raises(PublishError, match="leave out the revision 'next'"):
        preflight("demo/new", token=WRITE, endpoint=hub.endpoint, create_pr=True, revision="next")


def test_a_tag_on_a_pull_request_is_refused_before_anything_is_made(hub: LocalHub) -> None:
    with pytest.raises(PublishError, match="merge the pull request first"):
        preflight("demo/new", token=WRITE, endpoint=hub.endpoint, create_pr=True, tag="v1")


@pytest.mark.parametrize(
    "name",
    [
        *("a b", "a..b", "-a", "/a", "a/", "a//b", ".a", "a/.b", "a.", "a.lock", "a~1", "a^", "a:b", "a?"),
        *("a*", "a[", "a\\b", "a@{b", "@", "HEAD", "a\tb", "a\x7f", " "),
    ],
)
def test_names_that_git_refuses_are_told_first(name: str) -> None:
    assert not is_git_name(name)
    assert name in ("-a", "HEAD", "@") or not check_ref_format(b"refs/heads/" + name.encode())
    with pytest.raises(PublishError, match="--revision: git does not take "):
        preflight("demo/new", token=WRITE, revision=name)
    with pytest.raises(PublishError, match="--tag: git does not take "):
        preflight("demo/new", token=WRITE, tag=name)


@pytest.mark.parametrize(
    "name", ["main", "v1.0", "refs/pr/1", "next/1", "a-b_c", "a@b", "größe", "lock", "a#1"]
)
def test_names_that_git_takes(name: str) -> None:
    assert is_git_name(name)
    assert check_ref_format(b"refs/heads/" + name.encode())


def test_server_that_is_not_there() -> None:
    with pytest.raises(PublishError, match=r"cannot reach http://127\.0\.0\.1:9 .*HF_ENDPOINT"):
        preflight("demo/new", token=WRITE, endpoint="http://127.0.0.1:9")


def test_offline_mode_is_said_up_front(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PublishError, match="HF_HUB_OFFLINE is set"):
        preflight("demo/new", token=WRITE)


@pytest.fixture
def whoami(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Answer whoami with a form of token that the local Hub does not have."""

    def answer(account: dict[str, object], status: int = 200, *, there: bool = False) -> None:
        def respond(request: httpx2.Request) -> httpx2.Response:
            if request.url.path == "/api/whoami-v2":
                return httpx2.Response(status, json=account)
            if there and request.url.path.startswith("/api/models/"):
                return httpx2.Response(200, json={"id": "demo/new", "private": False})
            return httpx2.Response(404, headers={"X-Error-Code": "RepoNotFound"}, json={"error": "no"})

        client = httpx2.Client(transport=httpx2.MockTransport(respond))
        monkeypatch.setattr("huggingface_hub.hf_api.get_session", lambda: client)

    return answer


def fine_grained(entity: str, permission: str) -> dict[str, Any]:
    scope = {"entity": {"type": "user", "name": entity}, "permissions": [permission]}
    token = {"role": "fineGrained", "fineGrained": {"scoped": [scope]}}
    return {"name": "demo", "orgs": [], "auth": {"accessToken": token}}


@pytest.mark.parametrize("entity", ["demo", "demo/new"])
def test_fine_grained_token_for_here(whoami: Callable[..., None], entity: str) -> None:
    whoami(fine_grained(entity, "repo.write"))
    assert not preflight("demo/new", token="hf_x", endpoint="http://hub").exists


@pytest.mark.parametrize(
    ("entity", "permission", "may"),
    [
        ("demo/other", "repo.write", "only to demo/other"),
        ("demo", "repo.content.read", "to no repository"),
    ],
)
def test_fine_grained_token_for_elsewhere(
    whoami: Callable[..., None], entity: str, permission: str, may: str
) -> None:
    whoami(fine_grained(entity, permission))
    with pytest.raises(NotYourRepositoryError, match=f"may write {may}, not to demo/new"):
        preflight("demo/new", token="hf_x", endpoint="http://hub")


@pytest.mark.parametrize("everywhere", [True, False])
def test_fine_grained_token_that_may_propose(whoami: Callable[..., None], everywhere: bool) -> None:
    account = fine_grained("demo", "repo.content.read" if everywhere else "discussion.write")
    if everywhere:
        account["auth"]["accessToken"]["fineGrained"]["global"] = ["discussion.write"]
    whoami(account, there=True)
    assert preflight("demo/new", token="hf_x", endpoint="http://hub", create_pr=True).exists
    with pytest.raises(NotYourRepositoryError, match="may write to no repository"):
        preflight("demo/new", token="hf_x", endpoint="http://hub")
    whoami(account)
    with pytest.raises(NotYourRepositoryError, match="may write to no repository"):  # nor make one
        preflight("demo/new", token="hf_x", endpoint="http://hub", create_pr=True)


def test_organisation_where_one_only_reads_is_no_namespace(whoami: Callable[..., None]) -> None:
    orgs = [{"name": "a", "roleInOrg": "read"}, {"name": "b", "roleInOrg": "contributor"}]
    whoami({"name": "demo", "orgs": orgs})
    assert preflight("b/new", token="hf_x", endpoint="http://hub").namespaces == ("demo", "b")


def test_trusted_publisher_needs_a_repository_that_exists(
    whoami: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    whoami({"error": "not a user"}, 401)
    monkeypatch.setenv("HF_OIDC_RESOURCE", "demo/new")
    with pytest.raises(NotYourRepositoryError, match="cannot make it: make it on the Hub first"):
        preflight("demo/new", token="hf_jwt_x", endpoint="http://hub")
    with pytest.raises(NotYourRepositoryError, match="token is for demo/new"):
        preflight("demo/other", token="hf_jwt_x", endpoint="http://hub")


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (403, NotYourRepositoryError, "may not do this"),
        (429, PublishError, "rate limit"),
        (500, PublishError, "answered 500 .*database down"),
    ],
)
def test_refusals_of_the_hub_are_explained(
    whoami: Callable[..., None], status: int, kind: type[HubDistillError], message: str
) -> None:
    whoami({"error": "database down"}, status)
    with pytest.raises(kind, match=message):
        preflight("demo/new", token="hf_x", endpoint="http://hub")


def test_hub_room_never_imports_torch() -> None:
    code = "import sys, hubdistill.hub; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False).returncode == 0
