"""Who may do what: accounts, their tokens and the rules of access."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hubdistill.localhub.refusal import Refusal, RepoNotFound

DEMO_TOKEN = "hf_localhub_demo"


@dataclass(frozen=True)
class Account:
    """A user of the local Hub, as one of his tokens shows him.

    Args:
        name: the user's name, which is also his namespace.
        role: what the token allows. The same user may have one token that reads and one that writes.
        orgs: organisations he belongs to; he may write in their namespaces.
    """

    name: str
    role: Literal["read", "write"] = "write"
    orgs: tuple[str, ...] = ()

    def owns(self, namespace: str) -> bool:
        """Whether the namespace is the user's own or that of one of his organisations."""
        return namespace == self.name or namespace in self.orgs


def demo_tokens() -> dict[str, Account]:
    """The one account of a local Hub that was started without any: `demo`, who may write."""
    return {DEMO_TOKEN: Account("demo")}


def authenticate(authorization: str | None, tokens: Mapping[str, Account]) -> Account | None:
    """Return the account behind an Authorization header, or None where there is no header.

    Raises:
        Refusal: 401, the header is there but its token is unknown.
    """
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    account = tokens.get(token.strip())
    if scheme.lower() != "bearer" or account is None:
        raise Refusal(401, "Invalid credentials in Authorization header")
    return account


def require_account(account: Account | None) -> Account:
    """Refuse anonymous requests."""
    if account is None:
        raise Refusal(401, "Invalid username or password.")
    return account


def require_writer(account: Account | None) -> Account:
    """Refuse anonymous requests and tokens that may only read."""
    account = require_account(account)
    if account.role != "write":
        raise Refusal(
            403,
            f"this token of '{account.name}' has the role 'read'; a token with the role 'write' is needed",
        )
    return account


def require_owner(account: Account | None, namespace: str) -> Account:
    """Refuse everybody who may not write in the namespace."""
    account = require_writer(account)
    if not account.owns(namespace):
        raise Refusal(403, f"'{account.name}' has no right to write under the namespace '{namespace}'")
    return account


def require_reader(account: Account | None, namespace: str, private: bool) -> None:
    """Hide a private repository: to strangers it looks as if it did not exist."""
    if private and (account is None or not account.owns(namespace)):
        raise RepoNotFound
