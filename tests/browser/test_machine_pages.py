"""A machine's own page in a real browser: live pictures and its own addresses in the sandbox, and a host of its own."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import websockets
from playwright.async_api import Browser, Page, expect
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tests.support.browser import Tab, tab
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.free_ports import free_port
from tests.support.hub_people import MachineKey
from tests.support.remote_machine import remote_machine
from tests.support.remote_operator import RemoteOperator

PAGE = b"""<!doctype html><title>Panel</title><h1></h1><p></p><script>
fetch('/x').then((answer) => answer.text()).then((text) => { document.querySelector('h1').textContent = text; });
const socket = new WebSocket('ws://' + location.host + '/ws');
socket.onmessage = (event) => { document.querySelector('p').textContent = event.data; };
document.cookie = 'own=1; path=/';
</script>"""
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


async def test_a_camera_starts_on_demand_and_its_pictures_are_live(tmp_path: Path, browser: Browser) -> None:
    port = free_port()
    camera = {str(port): {"start": [sys.executable, "-m", "bench.demo_camera", "--port", str(port)]}}
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
