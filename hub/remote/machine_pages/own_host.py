"""Which of the names under which the hub is called is a machine's page. Pure.

The hub's own name is the hub's in every spelling; a page's is one only in exactly the spelling the hub made.

`https://<label>.<pages host>/...`: a machine's page on a host name of its own, looked at before the hub's routes.

Who enters shows a ticket once and has a cookie of that name from then on. The hub's cookies are never sent there: it
is another host. The page keeps its storage for that name alone; its cookies are kept by the hub, as a sandboxed page's.
"""

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
from hub.remote.machine_pages.open_pages import OpenPages, Page
from hub.remote.machine_pages.proxy_request import Refusal, Terms, respond
from hub.remote.machine_pages.sandbox import target_of, turn
from hub.remote.machine_pages.web_socket import bridge
from hub.settings import Settings
from hub.web.auth.origin import SAFE_METHODS
from hub.web.http import request_body
from hub.web.http.problems import Problem

UNKNOWN: Final = ""
"""A name below the pages' own that is not exactly written as one of ours could be: there is nothing there."""


@dataclass(frozen=True)
class HostNames:
    """`pages` is the name below which pages stand, `port` how it is shown in an address (":8443" or "")."""

    scheme: str
    pages: str
    port: str
    own: str | None

    def label(self, host: str) -> str | None:
        """The first part of a page's name, UNKNOWN, or None when the hub itself is meant."""
        name = _name(host)
        plain = _plain(name)
        if plain == self.own or not plain.endswith(f".{self.pages}"):
            return None
        label = name.removesuffix(f".{self.pages}")
        return label if label.isascii() and label.isalnum() and label == label.lower() else UNKNOWN

    @property
    def source(self) -> str:
        """All of them, as a policy names them."""
        return f"{self.scheme}://*.{self.pages}{self.port}"

    def origin(self, label: str) -> str:
        return f"{self.scheme}://{label}.{self.pages}{self.port}"


def names_of(settings: Settings) -> HostNames | None:
    """None when pages have no host names of their own."""
    if not settings.pages_url:
        return None
    parts = urlsplit(settings.pages_url)
    own = urlsplit(settings.public_url).hostname if settings.public_url else None
    return HostNames(
        scheme=parts.scheme,
        pages=_plain(parts.hostname or ""),
        port=f":{parts.port}" if parts.port is not None else "",
        own=None if own is None else _plain(own),
    )


def _name(host: str) -> str:
    """Without the port; a literal IPv6 address keeps its brackets."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _plain(name: str) -> str:
    """As the name service takes it: letters small, no dot at its end, other scripts in ASCII."""
    name = name.strip().rstrip(".").lower()
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name


ENTRANCE: Final = "/.rvm/enter"
MAX_FORM_BYTES: Final = 4096


class PagesByHost:
    """The outermost layer: what comes for a page's name never gets to the hub's routes, and the other way round."""

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
        _known(context, label, request)
        if request.method not in SAFE_METHODS:
            proxy_request.require_origin(request, names.origin(label))
        grounds = context[OpenPages].grounds(page)
        async with turn(grounds, grounds.requests):
            await forward(_terms(context, names, label, request, page), scope, receive, send)
    except Refusal as refusal:
        await respond(refusal, request)(scope, receive, send)


async def _socket(names: HostNames, label: str, websocket: WebSocket) -> None:
    context: HubContext = websocket.app.state.hub
    try:
        page = proxy_request.admit(context, websocket, context[OpenPages].by_label(label))
        _known(context, label, websocket)
        proxy_request.require_origin(websocket, names.origin(label))
        grounds = context[OpenPages].grounds(page)
        async with turn(grounds, grounds.sockets):
            await bridge(_terms(context, names, label, websocket, page), websocket)
    except Refusal as refusal:
        await websocket.send_denial_response(respond(refusal, websocket))


def cookie_name(*, secure: bool) -> str:
    """`__Host-` binds it to exactly this name and to TLS; no other page's script can set one."""
    return "__Host-rvm_page" if secure else "rvm_page"


async def _enter(context: HubContext, label: str, request: Request) -> Response:
    """A ticket for a cookie. The form comes from the hub's page, which is another site: the ticket is the proof."""
    if request.method != "POST":
        raise Refusal("entrance")
    try:
        fields = dict(parse_qsl((await request_body.read(request, MAX_FORM_BYTES)).decode(), max_num_fields=10))
    except (Problem, ValueError) as wrong:
        raise Refusal("entrance") from wrong
    cookie = context[OpenPages].enter(label, fields.get("ticket", ""))
    if cookie is None:
        raise Refusal("entrance")
    answer = RedirectResponse("/", 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
    secure = _secure(context)
    answer.set_cookie(cookie_name(secure=secure), cookie, path="/", secure=secure, httponly=True, samesite="lax")
    return answer


def _known(context: HubContext, label: str, connection: HTTPConnection) -> None:
    """Raises Refusal for a browser that did not enter."""
    cookie = connection.cookies.get(cookie_name(secure=_secure(context)), "")
    if not context[OpenPages].entered(label, cookie):
        raise Refusal("entrance")


def _secure(context: HubContext) -> bool:
    return (context.settings.pages_url or "").startswith("https://")


def _terms(context: HubContext, names: HostNames, label: str, connection: HTTPConnection, page: Page) -> Terms:
    origin, grounds = names.origin(label), context[OpenPages].grounds(page)
    return Terms(
        connect=proxy_request.connect(context, page),
        port=page.port,
        target=target_of(connection.scope, ""),
        prefix="",
        ours=headers.of_own_host("ws" + origin.removeprefix("http")),
        jar=grounds.jar(page.port),
        turns=grounds.turns,
        secure=_secure(context),
        clock=context.clock,
        authorization=headers.authorization(connection.headers.raw, sandboxed=False),
    )
