"""The columns of the fleet table are chosen on the page, with and without a script, at each width that has a table."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import pytest
from playwright.async_api import Route, expect

from dashboard.fleet import COLUMNS
from tests.browser.conftest import Stage
from tests.support.browser import Tab, tab

CELLS: Final = """table => {
  const names = row => [...row.cells].filter(c => c.offsetParent)
    .map(c => [...c.classList].find(n => n.startsWith("c-") && n !== "c-menu")).filter(Boolean);
  return [names(table.tHead.rows[0]), ...[...table.tBodies[0].rows].filter(r => !r.hidden).map(names)].map(String)
    .filter((each, i, all) => all.indexOf(each) === i);
}"""
"""Of the heads and of each row, once when all agree."""
SIDEWAYS: Final = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def standing(page: Tab) -> str:
    found: list[str] = await page.page.locator("#machines").evaluate(CELLS)
    assert len(found) == 1, found
    return found[0].replace("c-", "").replace(",", " ")


async def choose(page: Tab, *names: str) -> None:
    """Tick these boxes alone."""
    await page.page.locator(".columns > summary").click()
    for name in COLUMNS:
        await page.page.locator(f".columns input[value={name}]").set_checked(name in names)


@pytest.mark.parametrize(
    ("width", "zone", "locale"), [(1440, "Asia/Jakarta", "en-GB"), (900, "America/New_York", "id-ID")]
)
async def test_columns_are_chosen_kept_by_links_and_taken_back(
    stage: Stage, width: int, zone: str, locale: str
) -> None:
    look: dict[str, Any] = {"viewport": {"width": width, "height": 900}, "timezone_id": zone, "locale": locale}
    async with tab(stage.browser, stage.hub, **look) as page:
        await page.open("/")
        await page.live()
        await expect(page.page.locator("#attention li")).to_have_count(2)  # a list that grows moves what is pressed
        before = await standing(page)
        await choose(page, "status", "gpu", "backup")
        await expect(page.page).to_have_url(f"{stage.hub.url}/?columns=status+gpu+backup")
        assert await standing(page) == "status gpu backup"
        await page.page.keyboard.press("Escape")
        await page.page.click("[data-count=full]")
        await expect(page.page).to_have_url(f"{stage.hub.url}/?status=full&columns=status+gpu+backup")
        await page.page.locator("select[name=sort]").select_option("-cpu")
        await expect(page.page).to_have_url(f"{stage.hub.url}/?status=full&columns=status+gpu+backup&sort=-cpu")
        await page.page.fill("#q", "nowhere")
        await page.page.click("#none a")
        await expect(page.page).to_have_url(f"{stage.hub.url}/?columns=status+gpu+backup&sort=-cpu")
        assert await standing(page) == "status gpu backup"
        await page.page.mouse.move(2, 2)  # Under the pointer no row comes.
        added = await stage.hub.add_machine("RVM-004")
        await expect(page.page.locator(f'tr[data-id="{added.id}"]')).to_be_visible()
        assert await standing(page) == "status gpu backup", "a row that the script drew"
        await page.page.locator('tr[data-id="1"] .n a').click()
        await page.page.wait_for_url("**/machines/1")
        await page.page.click(".crumb a")
        await page.page.wait_for_url("**/?columns=status+gpu+backup&sort=-cpu")
        assert await standing(page) == "status gpu backup"
        await choose(page, *COLUMNS)
        await expect(page.page).to_have_url(f"{stage.hub.url}/?sort=-cpu")
        assert await standing(page) == before
        assert page.faults == []


async def test_back_brings_the_columns_and_the_order_back(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/?columns=status+cpu+disk")
        await page.live()
        await page.page.locator(".columns > summary").click()
        await page.page.locator(".columns input[value=cpu]").uncheck()
        await expect(page.page).to_have_url(re.compile(r"columns=status\+disk$"))
        await page.page.keyboard.press("Escape")
        await page.page.click("[data-sort=disk] a")
        await expect(page.page.locator("select[name=sort]")).to_have_value("-disk")
        await page.page.go_back()
        await expect(page.page.locator("select[name=sort]")).to_have_value("machine")
        await page.page.go_back()
        await expect(page.page.locator(".columns input[value=cpu]")).to_be_checked()
        assert await standing(page) == "status cpu disk"
        assert page.faults == []


async def test_columns_are_chosen_without_a_script(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub, java_script_enabled=False) as page:
        await page.open("/?status=full&sort=-capacity")
        await choose(page, "seen", "memory")
        await page.page.locator(".columns button").click()
        await page.page.wait_for_url("**/?status=full&sort=-capacity&columns=seen+memory")
        table = page.page.locator("#machines")
        await expect(table.locator("th.c-memory")).to_be_visible()
        await expect(table.locator("th.c-status")).to_be_hidden()
        await expect(table.locator('tr[data-id="2"] .c-cap')).to_be_hidden()
        await expect(page.page.locator("select[name=sort]")).to_have_value("-capacity")
        await page.page.locator("[data-count=full]").click()
        await page.page.wait_for_url("**/?columns=seen+memory&sort=-capacity")


@pytest.mark.parametrize("script", [True, False])
async def test_the_small_line_shows_the_metric_that_was_chosen(stage: Stage, *, script: bool) -> None:
    async with tab(stage.browser, stage.hub, java_script_enabled=script) as page:
        await page.open("/?status=full")
        if script:
            await page.live()
        await page.page.locator(".columns > summary").click()
        await page.page.locator(".columns [name=spark]").select_option("temperature")
        if not script:
            await page.page.locator(".columns button").click()
        await page.page.wait_for_url("**/?*spark=temperature*")
        table = page.page.locator("#machines")
        await expect(table.locator("th.c-spark")).to_have_text("Temperature, 4 h")
        line = table.locator('tr[data-id="2"] .c-spark path')
        await expect(line).to_have_attribute("data-metric", "temperature")
        await page.page.locator("[data-count=full]").click()
        await expect(page.page).to_have_url(f"{stage.hub.url}/?spark=temperature")
        assert page.faults == []


async def test_a_metric_chosen_before_the_script_has_come_is_not_lost(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        chosen = asyncio.Event()

        async def late(route: Route) -> None:
            await chosen.wait()
            await route.continue_()

        await page.page.route("**/static/choices.*", late)
        await page.page.goto(page.hub.url, wait_until="domcontentloaded")
        await page.live()
        await page.page.locator(".columns > summary").click()
        await page.page.locator(".columns [name=spark]").select_option("temperature")
        chosen.set()
        await page.page.wait_for_url("**/?spark=temperature")
        await expect(page.page.locator("th.c-spark")).to_have_text("Temperature, 4 h")
        assert page.faults == []


@pytest.mark.parametrize("locale", ["en-GB", "id-ID"])
@pytest.mark.parametrize(("width", "most"), [(900, 5), (1100, 7), (1280, 8)])
async def test_what_fits_stands_and_the_page_goes_on_at_no_side(
    stage: Stage, width: int, most: int, locale: str
) -> None:
    """The widest columns; one more than fit leaves out what every table leaves out at this width."""
    widest = ["status", "seen", "capacity", "temperature", "backup", "spark", "memory", "gpu", "cpu", "disk"]
    look: dict[str, Any] = {"viewport": {"width": width, "height": 900}, "locale": locale}
    async with tab(stage.browser, stage.hub, **look) as page:
        for count in (most, most + 1):
            chosen = [name for name in COLUMNS if name in widest[:count]]
            await page.open("/?columns=" + "+".join(chosen))
            shown = (await standing(page)).split()
            assert (len(shown) == count) == (count == most), shown
            assert await page.page.evaluate(SIDEWAYS) == 0
        await page.page.locator(".columns > summary").click()
        assert await page.page.evaluate(SIDEWAYS) == 0


async def test_a_phones_cards_are_whole_whatever_the_columns(stage: Stage) -> None:
    look: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "locale": "id-ID", "has_touch": True}
    async with tab(stage.browser, stage.hub, **look) as page:
        await page.open("/?columns=machine")
        card = page.page.locator('tr[data-id="1"]')
        for part in (".n a", ".s", ".e", ".c-cap"):
            await expect(card.locator(part)).to_be_visible()
        await expect(page.page.locator(".columns")).to_be_hidden()
        assert await page.page.evaluate(SIDEWAYS) == 0
