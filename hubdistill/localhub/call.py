"""One request, as the handlers of the local Hub see it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from hubdistill.localhub.accounts import Account, require_proposer, require_reader, require_writer
from hubdistill.localhub.faults import FaultPlan
from hubdistill.localhub.publishers import TrustedPublishers
from hubdistill.localhub.refusal import Refusal
from hubdistill.localhub.repository import GitRepository
from hubdistill.localhub.request_log import RequestLog
from hubdistill.localhub.storage import RepoId, Storage
from hubdistill.localhub.uploads import Uploads


@dataclass
class Hub:
    """What a local Hub is made of, shared by all its requests."""

    storage: Storage
    tokens: Mapping[str, Account]
    uploads: Uploads = field(default_factory=Uploads)
    faults: FaultPlan = field(default_factory=FaultPlan)
    log: RequestLog = field(default_factory=RequestLog)
    publishers: TrustedPublishers = field(default_factory=TrustedPublishers)

    def find_account(self, authorization: str) -> Account | None:
        """The account behind an Authorization header, None where its token is unknown or has expired."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self.tokens.get(token.strip()) or self.publishers.account(token.strip())

    def account_name(self, scope: Scope) -> str | None:
        """Whose token came with a request; None for none, or an unknown one."""
        authorization = Headers(scope=scope).get("authorization")
        account = None if authorization is None else self.find_account(authorization)
        return None if account is None else account.name

    def authenticate(self, authorization: str | None) -> Account | None:
        """The account behind a request, None where it comes without a header.

        Raises:
            Refusal: 401, the header is there but its token is unknown.
        """
        if authorization is None:
            return None
        account = self.find_account(authorization)
        if account is None:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return account


@dataclass(frozen=True)
class Call:
    """A request with its body read and its account known."""

    hub: Hub
    request: Request
    account: Account | None
    body: bytes = b""

    @property
    def storage(self) -> Storage:
        """The repositories."""
        return self.hub.storage

    @property
    def endpoint(self) -> str:
        """The address under which the client reached this Hub, without a slash at the end."""
        return str(self.request.base_url).rstrip("/")

    def param(self, name: str, default: str = "") -> str:
        """A part of the path, decoded. Routes match the undecoded path: `refs%2Fpr%2F1` is one part."""
        return unquote(self.request.path_params.get(name, default))

    def query(self, name: str) -> list[str]:
        """All values of a query parameter, with or without the brackets that some clients add."""
        return self.request.query_params.getlist(name) + self.request.query_params.getlist(f"{name}[]")

    def flag(self, name: str) -> bool:
        """Whether a query parameter is set and true."""
        return any(value.lower() not in ("", "0", "false") for value in self.query(name))

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            Refusal: 400, it is something else.
        """
        try:
            value = json.loads(self.body or b"{}")
        except ValueError as error:
            raise Refusal(400, f"the request body is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise Refusal(400, f"the request body must be a JSON object, not {type(value).__name__}")
        return value

    @property
    def repo(self) -> RepoId:
        """The repository that the path names."""
        return RepoId(self.param("kind", "models"), self.param("namespace"), self.param("name"))

    def writer(self) -> Account:
        """The account, if it may write to the repository.

        Raises:
            Refusal: 401 or 403, it may not.
        """
        return require_writer(self.account, self.repo, creator=self.storage.settings(self.repo)["created_by"])

    def proposer(self) -> Account:
        """The account, if it may propose changes to the repository.

        Raises:
            Refusal: 401 or 403, it may not.
        """
        return require_proposer(self.account, self.repo)

    @contextlib.contextmanager
    def open(self) -> Iterator[GitRepository]:
        """Open the repository for reading.

        Raises:
            RepoNotFound: it is not there, or not for this account.
        """
        repo = self.repo
        require_reader(self.account, repo, private=self.storage.settings(repo)["private"])
        with self.storage.open(repo) as opened:
            yield opened

    @contextlib.contextmanager
    def open_to_write(
        self, allowed: Callable[[], Account] | None = None
    ) -> Iterator[tuple[GitRepository, Account]]:
        """Open the repository for writing and hold its lock.

        Args:
            allowed: checks the account in another way than `writer`.

        Raises:
            RepoNotFound: it is not there, or not for this account.
            Refusal: 401 or 403, the account may not write there.
        """
        with self.storage.lock(self.repo), self.open() as opened:
            yield opened, (allowed or self.writer)()


Handler = Callable[[Call], Response]


def endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Make a Starlette endpoint of a plain function, which then runs in a worker thread."""

    async def respond(request: Request) -> Response:
        hub: Hub = request.app.state.hub
        account = hub.authenticate(request.headers.get("authorization"))
        call = Call(hub, request, account, await request.body())
        return await run_in_threadpool(handler, call)

    return respond
