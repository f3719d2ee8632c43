"""Serving a card on 127.0.0.1, and showing its changes as they are saved."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from html import escape
from pathlib import Path
from types import TracebackType
from typing import Self

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hubdistill.card.text import plain
from hubdistill.localhub.app import LocalOnly
from hubdistill.loopback import LoopbackServer
from hubdistill.preview.folder import find_folder, read_folder
from hubdistill.preview.page import ASSETS, FAULTS, build_page
from hubdistill.preview.problem import Problem

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25
_TELL_SECONDS = 0.1

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# A file of the folder never acts, whatever is in it.
_INERT = {"Content-Security-Policy": "default-src 'none'; sandbox"}
_REMOTE_IMAGE = """
<svg xmlns="http://www.w3.org/2000/svg" width="460" height="64" font-family="sans-serif" font-size="13">
<rect x=".5" y=".5" width="459" height="63" rx="8" fill="#8b949e22" stroke="#8b949e" stroke-dasharray="4 3"/>
<text x="14" y="27" fill="#7a8492">An image of another site, not loaded here:</text>
<text x="14" y="47" fill="#7a8492" font-size="11">{}</text></svg>
"""
_AS_TEXT = (".json", ".yaml", ".txt", ".md", ".jinja", ".xml")


class CardPreview:
    """A card at an address of this machine, rendered as the Hub shows it.

    README.md is shown as it is; nothing is written. When it or another file that would be published changes,
    open pages show the change. Use it as a context manager, or call `start` and `stop`.

    Args:
        folder: a student's folder, or the README.md in it.
        port: 0 for any that is free.
        on_change: called with the problems after each change, in a thread of its own.

    Raises:
        CardError: there is no such folder.

    Example:
        >>> with CardPreview("runs/family/students/student") as preview:
        ...     print(preview.address)
        ...     preview.wait()
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        port: int = 0,
        on_change: Callable[[tuple[Problem, ...]], None] | None = None,
    ) -> None:
        self.folder = find_folder(Path(folder))
        self._asked_port = port
        self._on_change = on_change
        self._seen = _signature(self.folder)
        self._page = build_page(read_folder(self.folder))
        self._closing = threading.Event()
        self._address = ""
        self._server: LoopbackServer | None = None
        self._watcher: threading.Thread | None = None

    @property
    def address(self) -> str:
        """`http://127.0.0.1:PORT`, once started."""
        return self._address

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the card now."""
        return self._page.problems

    def start(self) -> Self:
        """Serve in background threads, from now until `stop`.

        Raises:
            HubDistillError: the port is taken.
        """
        self._closing.clear()
        self._server = LoopbackServer(self._app(), port=self._asked_port, name="the preview")
        self._address = self._server.address
        self._watcher = threading.Thread(target=self._look, name="preview-changes", daemon=True)
        self._watcher.start()
        return self

    def stop(self) -> None:
        """Stop serving."""
        self._closing.set()
        if self._server is not None and self._watcher is not None:
            self._server.stop()
            self._watcher.join()
        self._server = self._watcher = None

    def wait(self) -> None:
        """Block until `stop` is called from elsewhere, or Ctrl-C."""
        # Waking up now and then lets Ctrl-C through on platforms where a wait cannot be interrupted.
        while not self._closing.wait(0.5):
            pass

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _look(self) -> None:
        """Render the card anew whenever one of its files changes."""
        while not self._closing.wait(_LOOK_SECONDS):
            try:
                self._look_once()
            except OSError:
                # A file went away between being listed and being read: look again.
                continue
            except FAULTS:
                logger.exception("a change in %s is not shown; the preview goes on", self.folder)

    def _look_once(self) -> None:
        seen = _signature(self.folder)
        if seen == self._seen:
            return
        # Set first: what fails is not tried again before the next change.
        before, self._seen = self._seen, seen
        try:
            page = build_page(read_folder(self.folder))
        except OSError:
            self._seen = before
            raise
        changed = page.version != self._page.version
        self._page = page
        if changed and self._on_change is not None:
            self._on_change(page.problems)

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self._show),
                Route("/changes", self._changes),
                Route("/files/{path:path}", self._file),
                Route("/remote-image", _remote_image),
                Mount("/assets", StaticFiles(directory=ASSETS)),
            ],
            middleware=[Middleware(LocalOnly), Middleware(_Headers)],
        )

    async def _show(self, request: Request) -> Response:
        return HTMLResponse(self._page.html)

    async def _file(self, request: Request) -> Response:
        # Only what would be published, by its exact name: no path is ever put together from a request.
        file = self._page.files.get(request.path_params["path"])
        if file is None or not file.is_file():
            return PlainTextResponse("no such file among those that would be published", 404)
        if file.suffix == ".png":
            return FileResponse(file, media_type="image/png", headers=_INERT)
        if file.suffix in _AS_TEXT or "." not in file.name:
            return FileResponse(file, media_type="text/plain; charset=utf-8", headers=_INERT)
        return FileResponse(file, media_type="application/octet-stream", filename=file.name, headers=_INERT)

    async def _changes(self, request: Request) -> Response:
        return StreamingResponse(self._versions(request), media_type="text/event-stream")

    async def _versions(self, request: Request) -> AsyncIterator[str]:
        """Server-sent events: the version of the page, at once and after each change."""
        told = ""
        while not self._closing.is_set() and not await request.is_disconnected():
            if told != self._page.version:
                told = self._page.version
                yield f"retry: 1000\ndata: {told}\n\n"
            await asyncio.sleep(_TELL_SECONDS)


class _Headers:
    """Put the security headers on every answer that has none of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


async def _remote_image(request: Request) -> Response:
    """A picture with an address on it: the image itself is not asked for, its server would learn of it."""
    address = request.query_params.get("address", "")
    shown = address if len(address) <= 60 else f"{address[:30]}…{address[-28:]}"
    return Response(
        _REMOTE_IMAGE.format(escape(plain(shown))).strip(), media_type="image/svg+xml", headers=_INERT
    )


def _signature(folder: Path) -> object:
    """What changes when a file does that is shown."""
    found = read_folder(folder)
    stats = [(path, file.stat()) for path, file in found.files.items()]
    return [(path, s.st_mtime_ns, s.st_size) for path, s in stats], found.left_out, found.incomplete
