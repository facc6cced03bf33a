"""The yardsticks: what the same work costs in the fewest lines, on the same Starlette, uvicorn and uvloop.

    python -m bench.bare KIND [--store FILE_OR_URL] [--port N]      prints {"port": N} when it listens

receive     decodes each metrics frame and acknowledges it; nothing is kept
sqlite      commits samples by executemany (WAL, synchronous FULL) in batches, one cumulative acknowledgement a link
postgresql  the same by INSERT .. unnest .. ON CONFLICT; FILE_OR_URL is the server's address
naive       one SQLAlchemy transaction a message, as a plain FastAPI service would do it (without FastAPI's own cost)
command     POST /command/ID commits a row, asks the machine, commits the answer and says it (SQLite or PostgreSQL);
            samples are committed as by the two above
commandonly the same, and samples are acknowledged without being kept
fanout      live samples in, one frame encoded four times a second for all browsers
page        a page of ten lines that shows the hub's stamp as it arrives
pty         /ws/terminal: a pseudo-terminal behind a WebSocket
upload      PUT /uploads/NAME/NUMBER: 8 MiB into a file, summed and flushed; FILE_OR_URL begins its name
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal, get_args

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from bench.bare_wire import Receive
from bench.crowd import raise_open_files
from protocol import limits

KindName = Literal[
    "receive", "sqlite", "postgresql", "naive", "command", "commandonly", "fanout", "page", "pty", "upload"
]


def make(kind: KindName, store: str) -> Receive:
    """The yardstick by name, importing only what it needs; `store` is a file or URL for those that keep something."""
    if kind in ("sqlite", "postgresql"):
        from bench import bare_stores

        return bare_stores.Durable(bare_stores.open_store(store))
    if kind in ("command", "commandonly"):
        from bench import bare_command

        return bare_command.Command(store, keeps=kind == "command")
    if kind == "naive":
        from bench import bare_naive

        return bare_naive.Naive(store)
    if kind in ("fanout", "page"):
        from bench import bare_browser

        return bare_browser.Fanout() if kind == "fanout" else bare_browser.Page()
    if kind == "pty":
        from bench import bare_pty

        return bare_pty.Pty()
    if kind == "upload":
        from bench import bare_upload

        return bare_upload.Upload(store)
    return Receive()


def serve(kind: Receive, port: int, ready: Callable[[int], None]) -> None:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await kind.start()
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 500)
        yield
        await kind.stop()

    app = Starlette(routes=[WebSocketRoute("/ws/device", kind.device), *kind.routes()], lifespan=lifespan)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(4096)
    config = uvicorn.Config(
        app, loop="uvloop", http="h11", ws="websockets-sansio", ws_per_message_deflate=False, ws_max_size=65536,
        ws_ping_interval=limits.PING_INTERVAL_S, ws_ping_timeout=limits.PING_TIMEOUT_S,
        log_level="warning", access_log=False, backlog=4096,
    )  # fmt: skip
    server = uvicorn.Server(config)
    ready(listener.getsockname()[1])
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.bare")
    parser.add_argument("kind", choices=get_args(KindName))
    parser.add_argument("--store", default="")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(argv)
    raise_open_files()
    serve(make(options.kind, options.store), options.port, lambda port: print(f'{{"port": {port}}}', flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
