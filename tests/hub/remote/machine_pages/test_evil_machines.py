"""Bar 55: hostile servers on a machine's port, and hostile addresses. Nothing undeclared is ever connected to, nothing
of the hub is given away, and the hub goes on serving."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from hub.remote.machine_pages.http_exchange import MAX_HEADER_BYTES, MAX_HEADER_LINES
from hub.remote.machine_pages.open_pages import OpenPages
from tests.support.machine_pages import Asked, PagesHub, machine_server, pages_hub
from tests.support.until import PATIENCE_S, until

ANSWERS = {
    "not HTTP": b"SSH-2.0-OpenSSH_9\r\n",
    "nothing": b"",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "endless header": b"HTTP/1.1 200 OK\r\nX: " + b"a" * (2 * MAX_HEADER_BYTES),
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MAX_HEADER_BYTES + b"\r\n",
    "a header of a line too many": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (MAX_HEADER_LINES + 1) + b"\r\n",
    "many lines after an interim": b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\n"
    + b"X: y\n" * (MAX_HEADER_LINES + 1)
    + b"\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "header with a NUL": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
    "endless interim": b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "status 600": b"HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n",
    "status 999999": b"HTTP/1.1 999999 X\r\n\r\n",
}


@pytest_asyncio.fixture
async def pages(tmp_path: Path, sqlite_url: str) -> AsyncIterator[PagesHub]:
    async with pages_hub(tmp_path, database_url=sqlite_url) as made:
        yield made


async def hello(asked: Asked) -> None:
    asked.answer(b"hello", "text/plain")


@pytest.mark.parametrize("name", ANSWERS)
async def test_what_is_no_answer_becomes_a_plain_refusal(
    pages: PagesHub, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def evil(asked: Asked) -> None:
        asked.writer.write(ANSWERS[name])

    async with machine_server(evil) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        answer = await browser.get(await pages.page(machine.port))
        assert answer.status_code == 502
        assert (await browser.get(f"{pages.url}/api/health")).status_code == 200
        assert not [line for line in caplog.records if line.exc_info]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
    ],
)
async def test_an_answer_that_breaks_off_is_never_taken_for_whole(pages: PagesHub, answer: bytes) -> None:
    async def evil(asked: Asked) -> None:
        asked.writer.write(answer)

    async with machine_server(evil) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        with pytest.raises(httpx.RemoteProtocolError):
            await browser.get(await pages.page(machine.port))


@contextlib.asynccontextmanager
async def trap() -> AsyncIterator[tuple[int, list[str]]]:
    """A port of this computer that nobody declared; who connects is noted."""
    came: list[str] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(str(writer.get_extra_info("peername")))
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], came
    finally:
        server.close()


HOSTS = (
    "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "017700000001", "[::1]", "[::ffff:127.0.0.1]",
    "0.0.0.0", "169.254.169.254", "[64:ff9b::7f00:1]", "127.0.0.1.nip.example", "user@127.0.0.1",
)  # fmt: skip


async def test_no_address_in_a_request_leads_the_hub_anywhere_else(pages: PagesHub) -> None:
    async with trap() as (forbidden, came), machine_server(hello) as machine:
        pages.lease(machine.port)
        path = httpx.URL(await pages.page(machine.port)).raw_path.decode()
        hub = httpx.URL(pages.url)
        for host in HOSTS:
            target = f"http://{host}:{forbidden}/"
            for line, extra in (
                (f"GET {path}{target}", ""), (f"GET {path}?url={target}", ""), (f"GET {path}//{host}:{forbidden}/", ""),
                (f"GET {path}../../{target}", ""), (f"GET {path}%2e%2e/@{host}:{forbidden}/", ""),
                (f"GET {path}", f"X-Forwarded-Host: {host}:{forbidden}\r\n"), (f"GET {path}:{forbidden}/", ""),
                (f"GET {path}", f"Forwarded: host={host}:{forbidden}\r\n"), (f"CONNECT {host}:{forbidden}", ""),
                (f"GET {target}", ""), (f"GET {path}@{host}:{forbidden}/", ""), (f"OPTIONS {path}{target}", ""),
            ):  # fmt: skip
                request = f"{line} HTTP/1.1\r\nHost: {hub.host}:{hub.port}\r\n{extra}Connection: close\r\n\r\n"
                reader, writer = await asyncio.open_connection(hub.host, hub.port)
                writer.write(request.encode())
                answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
                assert b" 500 " not in answer[:20], request
                writer.close()
        assert came == []
        assert {args["port"] for _, _, args in pages.tunnels.asked} == {machine.port}
        assert {asked.headers["host"] for asked in machine.asked} == {f"127.0.0.1:{machine.port}"}


async def test_no_answer_of_a_machine_leads_the_hub_anywhere_else(pages: PagesHub) -> None:
    async with trap() as (forbidden, came), httpx.AsyncClient(timeout=60) as browser:
        where = [""]

        async def lead(asked: Asked) -> None:
            more = f"Location: {where[0]}\r\nRefresh: 0; url={where[0]}\r\nLink: <{where[0]}>; rel=preload\r\n"
            more += f'Content-Location: {where[0]}\r\nAlt-Svc: h2="127.0.0.1:{forbidden}"\r\n'
            asked.answer(b"<img src='%b'>" % where[0].encode(), status="302 Found", more=more)

        async with machine_server(lead) as machine:
            pages.lease(machine.port)
            url = await pages.page(machine.port)
            for host in HOSTS:
                where[0] = f"http://{host}:{forbidden}/"
                answer = await browser.get(url)
                assert answer.status_code == 502
                assert str(forbidden) not in str(answer.headers)
        assert came == []


async def test_ports_of_the_session_alone_can_be_opened(pages: PagesHub) -> None:
    async with trap() as (forbidden, came), machine_server(hello) as machine:
        pages.lease(machine.port)
        for port in (forbidden, 22, 1, 65535):
            refused = await pages.open(port)
            assert refused.status_code == 422
            assert "port" in refused.json()["errors"]
        for name, status in (("admin", 409), ("technician", 409), ("viewer", 403)):
            assert (await pages.open(machine.port, name)).status_code == status
        assert (await pages.open(machine.port, session_id=99)).status_code == 409
        pages.lease(machine.port, allow=("terminal", "files"))
        assert (await pages.open(machine.port)).status_code == 409
        assert pages.tunnels.asked == []
        assert came == []


async def test_a_page_that_hangs_takes_no_more_than_its_share(pages: PagesHub) -> None:
    hung = asyncio.Event()

    async def hang(asked: Asked) -> None:
        hung.set()
        await asked.reader.read()

    async with machine_server(hang) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        url = await pages.page(machine.port)
        page = next(iter(pages.hub.context[OpenPages]._capabilities.values()))
        asking = [asyncio.create_task(browser.get(url)) for _ in range(3)]
        await asyncio.wait_for(hung.wait(), PATIENCE_S)
        shared = pages.hub.context[OpenPages].of_session(page)
        assert shared.requests.value < 24
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        async with httpx.AsyncClient(timeout=60) as other:
            assert (await other.get(f"{pages.url}/api/health")).status_code == 200


async def test_the_traps_port_is_a_real_one() -> None:
    """The corpus above proves something only because a connection would be noted."""
    async with trap() as (port, came):
        with socket.create_connection(("127.0.0.1", port)):
            await until(lambda: bool(came))
