"""What uvicorn must be told to serve as we want, in one place; the rest of serving is ours."""

from __future__ import annotations

from typing import Final

import uvicorn
from starlette.types import ASGIApp

from hub.server.http_protocol import MAX_HEADER_BYTES, HttpProtocol
from hub.server.listener import BACKLOG
from hub.server.websocket_protocol import WebSocketProtocol
from hub.settings import Settings
from protocol import limits

PONG_TIMEOUT_S: Final = limits.PING_TIMEOUT_S - 2.0
"""A frozen peer is gone within 30 s of its last sign of life, teardown included."""
KEEP_ALIVE_S: Final = 15


def configuration(settings: Settings, app: ASGIApp) -> uvicorn.Config:
    """Our protocols and limits; no lifespan (the server's owner runs it), no log of requests, no compression (60 kB a
    connection)."""
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        loop="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        # Who is behind a proxy is decided in hub.web.auth.client_address, which knows IPv4-mapped addresses.
        proxy_headers=False,
        forwarded_allow_ips=list(settings.behind_proxy),
        backlog=BACKLOG,
        ws_max_size=limits.MAX_MESSAGE_BYTES,
        ws_ping_interval=limits.PING_INTERVAL_S,
        ws_ping_timeout=PONG_TIMEOUT_S,
        ws_per_message_deflate=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
