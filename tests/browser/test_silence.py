"""When nothing comes from the hub any more, no value looks alive and nothing is called fine."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from tests.support.browser import LATELY, Tab, tab
from tests.support.chaos_proxy import ChaosProxy, chaos_proxy
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.lively_machine import lively

TOLD_MS = 20_000
"""5 s, and what a busy computer adds to them."""
SIZES = [(390, 844, "Asia/Jakarta"), (1440, 900, "America/New_York")]
HAPPENS = "([where, name]) => (where === 'document' ? document : window).dispatchEvent(new Event(name))"


@dataclass
class Room:
    """One machine that is well, seen through a network that the test holds."""

    hub: ForkedHub
    browser: Browser
    network: ChaosProxy

    async def open(self, page: Tab, path: str) -> None:
        await page.page.goto(self.network.url + path)
        await page.live()


@pytest_asyncio.fixture(loop_scope="session")
async def room(tmp_path: Path, browser: Browser) -> AsyncIterator[Room]:
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(forked_hub(tmp_path))
        key = await hub.add_machine("RVM-001")
        await stack.enter_async_context(lively(hub, key))
        network = await stack.enter_async_context(chaos_proxy(hub.port))
        yield Room(hub, browser, network)


async def is_silent(page: Page, within: float = TOLD_MS) -> None:
    await expect(page.locator("body[data-link=silent]")).to_have_count(1, timeout=within)
    await expect(page.locator("#link-chip")).to_have_text(re.compile(r"No news for \d+\s(s|min|h)"))


@pytest.mark.parametrize(("width", "height", "zone"), SIZES)
async def test_the_list_says_so_puts_an_age_on_each_machine_and_takes_fine_back(
    room: Room, width: int, height: int, zone: str
) -> None:
    async with tab(room.browser, room.hub, viewport={"width": width, "height": height}, timezone_id=zone) as page:
        await room.open(page, "/")
        calm, row = page.page.locator("#calm"), page.page.locator("tr[data-id='1']")
        await expect(calm).to_contain_text("Your machine is fine")
        await expect(calm).to_be_visible()
        await expect(row.locator(".e")).to_have_text("Live")
        room.network.stall()
        await is_silent(page.page)
        await expect(calm).to_be_hidden()
        await expect(page.page.locator(".unsure")).to_be_visible()
        await expect(row.locator(".e")).to_have_text(re.compile(r"^\d+\ss ago$"))
        await expect(row).to_have_class(re.compile("old"))
        room.network.flow()
        await expect(page.page.locator("body[data-link=live]")).to_have_count(1)
        await expect(calm).to_be_visible()
        await expect(row.locator(".e")).to_have_text("Live")
        assert page.faults == []


@pytest.mark.parametrize(("width", "height", "zone"), SIZES)
async def test_a_machine_s_page_stops_its_clocks_and_puts_an_age_on_each_value(
    room: Room, width: int, height: int, zone: str
) -> None:
    async with tab(room.browser, room.hub, viewport={"width": width, "height": height}, timezone_id=zone) as page:
        await room.open(page, "/machines/1")
        chip = page.page.locator("[data-chart=load] [data-live]")
        await expect(chip).to_be_visible()
        await expect(chip).to_have_text("Live")
        room.network.stall()
        await is_silent(page.page)
        age = page.page.locator(".tile[data-m=cpu_usage] [data-age]")
        await expect(age).to_have_text(re.compile(r"^\d+\ss$"))
        await expect(page.page.locator("[data-fact=time]")).to_have_text(re.compile(rf"^last {LATELY} \d\d:\d\d WIB$"))
        await expect(chip).to_have_text(re.compile(rf"^Until {LATELY} \d\d:\d\d WIB$"))
        await expect(page.page.locator("[data-chart=load] [data-caption]")).not_to_contain_text("now")
        room.network.flow()
        await expect(page.page.locator("body[data-link=live]")).to_have_count(1)
        await expect(age).to_have_text("")
        await expect(chip).to_have_text("Live")
        await expect(page.page.locator("[data-fact=time]")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d WIB$"))
        assert page.faults == []


@pytest.mark.parametrize("path", ["/help", "/account", "/admin/tokens", "/admin/users/1", "/machines/1/do/reboot"])
async def test_pages_without_values_of_their_own_say_so_as_well(room: Room, path: str) -> None:
    """What they count beside their tabs, and who is affected by a reboot, was true when they were made."""
    async with tab(room.browser, room.hub, viewport={"width": 390, "height": 844}) as page:
        await room.open(page, path)
        room.network.stall()
        await is_silent(page.page)
        room.network.flow()
        await expect(page.page.locator("body[data-link=live]")).to_have_count(1)
        assert page.faults == []


@pytest.mark.parametrize("path", ["/alerts", "/map", "/admin/system"])
async def test_no_page_calls_anything_fine_while_nothing_comes(room: Room, path: str) -> None:
    async with room.hub.client() as admin:
        at = {"latitude": -6.2, "longitude": 106.8}
        assert (await admin.patch("/api/v2/rvms/1", json=at)).is_success
    async with tab(room.browser, room.hub, viewport={"width": 390, "height": 844}) as page:
        await room.open(page, path)
        unsure, fine = page.page.locator(".unsure"), page.page.locator("main .fresh-only")
        await expect(unsure).to_be_hidden()
        room.network.stall()
        await is_silent(page.page)
        await expect(unsure).to_have_text("No news from the hub: what you see here may be out of date.")
        await expect(unsure).to_be_visible()
        for each in await fine.all():
            await expect(each).to_be_hidden()
        room.network.flow()
        await expect(page.page.locator("body[data-link=live]")).to_have_count(1)
        await expect(unsure).to_be_hidden()
        assert page.faults == []


@pytest.mark.parametrize("event", [("window", "offline"), ("document", "freeze"), ("document", "resume")])
async def test_what_surely_cuts_the_link_shows_at_once_and_is_taken_back_when_it_did_not(
    room: Room, event: tuple[str, str]
) -> None:
    async with tab(room.browser, room.hub) as page:
        await room.open(page, "/machines/1")
        await page.page.evaluate(HAPPENS, list(event))
        await expect(page.page.locator("body[data-link=live]")).to_have_count(1)
        room.network.stall()
        await page.page.evaluate(HAPPENS, list(event))
        assert await page.page.get_attribute("body", "data-link") == "silent"
        assert page.faults == []


GROUND = "e => getComputedStyle(e).backgroundColor"
SAID = {
    "en-GB": "Not possible now: this page is not connected to the hub",
    "id-ID": "Tidak bisa sekarang: halaman ini tidak terhubung ke hub",
}


@pytest.mark.parametrize(("cut", "language"), [("offline", "en-GB"), ("lost", "id-ID")])
async def test_what_is_typed_into_a_form_stays_when_it_cannot_be_sent(room: Room, cut: str, language: str) -> None:
    """The browser left for a page of its own that says there is no internet; the way back showed an empty form."""
    async with tab(room.browser, room.hub, viewport={"width": 390, "height": 600}, locale=language) as page:
        await room.open(page, "/admin/users")
        name, bar = page.page.locator("main [name=name]"), page.page.locator("#link-bar")
        await name.fill("Siti")
        await page.page.fill("main [name=email]", "siti@example.com")
        if cut == "offline":
            room.network.stall()
            await page.context.set_offline(True)
        else:
            room.network.stall()
            room.network.reset()
            await expect(page.page.locator("body[data-link=lost]")).to_have_count(1)
        await page.page.click("main [data-needs-hub]", force=True)  # called disabled, which Playwright would wait for
        await expect(bar).to_contain_text(SAID[language])
        await expect(bar).to_be_in_viewport(ratio=1)
        await expect(name).to_have_value("Siti")
        if cut == "lost":
            locked = page.page.locator("main [data-needs-hub]")
            under_the_pointer = await locked.evaluate(GROUND)
            await name.hover()
            assert await locked.evaluate(GROUND) == under_the_pointer, "its words are not those of a lit button"
        room.network.flow()
        await page.context.set_offline(False)
        await expect(page.page.locator("body[data-link=live]")).to_have_count(1)
        await expect(bar).to_be_hidden()
        await page.page.click("main [data-needs-hub]")
        await expect(page.page.locator("#main h1")).to_have_text("Siti")
        assert page.faults == []


async def test_a_form_is_sent_where_there_is_no_network_but_the_hub(room: Room) -> None:
    """A hub on the same computer, without any network: its pages were live and sent no form."""
    async with tab(room.browser, room.hub) as page:
        await page.context.add_init_script("Object.defineProperty(Navigator.prototype, 'onLine', { get: () => false })")
        await room.open(page, "/admin/users")
        await page.page.fill("main [name=name]", "Siti")
        await page.page.fill("main [name=email]", "siti@example.com")
        await page.page.click("main [data-needs-hub]")
        await expect(page.page.locator("#main h1")).to_have_text("Siti")
        assert page.faults == []


async def test_that_the_hub_was_updated_stays_until_it_is_loaded_again(room: Room) -> None:
    """It went with "Up to date" two seconds after the link was back, and a page of the old version went on."""
    async with tab(room.browser, room.hub) as page:
        await room.open(page, "/help")
        bar = page.page.locator("#link-bar")
        room.network.stall()
        room.network.reset()
        await expect(bar).to_contain_text("Connection lost")
        await page.page.evaluate("document.body.dataset.version = 'older'")
        room.network.flow()
        await expect(bar).to_contain_text("Hub was updated.")
        await page.page.wait_for_timeout(3000)
        await expect(bar).to_be_visible()
        await bar.get_by_role("button", name="Reload").click()
        await page.live()
        await expect(bar).to_be_hidden()
        assert page.faults == []


async def test_nothing_but_the_charts_waits_for_what_draws_them(room: Room) -> None:
    """On a slow network the page had no chip and no clock of silence meanwhile, and read Live for ever if it ended."""
    ended = asyncio.Event()

    async def late(route: Route) -> None:
        await ended.wait()
        await route.abort()

    async with tab(room.browser, room.hub, viewport={"width": 390, "height": 844}) as page:
        await page.page.route("**/static/plotly*", late)
        await page.page.goto(room.network.url + "/machines/1", wait_until="commit")
        await page.live()
        room.network.stall()
        await is_silent(page.page)
        room.network.flow()
        await expect(page.page.locator("body[data-link=live]")).to_have_count(1)
        plot = page.page.locator("[data-plot]").first
        await expect(plot).to_have_attribute("data-wait", "Loading history…")
        ended.set()
        await expect(plot).to_have_attribute("data-wait", "The history could not be loaded.")
        assert page.faults == []
