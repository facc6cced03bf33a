"""How a WebSocket of the dashboard is refused or closed; a browser that has gone meanwhile needs neither."""

from __future__ import annotations

import contextlib
from typing import Final, NamedTuple

import anyio
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

CLOSE_WITHIN_S: Final = 2.0


class Ending(NamedTuple):
    """How the socket is closed; code None: the browser has already gone."""

    code: int | None
    reason: str = ""


async def refuse_socket(websocket: WebSocket, status: int) -> None:
    """An HTTP status in place of the upgrade."""
    await websocket.send_denial_response(PlainTextResponse("", status))


async def close_socket(websocket: WebSocket, ending: Ending) -> None:
    """Send the close frame, unless the browser is gone or goes while it is sent."""
    if ending.code is None or websocket.application_state is WebSocketState.DISCONNECTED:
        return
    with anyio.move_on_after(CLOSE_WITHIN_S), contextlib.suppress(WebSocketDisconnect):
        await websocket.close(ending.code, ending.reason)
