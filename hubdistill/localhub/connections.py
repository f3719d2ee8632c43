"""Breaking a connection under a request, which ASGI has no message for.

uvicorn makes one protocol object for each connection and copies its `app_state` into the scope of each
request on it. `Connection` puts its transport there, so that a middleware can reach the socket.
"""

from __future__ import annotations

import asyncio
import socket
import struct

from starlette.types import Receive, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

_TRANSPORT = "localhub.transport"
# Linger on, for no time: closing drops what is unsent and sends RST instead of FIN.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1, with the transport in the scope of its requests."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the transport."""
        self.app_state = {**self.app_state, _TRANSPORT: transport}
        super().connection_made(transport)


async def reset(scope: Scope, receive: Receive) -> None:
    """Reset the connection (RST): the client gets nothing that was not sent before."""
    transport: asyncio.Transport = scope["state"][_TRANSPORT]
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
    await _gone(receive)


async def close(scope: Scope, receive: Receive) -> None:
    """Close the connection (FIN) after what was sent so far."""
    transport: asyncio.Transport = scope["state"][_TRANSPORT]
    transport.close()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    # uvicorn answers 500 for a request that ends unanswered, unless it has seen the client go.
    while (await receive())["type"] != "http.disconnect":
        pass
