"""WebSockets of a machine's page: both ways, as one message each, and never for anybody but that page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import websockets

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
        async with websockets.connect(url + "ws?x=1", origin="null", subprotocols=offered) as socket:  # type: ignore[arg-type]
            assert socket.subprotocol == "b"
            assert await socket.recv() == f"/ws?x=1 http://127.0.0.1:{port} b"
            for message in ("text \u00e9", b"\x00\xff" * 2000, "", "x" * 60000):
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send("bye")
            assert await socket.recv() == "bye"
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "so long")  # type: ignore[union-attr]


@pytest.mark.parametrize("origin", [None, "http://evil.example", "http://127.0.0.1"])
async def test_a_websocket_that_no_page_of_the_machine_opened_is_refused(pages: PagesHub, origin: str | None) -> None:
    async with machine_server(hello) as machine:
        pages.lease(machine.port)
        url = (await pages.page(machine.port)).replace("http", "ws", 1)
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(url, origin=origin)  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403
        assert machine.asked == []


async def test_a_websocket_ends_with_its_lease(pages: PagesHub) -> None:
    async def stay(socket: websockets.ServerConnection) -> None:
        await socket.send("here")
        await socket.wait_closed()

    async with websockets.serve(stay, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        pages.lease(port)
        url = (await pages.page(port)).replace("http", "ws", 1)
        async with websockets.connect(url, origin="null") as socket:  # type: ignore[arg-type]
            assert await socket.recv() == "here"
            pages.end_lease()
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()
        await until(lambda: all(stream.was_reset for stream in pages.tunnels.streams))
