"""The whole dashboard below a path of a site, through the proxy of the documentation: no page, script, file, socket or
link leaves the path."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest_asyncio
from playwright.async_api import Browser, Page, Response, expect

from tests.browser.test_every_width import ENTRANCES, PAGES
from tests.browser.test_machine_pages import panel
from tests.support.browser import Tab, tab
from tests.support.browser_client import cookie
from tests.support.certificates import TestAuthority
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.free_ports import free_port
from tests.support.proxies import BASE_PATH, program, proxy
from tests.support.remote_machine import remote_machine
from tests.support.remote_operator import RemoteOperator

OUTSIDE: Final = """base => [...document.querySelectorAll("*")].flatMap((node) => [...node.attributes]
  .filter(({ name }) => name !== "value" && name !== "data-folder")
  .filter(({ value }) => /^\\/(?!\\/)/.test(value) && !value.startsWith(base + "/"))
  .map(({ name, value }) => `${node.tagName} ${name}=${value}`))"""
"""Attributes that a browser, or a script, would take for an address outside; a machine's folder is none."""
MISSING: Final = ("/nothing/here", "/scan?code=404")


@dataclass
class Below:
    """`url`: of the hub through the proxy; `left`: what a browser asked for outside of it, or got no answer to."""

    hub: ForkedHub
    page: Tab
    url: str
    port: int
    left: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("request", lambda request: self._within(request.url))
        page.on("websocket", lambda socket: self._within(socket.url))
        page.on("response", self._answered)

    def _answered(self, answer: Response) -> None:
        if answer.status in (404, 405):
            self.left.append(answer.url)

    def _within(self, url: str) -> None:
        reached = re.sub("^wss", "https", url) + "/"
        if not url.startswith(("data:", "blob:")) and not reached.startswith(f"{self.url}/"):
            self.left.append(url)

    async def open(self, path: str) -> None:
        await self.page.page.goto(self.url + path)


@pytest_asyncio.fixture(loop_scope="session")
async def below(tmp_path: Path, browser: Browser) -> AsyncIterator[Below]:
    """Three machines: one in a lease with a page of its own, two that never connected."""
    program("nginx")
    port, authority = free_port(), TestAuthority(tmp_path / "own")
    site = f"https://localhost:{port}"
    async with AsyncExitStack() as stack:
        given = {"behind_proxy": "127.0.0.1", "public_url": site, "base_path": BASE_PATH}
        hub = await stack.enter_async_context(forked_hub(tmp_path, **given))
        await stack.enter_async_context(proxy(tmp_path / "nginx", "nginx", hub, authority, port))
        keys = [await hub.add_machine(f"RVM-00{number}") for number in (1, 2, 3)]
        served = await stack.enter_async_context(panel())
        machine = remote_machine(
            tmp_path / "machine", site + BASE_PATH, keys[0], ports=[served], hub_ca=str(authority.crt)
        )
        await stack.enter_async_context(machine)
        operator = RemoteOperator(hub, hub.admin)
        await operator.present(keys[0])
        await operator.lease(keys[0])
        page = await stack.enter_async_context(tab(browser, hub, signed_in=False, ignore_https_errors=True))
        made = Below(hub, page, site + BASE_PATH, served)
        made.watch(page.page)
        async with hub.client() as client:  # makes the scripts for this path, which nobody else has asked for yet
            assert (await client.get("/login", timeout=120)).status_code < 400
        yield made


async def sign_in(below: Below) -> None:
    name, _, value = cookie(below.hub, below.hub.admin)["Cookie"].partition("=")
    await below.page.context.add_cookies([{"name": name, "value": value, "url": f"{below.url}/"}])


async def test_no_page_leads_outside(below: Below) -> None:
    for path in ENTRANCES:
        await below.open(path)
        assert await below.page.page.evaluate(OUTSIDE, BASE_PATH) == [], path
    await sign_in(below)
    for path in PAGES:
        await below.open(path)
        assert await below.page.page.evaluate(OUTSIDE, BASE_PATH) == [], path
        expected = [below.url + path] if path in MISSING else []
        assert (path, below.left) == (path, expected)
        below.left.clear()
    assert below.page.faults == []


async def test_what_people_do_stays_inside(below: Below) -> None:
    page = below.page.page
    await sign_in(below)
    await page.goto(below.url)
    await below.page.live()
    assert page.url == f"{below.url}/"
    await page.click("[data-count=offline]")
    await expect(page).to_have_url(f"{below.url}/?connection=offline")
    await below.open("/machines/1")
    await below.page.live()
    await expect(page.locator(".crumb a >> nth=0")).to_have_attribute("href", f"{BASE_PATH}/?connection=offline")
    await page.click(".crumb a >> nth=0")
    await expect(page).to_have_url(f"{below.url}/?connection=offline")
    for keys, place in (("gj", "/jobs"), ("ge", "/events"), ("gm", "/")):
        await page.keyboard.press(keys[0])
        await page.keyboard.press(keys[1])
        await expect(page).to_have_url(below.url + place)
        await below.page.live()
    await page.keyboard.press("Control+k")
    await page.locator("#palette input").fill("RVM-002")
    await expect(page.locator("#palette li:not([hidden])")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{below.url}/machines/2")
    await below.page.live()
    await page.keyboard.press("]")
    await expect(page).to_have_url(f"{below.url}/machines/3")
    assert below.left == []
    assert below.page.faults == []


async def test_a_terminal_and_a_machines_own_page_stand_inside(below: Below) -> None:
    page = below.page.page
    await sign_in(below)
    await below.open("/machines/1/remote")
    await below.page.live()
    await page.click("[data-term=connect]")
    await expect(page.locator("[data-term=tools]")).to_be_visible()
    await page.keyboard.type("echo $((6 * 7)) is there\n")
    await expect(page.locator(".xterm-rows")).to_contain_text("42 is there")
    async with below.page.context.expect_page() as opening:
        await page.click(f"[data-port='{below.port}']")
    found = await opening.value
    await expect(found.locator("h1")).to_have_text("x of the machine")
    await expect(found.locator("p")).to_have_text("a socket of the machine")
    assert found.url.startswith(f"{below.url}/remote/")
    assert below.left == []
    assert below.page.faults == []
