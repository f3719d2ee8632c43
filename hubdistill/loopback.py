"""Serving a web application to this machine, from a background thread."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import uvicorn
from starlette.applications import Starlette

from hubdistill.errors import HubDistillError

_HOST = "127.0.0.1"
_START_SECONDS = 10.0


class LoopbackServer:
    """An application on 127.0.0.1, from the moment it is made until `stop`.

    Args:
        app: what is served.
        port: 0 for any that is free.
        name: what errors and the thread call it: `the local Hub`.
        config: further settings of uvicorn.

    Raises:
        HubDistillError: the port is taken, or the server does not start.
    """

    def __init__(self, app: Starlette, *, port: int, name: str, **config: Any) -> None:
        # asyncio turns Nagle's delay (40 ms a request) off only where the protocol is named.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_HOST, port))
        except OSError as error:
            listener.close()
            raise HubDistillError(
                f"{name} cannot listen on port {port} ({error.strerror}); choose another"
            ) from error
        self.address = f"http://{_HOST}:{listener.getsockname()[1]}"
        settings = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=2,
            **config,
        )
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name=name, daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self.alive or time.monotonic() > deadline:
                raise HubDistillError(f"{name} did not start on {self.address} within {_START_SECONDS:.0f} s")
            time.sleep(0.005)

    @property
    def alive(self) -> bool:
        """Whether it is serving."""
        return self._thread.is_alive()

    def join(self, seconds: float | None = None) -> None:
        """Wait until it has stopped, or so long at most."""
        self._thread.join(seconds)

    def stop(self) -> None:
        """Finish the requests in hand and stop serving."""
        self._server.should_exit = True
        self._thread.join()
