"""The control page over real sockets: who is let in, how long it is there, and requests nobody should send."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from device.control_page import exchange, server
from device.control_page.tickets import issue
from tests.support.machine_page import ServedPage
from tests.support.until import PATIENCE_S, until


@pytest_asyncio.fixture
async def served_page(tmp_path: Path) -> AsyncIterator[ServedPage]:
    page = ServedPage(tmp_path)
    await page.start()
    yield page
    await page.stop()


async def ask(page: ServedPage, method: str = "GET", path: str = "/", **more: object) -> httpx.Response:
    async with httpx.AsyncClient(base_url=page.url, trust_env=False, timeout=60) as client:
        return await client.request(method, path, **more)  # type: ignore[arg-type]


async def raw(page: ServedPage, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", page.sockets[0][1])
    writer.write(data)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
    writer.close()
    return answer


async def test_the_page_and_the_log_are_there_in_the_readers_language(served_page: ServedPage) -> None:
    answer = await ask(served_page, headers={"Accept-Language": "id"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "Mesin rvm-7" in answer.text
    log = await ask(served_page, path="/log.txt")
    assert log.headers["content-type"].startswith("text/plain")
    assert log.text.splitlines() == list(served_page.shown.log)
    assert 'http-equiv="refresh"' in (await ask(served_page, path="/?every=5")).text
    assert (await ask(served_page, "HEAD")).content == b""


async def test_every_answer_forbids_scripts_and_copies(served_page: ServedPage) -> None:
    for path in ("/", "/log.txt", "/nothing"):
        headers = (await ask(served_page, path=path)).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_it_is_only_read(served_page: ServedPage, method: str) -> None:
    answer = await ask(served_page, method)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


async def test_another_path_is_not_there(served_page: ServedPage) -> None:
    for path in ("/x", "/log.txt/", "/..%2fetc/passwd", "/enter"):
        assert (await ask(served_page, path=path)).status_code == 404, path


async def test_a_name_resolved_to_this_machine_by_somebody_else_is_refused(served_page: ServedPage) -> None:
    answer = await ask(served_page, headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert "rvm-7" not in answer.text
    for host in ("localhost:5001", "192.168.1.7", f"{socket.gethostname()}:5001"):
        assert (await ask(served_page, headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"x" * 3_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /enter HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000,
        b"POST /enter HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50),
    ],
)
async def test_what_is_no_request_is_answered_once_and_harms_nobody(served_page: ServedPage, data: bytes) -> None:
    assert (await raw(served_page, data)).startswith(b"HTTP/1.1 400 ")
    assert (await ask(served_page)).status_code == 200


async def test_a_client_that_breaks_off_or_dawdles_holds_nothing(
    served_page: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "EXCHANGE_S", 0.1)
    assert await raw(served_page, b"") == b""
    await raw(served_page, b"GET / HT")
    reader, writer = await asyncio.open_connection("127.0.0.1", served_page.sockets[0][1])
    writer.write(b"GET / HTTP/1.1\r\n")
    assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
    writer.close()
    await until(lambda: served_page._connections == 0)


async def test_many_connections_are_not_held(served_page: ServedPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    writers = [(await asyncio.open_connection("127.0.0.1", served_page.sockets[0][1]))[1] for _ in range(2)]
    await until(lambda: served_page._connections == 2)
    reader, third = await asyncio.open_connection("127.0.0.1", served_page.sockets[0][1])
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
    for writer in (*writers, third):
        writer.close()
    await until(lambda: served_page._connections == 0)
    assert (await ask(served_page)).status_code == 200


async def test_it_listens_from_the_first_start_to_the_last_stop(tmp_path: Path) -> None:
    page = ServedPage(tmp_path)
    assert page.sockets == []
    await page.start()
    await page.start()
    address = page.sockets[0]
    await page.stop()
    assert (await ask(page)).status_code == 200
    await page.stop()
    assert page.sockets == []
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    await page.stop()
    await page.start()
    assert (await ask(page)).status_code == 200
    await page.stop()


async def test_a_port_somebody_else_has_is_logged_and_no_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        page = ServedPage(tmp_path, port=taken.getsockname()[1])
        await page.start()
        assert page.sockets == []
        assert "no control page" in page.said.getvalue()
        await page.stop()


@pytest.mark.parametrize(
    ("bind", "addresses", "always"),
    [
        ("127.0.0.1", ["127.0.0.1"], False),
        ("0.0.0.0", ["0.0.0.0"], True),
        ("192.168.1.5", ["127.0.0.1", "192.168.1.5"], True),
        ("::", ["127.0.0.1", "::"], True),
        ("::1", ["127.0.0.1", "::1"], False),
    ],
)
def test_loopback_is_always_listened_on(tmp_path: Path, bind: str, addresses: list[str], always: bool) -> None:
    rules = server.PageRules(bind, 5001, list, tmp_path, "boot")
    assert rules.addresses == addresses
    assert rules.always == always


def from_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """This computer's own address stands for a foreign one: the socket's peer is looked at here."""
    monkeypatch.setattr(server, "is_loopback", lambda _address: False)


async def test_from_a_network_a_ticket_is_needed_and_is_good_for_one_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_the_network(monkeypatch)
    page = ServedPage(tmp_path, bind="0.0.0.0", networks=["127.0.0.0/8"])
    await page.start()
    ticket = issue(tmp_path, "boot")
    async with httpx.AsyncClient(base_url=page.url, trust_env=False, follow_redirects=True, timeout=60) as browser:
        first = await browser.get("/")
        assert first.status_code == 401
        assert "rvm-7" not in first.text
        assert (await browser.get("/log.txt")).status_code == 401
        wrong = await browser.post("/enter", data={"ticket": "wrong"})
        assert wrong.status_code == 403
        assert "not valid" in wrong.text
        foreign = await browser.post("/enter", data={"ticket": ticket}, headers={"Sec-Fetch-Site": "cross-site"})
        assert foreign.status_code == 403
        entered = await browser.post("/enter", data={"ticket": ticket})
        assert entered.status_code == 200
        assert "Machine rvm-7" in entered.text
        cookie = entered.history[0].headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert (await browser.get("/")).status_code == 200
    async with httpx.AsyncClient(base_url=page.url, trust_env=False, timeout=60) as other:
        assert (await other.post("/enter", data={"ticket": ticket})).status_code == 403
        assert (await other.get("/", headers={"Cookie": "rvm_control=x; ;;=\x7f"})).status_code == 401
    await page.stop()


async def test_an_address_outside_of_admin_ips_sees_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def refuse(peer: str, networks: object) -> bool:
        seen.append(peer)
        return False

    monkeypatch.setattr(server, "is_admitted", refuse)
    page = ServedPage(tmp_path)
    await page.start()
    answer = await ask(page, headers={"X-Forwarded-For": "192.168.1.9"})
    assert answer.status_code == 403
    assert "rvm-7" not in answer.text
    assert seen == ["127.0.0.1"], "the socket's address, whatever a header says"
    await page.stop()
