"""Who may see and change what."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from hubdistill.localhub import LocalHub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

Client = Callable[[str | bool], HfApi]


def test_whoami_names_user_organisations_and_role(client: Client) -> None:
    me = client("hf_demo").whoami()
    assert me["name"] == "demo"
    assert [org["name"] for org in me["orgs"]] == ["acme"]
    assert me["auth"]["accessToken"]["role"] == "write"
    assert client("hf_demo_read").whoami()["auth"]["accessToken"]["role"] == "read"


def test_an_unknown_token_is_refused_everywhere(client: Client, repo: str) -> None:
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        client("hf_wrong").whoami()
    with pytest.raises(HfHubHTTPError, match="Invalid credentials in Authorization header") as caught:
        client("hf_wrong").model_info(repo)
    assert caught.value.response.status_code == 401


def test_a_private_repository_looks_absent_to_others(api: HfApi, client: Client) -> None:
    api.create_repo("demo/secret", private=True)
    assert api.model_info("demo/secret").private
    for token in (False, "hf_stranger"):
        with pytest.raises(RepositoryNotFoundError):
            client(token).model_info("demo/secret")
        with pytest.raises(RepositoryNotFoundError):
            client(token).hf_hub_download("demo/secret", ".gitattributes")
        assert "demo/secret" not in [model.id for model in client(token).list_models(author="demo")]
        assert not client(token).repo_exists("demo/secret")
    with pytest.raises(RepositoryNotFoundError):
        client("hf_stranger").delete_repo("demo/secret")
    assert "demo/secret" in [model.id for model in api.list_models(author="demo")]
    api.update_repo_settings("demo/secret", private=False)
    assert client(False).model_info("demo/secret").private is False


@pytest.mark.parametrize("token", ["hf_demo_read", "hf_stranger"])
def test_only_a_writing_owner_may_change_a_repository(client: Client, repo: str, token: str) -> None:
    other = client(token)
    add = [CommitOperationAdd("a.txt", b"x")]
    for refused in (
        lambda: other.create_commit(repo, add, commit_message="No"),
        lambda: other.create_tag(repo, tag="v1"),
        lambda: other.create_branch(repo, branch="b"),
        lambda: other.update_repo_settings(repo, private=True),
        lambda: other.delete_repo(repo),
        lambda: other.create_repo("demo/new"),
    ):
        with pytest.raises(HfHubHTTPError) as caught:
            refused()
        assert caught.value.response.status_code == 403


def test_a_refusal_says_what_is_missing(client: Client, repo: str) -> None:
    with pytest.raises(HfHubHTTPError, match="has the role 'read'"):
        client("hf_demo_read").create_tag(repo, tag="v1")
    with pytest.raises(HfHubHTTPError, match="no right to write under the namespace 'demo'"):
        client("hf_stranger").create_tag(repo, tag="v1")


def test_large_files_need_the_same_right(client: Client, repo: str) -> None:
    with pytest.raises(HfHubHTTPError, match="no right to write"):
        client("hf_stranger").upload_file(path_or_fileobj=b"\0x", path_in_repo="a.bin", repo_id=repo)


def test_creating_needs_an_account(hub: LocalHub) -> None:
    answer = httpx2.post(f"{hub.endpoint}/api/repos/create", json={"name": "x", "organization": "demo"})
    assert answer.status_code == 401


def test_members_write_in_their_organisation(api: HfApi, client: Client) -> None:
    assert api.create_repo("acme/shared").repo_id == "acme/shared"
    api.upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id="acme/shared")
    with pytest.raises(HfHubHTTPError, match="403"):
        client("hf_stranger").create_repo("acme/mine")


def test_a_gated_repository_shows_its_info_but_not_its_files(api: HfApi, client: Client, repo: str) -> None:
    api.update_repo_settings(repo, gated="auto")
    assert client("hf_stranger").model_info(repo).gated == "auto"
    with pytest.raises(GatedRepoError):
        client("hf_stranger").file_exists(repo, ".gitattributes")
    assert api.file_exists(repo, ".gitattributes")


def test_auth_check_tells_reading_from_writing(api: HfApi, client: Client, repo: str) -> None:
    api.auth_check(repo, write=True)
    client("hf_stranger").auth_check(repo)
    with pytest.raises(HfHubHTTPError, match="403"):
        client("hf_stranger").auth_check(repo, write=True)


def test_deleting_is_final_and_missing_ok_is_honoured(api: HfApi, repo: str) -> None:
    api.delete_repo(repo)
    assert not api.repo_exists(repo)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(repo)
    api.delete_repo(repo, missing_ok=True)


def test_a_repository_can_be_moved(api: HfApi, repo: str) -> None:
    api.upload_file(path_or_fileobj=b"\0x", path_in_repo="a.bin", repo_id=repo)
    api.move_repo(repo, f"acme/{repo.split('/')[1]}")
    assert not api.repo_exists(repo)
    assert api.file_exists(f"acme/{repo.split('/')[1]}", "a.bin")


def test_moving_onto_another_repository_is_refused(api: HfApi, repo: str) -> None:
    api.create_repo(f"{repo}-taken")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.move_repo(repo, f"{repo}-taken")
    assert api.repo_exists(repo)


@pytest.mark.parametrize("name", ["demo/-x", "demo/a..b", "demo/x.git", "a/b/c", "demo/ "])
def test_names_that_the_hub_forbids_are_refused(hub: LocalHub, name: str) -> None:
    namespace, _, short = name.partition("/")
    answer = httpx2.post(
        f"{hub.endpoint}/api/repos/create",
        json={"name": short, "organization": namespace},
        headers={"Authorization": "Bearer hf_demo"},
    )
    assert answer.status_code in (400, 403)


def test_other_host_names_are_refused(hub: LocalHub) -> None:
    answer = httpx2.get(f"{hub.endpoint}/api/whoami-v2", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert httpx2.get(hub.endpoint.replace("127.0.0.1", "localhost")).status_code == 200


def test_an_upload_address_must_be_known(hub: LocalHub) -> None:
    assert httpx2.put(f"{hub.endpoint}/api/lfs/guess", content=b"x").status_code == 403
