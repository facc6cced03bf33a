"""A machine's page below /remote/{capability}/: through the whole hub, to a real server, and back."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support.machine_pages import SESSION, Asked, PagesHub, machine_server, pages_hub
from tests.support.until import PATIENCE_S

PAGE = (
    b"<!doctype html><html><head><title>x</title><link href=/a.css></head><body><img src='/cam.jpg'>"
    b'<a href="http://localhost:PORT/b">b</a><a href="//evil.example/">e</a><a href="rel/c">c</a></body></html>'
)


@pytest_asyncio.fixture
async def pages(tmp_path: Path, sqlite_url: str) -> AsyncIterator[PagesHub]:
    async with pages_hub(tmp_path, database_url=sqlite_url) as made:
        yield made


DOCUMENT = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
"""How browsers ask for one where they are called without TLS."""


async def hello(asked: Asked) -> None:
    asked.answer(b"hello", "text/plain")


async def test_a_page_written_for_the_root_stands_below_its_capability(pages: PagesHub) -> None:
    async def page(asked: Asked) -> None:
        asked.answer(PAGE.replace(b"PORT", str(machine.port).encode()))

    async with machine_server(page) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        url = await pages.page(machine.port)
        answer = await browser.get(url + "sub?x=1&y=%2F", headers=DOCUMENT)
        prefix = httpx.URL(url).path.rstrip("/")
        assert machine.asked[0].path == "/sub?x=1&y=%2F"
        assert f"href={prefix}/a.css" in answer.text
        assert f"src='{prefix}/cam.jpg'" in answer.text
        assert f'href="{prefix}/b"' in answer.text
        assert 'href="//evil.example/"' in answer.text
        assert 'href="rel/c"' in answer.text
        script = f'<head><script src="{prefix}/.rvm/same_path.js" data-port="{machine.port}" data-cookies=""></script>'
        assert script in answer.text
        fragment = await browser.get(url, headers={"Sec-Fetch-Dest": "empty"} | DOCUMENT)
        assert f"href={prefix}/a.css" in fragment.text
        assert "same_path.js" not in fragment.text, "a script puts it into a page that has ours"
        shim = await browser.get(f"{url}.rvm/same_path.js")
        assert shim.headers["content-type"].startswith("text/javascript")
        assert "MutationObserver" in shim.text
        assert pages.tunnels.asked == 2 * [(SESSION, "port", {"port": machine.port})]


async def test_the_page_has_no_origin_and_may_reach_itself_alone(pages: PagesHub) -> None:
    async with machine_server(hello) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        url = await pages.page(machine.port)
        headers = (await browser.get(url)).headers
        directives = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert "allow-scripts" in directives["sandbox"]
        assert "same-origin" not in directives["sandbox"]
        assert "top-navigation" not in directives["sandbox"]
        for name in ("default-src", "connect-src", "form-action", "base-uri"):
            assert url in directives[name].split(), name
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "unsafe-none"
        assert headers["cross-origin-resource-policy"] == "cross-origin"
        assert headers["access-control-allow-origin"] == "null"
        assert headers["cache-control"] == "private, no-cache"
        assert "x-frame-options" not in headers


async def test_nothing_of_the_hub_goes_to_the_machine(pages: PagesHub) -> None:
    async with machine_server(hello) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        url = await pages.page(machine.port)
        session = await pages.hub.add_session("operator")
        await browser.post(
            url,
            content=b"{}",
            headers={
                "Cookie": f"rvm_session={session}", "Authorization": f"Bearer {pages.hub.tokens['operator']}",
                "X-Auth-Request-User": "secret", "Referer": url,
                "X-Forwarded-For": "10.0.0.1", "Forwarded": "for=10.0.0.1",
                "Proxy-Authorization": "Basic eA==", "Origin": "null", "X-Own": "kept", "Content-Type": "text/json",
                "Accept-Encoding": "gzip", "Te": "trailers", "X-Real-IP": "1.2.3.4",
            },
        )  # fmt: skip
        got = machine.asked[0].headers
        own = f"127.0.0.1:{machine.port}"
        assert (got["host"], got["origin"], got["x-own"]) == (own, f"http://{own}", "kept")
        assert (got["accept-encoding"], got["connection"], got["content-length"]) == ("identity", "close", "2")
        gone = {"cookie", "authorization", "x-auth-request-user", "referer", "x-forwarded-for", "forwarded", "te",
                "proxy-authorization", "x-real-ip"}  # fmt: skip
        assert not gone & got.keys()
        everything = str(got)
        assert session not in everything
        assert url.split("/")[-2] not in everything


async def test_a_camera_shows_live_and_ends_when_the_browser_leaves(pages: PagesHub) -> None:
    left = asyncio.Event()
    more = asyncio.Event()

    async def camera(asked: Asked) -> None:
        asked.writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=f\r\n\r\n--f one")
        await more.wait()
        asked.writer.write(b"--f two")
        await asked.reader.read()
        left.set()

    async with machine_server(camera) as machine, httpx.AsyncClient(timeout=30) as browser:
        pages.lease(machine.port)
        url = await pages.page(machine.port)
        async with browser.stream("GET", url + "stream") as answer:
            parts = answer.aiter_raw()
            assert await anext(parts) == b"--f one"  # before the second one even exists
            more.set()
            assert await anext(parts) == b"--f two"
        await asyncio.wait_for(left.wait(), PATIENCE_S)


async def test_an_upload_streams_on_while_it_comes(pages: PagesHub) -> None:
    sizes: list[int] = []
    first = asyncio.Event()

    async def take(asked: Asked) -> None:
        size = int(await asked.reader.readline(), 16)
        sizes.append(size)
        await asked.reader.readexactly(size + 2)
        first.set()
        while size := int(await asked.reader.readline(), 16):
            sizes.append(size)
            await asked.reader.readexactly(size + 2)
        asked.answer(str(sum(sizes)).encode(), "text/plain")

    async def parts() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        await asyncio.wait_for(first.wait(), PATIENCE_S)  # the machine has the first part, the second is not sent
        for _ in range(40):
            yield b"y" * 65536

    async with machine_server(take) as machine, httpx.AsyncClient(timeout=30) as browser:
        pages.lease(machine.port)
        answer = await browser.post(await pages.page(machine.port), content=parts())
        assert answer.text == str(1000 + 40 * 65536)


async def test_a_session_that_is_over_opens_nothing_and_ends_what_is_open(pages: PagesHub) -> None:
    async def stream(asked: Asked) -> None:
        asked.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await asked.reader.read()

    async with machine_server(stream) as machine, httpx.AsyncClient(timeout=30) as browser:
        pages.lease(machine.port)
        url = await pages.page(machine.port)
        async with browser.stream("GET", url) as answer:
            parts = answer.aiter_raw()
            assert await anext(parts) == b"data: 1\n\n"
            pages.end_lease()
            assert [part async for part in parts] == []
        unknown = await browser.get(f"{pages.url}/remote/{'x' * 43}/")
        over = await browser.get(url)
        assert (over.status_code, over.text) == (unknown.status_code, unknown.text)
        assert over.status_code == 404
        assert len(pages.tunnels.asked) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "ended"}, {"status": "starting"}, {"admin_id": 999}, {"allow": ("terminal",)}, {"ports": ()},
        {"expires_at": None},
    ],
)  # fmt: skip
async def test_a_capability_is_worth_what_its_session_is_at_this_moment(
    pages: PagesHub, changed: dict[str, object]
) -> None:
    async with machine_server(hello) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        url = await pages.page(machine.port)
        assert (await browser.get(url)).text == "hello"
        if "expires_at" in changed:
            changed = {"expires_at": pages.hub.context.clock() - timedelta(seconds=1)}
        pages.lease(machine.port, **changed)
        assert (await browser.get(url)).status_code == 404
        assert len(machine.asked) == 1


async def test_a_capability_dodges_no_list_of_addresses(pages: PagesHub) -> None:
    async with machine_server(hello) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        url = await pages.page(machine.port)
        pages.let_in("10.0.0.0/8")
        assert (await browser.get(url, headers={"X-Forwarded-For": "10.0.0.1"})).status_code == 403
        assert machine.asked == []


async def test_cookies_of_the_page_stay_at_the_hub_and_come_back_to_the_machine(pages: PagesHub) -> None:
    async def page(asked: Asked) -> None:
        asked.answer(b"", more="Set-Cookie: sid=abc; Path=/; HttpOnly\r\nSet-Cookie: rvm_session=evil; Path=/\r\n")

    async with machine_server(page) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        url = await pages.page(machine.port)
        answer = await browser.get(url)
        assert "set-cookie" not in answer.headers
        await browser.get(url)
        assert machine.asked[1].headers["cookie"] == "sid=abc; rvm_session=evil"


async def test_a_redirect_stays_with_the_page_or_does_not_happen(pages: PagesHub) -> None:
    lead = [""]

    async def page(asked: Asked) -> None:
        asked.answer(b"", status="302 Found", more=f"Location: {lead[0]}\r\n")

    async with machine_server(page) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        url = await pages.page(machine.port)
        prefix = httpx.URL(url).path.rstrip("/")
        for where, expected in (
            ("/login?next=/", f"{prefix}/login?next=/"), ("next", f"{prefix}/next"),
            (f"http://127.0.0.1:{machine.port}/a", f"{prefix}/a"), (f"//localhost:{machine.port}/b", f"{prefix}/b"),
        ):  # fmt: skip
            lead[0] = where
            assert (await browser.get(url)).headers["location"] == expected
        for where in ("http://evil.example/", "//evil.example/x", "javascript:alert(1)", "\\\\evil.example",
                      f"http://127.0.0.1:{machine.port + 1}/", "data:text/html,x", "http://[::1"):  # fmt: skip
            lead[0] = where
            answer = await browser.get(url)
            assert (answer.status_code, "location" in answer.headers) == (502, False), where


async def test_where_a_browser_does_not_follow_it_a_location_is_a_value(pages: PagesHub) -> None:
    async def made(asked: Asked) -> None:
        where = asked.path.partition("?")[2]
        asked.answer(b"made", "text/plain", status="201 Created", more=f"Location: {where}\r\nX-Total-Count: 3\r\n")

    async with machine_server(made) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        url = await pages.page(machine.port)
        elsewhere = await browser.post(f"{url}?http://other.example/1")
        assert (elsewhere.status_code, elsewhere.text) == (201, "made")
        assert elsewhere.headers["location"] == "http://other.example/1"
        assert "x-total-count" in elsewhere.headers["access-control-expose-headers"].split(", ")
        here = await browser.post(f"{url}?/1")
        assert here.headers["location"] == f"{httpx.URL(url).path}1"


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
async def test_a_page_that_comes_packed_unasked_is_unpacked_and_rewritten(pages: PagesHub, packing: str) -> None:
    page = b"<head></head>" + b"<a href='/x'>x</a>" + b" " * 300_000 + b"<p>end"
    packed = (gzip.compress if packing == "gzip" else zlib.compress)(page)

    async def packs(asked: Asked) -> None:
        whole = asked.path != "/half"
        asked.answer(packed if whole else packed[:-9], more=f"Content-Encoding: {packing}\r\n")

    async with machine_server(packs) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        url = await pages.page(machine.port)
        answer = await browser.get(url)
        assert "content-encoding" not in answer.headers
        assert f"<a href='{httpx.URL(url).path}x'>x</a>" in answer.text
        assert answer.text.endswith(" <p>end")
        with pytest.raises(httpx.RemoteProtocolError):
            await browser.get(f"{url}half")


async def test_what_is_packed_otherwise_passes_where_nothing_is_rewritten_and_is_refused_elsewhere(
    pages: PagesHub,
) -> None:
    async def packs(asked: Asked) -> None:
        kind = "image/svg+xml" if asked.path == "/picture" else "text/html"
        asked.answer(b"packed", kind, more="Content-Encoding: br\r\n")

    async with machine_server(packs) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        url = await pages.page(machine.port)
        assert (await browser.get(url)).status_code == 502
        async with browser.stream("GET", f"{url}picture") as picture:
            assert picture.headers["content-encoding"] == "br"
            assert [part async for part in picture.aiter_raw()] == [b"packed"]


async def test_cookies_that_scripts_may_see_are_shown_to_them(pages: PagesHub) -> None:
    async def page(asked: Asked) -> None:
        asked.answer(b"", more='Set-Cookie: csrftoken=a"<b; Path=/\r\nSet-Cookie: sid=secret; HttpOnly\r\n')

    async with machine_server(page) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        answer = await browser.get(await pages.page(machine.port), headers=DOCUMENT)
        assert 'data-cookies="csrftoken=a&quot;&lt;b"' in answer.text
        assert "secret" not in answer.text


async def test_a_page_may_call_itself_across_its_missing_origin(pages: PagesHub) -> None:
    async with machine_server(hello) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        url = await pages.page(machine.port)
        asks = {"Origin": "null", "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-own"}
        answer = await browser.options(url + "api", headers=asks)
        assert answer.status_code == 204
        assert "PUT" in answer.headers["access-control-allow-methods"]
        assert answer.headers["access-control-allow-headers"] == "x-own"
        assert machine.asked == []


@pytest.mark.parametrize(
    ("refused", "status"),
    [("not_running", 502), ("not_declared", 403), ("no_tunnel", 503), ("timeout", 504), ("strange", 502)],
)
async def test_what_the_machine_refuses_is_reported_in_plain_words(pages: PagesHub, refused: str, status: int) -> None:
    pages.lease(5000)
    url = await pages.page(5000)
    pages.tunnels.refuse = refused
    async with httpx.AsyncClient(timeout=60) as browser:
        english = await browser.get(url)
        indonesian = await browser.get(url, headers={"Accept-Language": "id"})
    assert (english.status_code, indonesian.status_code) == (status, status)
    assert "cannot be shown" in english.text
    assert "tidak dapat ditampilkan" in indonesian.text
    assert "sandbox" in english.headers["content-security-policy"]
