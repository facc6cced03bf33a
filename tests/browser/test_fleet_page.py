"""The Machines page in a real browser, against a real hub and machines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import expect

from dashboard.texts import texts_in
from hub.cli.data import open_data
from hub.lifespan import utc_now
from hub.model.changes import Put
from hub.people import rules
from protocol import kinds
from protocol import messages as m
from tests.browser.conftest import Stage
from tests.support.browser import Tab, tab
from tests.support.lively_machine import lively
from tests.support.until import until

SMALL = "all => all.filter(e => e.offsetParent && e.getBoundingClientRect().height < 24).map(e => e.textContent)"
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'"
HOSTILE = f"{MARKUP}\u202e"


async def test_a_link_signs_in_and_leaves_no_trace_in_the_address(stage: Stage) -> None:
    async with open_data(stage.hub.settings, create=False) as opened:
        secret, made = rules.make_link(stage.hub.admin.id, utc_now())
        await opened.commit(Put(made))
    async with tab(stage.browser, stage.hub, signed_in=False) as page:
        await page.open(f"/signin#{secret.text}")
        await page.live()
        assert "rvml_" not in page.page.url
        await expect(page.page.locator("h1")).to_contain_text("Machines")
        await page.page.go_back()
        assert "rvml_" not in page.page.url
        assert page.faults == []


async def test_values_change_in_place_and_the_row_stays_the_same_node(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        requests: list[str] = []
        page.page.on("request", lambda request: requests.append(request.url))
        await page.open("/")
        await page.live()
        # News of the feed make parts stale, on a busy computer before this line.
        assert len([url for url in requests if url.startswith("http") and "/parts?" not in url]) <= 4
        await page.page.evaluate("window.row = document.querySelector('tr[data-id=\"1\"]')")
        stage.machine.cpu = 77.0
        await expect(page.page.locator('tr[data-id="1"] .c-cpu b')).to_have_text("77\u202f%")
        assert await page.page.evaluate("window.row === document.querySelector('tr[data-id=\"1\"]')")
        rows = page.page.locator("#attention li")
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text("Full: takes no more containers")
        await expect(rows.last).to_contain_text("Never connected")
        assert await page.page.title() == "(2) Machines – RVM"
        added = await stage.hub.add_machine("RVM-004")
        await expect(page.page.locator(f'tr[data-id="{added.id}"]')).to_be_visible()
        assert page.faults == []


async def standing(page: Tab) -> list[str]:
    """The ids of the rows that are shown, in their order."""
    rows = page.page.locator("tbody tr:not([hidden])")
    found: list[str] = await rows.evaluate_all("rows => rows.map(r => r.dataset.id)")
    return found


async def test_the_order_is_frozen_under_the_pointer(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/?sort=-cpu")
        await page.live()
        await page.page.wait_for_selector('tr[data-id="1"] .c-cpu b:text("20")')
        await page.page.hover('tr[data-id="3"]')
        before = await standing(page)
        stage.machine.cpu = 90.0 if before[0] != "1" else 1.0
        pill = page.page.locator("#moved button")
        await expect(pill).to_contain_text(re.compile("changed place – sort again"))
        assert await standing(page) == before
        await pill.click()
        await expect(pill).to_be_hidden()
        assert await standing(page) != before


async def test_filters_and_search_live_in_the_address(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/")
        await page.live()
        await page.page.wait_for_selector('tr[data-id="2"] .s:has-text("Full")')
        await page.page.click("[data-count=full]")
        await expect(page.page).to_have_url(f"{stage.hub.url}/?status=full")
        await expect(page.page.locator("tbody tr:not([hidden])")).to_have_count(1)
        await page.page.keyboard.press("/")
        await page.page.keyboard.type("bandung")
        await expect(page.page.locator("#none")).to_contain_text("Full, “bandung”")
        await page.page.click("#none a")
        await expect(page.page.locator("tbody tr:not([hidden])")).to_have_count(3)
        await page.page.keyboard.press("j")
        await page.page.keyboard.press("j")
        await page.page.keyboard.press("Enter")
        await page.page.wait_for_url("**/machines/2")
        await page.live()
        await page.page.keyboard.press("g")
        await page.page.keyboard.press("m")
        await page.page.wait_for_url(stage.hub.url + "/")
        await page.live()
        await page.page.keyboard.press("?")
        await expect(page.page.locator("#shortcuts")).to_be_visible()


async def test_the_hub_goes_away_and_comes_back(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/1")
        await page.live()
        await stage.hub.kill()
        bar = page.page.locator("#link-bar")
        await expect(bar).to_contain_text(re.compile(r"Connection lost\. Showing values from \d\d:\d\d:\d\d\."))
        await expect(page.page.locator("#link-chip")).to_have_text("Reconnecting…")
        await expect(page.page.locator("#status-form [data-send]")).to_have_attribute("aria-disabled", "true")
        await expect(page.page.locator("[data-retry]")).to_be_visible()
        await stage.hub.start()
        await page.page.dispatch_event("[data-retry]", "click")  # the page may have come back by itself just now
        await expect(bar).to_contain_text("Up to date")
        await expect(bar).to_be_hidden()
        stage.machine.cpu = 66.0
        await expect(page.page.locator('.tile[data-m="cpu_usage"] [data-value]')).to_contain_text("66")


async def test_what_a_machine_says_runs_nothing(stage: Stage) -> None:
    stage.machine.cpu = None
    stage.machine.members = {"reasons": {"cpu_usage": HOSTILE}}
    async with stage.hub.client() as client:
        called = {"name": MARKUP, "location_description": HOSTILE}  # no name turns the text around it
        assert (await client.patch("/api/v2/rvms/1", json=called)).status_code == 200
        asked = {"status": "error", "reason": HOSTILE}
        assert (await client.patch("/api/v2/rvms/2/status?wait=10", json=asked)).status_code == 200
    async with tab(stage.browser, stage.hub) as page:
        for path in ("/", "/machines/1", "/machines/2"):
            await page.open(path)
            await page.live()
            await expect(page.page.locator("main")).to_contain_text("onerror")
            assert await page.page.locator("img").count() == 0
            assert await page.page.locator("script:not([src])").count() == 0
        assert page.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_shows_cards_and_never_scrolls_sideways(stage: Stage, scheme: str, tmp_path: Path) -> None:
    look: dict[str, Any] = {
        "viewport": {"width": 390, "height": 844},
        "color_scheme": scheme,
        "locale": "id-ID",
        "has_touch": True,
    }
    async with tab(stage.browser, stage.hub, **look) as page:
        for path in ("/", "/machines/1", "/machines/3", "/machines/add", "/help", "/admin/users", "/account"):
            await page.open(path)
            assert await page.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            assert await page.page.locator("main a.btn, main button").evaluate_all(SMALL) == [], path
        await page.open("/")
        assert await page.page.locator("thead").is_hidden()
        background = await page.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(14, 18, 23)" if scheme == "dark" else "rgb(246, 247, 249)")
        picture = await page.picture(tmp_path / f"{scheme}.png")
        assert len(set(picture)) > 200
        assert len(picture) > 20_000, "a page without content packs to almost nothing"
        assert "Perlu perhatian" in await page.page.inner_text("main")


@pytest.mark.parametrize("path", ["/", "/?kiosk=1", "/?group=site"])
async def test_a_machines_name_has_most_of_its_row_on_a_phone(stage: Stage, path: str) -> None:
    async with tab(stage.browser, stage.hub, viewport={"width": 390, "height": 844}, has_touch=True) as page:
        await page.open(path)
        await page.live()
        wide = "all => all.map(each => each.parentElement.clientWidth)"
        names = await page.page.locator(".machines th.n > a").evaluate_all(wide)
        assert len(names) == 3
        assert min(names) >= 140, names


async def test_without_script_the_pages_are_read_and_used(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub, java_script_enabled=False) as page:
        await page.open("/")
        assert "RVM-002" in await page.page.inner_text("#machines")
        await page.page.click("[data-count=full]")
        await expect(page.page).to_have_url(re.compile("status=full$"))
        await page.open("/machines/1")
        assert "20" in await page.page.inner_text('.tile[data-m="cpu_usage"]')
        await page.page.check('input[value="maintenance"]', force=True)
        await page.page.fill("#reason", "sensor")
        await page.page.click("#status-form button")
        await expect(page.page.locator("#machine-jobs")).to_contain_text("Change status to Maintenance")
        await until(lambda: stage.machine.asked == ["maintenance"])


async def test_the_rows_beyond_the_first_page_come_with_the_feed(stage: Stage) -> None:
    await stage.hub.people.add_machines(110, "Many")
    async with stage.hub.client() as client:
        while (found := (await client.get("/api/v2/rvms")).headers["X-Total-Count"]) != "113":
            assert int(found) < 113  # the hub sees within a second what another process wrote
    async with tab(stage.browser, stage.hub, java_script_enabled=False) as page:
        await page.open("/")
        assert len(await standing(page)) == 100
        await page.page.click("#pages [rel=next]")
        await expect(page.page).to_have_url(re.compile("page=2$"))
        assert len(await standing(page)) == 13
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/?page=2")
        await page.live()
        await expect(page.page.locator("#pages")).to_have_count(0)
        await expect(page.page.locator("#space")).not_to_be_hidden()
        assert (await standing(page))[:3] == ["4", "5", "6"], "from the first, in the order of the whole list"
        await page.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        await expect(page.page.locator("tbody tr:not([hidden])")).to_have_count(113)
        await page.page.fill("#tools input[name=q]", "RVM-00")
        await expect(page.page.locator("tbody tr:not([hidden])")).to_have_count(3)
        assert page.faults == []


DRAWN = "all => all.filter(row => row.querySelector('.n a').checkVisibility({contentVisibilityAuto: true})).length"
HIGH = "e => e.getBoundingClientRect().height"
HIGHEST = "all => Math.max(...all.map(e => e.getBoundingClientRect().height))"


async def test_a_thousand_machines_on_a_phone_are_rows_of_64_px_drawn_as_they_come_into_view(stage: Stage) -> None:
    await stage.hub.people.add_machines(997, "Many")
    look: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    async with tab(stage.browser, stage.hub, **look) as page:
        await page.open("/")
        await page.live()
        rows = page.page.locator("tbody tr:not([hidden])")
        await expect(page.page.locator("#space")).not_to_be_hidden()
        await expect(rows).to_have_count(100)
        assert await rows.evaluate_all(HIGHEST) == 64
        heights = [await page.page.locator(part).evaluate(HIGH) for part in ("#machines tbody", "#space")]
        assert 63_900 <= sum(heights) <= 64_100
        assert await rows.evaluate_all(DRAWN) < 100
        await page.page.tap(".to-find")
        await expect(page.page.locator("#q")).to_be_focused()
        await page.page.keyboard.type("RVM-002")
        await expect(rows).to_have_count(1)
        box = await rows.first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 450, "above the keyboard"
        await page.page.touchscreen.tap(box["x"] + box["width"] - 60, box["y"] + 40)
        await page.page.wait_for_url("**/machines/2")
        assert page.faults == []


STATES: Final[tuple[kinds.Status, ...]] = ("active", "inactive", "maintenance", "full", "error", "unknown")
MARKED: Final = """row => {
  const icon = row.querySelector(".s .i"), word = row.querySelector(".s span");
  return [icon.querySelector("use").getAttribute("href"), getComputedStyle(icon).color, word.checkVisibility()];
}"""


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
async def test_each_status_has_a_shape_a_word_and_a_colour_beside_the_connection(
    stage: Stage, width: int, scheme: Any
) -> None:
    look: dict[str, Any] = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    async with tab(stage.browser, stage.hub, **look) as page:
        await page.open("/")
        await page.live()
        row, drawn = page.page.locator("tr[data-id='3']"), []
        async with lively(stage.hub, stage.keys[2]) as machine:
            for seq, status in enumerate(STATES, 1):
                await machine.say(m.StatusReport(seq=seq, status=status, capacity=50))
                await expect(row.locator(".s span")).to_have_text(texts_in("en")(f"status.{status}"))
                await expect(row.locator(".e")).to_have_text("Live")
                drawn.append(await row.evaluate(MARKED))
            assert [(shape, is_seen) for shape, _, is_seen in drawn] == [(f"#{status}", True) for status in STATES]
            assert len({colour for _, colour, _ in drawn}) == len(STATES)
        await expect(row.locator(".e")).to_contain_text("Offline")
        await expect(row.locator(".s span")).to_have_text("Unknown")
        assert page.faults == []
