"""The layer around all routes: it records each request and makes go wrong what the plan says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hubdistill.localhub import connections
from hubdistill.localhub.call import Hub
from hubdistill.localhub.faults import Fault

logger = logging.getLogger(__name__)

_PIECES = 20


class Witness:
    """Record requests and inject faults.

    Args:
        app: what serves them.
        hub: holds the log and the plan.
        routes: by their names faults and records say what a request was for.
    """

    def __init__(self, app: ASGIApp, hub: Hub, routes: Sequence[Route]) -> None:
        self._app = app
        self._hub = hub
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or let it fail."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        matching = (each.name for each in self._routes if each.matches(scope)[0] is Match.FULL)
        route = next(matching, "unknown")
        record = self._hub.log.begin(method, path, route, self._hub.account_name(scope))
        fault = record.fault = self._hub.faults.next(method, path, route)

        async def counted_receive() -> Message:
            message = await receive()
            record.bytes_in += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            # Before the client can see it, so that who has the answer also finds it in the log.
            if message["type"] == "http.response.start":
                record.status = message["status"]
            elif method != "HEAD":
                record.bytes_out += len(message.get("body", b""))
            await send(message)

        try:
            if fault is None:
                await self._app(scope, counted_receive, counted_send)
            else:
                logger.info("fault %r at %s %s", fault.what, method, record.path)
                await self._fail(fault, scope, counted_receive, counted_send)
        except ClientDisconnect:
            logger.info("the client left during %s %s", method, record.path)
        except Exception:
            record.status = 500
            raise

    async def _fail(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.what == "reset before":
            await connections.reset(scope, receive)
            return
        if fault.what == "corrupt":
            if scope["method"] == "PUT":
                await self._app(scope, _with_a_flipped_bit(receive), send)
            else:
                await self._app(scope, receive, _flipping_a_bit(send))
            return
        if isinstance(fault.what, int):
            if fault.acted:
                await self._held_back(scope, receive)
            else:
                # An answer before the request was read to its end costs the client its connection.
                while (await receive()).get("more_body"):
                    pass
            await _failure(fault)(scope, receive, send)
            return
        start, body = await self._held_back(scope, receive)
        if fault.what == "reset after":
            await connections.reset(scope, receive)
        elif fault.what == "slow":
            await _trickle(start, body, fault.seconds, send)
        else:
            await send(start)
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            await connections.close(scope, receive)

    async def _held_back(self, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
        """Serve the request in full and return the answer, of which nothing was sent."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        start, *parts = messages
        return start, b"".join(part.get("body", b"") for part in parts)


def _failure(fault: Fault) -> JSONResponse:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    assert isinstance(fault.what, int)
    return JSONResponse({"error": f"planned fault: {fault.what}"}, fault.what, headers)


async def _trickle(start: Message, body: bytes, seconds: float, send: Send) -> None:
    await send(start)
    step = -(-len(body) // _PIECES) or 1
    for position in range(0, step * _PIECES, step):
        await send(
            {"type": "http.response.body", "body": body[position : position + step], "more_body": True}
        )
        await asyncio.sleep(seconds / _PIECES)
    await send({"type": "http.response.body", "body": b""})


def _flipped(message: Message) -> Message:
    body = bytearray(message["body"])
    body[len(body) // 2] ^= 1
    return {**message, "body": bytes(body)}


def _with_a_flipped_bit(receive: Receive) -> Receive:
    done = False

    async def corrupted() -> Message:
        nonlocal done
        message = await receive()
        if done or not message.get("body"):
            return message
        done = True
        return _flipped(message)

    return corrupted


def _flipping_a_bit(send: Send) -> Send:
    done = False

    async def corrupt(message: Message) -> None:
        nonlocal done
        if not done and message.get("body"):
            done = True
            message = _flipped(message)
        await send(message)

    return corrupt
