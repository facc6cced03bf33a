"""A machine's own page in a real browser: live pictures and its own addresses in the sandbox, and a host of its own."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets
from playwright.async_api import Browser, Page, expect
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Protocol, Side

from tests.support.browser import Tab, tab
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.free_ports import free_port
from tests.support.hub_people import MachineKey
from tests.support.machine_pages import Asked, machine_server
from tests.support.remote_machine import remote_machine
from tests.support.remote_operator import RemoteOperator

PAGE = b"""<!doctype html><title>Panel</title><h1></h1><p></p><script>
fetch('/x').then((answer) => answer.text()).then((text) => { document.querySelector('h1').textContent = text; });
const socket = new WebSocket('ws://' + location.host + '/ws');
socket.onmessage = (event) => { document.querySelector('p').textContent = event.data; };
document.cookie = 'own=1; path=/';
</script>"""
MODERN = b"""<!doctype html><html><head><title>Panel</title>
<script type="importmap">{"imports": {"lib": "/lib.js"}}</script>
</head><body><a href="/../x">x</a><script type="module" src="/main.js"></script></body></html>"""
MODULES = {
    "/main.js": b"import { name } from '/deep/dep.js'; window.fixed = name;",
    "/deep/dep.js": b"import '/side.js'; export const name = 'dep';",
    "/side.js": b"window.side = true;",
    "/mod.js": b"export const name = 'mod';",
    "/lib.js": b"export const name = 'lib';",
}
DOES = """async () => {
  const found = {};
  const headers = { 'X-CSRFToken': 't', 'HX-Request': 'true' };
  const asked = new Request('/p?q', { method: 'POST', body: 'abc', headers });
  const answer = await fetch(asked);
  found.posted = await answer.json();
  found.total = answer.headers.get('X-Total-Count');
  const changed = await fetch(new Request('/p', { method: 'PUT', body: 'x' }), { method: 'POST', body: 'y' });
  found.again = (await changed.json()).body;
  found.computed = (await import('/' + 'mod.js')).name;
  found.mapped = (await import('lib')).name;
  found.fixed = [window.fixed, window.side];
  localStorage.setItem('a', '1');
  localStorage.b = 2;
  found.storage = [localStorage.a, localStorage.getItem('b'), 'a' in localStorage,
    Object.keys(localStorage).sort().join(), localStorage.length,
    localStorage.missing === undefined, JSON.stringify(localStorage)];
  delete localStorage.a;
  found.storage.push(localStorage.getItem('a'), localStorage instanceof Storage);
  localStorage.clear();
  found.cookies = document.cookie.split('; ').filter((pair) => !pair.startsWith('own=')).join('; ');
  found.sizes = await new Promise((done, failed) => {
    const socket = new WebSocket(`ws://${location.host}/ws`), sizes = [];
    socket.onopen = () => [65536, 65537, 1000000].forEach((size) => socket.send('x'.repeat(size)));
    socket.onmessage = (event) => sizes.push(Number(event.data)) === 3 && done(sizes);
    socket.onclose = (event) => failed(new Error(`closed ${event.code}`));
  });
  found.fragment = await (await fetch('/fragment')).text();
  history.pushState({}, '', '/deep/shown?x=1');
  return found;
}"""
POSTS = """() => {
  document.body.innerHTML = '<form method="post"><button name="a" value="1">go</button></form>';
  document.forms[0].action = '/p';
}"""
PICTURES = """async (image) => {
  const paper = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const seen = new Set(), ends = performance.now() + 15000;
  while (seen.size < 2 && performance.now() < ends) {
    paper.drawImage(image, 0, 0, 80, 45);
    const { data } = paper.getImageData(0, 0, 80, 45);
    if (data.some((value) => value > 0 && value < 255)) seen.add(data.join());
    await new Promise(requestAnimationFrame);
  }
  return seen.size;
}"""


@asynccontextmanager
async def panel() -> AsyncIterator[int]:
    """What a machine serves: a page that asks its own server by addresses at the root."""

    def answer(connection: websockets.ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/ws":
            return None
        found = {"/": ("text/html", PAGE), "/x": ("text/plain", b"x of the machine")}.get(path, ("text/plain", b""))
        kind = Headers({"Content-Type": found[0], "Content-Length": str(len(found[1])), "Connection": "close"})
        return Response(200, "OK", kind, found[1])

    async def greet(socket: websockets.ServerConnection) -> None:
        await socket.send("a socket of the machine")
        await socket.wait_closed()

    async with websockets.serve(greet, "127.0.0.1", 0, process_request=answer) as server:
        yield int(next(iter(server.sockets)).getsockname()[1])


async def modern(asked: Asked) -> None:
    """A page with modules, requests made as objects, large messages and cookies of both kinds."""
    if asked.path == "/ws":
        await count(asked)
    elif asked.path == "/fragment":
        asked.answer(b"<b>part</b>")
    elif asked.path in MODULES:
        asked.answer(MODULES[asked.path], "text/javascript")
    elif asked.path.startswith("/p"):
        body = (await asked.body()).decode()
        told = {name: asked.headers.get(name) for name in ("x-csrftoken", "hx-request", "cookie")}
        asked.answer(json.dumps({"body": body, **told}).encode(), "application/json", more="X-Total-Count: 7\r\n")
    else:
        packed, pack = (gzip.compress(MODERN), "Content-Encoding: gzip\r\n")
        asked.answer(packed, more=f"{pack}Set-Cookie: csrftoken=c\r\nSet-Cookie: sid=s; HttpOnly\r\n")


async def count(asked: Asked) -> None:
    """A WebSocket that answers each message with its size."""
    key = asked.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    proof = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    head = f"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {proof}\r\n\r\n"
    asked.writer.write(head.encode())
    protocol, size = Protocol(Side.SERVER, max_size=None), 0
    while data := await asked.reader.read(65536):
        protocol.receive_data(data)
        for frame in protocol.events_received():
            if isinstance(frame, Frame) and frame.opcode in (Opcode.TEXT, Opcode.CONT):
                size += len(frame.data)
                if frame.fin:
                    protocol.send_text(str(size).encode())
                    size = 0
        for out in protocol.data_to_send():
            asked.writer.write(out)


@asynccontextmanager
async def machine_of(
    folder: Path, browser: Browser, ports: list[int], *, named: bool = False, **settings: Any
) -> AsyncIterator[tuple[ForkedHub, Tab]]:
    """A hub, a machine with these ports in a lease, and the holder's tab on the machine's Remote access page. `named`:
    pages have names of their own."""
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(forked_hub(folder))
        if named:  # at the port it got
            await hub.end()
            hub.settings = dataclasses.replace(hub.settings, pages_url=f"http://pages.localhost:{hub.port}")
            await hub.start()
        key: MachineKey = await hub.add_machine("RVM-001")
        await stack.enter_async_context(remote_machine(folder / "machine", hub.url, key, ports=ports, **settings))
        operator = RemoteOperator(hub, hub.admin)
        await operator.present(key)
        await operator.lease(key)
        page = await stack.enter_async_context(tab(browser, hub))
        await page.open("/machines/1/remote")
        yield hub, page


async def opened(page: Tab, port: int) -> Page:
    async with page.context.expect_page() as opening:
        await page.page.click(f"[data-port='{port}']")
    return await opening.value


async def test_the_page_reaches_its_own_server_by_addresses_at_the_root(tmp_path: Path, browser: Browser) -> None:
    async with panel() as port, machine_of(tmp_path, browser, [port]) as (hub, page):
        found = await opened(page, port)
        await expect(found.locator("h1")).to_have_text("x of the machine")
        await expect(found.locator("p")).to_have_text("a socket of the machine")
        assert found.url.startswith(f"{hub.url}/remote/")
        assert await found.evaluate("self.origin") == "null"
        assert await found.evaluate("document.cookie") == "own=1"


async def test_a_script_of_a_machine_does_not_run_on_a_page_of_the_hub(tmp_path: Path, browser: Browser) -> None:
    async def evil(asked: Asked) -> None:
        asked.answer(b"document.body.dataset.stolen = document.body.dataset.csrf;", "text/javascript")

    async with machine_server(evil) as server, machine_of(tmp_path, browser, [server.port]) as (_, page):
        found = await opened(page, server.port)
        await found.wait_for_load_state()
        before = len(server.asked)
        refused = await page.page.evaluate(
            """async (address) => {
              const violations = [];
              document.addEventListener('securitypolicyviolation', (event) => violations.push(event.violatedDirective));
              const element = Object.assign(document.createElement('script'), { src: address });
              const sheet = Object.assign(document.createElement('link'), { rel: 'stylesheet', href: address });
              for (const one of [element, sheet]) {
                await new Promise((done) => { one.onload = one.onerror = done; document.head.append(one); });
              }
              await fetch(address).catch(() => {});
              while (violations.length < 3) await new Promise(requestAnimationFrame);
              return [violations, document.body.dataset.stolen ?? null];
            }""",
            found.url,
        )
        assert refused == [["script-src-elem", "style-src-elem", "connect-src"], None]
        assert len(server.asked) == before


@pytest.mark.parametrize("named", [False, True], ids=["sandbox", "own host"])
async def test_what_todays_pages_do_works(tmp_path: Path, browser: Browser, named: bool) -> None:
    async with (
        machine_server(modern) as server,
        machine_of(tmp_path, browser, [server.port], named=named) as (_, page),
    ):
        found = await opened(page, server.port)
        await expect(found).to_have_title("Panel")
        await found.wait_for_function("window.fixed && window.side")
        root = found.url
        did = await found.evaluate(DOES)
        assert did["posted"] == {
            "body": "abc",
            "x-csrftoken": "t",
            "hx-request": "true",
            "cookie": "csrftoken=c; sid=s",
        }
        assert (did["total"], did["again"]) == ("7", "y")
        assert (did["computed"], did["mapped"], did["fixed"]) == ("mod", "lib", ["dep", True])
        assert did["storage"] == ["1", "2", True, "a,b", 2, True, '{"a":"1","b":"2"}', None, True]
        assert did["cookies"] == "csrftoken=c"
        assert did["sizes"] == [65_536, 65_537, 1_000_000]
        await found.evaluate("document.querySelector('a').addEventListener('click', (event) => event.preventDefault())")
        await found.click("a")
        assert await found.evaluate("document.querySelector('a').href") == f"{root}x"
        assert (did["fragment"], found.url) == ("<b>part</b>", f"{root}deep/shown?x=1")
        await found.reload()
        await expect(found).to_have_title("Panel")
        await found.evaluate(POSTS)
        await found.click("button")
        await expect(found.locator("body")).to_contain_text('"body": "a=1"')


async def test_a_browser_with_too_many_cookies_gets_in_again(tmp_path: Path, browser: Browser) -> None:
    async with forked_hub(tmp_path) as hub, tab(browser, hub) as page:
        await page.page.goto("about:blank")  # no open page asks first, whose answer forgets them
        planted = [{"name": f"b{number}", "value": "x" * 4000, "url": hub.url} for number in range(40)]
        await page.context.add_cookies(planted)  # type: ignore[arg-type]
        answer = await page.page.goto(hub.url)
        assert answer is not None
        assert answer.status == 431
        await page.page.click("a >> nth=0")
        await expect(page.page.locator("input[type=password]")).to_be_visible()
        assert [
            cookie for cookie in await page.context.cookies(hub.url) if "name" in cookie and cookie["name"][0] == "b"
        ] == []


async def test_a_camera_starts_on_demand_and_its_pictures_are_live(tmp_path: Path, browser: Browser) -> None:
    port = free_port()
    camera = {str(port): {"start": [sys.executable, "-m", "demo.camera", "--port", str(port)]}}
    async with machine_of(tmp_path, browser, [port], remote_services=camera) as (_, page):
        found = await opened(page, port)
        image = found.locator("img")
        await expect(image).to_be_visible()
        await image.evaluate("(image) => { image.crossOrigin = 'anonymous'; image.src = '/stream'; }")
        assert await image.evaluate(PICTURES) == 2


async def test_with_a_name_for_pages_it_stands_on_an_origin_of_its_own(tmp_path: Path, browser: Browser) -> None:
    async with panel() as port, machine_of(tmp_path, browser, [port], named=True) as (hub, page):
        found = await opened(page, port)
        # The entrance sends its form itself: whoever presses its button as well may press what is gone.
        await expect(found.locator("h1")).to_have_text("x of the machine")
        await expect(found.locator("p")).to_have_text("a socket of the machine")
        origin = await found.evaluate("self.origin")
        assert origin.endswith(f".pages.localhost:{hub.port}")
        mine = [cookie for cookie in await page.context.cookies(origin) if cookie["name"].endswith("rvm_page")]
        assert [(cookie["httpOnly"], cookie["domain"]) for cookie in mine] == [(True, origin[7:].partition(":")[0])]
        assert "rvm_session" not in await found.evaluate("document.cookie")
        assert hub.url not in origin
