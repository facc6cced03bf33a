"""A connection to a loopback port through a stream: real sockets, and listeners that must never hear anything."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from device.kernel.log import Log
from device.remote.session import ports as ports_module
from device.remote.session.ports import NotRunningError, PortServer, connect
from device.texts import texts_in
from tests.support.device_streams import StreamPair, lease, served
from tests.support.until import PATIENCE_S, until

LOG = Log(texts_in("en"), "", {}, io.StringIO())
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def service(answer: Answer, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    listening = await asyncio.start_server(answer, host, port)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write(b"end")
    writer.close()


@contextlib.asynccontextmanager
async def reached(answer: Answer) -> AsyncIterator[tuple[StreamPair, asyncio.Task[None]]]:
    async with service(answer) as port:
        args, session = {"port": port}, lease(ports=(port,))
        async with served(PortServer([port], LOG).serve, "port", args, session) as stream_and_task:
            yield stream_and_task


def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_bytes_go_both_ways_and_each_way_ends_for_itself() -> None:
    async with reached(echo) as (
        stream,
        task,
    ):
        assert stream.info == {"port": stream.args["port"]}
        await stream.hub_send(b"hello")
        await stream.hub_read_until(b"hello")
        await stream.hub_finish()
        assert await stream.hub_read_all() == b"end"
        await asyncio.wait_for(task, PATIENCE_S)
    assert stream.finished
    assert stream.was_reset is None


async def test_ten_megabytes_pass_in_both_directions_at_once() -> None:
    whole = bytes(range(256)) * 40_000
    async with reached(echo) as (stream, _):

        async def upload() -> None:
            await stream.hub_send(whole)
            await stream.hub_finish()

        _, came = await asyncio.gather(upload(), stream.hub_read_all())
    assert came == whole + b"end"


async def test_a_service_that_does_not_read_makes_the_sender_wait() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with reached(deaf) as (stream, _):
        sending = asyncio.ensure_future(stream.hub_send(bytes(64 * 1024 * 1024)))
        before = -1
        while before != stream.untaken or not stream.untaken:
            before = stream.untaken
            await asyncio.sleep(0.1)
        assert not sending.done()
        await stream.hub_reset()
        with contextlib.suppress(Exception):
            await sending


async def test_a_service_that_streams_for_ever_is_live_and_stops_with_the_stream() -> None:
    broken = asyncio.Event()

    async def camera(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"--frame\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        except OSError:
            broken.set()

    async with reached(camera) as (stream, _):
        await stream.hub_read_until(b"--frame\r\n--frame\r\n")
        await stream.hub_reset()
        await asyncio.wait_for(broken.wait(), PATIENCE_S)


async def test_a_service_that_breaks_off_resets_the_stream() -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    async with reached(rude) as (
        stream,
        task,
    ):
        await stream.hub_send(b"xx")
        await asyncio.wait_for(task, PATIENCE_S)
        assert stream.was_reset == "not_running"


CORPUS: list[Any] = [
    "5000", 5000.0, True, None, [5000], {"port": 5000}, "127.0.0.1:5000", "169.254.169.254", -1, 0, 65536, 2**40,
    "5000@10.0.0.1", "http://10.0.0.1", 22, 80, 443, 8001,
]  # fmt: skip


@pytest.mark.parametrize("wanted", CORPUS, ids=repr)
async def test_nothing_but_a_declared_port_is_ever_connected_to(wanted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[object] = []

    async def spy(*where: object, **more: object) -> None:
        connected.append(where)
        raise OSError

    monkeypatch.setattr(asyncio, "open_connection", spy)
    server = PortServer([5000, 5001], LOG)
    async with served(server.serve, "port", {"port": wanted, "host": "10.0.0.1"}, lease(ports=(5000, 5001))) as (
        stream,
        _,
    ):
        assert stream.refused is not None
        assert stream.refused[0] == "not_declared"
    assert connected == []


@pytest.mark.parametrize(
    ("declared", "ports", "allow", "code"),
    [
        ([], True, ("ports",), "not_declared"),
        (True, (), ("ports",), "not_declared"),
        (True, True, ("terminal", "files"), "not_allowed"),
    ],
)
async def test_machine_session_and_permission_must_all_agree(declared: Any, ports: Any, allow: Any, code: str) -> None:
    heard: list[int] = []

    async def listener(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(1)

    async with service(listener) as port:
        server = PortServer([port] if declared else [], LOG)
        session = lease(allow, (port,) if ports else ())
        async with served(server.serve, "port", {"port": port}, session) as (stream, _):
            assert stream.refused is not None
            assert stream.refused[0] == code
        await connect(port)  # the only connection the listener hears of
        await until(lambda: heard)
    assert len(heard) == 1


async def test_a_port_that_nobody_serves_is_not_running() -> None:
    port = unused_port()
    async with served(PortServer([port], LOG).serve, "port", {"port": port}, lease(ports=(port,))) as (stream, _):
        assert stream.refused is not None
        assert stream.refused[0] == "not_running"


async def test_a_connection_to_itself_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel does when a port of its own range is connected to and it has just picked the same for us."""
    real = asyncio.open_connection
    port = unused_port()

    async def to_itself(host: str, where: int, **more: Any) -> Any:
        own = socket.socket()
        own.setblocking(False)
        own.bind((host, where))
        await asyncio.get_running_loop().sock_connect(own, (host, where))
        return await real(sock=own)

    monkeypatch.setattr(asyncio, "open_connection", to_itself)
    with pytest.raises(NotRunningError):
        await connect(port)


async def test_a_service_on_demand_is_started_before_it_is_connected_to() -> None:
    port = unused_port()
    async with contextlib.AsyncExitStack() as stack:

        async def start(wanted: int) -> None:
            assert wanted == port
            await stack.enter_async_context(service(echo, port=port))

        server = PortServer([port], LOG, start)
        async with served(server.serve, "port", {"port": port}, lease(ports=(port,))) as (stream, _):
            assert stream.info == {"port": port}


async def test_a_service_that_cannot_be_started_is_reported_with_the_reason() -> None:
    async def start(port: int) -> None:
        raise NotRunningError("rvm-camera did not come up")

    async with served(PortServer([5000], LOG, start).serve, "port", {"port": 5000}, lease(ports=(5000,))) as (
        stream,
        _,
    ):
        assert stream.refused == ("not_running", "rvm-camera did not come up")


async def test_there_is_an_end_to_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports_module, "MAX_CONNECTIONS", 1)
    async with service(echo) as port:
        server, session = PortServer([port], LOG), lease(ports=(port,))
        async with (
            served(server.serve, "port", {"port": port}, session),
            served(server.serve, "port", {"port": port}, session) as (second, _),
        ):
            assert second.refused is not None
            assert second.refused[0] == "too_many"
        async with served(server.serve, "port", {"port": port}, session) as (third, _):
            assert third.info
