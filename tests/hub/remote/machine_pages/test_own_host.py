"""A machine's page on a host name of its own: who gets in, what goes to the machine, and that the hub's name is the
hub's in every spelling."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets
from websockets.typing import Origin

from tests.support.machine_pages import Asked, PagesHub, machine_server, pages_hub


@pytest_asyncio.fixture
async def pages(tmp_path: Path, sqlite_url: str) -> AsyncIterator[PagesHub]:
    settings = {"pages_url": "http://pages.test:8001", "public_url": "http://hub.test:8001"}
    async with pages_hub(tmp_path, database_url=sqlite_url, **settings) as made:
        yield made


async def hello(asked: Asked) -> None:
    asked.answer(b"<a href='/x'>hello</a>", more="Set-Cookie: sid=1; Domain=pages.test; Path=/\r\n"
                 "Set-Cookie: rvm_page=evil\r\nSet-Cookie: __Host-rvm_session=evil\r\nX-Accel-Redirect: /etc\r\n"
                 "Service-Worker-Allowed: /\r\nContent-Security-Policy: default-src *\r\n")  # fmt: skip


class Browser:
    """Asks the hub's socket under another host name, as a browser does for which the name leads there."""

    def __init__(self, pages: PagesHub, host: str) -> None:
        self.client = httpx.AsyncClient(base_url=pages.url, headers={"Host": host}, timeout=30)

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return await self.client.request(method, path, **more)


async def opened(pages: PagesHub, port: int) -> tuple[Browser, str, str]:
    """A browser at the page's name, the name's origin, and the ticket."""
    answer = await pages.open(port)
    data = answer.json()["data"]
    assert data["mode"] == "host"
    assert data["enter"] == data["url"] + ".rvm/enter"
    return Browser(pages, httpx.URL(data["url"]).netloc.decode()), data["url"].rstrip("/"), data["ticket"]


async def entered(pages: PagesHub, port: int) -> tuple[Browser, str]:
    browser, origin, ticket = await opened(pages, port)
    answer = await browser.ask("POST", "/.rvm/enter", data={"ticket": ticket})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("rvm_page=")
    assert all(word in cookie for word in ("HttpOnly", "Path=/", "SameSite=lax"))
    assert "Domain" not in cookie
    browser.client.headers["Cookie"] = f"{cookie.partition(';')[0]}; own=1; rvm_session=stolen"
    browser.client.cookies.clear()
    return browser, origin


async def test_a_ticket_opens_the_page_once_and_only_its_own(pages: PagesHub) -> None:
    async with machine_server(hello) as machine, machine_server(hello) as other:
        pages.lease(machine.port, other.port)
        browser, _, ticket = await opened(pages, machine.port)
        assert (await browser.ask("GET", "/")).status_code == 403
        stranger, _, _ = await opened(pages, other.port)
        assert (await stranger.ask("POST", "/.rvm/enter", data={"ticket": ticket})).status_code == 403
        assert (await browser.ask("POST", "/.rvm/enter", data={"ticket": ticket})).status_code == 403, "used up"
        inside, _ = await entered(pages, machine.port)
        assert (await inside.ask("GET", "/a?b")).text == "<a href='/x'>hello</a>"
        assert machine.asked[0].path == "/a?b"
        assert other.asked == []


async def test_the_page_keeps_its_cookies_and_nothing_loosens_its_walls(pages: PagesHub) -> None:
    async with machine_server(hello) as machine:
        pages.lease(machine.port)
        browser, origin = await entered(pages, machine.port)
        answer = await browser.ask("GET", "/", headers={"Authorization": "Basic b3duOjE="})
        assert answer.headers.get_list("set-cookie") == ["sid=1; path=/; samesite=lax"]
        assert not {"x-accel-redirect", "service-worker-allowed", "access-control-allow-origin"} & set(answer.headers)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert f"ws{origin.removeprefix('http')}" in policy
        got = machine.asked[0].headers
        assert ("cookie" in got, got["authorization"]) == (False, "Basic b3duOjE=")
        browser.client.headers["Cookie"] += "; sid=planted; other=planted"
        await browser.ask("GET", "/")
        assert machine.asked[1].headers["cookie"] == "sid=1; rvm_page=evil; __Host-rvm_session=evil"
        token = pages.hub.tokens["operator"]
        await browser.ask("GET", "/", headers={"Authorization": f"Bearer {token}"})
        assert "authorization" not in machine.asked[2].headers


async def test_another_site_can_neither_post_nor_open_a_socket(pages: PagesHub) -> None:
    async with machine_server(hello) as machine:
        pages.lease(machine.port)
        browser, origin = await entered(pages, machine.port)
        for foreign in ({}, {"Origin": "null"}, {"Origin": "http://evil.example"}, {"Origin": "http://pages.test"}):
            assert (await browser.ask("POST", "/", headers=foreign, content=b"x")).status_code == 403
        assert machine.asked == []
        assert (await browser.ask("POST", "/", headers={"Origin": origin}, content=b"x")).status_code == 200
        host, cookie = browser.client.headers["Host"], browser.client.headers["Cookie"]
        port = int(pages.url.rpartition(":")[2])
        for bad in (None, Origin("null"), Origin("http://hub.test:8001")):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(
                    f"ws://{host}/", host="127.0.0.1", port=port, origin=bad,
                    additional_headers={"Cookie": cookie},
                )  # fmt: skip
            assert refused.value.response.status_code == 403


async def test_a_socket_of_the_page_itself_goes_through(pages: PagesHub) -> None:
    async def greet(socket: websockets.ServerConnection) -> None:
        await socket.send("hi")

    async with websockets.serve(greet, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        pages.lease(port)
        browser, origin = await entered(pages, port)
        host, cookie = browser.client.headers["Host"], browser.client.headers["Cookie"]
        hub_port = int(pages.url.rpartition(":")[2])
        async with websockets.connect(
            f"ws://{host}/", host="127.0.0.1", port=hub_port, origin=Origin(origin),
            additional_headers={"Cookie": cookie},
        ) as socket:  # fmt: skip
            assert await socket.recv() == "hi"


async def test_the_hubs_own_name_is_the_hubs_in_every_spelling(pages: PagesHub) -> None:
    async with machine_server(hello) as machine:
        pages.lease(machine.port)
        await entered(pages, machine.port)
        for host in (
            "hub.test:8001", "HUB.Test", "hub.test.", "hub.test.:8001", "hub.test:80",
            "\uff48ub.test", "pages.test", "127.0.0.1", "localhost:8001", "elsewhere.test",
        ):  # fmt: skip
            headers = {b"Host": host.encode("idna")}
            async with httpx.AsyncClient(base_url=pages.url, timeout=60) as client:
                answer = await client.get("/api/health", headers=headers)
            assert answer.json()["data"]["status"] == "ok", host
        assert machine.asked == []


async def test_names_below_the_pages_that_nobody_made_lead_nowhere(pages: PagesHub) -> None:
    async with machine_server(hello) as machine:
        pages.lease(machine.port)
        browser, _ = await entered(pages, machine.port)
        name = browser.client.headers["Host"]
        for host in (name.upper(), name.replace(".test", ".test."), f"x.{name}", "p" + "0" * 32 + ".pages.test",
                     "www.pages.test", "-.pages.test"):  # fmt: skip
            for path in ("/", "/login", "/api/health", "/.rvm/enter"):
                assert (await browser.ask("GET", path, headers={"Host": host})).status_code == 404, (host, path)
        assert machine.asked == []
        pages.end_lease()
        assert (await browser.ask("GET", "/")).status_code == 404


async def test_forms_of_the_hub_may_lead_to_the_pages(pages: PagesHub) -> None:
    async with httpx.AsyncClient(base_url=pages.url, timeout=60) as client:
        policy = (await client.get("/login")).headers["content-security-policy"]
    assert "form-action 'self' http://*.pages.test:8001" in policy
