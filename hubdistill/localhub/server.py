"""Starting and stopping a local Hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from hubdistill.localhub.accounts import Account, demo_tokens
from hubdistill.localhub.app import ROUTE_NAMES, create_app
from hubdistill.localhub.call import Hub
from hubdistill.localhub.connections import Connection
from hubdistill.localhub.faults import FaultPlan
from hubdistill.localhub.publishers import GITHUB_ISSUER, Publisher
from hubdistill.localhub.rate_limit import RateLimit
from hubdistill.localhub.request_log import RequestRecord
from hubdistill.localhub.storage import RepoId, Storage
from hubdistill.loopback import LoopbackServer


class LocalHub:
    """A small real Hub on 127.0.0.1, which an unmodified `huggingface_hub` client can use.

    Repositories are kept below the folder and survive a restart: bare git repositories, with large
    files where git-lfs puts them. One server per folder. The Hub has no Xet: set HF_HUB_DISABLE_XET=1
    before a client imports `huggingface_hub`.

    Args:
        folder: where everything is kept; made if it is not there.
        tokens: token -> account; by default `hf_localhub_demo` of the user `demo`.
        port: 0 for any that is free.
        faults: what shall go wrong at which requests.
        rate_limit: how often each account may ask; no limit by default.

    Raises:
        HubDistillError: the port is taken.
        ValueError: a fault is for a route that there is not.

    Example:
        >>> with LocalHub("hub", tokens={"hf_me": Account("me")}) as hub:
        ...     HfApi(endpoint=hub.endpoint, token="hf_me").create_repo("me/student")
    """

    def __init__(
        self,
        folder: str | Path,
        tokens: Mapping[str, Account] | None = None,
        *,
        port: int = 0,
        faults: FaultPlan | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        self.folder = Path(folder)
        self._hub = Hub(Storage(self.folder), dict(demo_tokens() if tokens is None else tokens))
        self.faults = faults or FaultPlan()
        self._rate_limit = rate_limit
        self._asked_port = port
        self._server: LoopbackServer | None = None
        self._endpoint = ""

    @property
    def endpoint(self) -> str:
        """`http://127.0.0.1:PORT`, once started: the value for HF_ENDPOINT."""
        return self._endpoint

    @property
    def faults(self) -> FaultPlan:
        """What goes wrong at which requests. Assign another plan at any time; its counts start at 0."""
        return self._hub.faults

    @faults.setter
    def faults(self, plan: FaultPlan) -> None:
        plan.check(ROUTE_NAMES)
        self._hub.faults = plan

    @property
    def requests(self) -> list[RequestRecord]:
        """The requests since the start or `clear_requests`, oldest first, at most ten thousand."""
        return self._hub.log.all()

    def clear_requests(self) -> None:
        """Forget the requests so far."""
        self._hub.log.clear()

    def trust(
        self,
        repo_id: str,
        *,
        repository: str,
        workflow: str | None = None,
        branch: str | None = None,
        environment: str | None = None,
        issuer: str = GITHUB_ISSUER,
        token_seconds: int = 3600,
    ) -> None:
        """Add a trusted publisher to a repository: a workflow that may write to it without a secret.

        Its job exchanges the id token that its provider gives it for a token of this Hub, see
        https://huggingface.co/docs/hub/trusted-publishers. It is forgotten when the process ends.

        Args:
            repo_id: namespace/name of the model here.
            repository: owner/name of the repository that the workflow belongs to.
            workflow: its file name below .github/workflows; None for any.
            branch: the branch that it runs on; None for any.
            environment: the environment of its job; None for any.
            issuer: who signs the id tokens. Its keys are read from
                `ISSUER/.well-known/openid-configuration`.
            token_seconds: how long a token is good.
        """
        namespace, _, name = repo_id.partition("/")
        publisher = Publisher(repository, workflow, branch, environment, issuer, token_seconds)
        self._hub.publishers.add(RepoId("models", namespace, name), publisher)

    def start(self) -> Self:
        """Serve in a background thread, from now until `stop`."""
        self._server = LoopbackServer(
            create_app(self._hub, self._rate_limit),
            port=self._asked_port,
            name="the local Hub",
            http=Connection,
        )
        self._endpoint = self._server.address
        return self

    def stop(self) -> None:
        """Finish the requests in hand and stop serving."""
        if self._server is not None:
            self._server.stop()
        self._server = None

    def wait(self) -> None:
        """Block until `stop` is called from elsewhere, or Ctrl-C."""
        # Waking up now and then lets Ctrl-C through on platforms where a join cannot be interrupted.
        while (server := self._server) is not None and server.alive:
            server.join(0.5)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(
    folder: str | Path,
    port: int = 0,
    *,
    tokens: Mapping[str, Account] | None = None,
    on_ready: Callable[[LocalHub], None] | None = None,
) -> None:
    """Serve a folder until Ctrl-C; print nothing.

    Args:
        folder: where everything is kept.
        port: 0 for any that is free.
        tokens: token -> account; by default `hf_localhub_demo` of the user `demo`.
        on_ready: called once with the running Hub, to show its endpoint.

    Raises:
        HubDistillError: the port is taken.
    """
    with LocalHub(folder, tokens, port=port) as hub:
        if on_ready is not None:
            on_ready(hub)
        try:
            hub.wait()
        except KeyboardInterrupt:
            return
