"""`https://<label>.<pages host>/...`: a machine's page on its own host name, before the hub's routes. The browser
shows a ticket once, then that name's cookie; the hub's cookies are never sent there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from hub.kernel.context import HubContext
from hub.remote.machine_pages import headers, proxy_request
from hub.remote.machine_pages.forward import forward
from hub.remote.machine_pages.open_pages import OpenPage, OpenPages
from hub.remote.machine_pages.proxy_request import PageRefused, ProxyRequest, respond
from hub.remote.machine_pages.sandbox import target_of, turn
from hub.remote.machine_pages.web_socket import bridge
from hub.settings import Settings
from hub.web.auth.origin import SAFE_METHODS
from hub.web.http import request_body
from hub.web.http.problems import Problem

UNKNOWN: Final = ""
"""Label of a name below `pages` that the hub did not make."""


@dataclass(frozen=True)
class HostNames:
    """`pages`: the name below which pages stand; `port`: ":8443" or ""."""

    scheme: str
    pages: str
    port: str
    own: str | None

    def label(self, host: str) -> str | None:
        """UNKNOWN, or None for the hub itself."""
        name = _name(host)
        plain = _normalised(name)
        if plain == self.own or not plain.endswith(f".{self.pages}"):
            return None
        label = name.removesuffix(f".{self.pages}")
        return label if label.isascii() and label.isalnum() and label == label.lower() else UNKNOWN

    @property
    def source(self) -> str:
        return f"{self.scheme}://*.{self.pages}{self.port}"

    def origin(self, label: str) -> str:
        return f"{self.scheme}://{label}.{self.pages}{self.port}"


def names_of(settings: Settings) -> HostNames | None:
    if not settings.pages_url:
        return None
    parts = urlsplit(settings.pages_url)
    own = urlsplit(settings.public_url).hostname if settings.public_url else None
    return HostNames(
        scheme=parts.scheme,
        pages=_normalised(parts.hostname or ""),
        port=f":{parts.port}" if parts.port is not None else "",
        own=None if own is None else _normalised(own),
    )


def _name(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _normalised(name: str) -> str:
    name = name.strip().rstrip(".").lower()
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name


ENTRANCE: Final = "/.rvm/enter"
MAX_FORM_BYTES: Final = 4096


class PagesByHost:
    """Outermost: requests for a page's name never reach the hub's routes, nor the reverse."""

    def __init__(self, app: ASGIApp, *, names: HostNames | None) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        names, label = self._names, None
        if names is not None and scope["type"] in ("http", "websocket"):
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            label = names.label(hosts[0].decode("latin-1")) if len(hosts) == 1 else None
        if names is None or label is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _answer(names, label, scope, receive, send)
        else:
            await _socket(names, label, WebSocket(scope, receive, send))


async def _answer(names: HostNames, label: str, scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    context: HubContext = request.app.state.hub
    try:
        page = proxy_request.admit(context, request, context[OpenPages].by_label(label))
        if request.url.path == ENTRANCE:
            await (await _enter(context, label, request))(scope, receive, send)
            return
        _require_entered(context, label, request)
        if request.method not in SAFE_METHODS:
            proxy_request.require_origin(request, names.origin(label))
        shared = context[OpenPages].of_session(page)
        async with turn(shared, shared.requests):
            await forward(_request_for(context, names, label, request, page), scope, receive, send)
    except PageRefused as refusal:
        await respond(refusal, request)(scope, receive, send)


async def _socket(names: HostNames, label: str, websocket: WebSocket) -> None:
    context: HubContext = websocket.app.state.hub
    try:
        page = proxy_request.admit(context, websocket, context[OpenPages].by_label(label))
        _require_entered(context, label, websocket)
        proxy_request.require_origin(websocket, names.origin(label))
        shared = context[OpenPages].of_session(page)
        async with turn(shared, shared.sockets):
            await bridge(_request_for(context, names, label, websocket, page), websocket)
    except PageRefused as refusal:
        await websocket.send_denial_response(respond(refusal, websocket))


def cookie_name(*, secure: bool) -> str:
    """`__Host-` binds it to this name and to TLS."""
    return "__Host-rvm_page" if secure else "rvm_page"


async def _enter(context: HubContext, label: str, request: Request) -> Response:
    """The form comes from the hub's page, another site: the ticket is the proof."""
    if request.method != "POST":
        raise PageRefused("entrance")
    try:
        fields = dict(parse_qsl((await request_body.read(request, MAX_FORM_BYTES)).decode(), max_num_fields=10))
    except (Problem, ValueError) as wrong:
        raise PageRefused("entrance") from wrong
    cookie = context[OpenPages].enter(label, fields.get("ticket", ""))
    if cookie is None:
        raise PageRefused("entrance")
    answer = RedirectResponse("/", 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
    secure = _secure(context)
    answer.set_cookie(cookie_name(secure=secure), cookie, path="/", secure=secure, httponly=True, samesite="lax")
    return answer


def _require_entered(context: HubContext, label: str, connection: HTTPConnection) -> None:
    """Raises PageRefused."""
    cookie = connection.cookies.get(cookie_name(secure=_secure(context)), "")
    if not context[OpenPages].entered(label, cookie):
        raise PageRefused("entrance")


def _secure(context: HubContext) -> bool:
    return (context.settings.pages_url or "").startswith("https://")


def _request_for(
    context: HubContext, names: HostNames, label: str, connection: HTTPConnection, page: OpenPage
) -> ProxyRequest:
    origin, shared = names.origin(label), context[OpenPages].of_session(page)
    return ProxyRequest(
        connect=proxy_request.connect(context, page),
        port=page.port,
        target=target_of(connection.scope, ""),
        prefix="",
        ours=headers.of_own_host("ws" + origin.removeprefix("http")),
        jar=shared.jar(page.port),
        turns=shared.turns,
        secure=_secure(context),
        clock=context.clock,
        authorization=headers.authorization(connection.headers.raw, sandboxed=False),
    )
