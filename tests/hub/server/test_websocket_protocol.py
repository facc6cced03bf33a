"""What a peer may do to a WebSocket of ours, over real sockets: each abuse ends in its close code, at little cost."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from hub.server import transport, websocket_protocol
from protocol.limits import MAX_MESSAGE_BYTES
from tests.support.bare_server import BareServer, serving
from tests.support.raw_websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawWebSocket,
    frame,
    memory_bytes,
    stop_reading,
    upgrade,
)
from tests.support.until import until

ended: asyncio.Queue[int]
heard: asyncio.Queue[Any]
gate: asyncio.Event


async def listen(websocket: WebSocket) -> None:
    """Takes every message down; reads only while `gate` is open."""
    await websocket.accept()
    while True:
        await gate.wait()
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            await ended.put(message["code"])
            return
        await heard.put(message.get("text") if message.get("text") is not None else message.get("bytes"))


async def flood(websocket: WebSocket) -> None:
    """Sends as long as somebody takes it."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_text("x" * 60_000)
    except WebSocketDisconnect:
        await ended.put(0)


async def hesitate(websocket: WebSocket) -> None:
    """Lets the peer in only when `gate` opens."""
    await gate.wait()
    await websocket.accept()
    await heard.put((await websocket.receive())["text"])


async def dismiss(websocket: WebSocket) -> None:
    await websocket.accept()
    await gate.wait()
    await websocket.close(4409, "replaced")


@pytest.fixture
async def server() -> AsyncIterator[BareServer]:
    global ended, heard, gate
    ended, heard, gate = asyncio.Queue(), asyncio.Queue(), asyncio.Event()
    gate.set()
    routes = [WebSocketRoute("/" + f.__name__, f) for f in (listen, flood, hesitate, dismiss)]
    async with serving(Starlette(routes=routes)) as running:
        yield running


async def test_a_message_of_64_kib_arrives_and_one_byte_more_closes_with_1009(server: BareServer) -> None:
    peer = await RawWebSocket.open(server.port, "/listen")
    await peer.send(frame(TEXT, b"x" * MAX_MESSAGE_BYTES))
    assert len(await heard.get()) == MAX_MESSAGE_BYTES
    await peer.send(frame(TEXT, b"x" * (MAX_MESSAGE_BYTES + 1)))
    assert await peer.until_close() == 1009
    assert await ended.get() == 1009


async def test_a_message_too_big_in_fragments_closes_with_1009(server: BareServer) -> None:
    peer = await RawWebSocket.open(server.port, "/listen")
    part = b"x" * (MAX_MESSAGE_BYTES // 2)
    await peer.send(frame(TEXT, part, fin=False), frame(CONTINUATION, part, fin=False), frame(CONTINUATION, b"x"))
    assert await peer.until_close() == 1009


async def test_a_huge_announced_length_closes_with_1009_before_anything_is_kept(server: BareServer) -> None:
    peer = await RawWebSocket.open(server.port, "/listen")
    await peer.send(bytes([0x81, 0x80 | 127]) + struct.pack("!Q", 2**40) + b"\0\0\0\0")
    assert await peer.until_close() == 1009


async def test_invalid_utf8_closes_with_1007_and_leaves_no_traceback(
    server: BareServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    peer = await RawWebSocket.open(server.port, "/listen")
    await peer.send(frame(TEXT, b"fine"), frame(TEXT, b"\xff\xfe"))
    assert await heard.get() == "fine"
    assert await peer.until_close() == 1007
    assert await ended.get() == 1007
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING or record.exc_info]


async def test_messages_before_a_broken_frame_in_the_same_packet_are_still_handled(server: BareServer) -> None:
    peer = await RawWebSocket.open(server.port, "/listen")
    await peer.send(frame(TEXT, b"one"), frame(TEXT, b"two"), frame(0x3))
    assert [await heard.get(), await heard.get()] == ["one", "two"]
    assert await peer.until_close() == 1002


async def test_a_binary_message_reaches_the_application_as_bytes(server: BareServer) -> None:
    peer = await RawWebSocket.open(server.port, "/listen")
    await peer.send(frame(BINARY, b"\x00\x01"))
    assert await heard.get() == b"\x00\x01"


async def test_an_endless_row_of_empty_fragments_closes_with_1008(server: BareServer) -> None:
    peer = await RawWebSocket.open(server.port, "/listen")
    await peer.send(frame(TEXT, fin=False), frame(CONTINUATION, fin=False) * 600)
    assert await peer.until_close() == 1008


async def test_a_message_in_many_fragments_is_put_together(server: BareServer) -> None:
    peer = await RawWebSocket.open(server.port, "/listen")
    await peer.send(frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b", fin=False) * 500, frame(CONTINUATION, b"c"))
    assert await heard.get() == "a" + "b" * 500 + "c"


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_a_flood_of_control_frames_closes_with_1008_and_costs_no_memory(server: BareServer, opcode: int) -> None:
    peer = await RawWebSocket.open(server.port, "/listen")
    gc.collect()
    before = memory_bytes()
    with contextlib.suppress(ConnectionError):
        for _ in range(100):  # a million of them
            peer.writer.write(frame(opcode, b"") * 10_000)
            await peer.writer.drain()
    assert await ended.get() == 1008
    assert memory_bytes() - before < 20 * 2**20
    peer.drop()


@pytest.mark.parametrize(
    "frames",
    [
        [*websocket_protocol.packed_frames([b"x" * 60_000, b"", b"last"])],
        [websocket_protocol.packed_head(b"x" * 59_999), websocket_protocol.packed_rest(b"xlast")],
    ],
)
def test_a_packed_message_is_whole_as_rfc_7692_has_it(frames: list[bytes]) -> None:
    assert [one[0] for one in frames] == [0x41, *[0x00] * (len(frames) - 2), 0x80]
    heads = [{126: 4, 127: 10}.get(one[1], 2) for one in frames]
    reader = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    payload = b"".join(one[head:] for one, head in zip(frames, heads, strict=False))
    assert reader.decompress(payload + b"\x00\x00\xff\xff") == b"x" * 60_000 + b"last"
    reader.decompress(b"\x01\x00\x00\xff\xff")
    assert reader.eof, "between two blocks, and so at the end of the message"


async def test_a_few_pings_are_answered(server: BareServer) -> None:
    peer = await RawWebSocket.open(server.port, "/listen")
    await peer.send(*(frame(PING, bytes([n])) for n in range(10)))
    assert [(await peer.receive()).data for _ in range(10)] == [bytes([n]) for n in range(10)]


async def test_what_the_application_does_not_read_is_bounded_and_then_arrives_in_order(server: BareServer) -> None:
    gate.clear()
    peer = await RawWebSocket.open(server.port, "/listen")
    sending = asyncio.ensure_future(peer.send(*(frame(TEXT, b"%06d" % n) for n in range(50_000))))
    (connection,) = connections_of(server)
    await until(lambda: connection.read_paused)
    assert connection.queue.qsize() <= websocket_protocol.MAX_UNREAD_MESSAGES + websocket_protocol.SLICE // 12
    gate.set()
    for n in range(50_000):
        assert await heard.get() == f"{n:06d}"
    await sending


def connections_of(server: BareServer) -> list[Any]:
    return [c for c in server.state.connections if isinstance(c, websocket_protocol.WebSocketProtocol)]


async def test_no_frame_is_looked_at_before_the_application_let_the_peer_in(server: BareServer) -> None:
    gate.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(upgrade("/hesitate"))
    await writer.drain()
    await until(lambda: connections_of(server))
    writer.write(frame(PING, b"early") + frame(TEXT, b"hello"))
    await writer.drain()
    other = await RawWebSocket.open(server.port, "/listen-not", expect=b" 403 ")  # the server has looked around
    gate.set()
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101")
    assert await heard.get() == "hello"
    writer.close()
    other.drop()


@pytest.mark.parametrize(
    "request_bytes",
    [
        upgrade("/listen", method="POST"),
        upgrade("/listen", headers=[(f"X-{n}", "y") for n in range(200)]),
        upgrade("/listen", headers=[("X-Long", "y" * 10_000)]),
        upgrade("/" + "x" * 10_000),
        upgrade("/listen").replace(b"Sec-WebSocket-Key", b"Sec-WebSocket-Kez"),
        upgrade("/listen").replace(b"Version: 13", b"Version: 8"),
    ],
    ids=["wrong method", "200 headers", "a long header", "a long path", "no key", "another version"],
)
async def test_an_impossible_upgrade_is_answered_and_closed(server: BareServer, request_bytes: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request_bytes)
    answer = await asyncio.wait_for(reader.read(), 60)
    assert answer.startswith((b"HTTP/1.1 4",)), answer
    writer.close()


async def test_a_peer_that_stops_reading_is_torn_down(server: BareServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "STALLED_S", 0.3)
    monkeypatch.setattr(transport, "TICK_S", 0.05)
    peer = await RawWebSocket.open(server.port, "/flood")
    stop_reading(peer.writer)
    assert await asyncio.wait_for(ended.get(), 60) == 0
    peer.drop()


async def test_a_peer_that_reads_slowly_is_left_alone(server: BareServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "STALLED_S", 1.5)
    monkeypatch.setattr(transport, "TICK_S", 0.05)
    peer = await RawWebSocket.open(server.port, "/flood")
    loop = asyncio.get_running_loop()
    ends = loop.time() + 3.0
    while loop.time() < ends:
        await peer.receive()
    assert ended.empty()
    peer.drop()
    assert await ended.get() == 0


async def test_a_silent_peer_is_cut_without_waiting_for_its_buffer(
    server: BareServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.config.ws_ping_interval, server.config.ws_ping_timeout = 0.1, 0.2
    peer = await RawWebSocket.open(server.port, "/listen")
    assert (await peer.receive()).opcode == PING
    assert await asyncio.wait_for(ended.get(), 60) == 1005
    peer.drop()


async def test_a_peer_is_not_blamed_for_silence_while_we_do_not_read_it(server: BareServer) -> None:
    server.config.ws_ping_interval, server.config.ws_ping_timeout = 0.05, 0.1
    gate.clear()
    peer = await RawWebSocket.open(server.port, "/listen")
    await peer.send(*(frame(TEXT, b"y" * 1000) for _ in range(200)))
    for _ in range(6):  # six pings unanswered: three times the time-out
        while (await peer.receive()).opcode != PING:
            pass
    gate.set()
    for _ in range(200):
        assert await heard.get() == "y" * 1000
    assert ended.empty()
    peer.drop()


async def test_our_close_reaches_a_peer_that_answers_behind_unread_messages(server: BareServer) -> None:
    gate.clear()
    peer = await RawWebSocket.open(server.port, "/dismiss")
    (connection,) = connections_of(server)
    await peer.send(*(frame(TEXT, b"short") for _ in range(10_000)))
    await until(lambda: connection._unparsed)
    gate.set()
    assert await peer.until_close() == 4409
    await peer.send(frame(CLOSE, struct.pack("!H", 4409)))
    await asyncio.wait_for(peer.until_eof(), 60)


async def test_a_peer_that_never_answers_our_close_is_let_go(
    server: BareServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_protocol, "CLOSE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(transport, "LINGER_S", 0.1)
    monkeypatch.setattr(transport, "TICK_S", 0.05)
    peer = await RawWebSocket.open(server.port, "/dismiss")
    assert await peer.until_close() == 4409
    await until(lambda: not connections_of(server))
    peer.drop()


async def test_ending_the_server_survives_connections_in_every_state(server: BareServer) -> None:
    gate.clear()
    live = await RawWebSocket.open(server.port, "/listen")
    leaving = await RawWebSocket.open(server.port, "/listen")
    await leaving.send(frame(CLOSE, struct.pack("!H", 1000)))
    assert await leaving.until_close() == 1000
    for connection in connections_of(server):
        connection.shutdown()
    assert await live.until_close() == 1012
    gate.set()
    live.drop()
    leaving.drop()
