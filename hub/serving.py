"""The hub as an application, every route and every layer around them, and as a server: uvicorn with our connections,
listening socket and end."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route, WebSocketRoute

from db.engine.ownership import note_address
from hub.kernel.context import HubContext
from hub.lifespan import StartFailedError, hub_life
from hub.links.links import Links
from hub.links.socket import DeviceSocket
from hub.log_format import configure
from hub.remote.machine_pages import sandbox
from hub.remote.machine_pages.own_host import PagesByHost, names_of
from hub.remote.terminal.socket import terminal_socket
from hub.remote.tunnel.registry import Tunnels
from hub.remote.tunnel.socket import TunnelSocket
from hub.routes import api_routes, page_routes
from hub.server import process
from hub.server.http_protocol import HubConfig
from hub.server.server import SPREAD_S, AcceptingServer, configuration, drain
from hub.server.tls import HubTls
from hub.settings import Settings
from hub.web.http.layers import BasePath, BodyLimit, PageCompression, SecurityHeaders
from hub.web.sockets import dashboard_socket

logger = logging.getLogger("myrvm.server")

Companion = Callable[[HubContext], Coroutine[Any, Any, None]]
"""Runs in the hub's event loop while it serves, or shorter."""

OK: Final = 0
FAILED: Final = 1
BAD_CONFIGURATION: Final = 3
UNREACHABLE: Final = 6
BUSY: Final = 8


class HubServer(AcceptingServer):
    """Without uvicorn's signals. `on_ready` is called when it accepts."""

    def __init__(self, app: Starlette, config: HubConfig, on_ready: Callable[[], None] | None = None) -> None:
        super().__init__(config)
        self._app = app
        self._on_ready = on_ready
        self.lost_data = False

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """`serve` has the process's signals; a server in a test has none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._on_ready is not None:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for sock in sockets or []:
            sock.close()
        await drain(self.server_state, self._send_goodbyes)

    def _send_goodbyes(self) -> None:
        context: HubContext = self._app.state.hub
        context.feed.send_goodbye("restarting")
        context[Tunnels].end_all()
        sent = context[Links].send_restarting(SPREAD_S)
        logger.info("ending; %d machines were asked to come back in a while", sent)


def serve(
    settings: Settings,
    on_ready: Callable[[str], None] | None = None,
    on_stop: Callable[[], None] | None = None,
    companion: Companion | None = None,
    level: int = logging.INFO,
) -> int:
    """Until SIGTERM or SIGINT; the exit code. `on_ready` gets the URL, `on_stop` runs before it drains."""
    imports_took = time.process_time()
    configure(settings.log_format, level)
    for sentence in settings.warnings:
        logger.warning("%s", sentence)
    process.raise_open_files()
    try:
        listener = process.listen(settings.host, settings.port)
    except process.CannotListenError as error:
        return _give_up(str(error), BUSY)
    loop = process.new_loop()
    try:
        return loop.run_until_complete(_live(settings, listener, on_ready, on_stop, companion, imports_took))
    except StartFailedError as error:
        return _give_up(str(error), BUSY if error.in_use else UNREACHABLE)
    except (ssl.SSLError, OSError) as error:
        if not settings.tls:
            raise
        return _give_up(f"--tls-cert and --tls-key cannot be used together: {error}.", BAD_CONFIGURATION)
    finally:
        listener.close()
        process.close_loop(loop)


async def _live(
    settings: Settings,
    listener: socket.socket,
    on_ready: Callable[[str], None] | None,
    on_stop: Callable[[], None] | None,
    companion: Companion | None,
    imports_took: float,
) -> int:
    began, url = time.perf_counter(), process.url_of(listener, tls=settings.tls)

    def ready() -> None:
        logger.info("ready at %s after %.2f s (and %.2f s of imports)", url, time.perf_counter() - began, imports_took)
        process.notify("READY=1")
        note_address(settings.data_dir, settings.public_address or url + settings.base_path)
        if on_ready is not None:
            on_ready(url)

    app = create_app(settings)
    server = HubServer(app, configuration(settings, app), ready)

    def stop() -> None:
        server.should_exit = True
        if on_stop is not None:
            on_stop()

    def look_at_tls() -> None:
        if server.tls is not None:
            server.tls.wake()

    with process.signals(stop, look_at_tls):
        await run(server, app, listener, companion)
    return BUSY if server.lost_data else OK


async def run(server: HubServer, app: Starlette, listener: socket.socket, companion: Companion | None = None) -> None:
    server.config.load()
    async with app.router.lifespan_context(app):
        process.calm_collector()
        app.state.loop_lag.reset()
        server.tls = tls = app.state.hub[HubTls]
        async with anyio.create_task_group() as beside:
            beside.start_soon(_end_when_lost, server, app.state.hub)
            beside.start_soon(tls.run)
            if companion is not None:
                beside.start_soon(companion, app.state.hub)
            await server.serve(sockets=[listener])
            beside.cancel_scope.cancel()


async def _end_when_lost(server: HubServer, context: HubContext) -> None:
    """Two hubs on one database would undo each other's writes."""
    in_use = await context.store.lost()
    logger.critical("ending: %s", in_use)
    server.lost_data = server.should_exit = True


def _give_up(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code


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
    """Outermost first. Only the first and that of the base path touch a WebSocket."""
    names, tiles = names_of(settings), settings.map_tiles
    return [
        Middleware(PagesByHost, names=names),
        Middleware(
            SecurityHeaders,
            secure=settings.cookie_secure,
            forms_to="" if names is None else names.source,
            public_url=settings.public_url,
            base_path=settings.base_path,
            images_of={} if tiles is None else {"/map": tiles.origin},
        ),
        *([Middleware(BasePath, base_path=settings.base_path)] if settings.base_path else []),
        Middleware(PageCompression),
        Middleware(BodyLimit),
    ]
