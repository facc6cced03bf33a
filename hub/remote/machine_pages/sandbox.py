"""`/remote/{capability}/...`: a machine's page on the hub's own address, but without an origin (CSP sandbox).

The capability alone opens it: a page without an origin has no cookie to show, and neither have its pictures. It is
bound to one lease of one person and one port, is no easier to guess than a key, and dies with the lease.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import anyio
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from hub.kernel.context import HubContext
from hub.remote.machine_pages import headers, proxy_request
from hub.remote.machine_pages.forward import forward
from hub.remote.machine_pages.open_pages import Grounds, OpenPages, Page
from hub.remote.machine_pages.proxy_request import Refusal, Terms, respond
from hub.remote.machine_pages.rewriting import SHIM
from hub.remote.machine_pages.web_socket import bridge

BELOW: Final = "/remote/"
PATH: Final = BELOW + "{capability}/{rest:path}"
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
WAIT_S: Final = 15.0
"""For one of the lease's requests to end, when all that may be under way are."""
_SHIM: Final = (Path(__file__).parent / "same_path.js").read_bytes()


class SandboxedPages:
    """The endpoint of every method."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        context: HubContext = request.app.state.hub
        try:
            page = proxy_request.admit(context, request, _page(context, request))
            _require_no_page_of_ours(request)
            answer = _own_answer(request)
            if answer is not None:
                await answer(scope, receive, send)
                return
            grounds = context[OpenPages].grounds(page)
            async with turn(grounds, grounds.requests):
                await forward(_terms(context, request, page), scope, receive, send)
        except Refusal as refusal:
            await respond(refusal, request)(scope, receive, send)


class NoPage:
    """The endpoint of every other path below `/remote/`: a page of the dashboard has no business there."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(Refusal("gone"), Request(scope))(scope, receive, send)


def _require_no_page_of_ours(request: Request) -> None:
    """A page of the hub may lead to a machine's, and never load or call any of it: it would run in our name. Our policy
    says so too, where a browser calls us by a name that fits in there."""
    site, mode = (request.headers.get(f"sec-fetch-{name}") for name in ("site", "mode"))
    if site == "same-origin" and mode != "navigate":
        raise Refusal("origin")


async def sandboxed_socket(websocket: WebSocket) -> None:
    """The endpoint of its WebSockets. Only a page without an origin says `null`; it has shown the capability."""
    context: HubContext = websocket.app.state.hub
    try:
        proxy_request.require_origin(websocket, "null")
        page = proxy_request.admit(context, websocket, _page(context, websocket))
        grounds = context[OpenPages].grounds(page)
        async with turn(grounds, grounds.sockets):
            await bridge(_terms(context, websocket, page), websocket)
    except Refusal as refusal:
        await websocket.send_denial_response(respond(refusal, websocket))


@asynccontextmanager
async def turn(grounds: Grounds, limit: anyio.Semaphore) -> AsyncIterator[None]:
    """One of so many at once; raises Refusal when none ends in time."""
    try:
        with anyio.fail_after(WAIT_S):
            await limit.acquire()
    except TimeoutError as full:
        raise Refusal("busy") from full
    try:
        await grounds.turns.begin()
        yield
    finally:
        limit.release()


def _page(context: HubContext, connection: HTTPConnection) -> Page | None:
    return context[OpenPages].by_capability(connection.path_params["capability"])


def _own_answer(request: Request) -> Response | None:
    """What the machine is not asked: our script, and whether a page may call itself."""
    below = "/" + request.path_params["rest"]
    ours = dict(_ours(request))
    plain = {name.decode(): value.decode("latin-1") for name, value in ours.items()}
    if below == SHIM and request.method in ("GET", "HEAD"):
        return Response(_SHIM, headers=plain, media_type="text/javascript; charset=utf-8")
    if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
        asked = request.headers.get("access-control-request-headers", "")
        plain |= {"Access-Control-Allow-Methods": ", ".join(METHODS), "Access-Control-Max-Age": "600"}
        return Response(status_code=204, headers=plain | ({"Access-Control-Allow-Headers": asked} if asked else {}))
    return None


def _ours(connection: HTTPConnection) -> headers.Headers:
    settings = connection.app.state.hub.settings
    secure = connection.scope.get("scheme") in ("https", "wss") or settings.cookie_secure
    hosts = [connection.headers.get("host", "")]
    if settings.public_url:
        hosts.append(urlsplit(settings.public_url).netloc)
    return headers.of_sandbox(headers.bases("https" if secure else "http", hosts, f"{_prefix(connection)}/"))


def _prefix(connection: HTTPConnection) -> str:
    return f"{BELOW}{connection.path_params['capability']}"


def _terms(context: HubContext, connection: HTTPConnection, page: Page) -> Terms:
    grounds = context[OpenPages].grounds(page)
    return Terms(
        connect=proxy_request.connect(context, page),
        port=page.port,
        target=target_of(connection.scope, _prefix(connection)),
        prefix=_prefix(connection),
        ours=_ours(connection),
        jar=grounds.jar(page.port),
        turns=grounds.turns,
        secure=context.settings.cookie_secure,
        clock=context.clock,
        authorization=headers.authorization(connection.headers.raw, sandboxed=True),
    )


def target_of(scope: Scope, prefix: str) -> bytes:
    """Path and query as the browser sent them, without the prefix: escapes mean what the machine takes them for."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0].removeprefix(prefix.encode())
    if not path.startswith(b"/"):  # the capability itself was written with escapes
        raise Refusal("bad_request")
    query: bytes = scope["query_string"]
    return path + (b"?" + query if query else b"")
