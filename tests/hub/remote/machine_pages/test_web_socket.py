"""WebSockets of a machine's page: both ways, as one message each, and never for anybody but that page."""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio
import websockets
from websockets.frames import Frame, Opcode
from websockets.typing import Origin

from hub.remote.machine_pages.headers import CookieJar
from hub.remote.machine_pages.open_pages import PageTurns, SessionTurns
from hub.remote.machine_pages.proxy_request import ProxyRequest
from hub.remote.machine_pages.web_socket import MAX_BROWSER_MESSAGE_BYTES, _MachineSocket
from hub.remote.tunnel.tunnel import MachineStream
from tests.support.machine_pages import Asked, PagesHub, machine_server, pages_hub
from tests.support.until import until


@pytest_asyncio.fixture
async def pages(tmp_path: Path, sqlite_url: str) -> AsyncIterator[PagesHub]:
    async with pages_hub(tmp_path, database_url=sqlite_url) as made:
        yield made


async def hello(asked: Asked) -> None:
    asked.answer(b"hello", "text/plain")


async def test_websockets_go_both_ways(pages: PagesHub) -> None:
    async def echo(socket: websockets.ServerConnection) -> None:
        assert socket.request is not None
        await socket.send(f"{socket.request.path} {socket.request.headers['Origin']} {socket.subprotocol}")
        async for message in socket:
            await socket.send(message)
            if message == "bye":
                await socket.close(4001, "so long")

    async with websockets.serve(echo, "127.0.0.1", 0, subprotocols=[websockets.Subprotocol("b")]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        pages.lease(port)
        url = (await pages.page(port)).replace("http", "ws", 1)
        offered = [websockets.Subprotocol("a"), websockets.Subprotocol("b")]
        async with websockets.connect(url + "ws?x=1", origin=Origin("null"), subprotocols=offered) as socket:
            assert socket.subprotocol == "b"
            assert await socket.recv() == f"/ws?x=1 http://127.0.0.1:{port} b"
            for message in ("text \u00e9", b"\x00\xff" * 2000, "", "x" * 60000):
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send("bye")
            assert await socket.recv() == "bye"
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (4001, "so long")


async def test_a_message_of_a_megabyte_passes_and_a_longer_one_closes_the_socket(pages: PagesHub) -> None:
    async def echo(socket: websockets.ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        pages.lease(port)
        url = (await pages.page(port)).replace("http", "ws", 1)
        async with websockets.connect(url, origin=Origin("null"), max_size=None) as socket:
            for message in (b"\x00" * 65_537, "\u00e9" * (MAX_BROWSER_MESSAGE_BYTES // 2)):
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send(b"x" * (MAX_BROWSER_MESSAGE_BYTES + 1))
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 1009


async def test_a_message_in_countless_pieces_costs_its_bytes(pages: PagesHub) -> None:
    piece = b"\x00\x02ab"  # a fragment that is not the last, of two bytes
    nothing = b"\x00\x00"

    async def flood(asked: Asked) -> None:
        key = asked.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        proof = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        head = f"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {proof}\r\n\r\n"
        asked.writer.write(head.encode() + b"\x02\x01a" + piece * 10_000 + nothing * 10_000 + b"\x80\x01z")
        await asked.writer.drain()
        await asked.reader.read(1)

    async with machine_server(flood) as machine:
        pages.lease(machine.port)
        url = (await pages.page(machine.port)).replace("http", "ws", 1)
        async with websockets.connect(url, origin=Origin("null")) as socket:
            assert await socket.recv() == b"a" + b"ab" * 10_000 + b"z"


def test_pieces_of_a_message_are_not_kept_one_by_one() -> None:
    async def nowhere() -> MachineStream:
        raise AssertionError

    turns = SessionTurns(PageTurns())
    terms = ProxyRequest(nowhere, 5000, b"/", "", [], CookieJar(), turns, False, lambda: datetime.now(timezone.utc))
    socket = _MachineSocket(terms, cast(MachineStream, None), [])
    socket._whole(Frame(Opcode.BINARY, b"", fin=False))
    for _ in range(100_000):
        assert socket._whole(Frame(Opcode.CONT, b"", fin=False)) is None
    assert sys.getsizeof(socket._parts) < 1000
    assert socket._whole(Frame(Opcode.CONT, b"z")) == (b"z",)


@pytest.mark.parametrize("origin", [None, "http://evil.example", "http://127.0.0.1"])
async def test_a_websocket_that_no_page_of_the_machine_opened_is_refused(
    pages: PagesHub, origin: Origin | None
) -> None:
    async with machine_server(hello) as machine:
        pages.lease(machine.port)
        url = (await pages.page(machine.port)).replace("http", "ws", 1)
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(url, origin=origin)
        assert refused.value.response.status_code == 403
        assert machine.asked == []


async def test_a_websocket_ends_with_its_session(pages: PagesHub) -> None:
    async def stay(socket: websockets.ServerConnection) -> None:
        await socket.send("here")
        await socket.wait_closed()

    async with websockets.serve(stay, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        pages.lease(port)
        url = (await pages.page(port)).replace("http", "ws", 1)
        async with websockets.connect(url, origin=Origin("null")) as socket:
            assert await socket.recv() == "here"
            pages.end_lease()
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()
        await until(lambda: all(stream.was_reset for stream in pages.tunnels.streams))
