"""The application: every route and every layer around them, in one list. Wiring, nothing else."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, WebSocketRoute

from hub.lifespan import hub_life
from hub.settings import Settings
from hub.web import pages
from hub.web.api_v2 import table
from hub.web.body_limit import BodyLimit
from hub.web.compression import PageCompression
from hub.web.dashboard_socket import dashboard_socket
from hub.web.device_socket import DeviceSocket
from hub.web.security_headers import SecurityHeaders


def create_app(settings: Settings) -> Starlette:
    """The whole hub behind one ASGI callable; its lifespan opens the database and fills `app.state.hub`."""

    def lifespan(app: Starlette) -> AbstractAsyncContextManager[None]:
        return hub_life(app, settings)

    return Starlette(routes=routes(settings), middleware=layers(settings), lifespan=lifespan)


def routes(settings: Settings) -> list[BaseRoute]:
    """In order of precedence."""
    return [
        WebSocketRoute("/ws/device", DeviceSocket()),
        WebSocketRoute("/ws/dashboard", dashboard_socket),
        *table.routes(),
        *pages.routes(),
    ]


def layers(settings: Settings) -> list[Middleware]:
    """Outermost first. None of them touches a WebSocket."""
    return [
        Middleware(SecurityHeaders, secure=settings.cookie_secure),
        Middleware(PageCompression),
        Middleware(BodyLimit),
    ]
