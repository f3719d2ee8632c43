"""Starting and stopping a local Hub."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from hubdistill.errors import HubDistillError
from hubdistill.localhub.accounts import Account, demo_tokens
from hubdistill.localhub.app import ROUTE_NAMES, create_app
from hubdistill.localhub.call import Hub
from hubdistill.localhub.connections import Connection
from hubdistill.localhub.faults import FaultPlan
from hubdistill.localhub.publishers import GITHUB_ISSUER, Publisher
from hubdistill.localhub.rate_limit import RateLimit
from hubdistill.localhub.request_log import RequestRecord
from hubdistill.localhub.storage import KINDS, RepoId, Storage

_HOST = "127.0.0.1"
_START_SECONDS = 10.0


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
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
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
        repo_type: str = "model",
        token_seconds: int = 3600,
    ) -> None:
        """Add a trusted publisher to a repository: a workflow that may write to it without a secret.

        Its job exchanges the id token that its provider gives it for a token of this Hub, see
        https://huggingface.co/docs/hub/trusted-publishers. It is forgotten when the process ends.

        Args:
            repo_id: namespace/name of the repository here.
            repository: owner/name of the repository that the workflow belongs to.
            workflow: its file name below .github/workflows; None for any.
            branch: the branch that it runs on; None for any.
            environment: the environment of its job; None for any.
            issuer: who signs the id tokens. Its keys are read from
                `ISSUER/.well-known/openid-configuration`.
            repo_type: model, dataset or space.
            token_seconds: how long a token is good.
        """
        namespace, _, name = repo_id.partition("/")
        publisher = Publisher(repository, workflow, branch, environment, issuer, token_seconds)
        self._hub.publishers.add(RepoId(KINDS[repo_type], namespace, name), publisher)

    def start(self) -> Self:
        """Serve in a background thread, from now until `stop`."""
        # asyncio turns Nagle's delay (40 ms a request) off only where the protocol is named.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_HOST, self._asked_port))
        except OSError as error:
            listener.close()
            raise HubDistillError(
                f"the local Hub cannot listen on port {self._asked_port} ({error.strerror}); choose another"
            ) from error
        self._endpoint = f"http://{_HOST}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            create_app(self._hub, self._rate_limit),
            http=Connection,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="localhub", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise HubDistillError(
                    f"the local Hub did not start on {self._endpoint} within {_START_SECONDS:.0f} s"
                )
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Finish the requests in hand and stop serving."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
        self._server = self._thread = None

    def wait(self) -> None:
        """Block until `stop` is called from elsewhere, or Ctrl-C."""
        # Waking up now and then lets Ctrl-C through on platforms where a join cannot be interrupted.
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(0.5)

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
