"""The menu of a machine's row in the fleet table: by key, pointer and finger, for each role, live, at the edges."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any, Final

import pytest
from playwright.async_api import Locator, expect

from tests.browser.conftest import CAPABILITIES, Stage
from tests.browser.test_every_page import AXE, RUN
from tests.support.browser import Tab, tab
from tests.support.machine_client import MachineClient

DESK: Final[dict[str, Any]] = {"viewport": {"width": 1440, "height": 900}, "timezone_id": "America/New_York"}
PHONE: Final[dict[str, Any]] = {
    "viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "locale": "id-ID",
}  # fmt: skip
FOCUSED: Final = "document.activeElement.textContent.trim()"
BOX: Final = """menu => { const b = menu.getBoundingClientRect();
  const { clientWidth: w, clientHeight: h } = document.documentElement;
  return [b.left >= 0, b.top >= 0, b.right <= w, b.bottom <= h, menu.scrollWidth <= menu.clientWidth]; }"""


def dots(page: Tab, rvm_id: int) -> Locator:
    return page.page.locator(f'tr[data-id="{rvm_id}"] .c-menu > a')


def menu(page: Tab) -> Locator:
    return page.page.locator("#row-menu")


async def start(page: Tab, address: str = "/") -> None:
    await page.open(address)
    await page.live()
    # Before the first snapshot a press follows the link to the machine's page.
    await page.page.wait_for_function("document.body.feed.fleet.machines.size > 0")


async def test_the_keys_of_a_menu_open_walk_and_leave_it(stage: Stage, zone: str) -> None:
    async with tab(stage.browser, stage.hub, **{**DESK, "timezone_id": zone}) as page:
        await start(page)
        keys = page.page.keyboard
        await keys.press("j")
        await keys.press("j")
        await keys.press(".")
        await expect(menu(page)).to_be_visible()
        await expect(dots(page, 2)).to_have_attribute("aria-expanded", "true")
        await expect(menu(page)).to_have_attribute("aria-label", "Actions for RVM-002")
        items = menu(page).get_by_role("menuitem")
        await expect(items.first).to_be_focused()
        await keys.press("ArrowUp")
        assert await page.page.evaluate(FOCUSED) == "Settings"
        await keys.press("ArrowDown")
        await expect(items.first).to_be_focused()
        await keys.press("End")
        assert await page.page.evaluate(FOCUSED) == "Settings"
        await keys.press("Home")
        await keys.press("h")
        assert await page.page.evaluate(FOCUSED) == "History", "and j, k or ? of the page are not meant"
        await keys.press("Escape")
        await expect(menu(page)).to_have_count(0)
        await expect(dots(page, 2)).to_be_focused()
        assert await dots(page, 2).get_attribute("aria-expanded") is None
        await keys.press(".")
        await expect(menu(page)).to_be_visible()
        await keys.press("Tab")
        await expect(menu(page)).to_have_count(0)
        await expect(page.page.locator('tr[data-id="3"] .x input')).to_be_focused()
        await keys.press("Escape")
        await keys.press("j")
        await keys.press(".")
        await expect(menu(page)).to_have_attribute("aria-label", "Actions for RVM-001")
        await keys.press("End")
        await keys.press("Enter")
        await page.page.wait_for_url("**/machines/1/settings")
        assert page.faults == []


@pytest.mark.parametrize("look", [DESK, PHONE])
async def test_a_press_opens_it_and_a_press_beside_it_shuts_it(seen_stage: Stage, look: dict[str, Any]) -> None:
    async with tab(seen_stage.browser, seen_stage.hub, **look) as page:
        await start(page)

        async def press(place: Locator) -> None:
            await (place.tap() if "has_touch" in look else place.click())

        box = await dots(page, 1).bounding_box()
        assert box is not None
        assert box["width"] >= (44 if "has_touch" in look else 24)
        assert box["height"] >= 44
        await press(dots(page, 1))
        await expect(menu(page)).to_be_visible()
        await press(dots(page, 1))
        await expect(menu(page)).to_have_count(0)
        await press(dots(page, 1))
        await expect(menu(page)).to_be_visible()
        await press(page.page.locator("h1"))
        await expect(menu(page)).to_have_count(0)
        await press(dots(page, 2))
        await expect(menu(page)).to_contain_text("RVM-002")
        await expect(page.page).to_have_url(f"{seen_stage.hub.url}/")
        assert await menu(page).evaluate(BOX) == [True] * 5
        for item in await menu(page).get_by_role("menuitem").all():
            box = await item.bounding_box()
            assert box is not None
            assert box["height"] >= (44 if "has_touch" in look else 24), await item.text_content()
        await press(menu(page).get_by_role("menuitem", name=re.compile("History|Riwayat")))
        await page.page.wait_for_url("**/machines/2/history")
        assert page.faults == []


async def test_it_stays_where_it_is_while_news_come_and_follows_them(stage: Stage) -> None:
    """The order of rows is kept; what a machine can do now is drawn again, and the focus stays."""
    async with tab(stage.browser, stage.hub, **DESK) as page:
        await start(page, "/?sort=-cpu")
        await dots(page, 3).click()
        terminal = menu(page).get_by_role("menuitem", name="Open terminal")
        await expect(terminal).to_have_attribute("aria-disabled", "true")
        await expect(terminal).to_contain_text("Needs the machine online")
        await page.page.keyboard.press("End")
        before = await menu(page).bounding_box()
        order = await page.page.locator("tr[data-id]:not([hidden]) .n a").all_text_contents()
        async with MachineClient.connect(stage.hub.websocket_url, stage.keys[2]) as machine:
            await machine.say_hello(capabilities=CAPABILITIES, time=datetime.now(timezone.utc).isoformat())
            await expect(menu(page).locator("[href='/machines/3/terminal']")).to_be_visible()
            await expect(terminal).not_to_have_attribute("aria-disabled", "true")
            await expect(menu(page).locator("[href='/machines/3/do/reboot']")).to_be_visible()
            stage.machine.cpu = 99.0
            await expect(page.page.locator('tr[data-id="1"] [data-m=cpu_usage]')).to_contain_text("99")
            assert await page.page.evaluate(FOCUSED) == "Settings"
            after = await menu(page).bounding_box()
            assert before is not None
            assert after is not None
            assert (before["x"], before["y"]) == (after["x"], after["y"])
            assert await page.page.locator("tr[data-id]:not([hidden]) .n a").all_text_contents() == order
        assert page.faults == []


@pytest.mark.parametrize(("role", "look"), [("admin", DESK), ("technician", PHONE), ("viewer", DESK)])
async def test_each_role_finds_ways_that_lead_somewhere_or_why_not(
    seen_stage: Stage, role: str, look: dict[str, Any]
) -> None:
    stage = seen_stage
    person = await stage.hub.people.add(role, (1, 2) if role == "technician" else ())
    async with tab(stage.browser, stage.hub, person, **{**look, "locale": "en-GB"}) as page:
        await start(page)
        await dots(page, 1).click()
        links = menu(page).locator("a[href]")
        await expect(links.last).to_be_visible()
        addresses = [str(await link.get_attribute("href")) for link in await links.all()]
        tabs = [f"/machines/1{end}" for end in ("", "/history", "/remote", "/backups", "/events", "/settings")]
        acts = [f"/machines/1{end}" for end in ("#control", "/terminal", "/backups#now")]
        acts += [f"/machines/1/do/{name}" for name in ("sync_timezone", "restart_service", "reboot")]
        assert addresses == (tabs if role == "viewer" else acts + tabs)
        for address in addresses:
            answer = await page.context.request.get(stage.hub.url + address)
            assert answer.status == 200, address
            name = address.partition("#")[2]
            assert not name or f'id="{name}"' in await answer.text(), address
        locked = menu(page).locator("[aria-disabled=true]")
        await expect(locked).to_have_count(6 if role == "viewer" else 0)
        for one in await locked.all():
            await expect(one).to_contain_text("You need the role Operator for this")
        assert page.faults == []


async def test_somebody_takes_a_trouble_and_finds_the_list_as_it_was(stage: Stage) -> None:
    viewer = await stage.hub.people.add("viewer")
    async with tab(stage.browser, stage.hub, viewer, **DESK) as page:
        await start(page, "/?status=full")
        await dots(page, 2).click()
        await expect(menu(page).get_by_role("menuitem").first).to_contain_text("I'm on it: Full")
        await expect(menu(page).get_by_role("menuitem").first).to_have_attribute("aria-disabled", "true")
    async with tab(stage.browser, stage.hub, **PHONE) as page:
        await start(page, "/?status=full")
        await dots(page, 2).tap()
        await menu(page).get_by_role("menuitem", name="Saya tangani").tap()
        await page.page.wait_for_url(re.compile(r"/\?status=full#t-\d+$"))
        await expect(page.page.locator("#needs .owner").first).to_contain_text("Anda")
        await page.live()
        await dots(page, 2).tap()
        await expect(menu(page)).to_be_visible()
        await expect(menu(page).get_by_role("menuitem", name="Saya tangani")).to_have_count(0)
        assert page.faults == []


@pytest.mark.parametrize("size", [(320, 568), (568, 320), (720, 450)])
async def test_it_fits_in_small_windows_and_near_every_edge(seen_stage: Stage, size: tuple[int, int]) -> None:
    """The last is a window of 1440 by 900 at 200 %."""
    look: dict[str, Any] = {"viewport": {"width": size[0], "height": size[1]}}
    async with tab(seen_stage.browser, seen_stage.hub, **look) as page:
        await start(page)
        for rvm_id, block in ((1, "start"), (3, "end"), (2, "center")):
            await dots(page, rvm_id).evaluate(f"e => e.scrollIntoView({{ block: '{block}' }})")
            await dots(page, rvm_id).evaluate("e => e.click()")
            await expect(menu(page)).to_be_visible()
            assert await menu(page).evaluate(BOX) == [True] * 5, (rvm_id, block)
            await page.page.keyboard.press("End")
            assert await page.page.evaluate(FOCUSED) == "Settings"
            await page.page.keyboard.press("Escape")
        assert await page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.faults == []


async def test_an_open_menu_is_without_fault_for_axe_in_both_languages(seen_stage: Stage) -> None:
    for look in (DESK, PHONE):
        for scheme in ("light", "dark"):
            async with tab(seen_stage.browser, seen_stage.hub, **look, color_scheme=scheme) as page:
                await start(page)
                await dots(page, 2).click()
                await expect(menu(page)).to_be_visible()
                await page.page.evaluate(AXE)
                found = await page.page.evaluate(RUN, [])
                # What lies below an open menu is hidden by it, by a row's height more or less.
                assert [one for one in found if not one.startswith('target-size: <a href="/?status=')] == []
                assert page.faults == []


async def test_without_a_script_or_a_hub_nobody_is_left_alone(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub, java_script_enabled=False) as page:
        await page.open("/")
        await dots(page, 1).click()
        await page.page.wait_for_url("**/machines/1")
        await expect(page.page.locator("#acts")).to_be_in_viewport()
    async with tab(stage.browser, stage.hub) as page:
        await start(page)
        await page.page.route(re.compile("of=row-menu"), lambda route: route.abort())
        await dots(page, 1).click()
        await expect(menu(page)).to_contain_text("not connected to the hub")
        await page.page.keyboard.press("Escape")
        await expect(dots(page, 1)).to_be_focused()
        await page.page.unroute(re.compile("of=row-menu"))
        await dots(page, 1).click()
        await expect(menu(page)).to_contain_text("RVM-001")
        assert page.faults == []


async def test_a_wall_has_none(seen_stage: Stage) -> None:
    async with tab(seen_stage.browser, seen_stage.hub, **DESK) as page:
        await start(page, "/?kiosk=1")
        await expect(dots(page, 1)).to_be_hidden()
        await page.page.keyboard.press("j")
        await page.page.keyboard.press(".")
        await expect(menu(page)).to_have_count(0)
        assert page.faults == []
