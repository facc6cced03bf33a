"""A status is asked for with a reason and taken back beside the button; Back takes back a filter."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Stage
from tests.browser.test_found_by_eye import LOOKS
from tests.support.browser import tab


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: str(look["viewport"]["width"]))
async def test_a_status_is_confirmed_beside_its_button_and_taken_back_there(stage: Stage, look: dict[str, Any]) -> None:
    async with tab(stage.browser, stage.hub, **look) as page:
        await page.open("/machines/1")
        await page.live()
        reason, fault = page.page.locator("#reason"), page.page.locator("#status-fault")
        await page.page.check('input[value="maintenance"]', force=True)
        await page.page.click("[data-send]")
        await expect(fault).to_have_text("Please give a reason: the next person will want to know.")
        await expect(reason).to_have_attribute("aria-invalid", "true")
        await expect(reason).to_be_focused()
        await reason.fill("belt")
        await page.page.click("[data-send]")
        await expect(page.page.locator("#done")).to_contain_text("Maintenance requested.")
        await expect(fault).to_be_hidden()
        await expect(page.page.locator("#status-pill")).to_contain_text("Maintenance")
        undo = page.page.locator("#done button")
        # At one moment: cards come in above them.
        apart = await undo.evaluate(
            "(undo, send) => undo.getBoundingClientRect().y - send.getBoundingClientRect().y",
            await page.page.query_selector("[data-send]"),
        )
        assert abs(apart) < 200, "near the finger"
        await undo.click()
        await expect(page.page.locator("#status-pill")).not_to_contain_text("Maintenance")
        assert page.faults == []


@pytest.mark.parametrize("script", [True, False])
async def test_what_many_were_asked_for_is_taken_back_from_the_answer(stage: Stage, script: bool) -> None:
    async with tab(stage.browser, stage.hub, java_script_enabled=script) as page:
        await page.open("/")
        if script:
            await page.live()
        for rvm_id in (1, 3):
            await page.page.check(f'tr[data-id="{rvm_id}"] .x input')
        await page.page.click("#bulk button[value=maintenance]")
        scope = page.page.locator("#bulk-ask" if script else "main")
        await scope.locator("[name=reason]").fill("cleaning")
        await scope.locator("[data-go]" if script else ".btn.main").click()
        undo = scope.locator(".undo button")
        await expect(undo).to_be_visible()
        await undo.click()
        await expect(page.page.locator("main")).to_contain_text("Taken back for 2 of 2 machines.")
        await page.open("/machines/1")
        await expect(page.page.locator("#status-pill")).not_to_contain_text("Maintenance")
        assert page.faults == []


async def test_a_new_name_is_taken_back_beside_the_form(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/1/settings")
        await page.live()
        await page.page.fill("#name", "Lobby")
        await page.page.click("[action$='/rename'] .btn[data-needs-hub]")
        await expect(page.page.locator("#done")).to_contain_text("Saved.")
        await expect(page.page.locator("h1")).to_contain_text("Lobby")
        await page.page.click("#done button")
        await expect(page.page.locator("h1")).to_contain_text("RVM-001")
        await expect(page.page.locator("#name")).to_have_value("RVM-001")
        await expect(page.page.locator("#done")).to_have_count(0)
        assert page.faults == []


async def test_a_name_that_somebody_else_gives_is_in_the_title_and_takes_no_letter(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        for path, rest in (("/machines/1", ""), ("/machines/1/settings", " – Settings")):
            name = f"Lobi {len(path)} $&"
            await page.open(path)
            await page.live()
            if not rest:
                await page.page.locator("#status-form [value=error]").check(force=True)
                await page.page.fill("#status-form [name=reason]", "The door is")
            async with stage.hub.client() as client:
                assert (await client.patch("/api/v2/rvms/1", json={"name": name})).status_code == 200
            await expect(page.page.locator("h1")).to_contain_text(name)
            assert (await page.page.title()).endswith(f"{name}{rest} – RVM")
            if not rest:
                await page.page.keyboard.type(" stuck")
                await expect(page.page.locator("#status-form [name=reason]")).to_have_value("The door is stuck")
        assert page.faults == []


async def test_back_takes_back_a_filter_and_the_breadcrumb_keeps_it(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/")
        await page.live()
        await page.page.click('[data-count="full"]')
        await page.page.wait_for_url(re.compile(r"\?status=full$"))
        await page.page.click('[data-count="offline"]')
        await page.page.wait_for_url(re.compile("connection=offline"))
        await page.page.go_back()
        await page.page.wait_for_url(re.compile(r"\?status=full$"))
        await expect(page.page.locator("#filters .filter:not([hidden])")).to_have_count(1)
        await page.page.click("tbody tr:not([hidden]) a")
        await expect(page.page.locator('.crumb a[href="/?status=full"]')).to_be_visible()
        await page.page.go_back()
        await expect(page.page.locator("#filters .filter:not([hidden])")).to_have_count(1)
        assert page.faults == []
