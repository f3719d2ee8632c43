"""Trusted publishers: a workflow's id token for a token that writes to one repository."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from localhub.github_id_tokens import GitHubIdTokens, SigningKey

from hubdistill.localhub import LocalHub


@pytest.fixture(scope="module")
def github() -> Iterator[GitHubIdTokens]:
    with GitHubIdTokens("me/code", "publish.yml", environment="hub") as running:
        yield running


@pytest.fixture
def trusting(hub: LocalHub, repo: str, github: GitHubIdTokens) -> str:
    hub.trust(
        repo,
        repository="me/code",
        workflow="publish.yml",
        branch="main",
        environment="hub",
        issuer=github.issuer,
    )
    return repo


def exchange(hub: LocalHub, resource: str, id_token: str, **changes: str) -> httpx2.Response:
    asked = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "subject_token": id_token,
        "resource": resource,
        **changes,
    }
    return httpx2.post(f"{hub.endpoint}/oauth/token", json=asked)


PROGRAM = """
import json, sys
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError
api = HfApi()
def publish(repo):
    add = [CommitOperationAdd("a.txt", b"from the workflow"), CommitOperationAdd("a.bin", b"\\0weights")]
    return api.create_commit(repo, add, commit_message="Publish")
done = publish(sys.argv[1])
api.create_tag(sys.argv[1], tag="v1")
refused = []
for call in (
    lambda: publish(sys.argv[2]),
    lambda: api.create_repo("demo/made-by-a-workflow"),
    lambda: api.delete_repo(sys.argv[1]),
    lambda: api.whoami(),
):
    try:
        call()
        refused.append(None)
    except HfHubHTTPError as error:
        refused.append(error.response.status_code)
print(json.dumps([done.oid, refused]))
"""


def run_job(
    hub: LocalHub, github: GitHubIdTokens, cache: Path, *repos: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    # It takes precedence over a token, and falls back to none.
    variables = {
        **os.environ,
        **github.environment,
        "HF_ENDPOINT": hub.endpoint,
        "HF_OIDC_RESOURCE": repos[0],
        "HF_TOKEN": "hf_demo",
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **environment,
    }
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *repos],
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_job_writes_to_the_one_repository_that_trusts_it(
    hub: LocalHub, api: HfApi, trusting: str, github: GitHubIdTokens, tmp_path: Path
) -> None:
    other = f"{trusting}-other"
    api.create_repo(other)
    done = run_job(hub, github, tmp_path, trusting, other)
    assert done.returncode == 0, done.stderr
    oid, refused = json.loads(done.stdout)
    assert api.model_info(trusting).sha == api.model_info(trusting, revision="v1").sha == oid
    assert api.list_repo_commits(trusting)[0].authors == ["[OIDC]"]
    assert api.list_repo_files(trusting) == [".gitattributes", "a.bin", "a.txt"]
    assert refused == [403, 403, 403, 403]
    assert not api.repo_exists("demo/made-by-a-workflow")
    assert api.list_repo_files(other) == [".gitattributes"]


def test_a_job_that_is_not_trusted_fails_with_the_reason_of_oauth(
    hub: LocalHub, repo: str, github: GitHubIdTokens, tmp_path: Path
) -> None:
    done = run_job(hub, github, tmp_path, repo, repo)
    assert done.returncode != 0
    assert "invalid_grant: the id token is not one that this repository trusts" in done.stderr


def test_the_answer_is_the_one_of_the_hub(hub: LocalHub, trusting: str, github: GitHubIdTokens) -> None:
    answer = exchange(hub, trusting, github.mint(hub.endpoint))
    body = answer.json()
    assert answer.status_code == 200
    assert body.pop("access_token").startswith("hf_jwt_")
    assert body == {
        "token_type": "bearer",
        "expires_in": 3600,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    assert exchange(hub, f"models/{trusting}", github.mint(hub.endpoint)).status_code == 200


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "https://elsewhere.example"}, "for https://elsewhere.example, not for"),
        ({"exp": time.time() - 60}, "expired"),
        ({"nbf": time.time() + 600}, "not valid yet"),
        ({"exp": "never"}, "exp is not a number"),
        ({"iss": "https://token.actions.githubusercontent.com"}, "no publisher of demo/.* has its tokens"),
        ({"repository": "you/code"}, "no publisher of .* is .* of you/code"),
        ({"workflow_ref": "me/code/.github/workflows/other.yml@refs/heads/main"}, "is .*other.yml"),
        ({"ref": "refs/heads/main-backup"}, "ref refs/heads/main-backup"),
        ({"environment": None}, "environment None"),
    ],
)
def test_every_claim_must_be_right(
    hub: LocalHub,
    trusting: str,
    github: GitHubIdTokens,
    caplog: pytest.LogCaptureFixture,
    claims: dict[str, Any],
    reason: str,
) -> None:
    id_token = github.mint(hub.endpoint, **claims)
    with caplog.at_level(logging.INFO, "hubdistill.localhub"):
        answer = exchange(hub, trusting, id_token)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    # The client is not told what was wrong, the log is.
    [record] = [each.getMessage() for each in caplog.records if "no token for" in each.getMessage()]
    assert re.search(reason, record)
    assert id_token not in caplog.text


def test_the_signature_must_be_the_issuers(hub: LocalHub, trusting: str, github: GitHubIdTokens) -> None:
    good = github.mint(hub.endpoint)
    header, claims, signature = good.split(".")
    other = github.mint(hub.endpoint, repository="you/code").split(".")[1]
    stranger = SigningKey()
    stranger.public["kid"] = github.key.public["kid"]
    for forged in (
        f"{header}.{other}.{signature}",
        f"{header}.{claims}.",
        f"{header}.{claims}",
        github.mint(hub.endpoint, stranger),
        github.mint(hub.endpoint, SigningKey()),
        github.key.sign({**github.claims, "iss": github.issuer, "aud": hub.endpoint}, alg="none"),
        "not a token",
        "a.b.c",
    ):
        answer = exchange(hub, trusting, forged)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), forged
    assert exchange(hub, trusting, good).status_code == 200


def test_malformed_requests_are_told_apart(hub: LocalHub, trusting: str, github: GitHubIdTokens) -> None:
    good = github.mint(hub.endpoint)
    for changes in (
        {"grant_type": "password"},
        {"subject_token_type": "jwt"},
    ):
        answer = exchange(hub, trusting, good, **changes)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    for resource in ("a/b/c", "demo", "", "/x"):
        answer = exchange(hub, resource, good)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    for absent in ("demo/absent", f"datasets/{trusting}"):
        assert exchange(hub, absent, good).json()["error"] == "invalid_grant"


def test_a_token_ends_with_its_time(hub: LocalHub, repo: str, github: GitHubIdTokens) -> None:
    hub.trust(repo, repository="me/code", issuer=github.issuer, token_seconds=1)
    answer = exchange(hub, repo, github.mint(hub.endpoint)).json()
    api = HfApi(endpoint=hub.endpoint, token=answer["access_token"])
    assert answer["expires_in"] == 1
    api.upload_file(path_or_fileobj=b"in time", path_in_repo="a.txt", repo_id=repo)
    time.sleep(1.0)
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as caught:
        api.upload_file(path_or_fileobj=b"late", path_in_repo="a.txt", repo_id=repo)
    assert caught.value.response.status_code == 401


def test_the_environment_of_a_job_is_githubs(github: GitHubIdTokens) -> None:
    environment = github.environment
    url = environment["ACTIONS_ID_TOKEN_REQUEST_URL"]
    assert httpx2.get(f"{url}&audience=x").status_code == 401
    headers = {"Authorization": f"bearer {environment['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"}
    assert httpx2.get(f"{url}&audience=x", headers=headers).json()["value"].count(".") == 2
