"""The map, saved views and a technician's machines by tag, as somebody with a browser meets them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Stage
from tests.support.browser import tab
from tests.support.lively_machine import lively

NEWS_MS = 20_000
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def placed(stage: Stage, number: int, latitude: float, longitude: float, **more: object) -> None:
    async with stage.hub.client() as admin:
        values = {"latitude": latitude, "longitude": longitude, **more}
        answer = await admin.patch(f"/api/v2/rvms/{stage.keys[number - 1].id}", json=values)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("width", "zone", "locale"), [(1440, "Asia/Jakarta", "en-GB"), (390, "Etc/UTC", "id-ID")])
async def test_the_map_follows_the_feed_and_leads_to_a_machine(
    stage: Stage, width: int, zone: str, locale: str
) -> None:
    look: dict[str, Any] = {"viewport": {"width": width, "height": 844}, "timezone_id": zone, "locale": locale}
    async with tab(stage.browser, stage.hub, **look) as page:
        await page.open("/map")
        await expect(page.page.locator(".map")).to_have_count(0)
        await placed(stage, 1, -6.18, 106.83, location_description="Gambir")
        circles = page.page.locator(".marks a")
        await expect(circles).to_have_count(1, timeout=NEWS_MS)
        await placed(stage, 2, -7.26, 112.74)  # full: it needs attention
        await expect(circles).to_have_count(2)
        await expect(page.page.locator(".map")).to_contain_text("1!")
        await expect(page.page.locator("#map li", has_text="Gambir")).to_contain_text("RVM-001")
        await page.page.locator("#map li", has_text="Gambir").get_by_role("link", name="RVM-001").click()
        await page.page.wait_for_url("**/machines/1")
        assert page.faults == []


LOOK_OF_CIRCLE = "e => [getComputedStyle(e).stroke, getComputedStyle(e).strokeDasharray]"


async def test_a_machine_that_is_off_is_drawn_as_its_row_is(stage: Stage) -> None:
    """In its first minute it is no alert yet. Not as Unknown, purple; nor as one that never came."""
    key, new = [await stage.hub.add_machine(name) for name in ("RVM-004", "RVM-005")]
    async with stage.hub.client() as admin:
        for one, latitude in ((key, -7.3), (new, 3.59)):
            place = {"latitude": latitude, "longitude": 112.7}
            assert (await admin.patch(f"/api/v2/rvms/{one.id}", json=place)).is_success
    async with tab(stage.browser, stage.hub) as page:
        async with lively(stage.hub, key, status="active"):
            await page.open("/map")
            await expect(page.page.locator(".marks a.active")).to_have_count(1)
        looks = []
        for look in ("offline", "never"):
            circle = page.page.locator(f".marks .{look} circle")
            await expect(circle).to_have_count(1)
            row = await page.page.locator(f"#map li .i.{look}").evaluate("e => getComputedStyle(e).color")
            colour, dashes = await circle.evaluate(LOOK_OF_CIRCLE)
            assert colour == row
            looks.append(dashes)
        assert looks[0] != looks[1]
        await expect(page.page.locator(".marks .offline use")).to_be_visible()
        assert page.faults == []


async def test_a_place_of_several_is_looked_at_closer_by_keyboard(stage: Stage) -> None:
    await placed(stage, 1, -6.1800, 106.8300)
    await placed(stage, 2, -6.1801, 106.8301)
    await placed(stage, 3, 3.59, 98.68)
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/map")
        await page.page.locator('.marks a[aria-label^="2 "]').focus()
        await page.page.keyboard.press("Enter")
        await page.page.wait_for_url(re.compile(r"/map\?box="))
        away = page.page.locator("#map li[id]", has_text="RVM-003")
        await expect(away).to_have_count(0)
        await page.page.locator('#map a.btn[href="/map"]').click()
        await expect(away).to_have_count(1)
        assert page.faults == []


@pytest.mark.parametrize(
    ("width", "zone", "script"),
    [(1440, "Asia/Jakarta", True), (1024, "America/New_York", True), (390, "Asia/Jakarta", True),
     (320, "Etc/UTC", True), (720, "Asia/Jakarta", True), (1440, "Asia/Jakarta", False)],
)  # fmt: skip
async def test_table_cards_and_map_show_the_same_machines(stage: Stage, width: int, zone: str, *, script: bool) -> None:
    """720: what 1440 are at 200 %."""
    for number in (1, 2, 3):
        await placed(stage, number, -6.18 - number, 106.83)
    look: dict[str, Any] = {
        "viewport": {"width": width, "height": 900}, "timezone_id": zone, "java_script_enabled": script,
        "locale": "id-ID" if width < 1440 else "en-GB",
    }  # fmt: skip
    async with tab(stage.browser, stage.hub, **look) as page:
        switch = page.page.locator("nav:has(> [data-look])")
        rows, circles = page.page.locator("tbody tr[data-id]:not([hidden])"), page.page.locator(".marks a")
        await page.open("/?q=rvm-00&sort=-cpu")
        if script:
            await page.live()
        await page.page.locator("[data-count=full]").click()
        await expect(rows).to_have_count(1)
        if width >= 900:
            await switch.locator("[data-look=cards]").click()
            await page.page.wait_for_url("**/?q=rvm-00&status=full&look=cards&sort=-cpu")
            await expect(rows).to_have_count(1)
            await expect(page.page.locator("thead")).to_be_hidden()
            await expect(rows.locator(".c-gpu")).to_be_visible()
        else:
            await expect(switch.locator("[data-look=cards]")).to_be_hidden()
        assert await page.page.evaluate(SIDEWAYS) == 0 if script else True
        await switch.locator("[data-to=map]").click()
        await page.page.wait_for_url("**/map?q=rvm-00&status=full&sort=-cpu")
        await expect(circles).to_have_count(1)
        assert await page.page.evaluate(SIDEWAYS) == 0 if script else True
        await page.page.locator(".filter").click()
        await expect(circles).to_have_count(3)
        await page.page.fill("#q", "rvm-002")
        await page.page.locator(".tools button").click()
        await expect(circles).to_have_count(1)
        await switch.locator("[data-look='']:not([data-to=map])").click()
        await page.page.wait_for_url("**/?q=rvm-002&sort=-cpu")
        await expect(rows).to_have_count(1)
        await page.page.go_back()
        await expect(circles).to_have_count(1)
        assert page.faults == []


@pytest.mark.parametrize("script", [True, False])
async def test_a_view_is_saved_shared_used_by_others_and_removed(stage: Stage, *, script: bool) -> None:
    viewer = await stage.hub.people.add("viewer")
    look: dict[str, Any] = {"java_script_enabled": script}
    async with tab(stage.browser, stage.hub, **look) as mine, tab(stage.browser, stage.hub, viewer, **look) as theirs:
        await mine.open("/?status=full")
        await mine.page.locator("[data-save]").click()
        await mine.page.get_by_label("Name").fill("Full ones")
        await mine.page.locator("[name=shared]").check()
        await mine.page.locator("main form button.main").click()
        await theirs.open("/")
        await theirs.page.locator("#views a", has_text="Full ones").click()
        await theirs.page.wait_for_url("**/?status=full")
        rows = theirs.page.locator("tbody tr[data-id]:not([hidden])")
        await expect(rows).to_have_count(1)
        await expect(rows).to_contain_text("RVM-002")
        await theirs.open("/views")
        await expect(theirs.page.locator("article")).to_contain_text("Full ones")
        await expect(theirs.page.locator("article form")).to_have_count(0)
        await mine.open("/views")
        await mine.page.locator("article form[action$=remove] button").click()
        await theirs.open("/")
        await expect(theirs.page.locator("#views a", has_text="Full ones")).to_have_count(0)
        assert mine.faults == theirs.faults == []


async def test_a_technicians_machines_follow_a_tag_on_an_open_page(stage: Stage) -> None:
    """A box ticked by an administrator, then a tag set and taken away: the technician's page follows by itself."""
    async with stage.hub.client() as admin:
        await admin.patch("/api/v2/rvms/1", json={"tags": ["west"]})
        technician = await stage.hub.people.add("technician", (stage.keys[2].id,))
        async with tab(stage.browser, stage.hub) as page, tab(stage.browser, stage.hub, technician) as own:
            await own.open("/")
            await own.live()
            rows = own.page.locator("tbody tr[data-id]:not([hidden])")
            await expect(rows).to_have_count(1)
            await page.open(f"/admin/users/{technician.id}")
            await page.page.locator("[name=tag][value=west]").check()
            await page.page.locator("form.person button.main").click()
            await expect(rows).to_have_count(2, timeout=NEWS_MS)
            await admin.patch("/api/v2/rvms/2", json={"tags": ["west"]})
            await expect(rows).to_have_count(3, timeout=NEWS_MS)
            await admin.patch("/api/v2/rvms/1", json={"tags": []})
            await expect(rows).to_have_count(2, timeout=NEWS_MS)
            await own.open("/machines/1")
            await expect(own.page.locator("h1")).not_to_contain_text("RVM-001")
