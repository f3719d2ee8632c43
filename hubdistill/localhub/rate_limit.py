"""How often an account may ask, announced in the headers that the client reads.

https://huggingface.co/docs/hub/rate-limits and draft-ietf-httpapi-ratelimit-headers.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hubdistill.localhub.call import Hub


@dataclass(frozen=True)
class RateLimit:
    """Requests of one account in a fixed window of time; all anonymous ones count as one account.

    Args:
        requests: how many are served in a window.
        seconds: length of a window. It starts with the first request after the last one ended.
    """

    requests: int
    seconds: int


class RateLimited:
    """Answer 429 to requests above the limit."""

    def __init__(self, app: ASGIApp, hub: Hub, limit: RateLimit) -> None:
        self._app = app
        self._hub = hub
        self._limit = limit
        # Account -> when its window ends, and how many requests came in it.
        self._windows: dict[str | None, tuple[float, int]] = {}
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or tell the client when to come back."""
        # Large files go to addresses of a storage, which the Hub's limits do not count.
        if scope["type"] != "http" or scope["path"].startswith("/api/lfs/"):
            await self._app(scope, receive, send)
            return
        remaining, wait = self._count(self._hub.account_name(scope))
        headers = {
            "RateLimit": f'"api";r={max(remaining, 0)};t={wait}',
            "RateLimit-Policy": f'"fixed window";"api";q={self._limit.requests};w={self._limit.seconds}',
        }

        async def announce(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        if remaining < 0:
            while (await receive()).get("more_body"):
                pass
            text = f"You have reached the limit of {self._limit.requests} requests in {self._limit.seconds} s"
            refusal = JSONResponse({"error": text}, 429, {"Retry-After": str(wait)})
            await refusal(scope, receive, announce)
        else:
            await self._app(scope, receive, announce)

    def _count(self, account: str | None) -> tuple[int, int]:
        """Count a request; return how many are left (below 0: it is one too many) and the seconds to wait."""
        now = time.monotonic()
        with self._lock:
            end, used = self._windows.get(account, (0.0, 0))
            if now >= end:
                end, used = now + self._limit.seconds, 0
            self._windows[account] = (end, used + 1)
        return self._limit.requests - used - 1, math.ceil(end - now)
