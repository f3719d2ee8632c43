"""Who may do what: accounts, what their tokens allow, and the rules of access."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hubdistill.localhub.refusal import Refusal, RepoNotFound
from hubdistill.localhub.storage import RepoId

DEMO_TOKEN = "hf_localhub_demo"

OrgRole = Literal["read", "contributor", "write", "admin"]


@dataclass(frozen=True)
class Account:
    """A user of the local Hub, as one of his tokens shows him.

    Args:
        name: the user's name, which is also his namespace.
        role: what the token allows: `read`, `write`, or what `scopes` says. The same user may have one
            token that reads and one that writes.
        orgs: organisations he belongs to, each with his role there: `read` sees its private
            repositories, `contributor` also makes repositories and writes to those that he made,
            `write` and `admin` write to all. Names alone mean `write`.
        scopes: for the role `fineGrained`: permissions ("repo.content.read", "repo.write",
            "collection.write", "discussion.write") for each namespace or repository id.
        resource: the one repository that a trusted publisher's token is for; nobody's name is behind it.
    """

    name: str
    role: Literal["read", "write", "fineGrained"] = "write"
    orgs: tuple[str, ...] | Mapping[str, OrgRole] = ()
    scopes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    resource: RepoId | None = None

    @property
    def org_roles(self) -> dict[str, OrgRole]:
        """The user's role in each of his organisations."""
        if isinstance(self.orgs, Mapping):
            return dict(self.orgs)
        return dict.fromkeys(self.orgs, "write")

    def role_in(self, namespace: str) -> OrgRole | None:
        """The user's role in a namespace, None for a stranger. The token may allow less."""
        return "admin" if namespace == self.name else self.org_roles.get(namespace)

    def may_see(self, repo: RepoId) -> bool:
        """Whether a private repository is there for this token."""
        if self.resource is not None:
            return self.resource == repo
        return self.role_in(repo.namespace) is not None and (
            self.grants("repo.content.read", repo) or self.grants("repo.write", repo)
        )

    def grants(self, permission: str, repo: RepoId | str) -> bool:
        """Whether the token has a permission for a repository or a namespace, if it is a fine-grained one."""
        if self.role != "fineGrained":
            return True
        entities = {repo} if isinstance(repo, str) else {str(repo), repo.namespace}
        return any(permission in self.scopes.get(entity, ()) for entity in entities)


def demo_tokens() -> dict[str, Account]:
    """The one account of a local Hub that was started without any: `demo`, who may write."""
    return {DEMO_TOKEN: Account("demo")}


def require_account(account: Account | None) -> Account:
    """Refuse anonymous requests."""
    if account is None:
        raise Refusal(401, "Invalid username or password.")
    return account


def require_reader(account: Account | None, repo: RepoId, *, private: bool) -> None:
    """Hide a private repository: to strangers it looks as if it did not exist."""
    if private and (account is None or not account.may_see(repo)):
        raise RepoNotFound


def require_proposer(account: Account | None, repo: RepoId) -> Account:
    """Refuse everybody who may not open or discuss pull requests: anonymous ones, tokens that only read."""
    account = _require_more_than_reading(account)
    if account.resource not in (None, repo):
        raise _foreign(account, repo.namespace)
    if not (account.grants("discussion.write", repo) or account.grants("repo.write", repo)):
        raise _not_granted(account, "discussion.write", str(repo))
    return account


def require_writer(account: Account | None, repo: RepoId, *, creator: str) -> Account:
    """Refuse everybody who may not write to a repository, which `creator` has made."""
    account = _require_more_than_reading(account)
    if account.resource is not None:
        allowed = account.resource == repo
    else:
        role = account.role_in(repo.namespace)
        allowed = role in ("write", "admin") or (role == "contributor" and creator == account.name)
    if not allowed:
        raise _foreign(account, repo.namespace)
    if not account.grants("repo.write", repo):
        raise _not_granted(account, "repo.write", str(repo))
    return account


def require_member(account: Account | None, namespace: str, permission: str = "repo.write") -> Account:
    """Refuse everybody who may not make repositories or collections in a namespace."""
    account = _require_more_than_reading(account)
    if account.resource is not None or account.role_in(namespace) in (None, "read"):
        raise _foreign(account, namespace)
    if not account.grants(permission, namespace):
        raise _not_granted(account, permission, namespace)
    return account


def _require_more_than_reading(account: Account | None) -> Account:
    account = require_account(account)
    if account.role == "read":
        raise Refusal(
            403,
            f"this token of '{account.name}' has the role 'read'; a token with the role 'write' is needed",
        )
    return account


def _foreign(account: Account, namespace: str) -> Refusal:
    return Refusal(403, f"'{account.name}' has no right to write under the namespace '{namespace}'")


def _not_granted(account: Account, permission: str, entity: str) -> Refusal:
    return Refusal(
        403, f"this fine-grained token of '{account.name}' lacks the permission '{permission}' for {entity}"
    )
