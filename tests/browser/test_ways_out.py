"""What cannot be done says why and what to do instead: on a phone, a tablet and in windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Stage
from tests.browser.test_found_by_eye import DESK, LOOKS, PHONE
from tests.support.browser import tab


async def test_services_that_nobody_declared_are_not_asked_for(stage: Stage) -> None:
    for look in LOOKS:
        async with tab(stage.browser, stage.hub, **look) as page:
            await page.open("/machines/1/do/restart_service")
            await expect(page.page.locator(".note.warn")).to_contain_text("declares no services that may be restarted")
            await expect(page.page.get_by_role("button", name="Restart services")).to_be_disabled()
            await expect(page.page.locator("main form input[name=service], main form select")).to_have_count(0)
            gap = """() => {
              const box = (selector) => document.querySelector(`main form ${selector}`).getBoundingClientRect();
              return box(".ends .btn").top - box("[name=reason]").bottom;
            }"""
            assert await page.page.evaluate(gap) >= 8
            assert page.faults == []


@pytest.mark.parametrize(("look", "locale", "words"), [
    (PHONE, "id-ID", "Terlalu umum: termasuk yang pertama dicoba penyerang."),
    (DESK, "en-GB", "Too common: it is among the first that attackers try."),
])  # fmt: skip
async def test_a_weak_password_is_refused_in_sight(stage: Stage, look: dict[str, Any], locale: str, words: str) -> None:
    async with tab(stage.browser, stage.hub, **look, locale=locale) as page:
        await page.open("/account")
        await page.page.locator("input[autocomplete=new-password]").fill("password123456")
        await page.page.locator("form:has([autocomplete=new-password]) button.main").click()
        await expect(page.page.get_by_text(words)).to_be_in_viewport()
        assert page.faults == []


async def test_settings_that_the_fleet_has_none_of_are_run_by_nobody(stage: Stage) -> None:
    for look in LOOKS:
        async with tab(stage.browser, stage.hub, **look) as page:
            await page.open("/admin/settings")
            await expect(page.page.locator("#applied")).to_contain_text("No fleet settings yet")
            await expect(page.page.locator("#applied")).not_to_contain_text("run these settings")
            assert page.faults == []


@pytest.mark.parametrize(("look", "locale", "separator"), [(PHONE, "id-ID", ";"), (DESK, "en-GB", ",")])
async def test_a_spreadsheet_comes_as_the_readers_program_opens_it(
    stage: Stage, tmp_path: Path, look: dict[str, Any], locale: str, separator: str
) -> None:
    async with tab(stage.browser, stage.hub, **look, locale=locale, accept_downloads=True) as page:
        await page.open("/events")
        await page.live()
        await page.page.get_by_text({"id-ID": "Ekspor CSV", "en-GB": "Export CSV"}[locale]).click()
        async with page.page.expect_download() as coming:
            await page.page.get_by_role("button", name={"id-ID": "Unduh", "en-GB": "Download"}[locale]).click()
        await (await coming.value).save_as(tmp_path / "events.csv")
        lines = (tmp_path / "events.csv").read_text(encoding="utf-8-sig").splitlines()
        if separator == ";":
            assert lines.pop(0) == "sep=;"
        assert lines[0].startswith(separator.join(("id", "at", "kind")))
        assert page.faults == []
