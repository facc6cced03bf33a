"""`/remote/{capability}/...`: a machine's page on the hub's address, without an origin (CSP sandbox). The capability
alone opens it."""

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
from hub.remote.machine_pages.open_pages import OpenPage, OpenPages, SessionPages
from hub.remote.machine_pages.proxy_request import PageRefused, ProxyRequest, respond
from hub.remote.machine_pages.rewriting import SHIM
from hub.remote.machine_pages.web_socket import bridge

BELOW: Final = "/remote/"
PATH: Final = BELOW + "{capability}/{rest:path}"
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
WAIT_S: Final = 15.0  # For one of the session's requests to end, when the most are under way
_SHIM: Final = (Path(__file__).parent / "same_path.js").read_bytes()


class SandboxedPages:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        context: HubContext = request.app.state.hub
        try:
            page = proxy_request.admit(context, request, _page(context, request))
            _require_no_page_of_ours(request)
            answer = _hub_answer(request)
            if answer is not None:
                await answer(scope, receive, send)
                return
            shared = context[OpenPages].of_session(page)
            async with turn(shared, shared.requests):
                await forward(_request_for(context, request, page), scope, receive, send)
        except PageRefused as refusal:
            await respond(refusal, request)(scope, receive, send)


class NoPage:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(PageRefused("gone"), Request(scope))(scope, receive, send)


def _require_no_page_of_ours(request: Request) -> None:
    """A page of the hub may link to a machine's page, never load it."""
    site, mode = (request.headers.get(f"sec-fetch-{name}") for name in ("site", "mode"))
    if site == "same-origin" and mode != "navigate":
        raise PageRefused("origin")


async def sandboxed_socket(websocket: WebSocket) -> None:
    """Only a page without an origin sends `null`."""
    context: HubContext = websocket.app.state.hub
    try:
        proxy_request.require_origin(websocket, "null")
        page = proxy_request.admit(context, websocket, _page(context, websocket))
        shared = context[OpenPages].of_session(page)
        async with turn(shared, shared.sockets):
            await bridge(_request_for(context, websocket, page), websocket)
    except PageRefused as refusal:
        await websocket.send_denial_response(respond(refusal, websocket))


@asynccontextmanager
async def turn(shared: SessionPages, limit: anyio.Semaphore) -> AsyncIterator[None]:
    """One of the session's places. Raises PageRefused when none is free in time."""
    try:
        with anyio.fail_after(WAIT_S):
            await limit.acquire()
    except TimeoutError as full:
        raise PageRefused("busy") from full
    try:
        await shared.turns.begin()
        yield
    finally:
        limit.release()


def _page(context: HubContext, connection: HTTPConnection) -> OpenPage | None:
    return context[OpenPages].by_capability(connection.path_params["capability"])


def _hub_answer(request: Request) -> Response | None:
    below = "/" + request.path_params["rest"]
    ours = dict(_own_headers(request))
    plain = {name.decode(): value.decode("latin-1") for name, value in ours.items()}
    if below == SHIM and request.method in ("GET", "HEAD"):
        return Response(_SHIM, headers=plain, media_type="text/javascript; charset=utf-8")
    if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
        asked = request.headers.get("access-control-request-headers", "")
        plain |= {"Access-Control-Allow-Methods": ", ".join(METHODS), "Access-Control-Max-Age": "600"}
        return Response(status_code=204, headers=plain | ({"Access-Control-Allow-Headers": asked} if asked else {}))
    return None


def _own_headers(connection: HTTPConnection) -> headers.Headers:
    settings = connection.app.state.hub.settings
    secure = connection.scope.get("scheme") in ("https", "wss") or settings.cookie_secure
    hosts = [connection.headers.get("host", "")]
    if settings.public_url:
        hosts.append(urlsplit(settings.public_url).netloc)
    return headers.of_sandbox(headers.bases("https" if secure else "http", hosts, f"{_prefix(connection)}/"))


def _place(connection: HTTPConnection) -> str:
    return f"{BELOW}{connection.path_params['capability']}"


def _prefix(connection: HTTPConnection) -> str:
    """As the browser has it."""
    base_path: str = connection.app.state.hub.settings.base_path
    return base_path + _place(connection)


def _request_for(context: HubContext, connection: HTTPConnection, page: OpenPage) -> ProxyRequest:
    shared = context[OpenPages].of_session(page)
    return ProxyRequest(
        connect=proxy_request.connect(context, page),
        port=page.port,
        target=target_of(connection.scope, _place(connection)),
        prefix=_prefix(connection),
        ours=_own_headers(connection),
        jar=shared.jar(page.port),
        turns=shared.turns,
        secure=context.settings.cookie_secure,
        clock=context.clock,
        authorization=headers.authorization(connection.headers.raw, sandboxed=True),
    )


def target_of(scope: Scope, prefix: str) -> bytes:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0].removeprefix(prefix.encode())
    if not path.startswith(b"/"):  # the capability itself was written with escapes
        raise PageRefused("bad_request")
    query: bytes = scope["query_string"]
    return path + (b"?" + query if query else b"")
