"""The cases of the Autobahn suite's echo parts 1 to 7, 9 and 10, on our endpoint, and where we differ on purpose.

What differs is listed in docs/protocol.md.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from hub.server.websocket_protocol import MAX_CONTROL_FRAMES_PER_S, MAX_FRAGMENTS
from protocol.limits import MAX_MESSAGE_BYTES
from tests.support.bare_server import BareServer, serving
from tests.support.raw_websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawWebSocket, frame


async def echo(websocket: WebSocket) -> None:
    """What the echo part of the Autobahn suite talks to."""
    await websocket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while (message := await websocket.receive())["type"] == "websocket.receive":
            await websocket.send({**message, "type": "websocket.send"})


@pytest.fixture
async def server() -> AsyncIterator[BareServer]:
    async with serving(Starlette(routes=[WebSocketRoute("/echo", echo)])) as running:
        yield running


def text_of(size: int) -> bytes:
    """Letters of four bytes as far as they go: pieces of them cut letters."""
    return ("\U0001f9f4" * (size // 4)).encode() + b"x" * (size % 4)


def pieces_of(opcode: int, data: bytes, size: int, *between: bytes) -> list[bytes]:
    """One message in fragments of `size`, `between` behind each but the last."""
    starts = range(0, len(data), size)
    made: list[bytes] = []
    for at in starts:
        last = at + size >= len(data)
        made.append(frame(opcode if at == 0 else CONTINUATION, data[at : at + size], fin=last))
        made += [] if last else between
    return made


async def answers(server: BareServer, *frames: bytes, chop: int = 2**20, then: int = 0) -> list[tuple[int, bytes]]:
    """Opcode and data of each frame that comes back, to the close; the frames are sent in chops. After `then` answers
    the peer closes."""
    peer, sent = await RawWebSocket.open(server.port, "/echo"), b"".join(frames)
    for at in range(0, len(sent), chop):
        await peer.send(sent[at : at + chop])
    found: list[tuple[int, bytes]] = []
    while not found or found[-1][0] != CLOSE:
        received = await peer.receive()
        found.append((received.opcode, received.data))
        if len(found) == then:
            await peer.send(closing())
    await peer.until_eof()
    return found


def closing(code: int | None = 1000, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


NORMAL = (CLOSE, struct.pack("!H", 1000))
SIZES = [0, 1, 125, 126, 127, 128, 65535, 65536]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", SIZES)
async def test_a_message_of_any_size_up_to_the_limit_comes_back(server: BareServer, opcode: int, size: int) -> None:
    """Autobahn 1: whole, in chops of 997 bytes, of one byte where that is quick."""
    data = text_of(size)
    for chop in (2**20, 997, *((1,) if size < 200 else ())):
        assert await answers(server, frame(opcode, data), chop=chop, then=1) == [(opcode, data), NORMAL]


@pytest.mark.parametrize(
    ("size", "fragment"), [(65536, 129), (65536, 256), (65536, 1300), (65536, 32768), (128, 1), (512, 1)]
)
async def test_a_message_in_fragments_comes_back_whole_with_control_frames_between(
    server: BareServer, size: int, fragment: int
) -> None:
    """Autobahn 5 and 10: also where a fragment cuts a letter (6)."""
    data = text_of(size)
    assert await answers(server, *pieces_of(TEXT, data, fragment), then=1) == [(TEXT, data), NORMAL]
    few = pieces_of(BINARY, data, max(fragment, size // 8), frame(PING, b"between"), frame(PONG))
    found = await answers(server, *few, then=few.count(frame(PING, b"between")) + 1)
    assert found[-2:] == [(BINARY, data), NORMAL]
    assert set(found[:-2]) == {(PONG, b"between")}


CONTROL: list[tuple[str, list[bytes], list[tuple[int, bytes]]]] = [
    ("2.1", [frame(PING)], [(PONG, b"")]),
    ("2.4", [frame(PING, b"\xfe" * 125)], [(PONG, b"\xfe" * 125)]),
    ("2.7", [frame(PONG), frame(PONG, b"x"), frame(PING, b"y")], [(PONG, b"y")]),
    ("2.10", [frame(PING, bytes([n])) for n in range(10)], [(PONG, bytes([n])) for n in range(10)]),
]


@pytest.mark.parametrize(("case", "frames", "expected"), CONTROL)
async def test_control_frames_are_answered(
    server: BareServer, case: str, frames: list[bytes], expected: list[tuple[int, bytes]]
) -> None:
    for chop in (2**20, 1):
        assert await answers(server, *frames, chop=chop, then=len(expected)) == [*expected, NORMAL], case


def raw(first: int, data: bytes = b"") -> bytes:
    return bytes([first, 0x80 | len(data)]) + b"\0\0\0\0" + data


WRONG: list[tuple[str, list[bytes], int]] = [
    ("2.5", [frame(PING, b"x" * 126)], 1002),
    *((f"3.{bits >> 4}", [raw(0x81 | bits, b"x")], 1002) for bits in range(0x10, 0x80, 0x10)),
    *((f"4.{opcode}", [raw(0x80 | opcode)], 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    ("5.1", [frame(PING, b"x", fin=False), frame(CONTINUATION, b"y")], 1002),
    ("5.2", [frame(PONG, b"x", fin=False), frame(CONTINUATION, b"y")], 1002),
    ("5.9", [frame(CONTINUATION, b"x"), frame(TEXT, b"y")], 1002),
    ("5.12", [frame(CONTINUATION, b"x", fin=False), frame(TEXT, b"y")], 1002),
    ("5.18", [frame(TEXT, b"x", fin=False), frame(TEXT, b"y")], 1002),
    ("6.3", [frame(TEXT, b"\xce\xba\xed\xa0\x80")], 1007),
    ("6.4", [frame(TEXT, b"\xf4\x90", fin=False), frame(CONTINUATION, b"\x80\x80")], 1007),
    ("6.6", [frame(TEXT, b"\xce")], 1007),
    ("7.3.2", [frame(CLOSE, b"x")], 1002),
    ("7.3.6", [closing(1000, b"x" * 124)], 1002),
    ("7.5.1", [closing(1000, b"\xce\xba\xed\xa0\x80")], 1007),
    *((f"7.9.{code}", [closing(code)], 1002) for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)),
    ("deviation: 7.1.5", [frame(TEXT, b"x", fin=False), closing(), frame(CONTINUATION, b"y")], 1002),
    ("deviation: 9.1", [frame(TEXT, b"x" * (MAX_MESSAGE_BYTES + 1))], 1009),
    ("deviation: 9.3", pieces_of(TEXT, b"x" * MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES // MAX_FRAGMENTS - 1), 1008),
    ("deviation: many pings", [frame(PING)] * (MAX_CONTROL_FRAMES_PER_S + 10), 1008),
]


@pytest.mark.parametrize(("case", "frames", "code"), WRONG, ids=[case for case, _, _ in WRONG])
async def test_what_the_protocol_or_our_limits_forbid_closes_with_its_code(
    server: BareServer, case: str, frames: list[bytes], code: int
) -> None:
    found = await answers(server, *frames)
    assert struct.unpack("!H", found[-1][1][:2]) == (code,), case
    assert not [data for opcode, data in found if opcode in (TEXT, BINARY)], case


@pytest.mark.parametrize("code", [None, 1000, 1001, 1002, 1003, 1007, 1009, 1011, 3000, 3999, 4000, 4999])
async def test_a_close_is_answered_with_its_own_code_and_nothing_behind_it(
    server: BareServer, code: int | None
) -> None:
    """Autobahn 7: what comes behind a close is not answered."""
    behind = [frame(PING, b"late"), frame(TEXT, b"late"), closing()]
    (found,) = await answers(server, closing(code, b"" if code is None else b"r" * 123), *behind)
    assert found[1][:2] == (b"" if code is None else struct.pack("!H", code))
