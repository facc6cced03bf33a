"""The rules of alerts in a browser: another limit is tried, and leads to the setting with that value."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Stage
from tests.support.browser import tab


@pytest.mark.parametrize(("width", "zone"), [(390, "Asia/Jakarta"), (1440, "America/New_York")])
async def test_another_limit_is_tried_and_set(stage: Stage, width: int, zone: str) -> None:
    async with tab(
        stage.browser, stage.hub, viewport={"width": width, "height": 844}, timezone_id=zone
    ) as page:  # fmt: skip
        await page.open("/alerts")
        await page.page.get_by_role("link", name="Rules", exact=True).click()
        await expect(page.page.locator("#rules [data-cause=hot]")).to_contain_text("80 °C")
        await page.page.locator("#cause").select_option("hot")
        await page.page.locator("#limit").fill("-40")
        await page.page.get_by_role("button", name="Show").click()
        await expect(page.page.locator("#try [data-result]")).to_contain_text("it would")
        assert "limit=-40" in page.page.url
        await page.page.get_by_role("link", name="in the fleet settings").click()
        await expect(page.page.locator(".note.warn").first).to_contain_text("Nothing is saved yet")
        field = page.page.locator("[id='v.temperature_threshold']")
        await expect(field).to_have_value("-40")
        await expect(field).to_be_in_viewport()
        assert page.faults == []


async def test_it_works_without_script_and_names_what_is_no_limit(stage: Stage) -> None:
    viewer = await stage.hub.people.add("viewer")
    async with tab(stage.browser, stage.hub, viewer, java_script_enabled=False) as page:
        await page.open("/alerts/rules")
        await page.page.locator("#limit").fill("hot")
        await page.page.get_by_role("button", name="Show").click()
        await expect(page.page.locator("#limit-fault")).to_contain_text("to 150 °C")
        await page.page.locator("#limit").fill("75")
        await page.page.get_by_role("button", name="Show").click()
        await expect(page.page.locator("#try [data-result]")).to_contain_text("You need the role Administrator")
        assert page.faults == []
