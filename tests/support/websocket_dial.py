"""Knock at a WebSocket route without a socket: was the upgrade accepted, or refused with which status?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette


async def dial(app: Starlette, path: str, headers: Mapping[str, str], address: str = "10.0.0.1") -> int:
    """101 when it was accepted (and left at once), else the HTTP status of the refusal (403 for a bare close)."""
    outcome: list[int] = []
    incoming: list[dict[str, Any]] = [{"type": "websocket.connect"}]
    scope = {
        "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": (address, 40000),
        "server": ("hub.test", 80), "subprotocols": ["myrvm.v2"],
        "headers": [(b"host", b"hub.test"), *((k.lower().encode(), v.encode()) for k, v in headers.items())],
        "extensions": {"websocket.http.response": {}},
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return incoming.pop(0) if incoming else {"type": "websocket.disconnect", "code": 1001, "reason": ""}

    async def send(message: Any) -> None:
        if message["type"] == "websocket.accept":
            outcome.append(101)
        elif message["type"] == "websocket.http.response.start":
            outcome.append(message["status"])
        elif message["type"] == "websocket.close" and not outcome:
            outcome.append(403)

    await app(scope, receive, send)
    return outcome[0]
