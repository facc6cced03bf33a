"""One link: every way it can fail to begin, and every way it can end, each named so that the right delay follows."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from device.link import connection
from device.link.connection import HubLink, LinkClosedError, open_link, probe_upgrade
from device.link.rules import End, Kind
from protocol import limits
from protocol import messages as m
from protocol.version import SUBPROTOCOL
from tests.support.fake_hub import KEY, FakeHub, fake_hub


@pytest_asyncio.fixture
async def hub() -> AsyncIterator[FakeHub]:
    async with fake_hub() as running:
        yield running


def hello() -> m.Hello:
    return m.Hello(
        protocol=2, device_id="rvm-1", agent_version="0", boot_id="b", capabilities=[], status="active",
        config_version=0, time="2026-11-23T09:00:00Z",
    )  # fmt: skip


def socket_url(port: int) -> str:
    return f"ws://127.0.0.1:{port}/ws/device"


async def opened(port: int, key: str = KEY) -> HubLink:
    link, _ = await open_link(socket_url(port), key, 5.0, hello)
    return link


async def end_of(attempt: Awaitable[object]) -> End:
    with pytest.raises(LinkClosedError) as closed:
        await asyncio.wait_for(attempt, 60)
    return closed.value.end


@contextlib.asynccontextmanager
async def raw_server(
    serve_one: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A server below HTTP; yields its port."""
    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def websocket_server(handler: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[int]:
    """A server that speaks our subprotocol and nothing of our protocol by itself."""
    protocols = [Subprotocol(SUBPROTOCOL)]
    async with serve(handler, "127.0.0.1", 0, subprotocols=protocols, ping_interval=None, close_timeout=0.2) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        end = await end_of(opened(free.getsockname()[1]))
    assert end.kind is Kind.UNREACHABLE


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Kind.REFUSED), (403, Kind.REFUSED), (429, Kind.REFUSED), (503, Kind.REFUSED), (502, Kind.REFUSED),
     (200, Kind.UPGRADE_FAILED), (400, Kind.UPGRADE_FAILED), (404, Kind.UPGRADE_FAILED), (426, Kind.UPGRADE_FAILED)],
)  # fmt: skip
async def test_an_answer_to_the_upgrade_is_named_by_its_status(hub: FakeHub, status: int, kind: Kind) -> None:
    hub.refuse_with = status
    end = await end_of(opened(hub.port))
    assert (end.kind, end.code) == (kind, status)


async def test_retry_after_is_carried_along() -> None:
    async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Busy\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(busy) as port:
        assert (await end_of(opened(port))).wait_s == 17


async def test_a_redirect_is_never_followed_and_sees_no_key(hub: FakeHub) -> None:
    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        location = f"ws://127.0.0.1:{hub.port}/ws/device".encode()
        writer.write(b"HTTP/1.1 307 Away\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(elsewhere) as port:
        assert (await end_of(opened(port))).kind is Kind.UPGRADE_FAILED
    assert hub.requests == []


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 101 Sure\r\n\r\n", b"\0" * 100])
async def test_what_is_no_websocket_is_a_failed_upgrade(answer: bytes) -> None:
    async def strange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with raw_server(strange) as port:
        assert (await end_of(opened(port))).kind is Kind.UPGRADE_FAILED


async def test_a_server_of_another_subprotocol_is_not_our_hub() -> None:
    async def idle(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(idle, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        end = await end_of(opened(port))
    assert (end.kind, "myrvm.v2" in end.detail) == (Kind.UPGRADE_FAILED, True)


async def test_a_hub_that_explains_before_it_closes_is_quoted() -> None:
    async def refuse(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send('{"type":"error","code":"no_common_version","message":"speak 9"}')
        await connection.close(4426, "x")

    async with websocket_server(refuse) as port:
        end = await end_of(opened(port))
    assert (end.kind, end.code, end.detail, end.live_s) == (Kind.CLOSED, 4426, "no_common_version: speak 9", 0.0)


async def test_a_hub_that_does_not_welcome_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(connection: ServerConnection) -> None:
        await connection.wait_closed()

    monkeypatch.setattr(connection, "WELCOME_TIMEOUT_S", 0.1)
    async with websocket_server(silent) as port:
        assert (await end_of(opened(port))).detail == "the hub does not welcome"


@pytest.mark.parametrize("code", [1000, 1012, 1013, 4400, 4401, 4403, 4409])
async def test_a_live_link_ends_with_the_hubs_code(hub: FakeHub, code: int) -> None:
    link = await opened(hub.port)
    await hub.link.socket.close(code, "as told")
    end = await end_of(link.receive())
    assert (end.kind, end.code) == (Kind.CLOSED, code)
    assert end.live_s > 0


async def test_a_link_that_breaks_has_no_code(hub: FakeHub) -> None:
    link = await opened(hub.port)
    hub.link.socket.transport.abort()
    assert (await end_of(link.receive())).code is None


async def test_a_frame_that_breaks_the_protocol_ends_the_link(hub: FakeHub) -> None:
    link = await opened(hub.port)
    await hub.link.socket.send(b"binary")
    end = await end_of(link.receive())
    assert end.kind is Kind.CLOSED
    await hub.link.socket.wait_closed()
    assert hub.link.socket.close_code == 1003


async def test_what_we_do_not_understand_is_answered_and_passed_over(hub: FakeHub) -> None:
    link = await opened(hub.port)
    await hub.link.socket.send('{"type":"weather"}')
    await hub.link.socket.send('{"type":"live","interval":"often"}')
    await hub.link.say(m.Live(interval=1))
    assert await link.receive() == m.Live(interval=1)
    await hub.until(lambda: len(hub.link.of(m.Error)) == 2)
    assert [error.code for error in hub.link.of(m.Error)] == ["unsupported", "invalid"]
    await link.close()


async def test_a_hub_that_freezes_is_noticed_by_its_silence(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PING_INTERVAL_S", 0.1)
    monkeypatch.setattr(limits, "PING_TIMEOUT_S", 0.2)
    link = await opened(hub.port)
    hub.link.socket.transport.pause_reading()
    end = await end_of(link.receive())
    assert end.kind is Kind.CLOSED
    assert limits.PING_INTERVAL_S + limits.PING_TIMEOUT_S + connection.CLOSE_TIMEOUT_S < 40


async def test_a_hub_that_freezes_while_we_send_is_noticed_by_the_send(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SEND_TIMEOUT_S", 0.3)
    link = await opened(hub.port)
    hub.link.socket.transport.pause_reading()

    async def pour() -> None:
        while True:
            await link.send(m.Event(seq=1, code="x", params={"text": "y" * 60_000}, timestamp="2026-11-23T09:00:00Z"))

    end = await end_of(pour())
    assert (end.kind, end.detail) == (Kind.CLOSED, "the hub does not read")


async def test_the_doctors_probe_shows_no_key(hub: FakeHub) -> None:
    assert await probe_upgrade(socket_url(hub.port), 5.0) is None
    hub.refuse_with = 404
    assert await probe_upgrade(socket_url(hub.port), 5.0) == "HTTP 404"
    assert hub.links == []
