"""However a browser leaves, and whatever it says: the right close code, and no traceback in the log."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocket

from hub.web import sockets
from hub.web.sockets import Ending
from tests.support.browser_client import cookie
from tests.support.hostile_frames import Hostile, hostile
from tests.support.raw_websocket import RawWebSocket
from tests.support.terminal_room import TerminalRoom, terminal_room
from tests.support.until import PATIENCE_S, until

FRAMES = 500
"""On each of the paths."""
FRAMING = {"bad_utf8": 1007, "too_big": 1009, "bottomless_and_big": 1009, "broken_framing": 1002}
"""Ends that no path of ours decides."""
BINARY = {"/ws/dashboard": 1003, "/ws/terminal": 4400, "/ws/tunnel": 4400}
PATHS = (*BINARY, "/ws/device")
"""How a machine's link ends is shown in tests/faults/test_hostile_frames.py; here its peers only leave."""


def left(*sent: dict[str, Any], fails_at: str) -> tuple[WebSocket, list[str]]:
    """A socket whose browser goes as the message of this type is sent."""
    sending: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sending.append(message["type"])
        if message["type"] == fails_at:
            raise OSError

    return WebSocket({"type": "websocket", "headers": []}, receive, send), sending


async def test_a_browser_that_goes_as_it_is_closed_is_no_fault() -> None:
    websocket, sending = left(fails_at="websocket.close")
    await websocket.accept()
    await sockets.close_socket(websocket, Ending(1013, "too slow"))
    await sockets.close_socket(websocket, Ending(1013, "too slow"))
    assert sending == ["websocket.accept", "websocket.close"], "what was found gone is not closed again"


async def test_a_browser_that_has_gone_is_not_closed() -> None:
    websocket, sending = left(fails_at="")
    await websocket.accept()
    await sockets.close_socket(websocket, Ending(None))
    assert sending == ["websocket.accept"]


@pytest.mark.timeout(120)
async def test_wrong_frames_on_every_path_end_with_their_code_and_no_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Without a budget of links: hundreds of one machine are wanted here.
    async with terminal_room(tmp_path, device_frames_per_second=0) as room:
        ends = await asyncio.gather(*(_attacked(room, path, random.Random(path)) for path in PATHS))
        await until(lambda: not room.hub.sockets)
    assert all(answered > FRAMES // 4 for answered in ends[: len(BINARY)]), ends
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


async def _attacked(room: TerminalRoom, path: str, dice: random.Random) -> int:
    """How many of the wrong frames were answered with a close; half of the browsers do not wait for it."""
    answered = 0
    for _ in range(FRAMES):
        one, stays = hostile(dice), path in BINARY and dice.random() < 0.5
        link = await RawWebSocket.open(room.hub.port, path, headers=_credential(room, path))
        try:
            await link.send(one.data)
            if stays:
                code = await asyncio.wait_for(link.until_close(), PATIENCE_S)
                answered += 1
                assert code == _fitting(one, path), (path, one.kind, one.data[:200])
        except OSError:
            """Closed while it was still sending."""
        finally:
            link.drop()
    return answered


def _fitting(one: Hostile, path: str) -> int:
    if one.kind == "binary":
        return BINARY[path]
    return FRAMING.get(one.kind, 4400)


def _credential(room: TerminalRoom, path: str) -> list[tuple[str, str]]:
    if path in ("/ws/device", "/ws/tunnel"):
        return [("Authorization", f"Bearer {room.machine.api_key}")]
    return [("Origin", room.hub.url), *cookie(room.hub, room.hub.admin).items()]
