"""What a peer may do to an HTTP connection of ours, over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hub.server import http_protocol, transport
from hub.settings import Settings
from hub.web.http.layers import BodyLimit, SecurityHeaders
from tests.support.bare_server import BareServer, serving
from tests.support.raw_websocket import stop_reading
from tests.support.until import until

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
bodies: list[int]


async def home(request: Request) -> Response:
    bodies.append(len(await request.body()))
    return PlainTextResponse("home", headers={"Cache-Control": "max-age=5"} if "kept" in request.query_params else None)


async def large(request: Request) -> Response:
    return PlainTextResponse("x" * 20_000_000)


@pytest.fixture
async def server() -> AsyncIterator[BareServer]:
    global bodies
    bodies = []
    app = Starlette(
        routes=[Route("/", home, methods=["GET", "POST"]), Route("/large", large)],
        middleware=[Middleware(SecurityHeaders, secure=True), Middleware(BodyLimit, limit=1000)],
    )
    async with serving(app) as running:
        yield running


async def ask(port: int, request: bytes) -> bytes:
    """Send it and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    return answer


async def test_a_header_dripped_byte_by_byte_is_cut_in_time(
    server: BareServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEADER_TIMEOUT_S", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    began = time.monotonic()
    answer = asyncio.ensure_future(reader.read())
    drip = iter(GET * 1000)
    while not answer.done():
        writer.write(bytes([next(drip)]))
        await asyncio.wait([answer], timeout=0.02)
    assert answer.result().startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began > 0.2


async def test_the_second_request_on_a_connection_has_the_same_deadline(
    server: BareServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(GET + b"\r\n")
    assert b"200 OK" in await reader.readuntil(b"home")
    monkeypatch.setattr(http_protocol, "HEADER_TIMEOUT_S", 0.2)
    writer.write(b"GET / HT")
    assert (await asyncio.wait_for(reader.read(), 60)).startswith(b"HTTP/1.1 408")


async def test_the_time_out_is_within_the_bar() -> None:
    assert http_protocol.HEADER_TIMEOUT_S + transport.LINGER_S <= 10.0


async def test_a_header_beyond_64_kib_is_refused(server: BareServer) -> None:
    answer = await ask(server.port, GET + b"X-Long: " + b"y" * 70_000)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))


async def test_a_thousand_idle_sockets_do_not_keep_anybody_out(server: BareServer) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(1200)]
    assert b"200 OK" in await ask(server.port, GET + b"Connection: close\r\n\r\n")
    assert len(server.state.pending) <= http_protocol.PLAIN.of_network
    for reader, _ in idle[:200]:  # the oldest made room, long before their time was over
        assert await asyncio.wait_for(_ended(reader), 60)
    for _, writer in idle:
        writer.transport.abort()


async def _ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


async def test_a_body_announced_too_large_is_refused_without_being_read(server: BareServer) -> None:
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100_000
    answer = await ask(server.port, request)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"success":false' in answer
    assert bodies == []


async def test_a_chunked_body_is_cut_where_it_becomes_too_large(server: BareServer) -> None:
    request = (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"190\r\n" + b"x" * 400 + b"\r\n") * 50
    )
    assert (await ask(server.port, request)).startswith(b"HTTP/1.1 413")
    assert bodies == []


async def test_a_body_at_the_limit_is_taken(server: BareServer) -> None:
    request = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000
    assert (await ask(server.port, request)).startswith(b"HTTP/1.1 200")
    assert bodies == [1000]


async def test_a_broken_body_behind_a_begun_answer_ends_without_a_traceback(
    server: BareServer, caplog: pytest.LogCaptureFixture
) -> None:
    request = b"POST /large HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"not a chunk at all\r\n")
    await _ended(reader)
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_peer_that_does_not_read_its_answer_is_torn_down(
    server: BareServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "STALLED_S", 0.3)
    monkeypatch.setattr(transport, "TICK_S", 0.05)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    stop_reading(writer)
    writer.write(GET.replace(b"/ ", b"/large ") + b"\r\n")
    await until(lambda: server.state.connections)
    await until(lambda: not server.state.connections)


async def test_every_answer_carries_the_security_headers_and_keeps_its_own(server: BareServer) -> None:
    answer = await ask(server.port, GET + b"Connection: close\r\n\r\n")
    head = answer.partition(b"\r\n\r\n")[0].decode().lower()
    assert "script-src localhost/static/;" in head
    assert "frame-ancestors 'none'" in head
    assert "x-content-type-options: nosniff" in head
    assert "cache-control: no-store" in head
    assert "strict-transport-security" in head
    assert "server:" not in head
    kept = await ask(server.port, GET.replace(b"/ ", b"/?kept ") + b"Connection: close\r\n\r\n")
    assert b"cache-control: max-age=5" in kept.lower()
    assert b"no-store" not in kept


async def test_cookies_without_end_are_answered_so_that_a_browser_clears_them(server: BareServer) -> None:
    planted = b"Cookie: " + b"b=" + b"x" * (4 * http_protocol.MAX_HEADER_BYTES) + b"\r\n\r\n"
    answer = await ask(server.port, GET + planted)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'clear-site-data: "cookies"\r\n' in answer
    assert b'href="/' not in answer, "it does not know the path below which the hub stands"
    assert b"frame-ancestors 'none'" in answer
    other = await ask(server.port, GET + planted.replace(b"Cookie", b"X-Own"))
    assert other.startswith(b"HTTP/1.1 431 ")
    assert b"clear-site-data" not in other


async def test_below_a_path_only_the_hubs_own_cookies_are_cleared() -> None:
    """Neighbours of the site keep theirs; a machine's page has a name of its own, which nobody shares."""
    settings = Settings(
        base_path="/rvm", public_url="https://hub.example", behind_proxy=("127.0.0.1",),
        pages_url="https://pages.example.net",
    )  # fmt: skip
    planted = b"Cookie: " + b"b=" + b"x" * (4 * http_protocol.MAX_HEADER_BYTES) + b"\r\n\r\n"
    async with serving(Starlette(), settings) as below:
        answer = await ask(below.port, GET + planted)
        page = await ask(below.port, GET.replace(b"localhost", b"abc.PAGES.example.net") + planted)
        without = await ask(below.port, GET + planted.replace(b"Cookie", b"X-Own"))
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"clear-site-data" not in answer
    cleared = [
        SimpleCookie(line.partition(b": ")[2].decode()) for line in answer.split(b"\r\n") if b"set-cookie" in line
    ]
    found = {name: value for cookie in cleared for name, value in cookie.items()}
    assert sorted(found) == ["__Secure-rvm_second_step", "__Secure-rvm_session", "rvm_language", "rvm_theme"]
    assert {(value["path"], value["max-age"], value["secure"]) for value in found.values()} == {("/rvm", "0", True)}
    assert b"whole site by hand" in answer
    assert b"cookie seluruh situs" in answer
    assert b'clear-site-data: "cookies"\r\n' in page
    assert b"set-cookie" not in page + without
