"""Two people at one trouble, in two browsers: each sees at once what the other did; with and without script."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Stage
from tests.support.browser import SHORTLY, tab
from tests.support.until import until_answered


@pytest.mark.parametrize(("width", "zone"), [(390, "Asia/Jakarta"), (1440, "America/New_York")])
async def test_who_is_on_it_is_seen_by_the_other_at_once(stage: Stage, width: int, zone: str) -> None:
    budi = await stage.hub.people.add("operator")
    async with (
        tab(stage.browser, stage.hub, budi, viewport={"width": width, "height": 844}, timezone_id=zone) as mine,
        tab(stage.browser, stage.hub, viewport={"width": 1440, "height": 900}) as other,
    ):
        for page in (mine, other):
            await page.open("/alerts")
            await page.live()
        await other.page.mouse.move(5, 5)
        await mine.page.locator("[data-take]").first.click()
        await expect(other.page.locator(".acts .owner").first).to_contain_text(f"{budi.email} is on it")
        await expect(mine.page.locator(".acts .owner").first).to_contain_text("You are on it")
        await mine.page.locator(".acts .back button").first.click()
        await expect(other.page.locator(".acts .owner")).to_have_count(0)
        assert mine.faults == []
        assert other.faults == []


async def test_it_works_without_script(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub, java_script_enabled=False) as page:

        async def has_trouble() -> bool:
            await page.open("/")
            return await page.page.locator("[data-take]").count() > 0

        await until_answered(has_trouble)
        await page.page.locator("[data-take]").first.click()
        await expect(page.page.locator(".acts .owner").first).to_contain_text("You are on it")
        await page.page.locator(".acts summary").first.click()
        await page.page.locator(".acts button[value=tomorrow]").first.click()
        await expect(page.page.locator(".acts .owner").nth(1)).to_contain_text(
            re.compile(f"Snoozed until {SHORTLY} 07:00")
        )
        await page.page.locator(".acts .back button").first.click()
        await expect(page.page.locator(".acts .owner")).to_have_count(1)
        assert page.faults == []


@pytest.mark.parametrize(("width", "zone"), [(390, "Asia/Jakarta"), (1024, "Asia/Jakarta"), (1440, "America/New_York")])
async def test_a_rows_count_of_alerts_follows_and_leads_to_them(stage: Stage, width: int, zone: str) -> None:
    size = {"width": width, "height": 844}
    async with (
        stage.hub.client() as admin,
        tab(stage.browser, stage.hub, viewport=size, timezone_id=zone) as page,
    ):
        await page.open("/?sort=-alerts")
        await page.live()
        alerts = page.page.locator('tr[data-id="2"] .c-alerts a')  # it is full
        await expect(alerts).to_have_text("Alerts: 1")
        await expect(page.page.locator('tr[data-id="1"] .c-alerts a')).to_be_hidden()
        found = (await admin.get("/api/v2/troubles?rvm=2")).json()["data"]
        await admin.post(f"/api/v2/troubles/{found[0]['id']}/snooze", json={"choice": "1h"})
        await expect(alerts).to_be_hidden()
        await admin.post(f"/api/v2/troubles/{found[0]['id']}/unsnooze")
        await expect(alerts).to_be_visible()
        await alerts.click()
        await page.page.wait_for_url("**/alerts?rvm=2")
        await expect(page.page.locator("article h2 a")).to_have_text(["RVM-002"])
        await page.page.locator("#alerts .filter").click()
        await page.page.wait_for_url("**/alerts")
        assert page.faults == []


async def test_how_long_ago_an_alert_began_goes_on_while_nothing_happens(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/alerts")
        await page.live()

        async def goes_on() -> object:
            return await page.page.evaluate(
                """() => {
                  const began = document.querySelector("#alerts [data-ago]");
                  if (began) began.dataset.ago = document.body.feed.clock.now() - 3 * 86400e3;
                  return /3.d ago/.test(began?.textContent);
                }"""
            )

        await until_answered(goes_on)
        assert page.faults == []
