"""The Machines page of a great fleet: its first rows stand, the others come when somebody scrolls; all are known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.support.browser import Tab, tab
from tests.support.forked_hub import ForkedHub
from tests.support.great_fleet import great_fleet

MACHINES = 260
LOOKS: list[dict[str, Any]] = [
    {"viewport": {"width": 1440, "height": 900}, "timezone_id": "America/New_York"},
    {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "locale": "id-ID"},
]
ROWS = "tbody tr[data-id]:not([hidden])"
HEIGHT = "document.documentElement.scrollHeight"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ForkedHub]:
    async with great_fleet(tmp_path_factory.mktemp("great"), MACHINES) as made:
        yield made


async def start(page: Tab) -> None:
    """The Machines page, with most of its rows not drawn."""
    await page.open("/")
    await page.live()
    await expect(page.page.locator("#space")).not_to_be_hidden()


async def choose_all(page: Tab) -> None:
    await page.page.locator(f"{ROWS} .x input").first.check()
    await page.page.check("#bulk-all")


async def names(page: Tab) -> list[str]:
    found: list[str] = await page.page.locator(f"{ROWS} th a").all_text_contents()
    return found


@pytest.mark.parametrize("look", LOOKS)
async def test_rows_come_when_somebody_scrolls_and_the_page_is_as_high_before(
    hub: ForkedHub, browser: Browser, look: dict[str, Any], tmp_path: Path
) -> None:
    async with tab(browser, hub, **look) as page:
        await page.open("/")
        await page.live()
        await expect(page.page.locator("#space")).to_be_attached()
        await expect(page.page.locator("#space")).not_to_be_hidden()
        assert await page.page.locator("tbody tr[data-id]").count() == 100
        before = await page.page.evaluate(HEIGHT)
        await page.page.evaluate(f"scrollTo(0, {HEIGHT})")
        await expect(page.page.locator(ROWS)).to_have_count(MACHINES)
        await expect(page.page.locator("#space")).to_be_hidden()
        after = await page.page.evaluate(HEIGHT)
        assert abs(after - before) < before * 0.02, "the scroll bar did not jump"
        assert await names(page) == [f"Mall Kelapa Gading {n}" for n in range(MACHINES)]
        assert page.faults == []


async def test_what_is_not_drawn_is_found_sorted_and_selected(hub: ForkedHub, browser: Browser) -> None:
    async with tab(browser, hub, **LOOKS[0]) as page:
        await start(page)
        await page.page.fill("#q", f"gading {MACHINES - 1}")
        await expect(page.page.locator(ROWS)).to_have_count(1)
        assert await names(page) == [f"Mall Kelapa Gading {MACHINES - 1}"]
        await page.page.fill("#q", "")
        await expect(page.page.locator(ROWS)).to_have_count(100)
        await page.page.click("thead [data-sort=machine] a")
        await expect(page.page.locator(f"{ROWS} th a").first).to_have_text(f"Mall Kelapa Gading {MACHINES - 1}")
        # Under the pointer what stands there stays; what comes stands below it.
        await page.page.hover(f"{ROWS} >> nth=3")
        await page.page.mouse.wheel(0, 4500)
        await expect(page.page.locator(ROWS)).to_have_count(200)
        assert await names(page) == [f"Mall Kelapa Gading {MACHINES - 1 - n}" for n in range(200)]
        await page.page.locator(f"{ROWS} .x input").nth(60).check()
        await expect(page.page.locator("#bulk-count")).to_contain_text("1")
        await page.page.check("#bulk-all")
        await expect(page.page.locator("#bulk-count")).to_contain_text(str(MACHINES))
        await page.page.fill("#q", "gading 17")
        await expect(page.page.locator("#bulk-count")).to_contain_text("13")  # also 117 and 217
        assert page.faults == []


async def test_all_are_chosen_without_being_drawn(hub: ForkedHub, browser: Browser) -> None:
    async with tab(browser, hub, **LOOKS[0]) as page:
        await start(page)
        await choose_all(page)
        await expect(page.page.locator("#bulk-count")).to_contain_text(str(MACHINES))
        await page.page.click("#bulk button[value=sync_timezone]")
        dialog = page.page.locator("#bulk-ask")
        await expect(dialog.locator("h2")).to_contain_text(str(MACHINES))
        assert await page.page.locator("tbody tr[data-id]").count() == 100
        assert await dialog.locator("[data-names] li").count() == 0, "nobody has opened the list"
        await dialog.locator("[data-names] summary").click()
        await expect(dialog.locator("[data-names] li")).to_have_count(MACHINES)
        await dialog.locator("form [data-close]").click()
        await page.page.evaluate(f"scrollTo(0, {HEIGHT})")
        await expect(page.page.locator(ROWS)).to_have_count(MACHINES)
        await expect(page.page.locator(f"{ROWS} .x input:checked")).to_have_count(MACHINES)
        await page.page.locator(f"{ROWS} .x input").last.uncheck()
        await expect(page.page.locator("#bulk-count")).to_contain_text(str(MACHINES - 1))
        assert page.faults == []


async def test_a_page_of_its_own_has_all_that_are_chosen(hub: ForkedHub, browser: Browser) -> None:
    async with tab(browser, hub, **LOOKS[0]) as page:
        await start(page)
        await choose_all(page)
        await page.page.fill("#q", "gading 17")
        await expect(page.page.locator("#bulk-count")).to_contain_text("13")
        await page.page.click("#bulk button[formaction]")
        await page.page.wait_for_url("**/bulk/backups")
        chosen = page.page.locator("main input[name=rvm]")
        await expect(chosen).to_have_count(13)  # not the first row's, which the filter has taken away
        assert page.faults == []


async def test_far_rows_do_not_follow_the_clock(hub: ForkedHub, browser: Browser) -> None:
    async with tab(browser, hub, **LOOKS[0]) as page:
        await start(page)
        await page.page.evaluate(f"scrollTo(0, {HEIGHT})")
        await expect(page.page.locator(ROWS)).to_have_count(MACHINES)
        await page.page.wait_for_function("document.querySelector('tbody tr[data-id]').far")
        ticked = """() => {
          const { table } = document.querySelector("#machines");
          const ticked = [];
          for (const row of table.rows.values()) row.tick = () => ticked.push(row.node.rowIndex);
          table.tick(table.machines, table.now);
          return [ticked.length, Math.max(...ticked)];
        }"""
        count, last = await page.page.evaluate(ticked)
        assert count < MACHINES / 2
        assert last == await page.page.evaluate(
            "Math.max(...[...document.querySelectorAll('tbody tr[data-id]')].map((row) => row.rowIndex))"
        )
        assert page.faults == []
