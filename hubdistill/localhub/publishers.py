"""Trusted publishers: workflows that may write to one repository, and the tokens they were given."""

from __future__ import annotations

import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hubdistill.localhub.accounts import Account
from hubdistill.localhub.storage import RepoId

GITHUB_ISSUER = "https://token.actions.githubusercontent.com"


@dataclass(frozen=True)
class Publisher:
    """A workflow, by the claims that its id tokens must state. See `LocalHub.trust`."""

    repository: str
    workflow: str | None = None
    branch: str | None = None
    environment: str | None = None
    issuer: str = GITHUB_ISSUER
    token_seconds: int = 3600

    def matches(self, claims: Mapping[str, Any]) -> bool:
        """Whether the claims of a GitHub id token are those of this workflow, exactly.

        The Hub's `branch` and `workflow` (a file, https://huggingface.co/docs/hub/trusted-publishers) are no
        claims of GitHub's, whose `workflow` is a name. The file is in `workflow_ref`, which is
        OWNER/NAME/.github/workflows/FILE@REF, also where the job itself is in a reusable workflow
        (https://docs.github.com/en/actions/reference/security/oidc).
        """
        file = str(claims.get("workflow_ref")).partition("@")[0]
        return (
            claims.get("repository") == self.repository
            and (self.workflow is None or file == f"{self.repository}/.github/workflows/{self.workflow}")
            and (self.branch is None or claims.get("ref") == f"refs/heads/{self.branch}")
            and (self.environment is None or claims.get("environment") == self.environment)
        )


class TrustedPublishers:
    """The publishers of each repository, and the tokens that are out. Kept in memory only."""

    def __init__(self) -> None:
        self._publishers: dict[RepoId, list[Publisher]] = defaultdict(list)
        self._tokens: dict[str, tuple[Account, float]] = {}
        self._lock = threading.Lock()

    def add(self, repo: RepoId, publisher: Publisher) -> None:
        """Trust a workflow with a repository."""
        with self._lock:
            self._publishers[repo].append(publisher)

    def of(self, repo: RepoId) -> list[Publisher]:
        """Whom a repository trusts."""
        with self._lock:
            return list(self._publishers.get(repo, ()))

    def issue(self, repo: RepoId, publisher: Publisher) -> str:
        """Make a token that writes to the repository until its time is over."""
        token = f"hf_jwt_{secrets.token_urlsafe(32)}"
        with self._lock:
            until = time.monotonic() + publisher.token_seconds
            self._tokens[token] = (Account("[OIDC]", resource=repo), until)
        return token

    def account(self, token: str) -> Account | None:
        """The account behind a token that was issued here and is still good."""
        with self._lock:
            account, until = self._tokens.get(token, (None, 0.0))
        return account if time.monotonic() < until else None
