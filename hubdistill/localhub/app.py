"""The routes of a local Hub, as one Starlette application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hubdistill.localhub import (
    access_requests,
    collections_api,
    commits,
    content,
    discussions,
    pages,
    reading,
    references,
    repos,
    token_exchange,
    transfer,
)
from hubdistill.localhub.call import Call, Handler, Hub, endpoint
from hubdistill.localhub.card_metadata import check_card
from hubdistill.localhub.rate_limit import RateLimit, RateLimited
from hubdistill.localhub.refusal import Refusal, RepoNotFound, refuse
from hubdistill.localhub.witness import Witness

_LOCAL_NAMES = ("127.0.0.1", "localhost")
_ALL = ("GET", "POST", "PUT", "DELETE")


class LocalOnly:
    """Answer only requests addressed to this machine.

    A web page can point its own host name at 127.0.0.1 (DNS rebinding); its requests then carry that
    name in the Host header.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            if len(hosts) != 1 or hosts[0].partition(":")[0] not in _LOCAL_NAMES:
                refusal = PlainTextResponse("this Hub answers only to 127.0.0.1 and localhost", 421)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class UndecodedPath:
    """Route by the path as it was sent, so that an escaped slash (`refs%2Fpr%2F1`) does not split."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("ascii", "replace")}
        await self._app(scope, receive, send)


def validate_yaml(call: Call) -> Response:
    """Check the metadata of a README before it is uploaded."""
    errors, warnings = check_card(str(call.json().get("content", "")))
    body = {
        "errors": [{"message": message} for message in errors],
        "warnings": [{"message": message} for message in warnings],
    }
    return JSONResponse(body, 400 if errors else 200)


def not_found(call: Call) -> Response:
    """Anything below a repository that does not exist, or that no route serves."""
    raise RepoNotFound


def nothing_here(call: Call) -> Response:
    """Any other address."""
    raise Refusal(404, f"no such address: {call.request.method} {call.request.url.path}")


def _route(name: str, path: str, handler: Handler, *methods: str) -> Route:
    return Route(path, endpoint(handler), methods=list(methods) or ["GET"], name=name)


def _routes() -> list[Route]:
    # `{kind}` is held to the three kinds by one set of routes for each.
    routes = [
        _route("whoami", "/api/whoami-v2", repos.whoami),
        _route("token exchange", "/oauth/token", token_exchange.exchange, "POST"),
        _route("validate card", "/api/validate-yaml", validate_yaml, "POST"),
        _route("create", "/api/repos/create", repos.create, "POST"),
        _route("delete", "/api/repos/delete", repos.delete, "DELETE"),
        _route("move", "/api/repos/move", repos.move, "POST"),
        _route("collections", "/api/collections", collections_api.index),
        _route("create collection", "/api/collections", collections_api.create, "POST"),
        _route("collection", "/api/collections/{namespace}/{slug}", collections_api.get),
        _route("delete collection", "/api/collections/{namespace}/{slug}", collections_api.delete, "DELETE"),
        _route(
            "add to collection", "/api/collections/{namespace}/{slug}/items", collections_api.add_item, "POST"
        ),
        Route("/api/lfs/{key}", transfer.receive, methods=["PUT"], name="lfs upload"),
        Route("/api/lfs/{key}/{number:int}", transfer.receive_part, methods=["PUT"], name="lfs part"),
        _route("lfs complete", "/api/lfs/{key}", transfer.complete, "POST"),
    ]
    api = "/api/{kind}/{namespace}/{name}"
    routes += [
        _route("list", "/api/{kind}", reading.index),
        _route("info", f"{api}", reading.info),
        _route("info", f"{api}/revision/{{revision}}", reading.info),
        _route("preupload", f"{api}/preupload/{{revision}}", commits.preupload, "POST"),
        _route("commit", f"{api}/commit/{{revision}}", commits.commit, "POST"),
        _route("commits", f"{api}/commits/{{revision}}", reading.commits),
        _route("tree", f"{api}/tree/{{revision}}", reading.tree),
        _route("tree", f"{api}/tree/{{revision}}/{{path:path}}", reading.tree),
        _route("paths info", f"{api}/paths-info/{{revision}}", reading.paths_info, "POST"),
        _route("refs", f"{api}/refs", reading.refs),
        _route("tag", f"{api}/tag/{{revision}}", references.create_tag, "POST"),
        _route("delete tag", f"{api}/tag/{{revision}}", references.delete_tag, "DELETE"),
        _route("branch", f"{api}/branch/{{branch}}", references.create_branch, "POST"),
        _route("delete branch", f"{api}/branch/{{branch}}", references.delete_branch, "DELETE"),
        _route("discussions", f"{api}/discussions", discussions.index),
        _route("open discussion", f"{api}/discussions", discussions.create, "POST"),
        _route("discussion", f"{api}/discussions/{{number}}", discussions.details),
        _route("comment", f"{api}/discussions/{{number}}/comment", discussions.comment, "POST"),
        _route("rename discussion", f"{api}/discussions/{{number}}/title", discussions.rename, "POST"),
        _route(
            "discussion status", f"{api}/discussions/{{number}}/status", discussions.change_status, "POST"
        ),
        _route("merge", f"{api}/discussions/{{number}}/merge", discussions.merge, "POST"),
        _route("settings", f"{api}/settings", repos.update_settings, "PUT"),
        _route("auth check", f"{api}/auth-check", repos.auth_check),
        _route("auth check write", f"{api}/auth-check/write", repos.auth_check_write),
        _route("access requests", f"{api}/user-access-request/{{status}}", access_requests.index),
        _route("handle access", f"{api}/user-access-request/handle", access_requests.handle, "POST"),
        _route("grant access", f"{api}/user-access-request/grant", access_requests.grant, "POST"),
        _route("lfs verify", f"{api}/lfs/verify", transfer.verify, "POST"),
        _route("xet token", f"{api}/xet-write-token/{{revision}}", repos.no_xet),
        _route("unknown", "/api/{kind}/{rest:path}", not_found, *_ALL),
    ]
    for page in ("/{kind}/{namespace}/{name}", "/{namespace}/{name}"):
        routes += [
            _route("lfs batch", f"{page}.git/info/lfs/objects/batch", transfer.batch, "POST"),
            _route("ask access", f"{page}/ask-access", access_requests.ask, "POST"),
            _route("resolve", f"{page}/resolve/{{revision}}/{{path:path}}", content.resolve),
        ]
    for page in ("/{namespace}/{name}", "/{kind}/{namespace}/{name}"):
        routes += [
            _route("page", f"{page}/commit/{{revision}}", pages.commit),
            _route("page", f"{page}/discussions/{{number}}", pages.discussion),
            _route("page", page, pages.repository),
        ]
    return [
        *routes,
        _route("page", "/", pages.index),
        _route("unknown", "/{rest:path}", nothing_here, *_ALL),
    ]


ROUTES = tuple(_routes())
ROUTE_NAMES = frozenset(route.name for route in ROUTES)


def create_app(hub: Hub, rate_limit: RateLimit | None = None) -> Starlette:
    """Make the application that serves a Hub."""
    limits = [] if rate_limit is None else [Middleware(RateLimited, hub=hub, limit=rate_limit)]
    app = Starlette(
        routes=ROUTES,
        middleware=[
            Middleware(LocalOnly),
            Middleware(UndecodedPath),
            Middleware(Witness, hub=hub, routes=ROUTES),
            *limits,
        ],
        exception_handlers={Refusal: refuse},
    )
    app.state.hub = hub
    return app
