"""The application: every route and every layer around them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route, WebSocketRoute

from hub.lifespan import hub_life
from hub.links.socket import DeviceSocket
from hub.remote.machine_pages import sandbox
from hub.remote.machine_pages.own_host import PagesByHost, names_of
from hub.remote.terminal.socket import terminal_socket
from hub.remote.tunnel.socket import TunnelSocket
from hub.routes import api_routes, page_routes
from hub.settings import Settings
from hub.web.http.layers import BodyLimit, PageCompression, SecurityHeaders
from hub.web.sockets import dashboard_socket


def create_app(settings: Settings) -> Starlette:
    """The lifespan opens the database and fills `app.state.hub`."""

    def lifespan(app: Starlette) -> AbstractAsyncContextManager[None]:
        return hub_life(app, settings)

    return Starlette(routes=routes(), middleware=layers(settings), lifespan=lifespan)


def routes() -> list[BaseRoute]:
    return [
        WebSocketRoute("/ws/device", DeviceSocket()),
        WebSocketRoute("/ws/tunnel", TunnelSocket()),
        WebSocketRoute("/ws/dashboard", dashboard_socket),
        WebSocketRoute("/ws/terminal", terminal_socket),
        WebSocketRoute(sandbox.PATH, sandbox.sandboxed_socket),
        Route(sandbox.PATH, sandbox.SandboxedPages(), methods=list(sandbox.METHODS)),
        Route(f"{sandbox.BELOW}{{rest:path}}", sandbox.NoPage()),
        *api_routes(),
        *page_routes(),
    ]


def layers(settings: Settings) -> list[Middleware]:
    """Outermost first. Only the first touches a WebSocket."""
    names = names_of(settings)
    return [
        Middleware(PagesByHost, names=names),
        Middleware(
            SecurityHeaders,
            secure=settings.cookie_secure,
            forms_to="" if names is None else names.source,
            public_url=settings.public_url,
        ),
        Middleware(PageCompression),
        Middleware(BodyLimit),
    ]
