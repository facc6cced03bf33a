"""A connection that dies without a word (sleep, another network, a forgotten NAT), and input larger than a message."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.support.browser import Tab, tab
from tests.support.chaos_proxy import ChaosProxy, chaos_proxy
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.remote_machine import remote_machine
from tests.support.remote_operator import RemoteOperator

NOTICED_MS = 15_000
"""5 s, and what a busy computer adds to them."""
BACK_AGAIN = """() => dispatchEvent(new Event("online"))"""


@dataclass
class Room:
    """A machine in a lease of the administrator, whose browser sits behind a network that the test holds."""

    hub: ForkedHub
    browser: Browser
    network: ChaosProxy

    async def open(self, page: Tab, path: str) -> None:
        await page.page.clock.install()
        await page.page.goto(self.network.url + path)
        await page.live()


@pytest_asyncio.fixture(loop_scope="session")
async def room(tmp_path: Path, browser: Browser) -> AsyncIterator[Room]:
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(forked_hub(tmp_path))
        key = await hub.add_machine("RVM-001")
        await stack.enter_async_context(remote_machine(tmp_path / "machine", hub.url, key))
        operator = RemoteOperator(hub, hub.admin)
        await operator.present(key)
        await operator.lease(key)
        network = await stack.enter_async_context(chaos_proxy(hub.port))
        yield Room(hub, browser, network)


async def come_back(page: Page, how: str) -> None:
    """As a computer does that slept for an hour, or one that found another network."""
    if how == "sleep":
        await page.clock.fast_forward(3_600_000)
    else:
        await page.evaluate(BACK_AGAIN)


@pytest.mark.parametrize("how", ["sleep", "online"])
async def test_a_page_that_comes_back_to_a_dead_connection_says_so_and_is_live_again(room: Room, how: str) -> None:
    async with tab(room.browser, room.hub) as page:
        await room.open(page, "/machines/1")
        room.network.forget()
        room.network.stall()
        await come_back(page.page, how)
        await expect(page.page.locator("body[data-link=lost]")).to_have_count(1, timeout=NOTICED_MS)
        room.network.flow()
        await page.page.evaluate(BACK_AGAIN)
        await expect(page.page.locator("body[data-link=live]")).to_have_count(1, timeout=NOTICED_MS)
        assert page.faults == []


async def test_a_page_that_comes_back_to_a_live_connection_keeps_it(room: Room) -> None:
    async with tab(room.browser, room.hub) as page:
        await room.open(page, "/machines/1")
        made = room.network.accepted
        for how in ("sleep", "online"):
            await come_back(page.page, how)
        await page.page.wait_for_timeout(500)
        await expect(page.page.locator("body[data-link=live]")).to_have_count(1)
        assert room.network.accepted == made, "a connection that works is not made again"


def screen(page: Page) -> Any:
    return page.locator(".xterm-rows")


async def connect(page: Page) -> None:
    await page.click("[data-term=connect]")
    await expect(page.locator("[data-term=tools]")).to_be_visible()


@pytest.mark.parametrize("how", ["sleep", "online"])
async def test_a_terminal_notices_a_dead_connection_and_shows_what_did_not_arrive(room: Room, how: str) -> None:
    """Then the same shell again."""
    async with tab(room.browser, room.hub) as page:
        await room.open(page, "/machines/1/remote")
        await connect(page.page)
        await page.page.keyboard.type("kept=before\n")
        await expect(screen(page.page)).to_contain_text("kept=before")
        room.network.forget()
        await page.page.keyboard.type("typed into nothing")
        await come_back(page.page, how)
        await expect(screen(page.page)).to_contain_text("connection lost", timeout=NOTICED_MS)
        await expect(screen(page.page)).to_contain_text(re.compile("connected again"))
        await expect(screen(page.page)).to_contain_text("18 characters you typed did not arrive")
        await page.page.keyboard.type("echo $kept-and-after\n")
        await expect(screen(page.page)).to_contain_text("before-and-after")
        assert "typed into" not in await screen(page.page).inner_text()
        assert page.faults == []


SEEN_WHOLE = """node => {
  const box = node.getBoundingClientRect();
  const seen = (x) => node.contains(document.elementFromPoint(x, (box.top + box.bottom) / 2));
  return box.left >= 0 && box.right <= innerWidth && seen(box.left + 2) && seen(box.right - 2);
}"""


@pytest.mark.parametrize("size", [(1440, 900), (390, 844), (390, 450), (320, 300), (844, 390), (844, 180)])
async def test_a_terminal_says_how_long_nothing_answers(room: Room, size: tuple[int, int]) -> None:
    """Also above the keyboard of a phone, upright and lying."""
    look: dict[str, Any] = {} if size[0] == 1440 else {"has_touch": True, "is_mobile": True}
    async with tab(room.browser, room.hub, **look) as page:
        await room.open(page, "/machines/1/remote")
        await connect(page.page)
        if look:
            await page.page.click("[data-term=full]")
        await page.page.set_viewport_size({"width": size[0], "height": size[1]})
        told = page.page.locator("[data-term=notice]")
        room.network.stall()
        await expect(told).to_have_text(re.compile(r"No answer for \d+\ss"))
        assert await told.evaluate(SEEN_WHOLE), await told.bounding_box()
        room.network.flow()
        await expect(told).to_have_text("")
        assert page.faults == []


PASTE = """text => {
  const data = new DataTransfer();
  data.setData("text/plain", text);
  const paste = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
  document.querySelector(".xterm-helper-textarea").dispatchEvent(paste);
}"""


async def test_a_paste_of_10_mb_arrives_whole_with_its_progress_also_across_a_dead_connection(room: Room) -> None:
    line = "0123456789 paste \u00e9\u4e2d\U0001f600 " * 8
    text = "".join(f"{n:06d} {line}\n" for n in range(10_000_000 // (len(line.encode()) + 8) + 1))
    sent = text.encode()
    assert len(sent) >= 10_000_000
    async with tab(room.browser, room.hub) as page:
        await room.open(page, "/machines/1/remote")
        await connect(page.page)
        await page.page.keyboard.type("stty -echo; cat | sha256sum\n")
        await expect(screen(page.page)).to_contain_text("sha256sum")
        room.network.uplink_bytes_s = 2_000_000
        await page.page.evaluate(PASTE, text)
        pasting = page.page.locator("[data-term=pasting]")
        await expect(pasting).to_contain_text(re.compile(r"[1-9]\S*\sMB of 10"))
        room.network.forget()
        room.network.uplink_bytes_s = 0
        await page.page.evaluate(BACK_AGAIN)
        await expect(pasting).to_be_hidden(timeout=60_000)
        await expect(page.page.locator("[data-term=notice]")).to_contain_text("All of it is pasted")
        await page.page.keyboard.press("Control+d")
        await expect(screen(page.page)).to_contain_text(hashlib.sha256(sent).hexdigest(), timeout=60_000)
        assert page.faults == []


async def test_a_paste_can_be_stopped_and_the_shell_is_there_again(room: Room) -> None:
    async with tab(room.browser, room.hub) as page:
        await room.open(page, "/machines/1/remote")
        await connect(page.page)
        await page.page.keyboard.type("stty -echo; sleep 600\n")
        await expect(screen(page.page)).to_contain_text("sleep 600")
        await page.page.evaluate(PASTE, "never typed\n" * 100_000)
        await expect(page.page.locator("[data-term=pasting]")).to_be_visible()
        await page.page.click("[data-term=stop]")
        await expect(page.page.locator("[data-term=pasting]")).to_be_hidden()
        await expect(screen(page.page)).to_contain_text("paste stopped")


async def test_a_terminal_in_a_window_of_20_pixels_stays(room: Room) -> None:
    async with tab(room.browser, room.hub) as page:
        await room.open(page, "/machines/1/remote")
        await connect(page.page)
        await page.page.click("[data-term=full]")
        made = room.network.accepted
        await page.page.set_viewport_size({"width": 20, "height": 20})
        await expect(page.page.locator("[data-term=size]")).to_contain_text(re.compile(r"^\d+×1$"))
        await page.page.set_viewport_size({"width": 1280, "height": 900})
        await expect(page.page.locator("[data-term=size]")).to_contain_text(re.compile(r"^\d+×[2-9]\d$"))
        await page.page.locator(".xterm-helper-textarea").focus()
        await page.page.keyboard.type("stty size\n")
        await expect(screen(page.page)).to_contain_text(re.compile(r"[2-9]\d \d+"))
        assert room.network.accepted == made
        assert page.faults == []
