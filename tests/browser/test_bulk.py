"""Many machines asked at once from the Machines page, in a real browser, and the group they become."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Stage
from tests.support.browser import SHORTLY, tab


async def test_many_machines_are_asked_at_once_and_summed_up(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        scripts: list[str] = []
        page.page.on("request", lambda request: scripts.append(request.url))
        await page.open("/")
        await page.live()
        await expect(page.page.locator("#bulk")).to_be_hidden()
        assert not [url for url in scripts if "bulk" in url]
        await page.page.keyboard.press("j")
        await page.page.keyboard.press("x")
        await expect(page.page.locator("#bulk-count")).to_have_text("1 selected")
        await page.page.check("#bulk-all")
        await expect(page.page.locator("#bulk-count")).to_have_text("3 selected")
        await page.page.click("#bulk button[value=sync_timezone]")
        dialog = page.page.locator("#bulk-ask")
        await expect(dialog.locator("h2")).to_have_text("Sync time zone: 3 machines")
        await expect(dialog).to_contain_text("1 is connected: sent at once")
        await expect(dialog.locator("[data-names] li")).to_contain_text(["RVM-001", "RVM-002", "RVM-003"])
        await expect(dialog.locator("[data-names] li").last).to_be_visible()
        await expect(dialog).to_contain_text(
            re.compile(f"1 is not connected: will run when it connects, until {SHORTLY}")
        )
        await expect(dialog).to_contain_text("1 cannot do it")
        await dialog.locator("[data-go]").click()
        await expect(dialog).to_contain_text("Sent to 2 of 3 machines.")
        await expect(dialog.locator("#bulk-result li")).to_contain_text("RVM-002: ")
        await dialog.locator("#bulk-result a").click()
        await page.page.wait_for_url("**/jobs?group=*")
        await page.live()
        tally = page.page.locator("#tally")
        await expect(tally).to_contain_text("1 of 2 done")
        await expect(tally).to_contain_text("1 offline (queued) [show]")
        await tally.locator("a").click()
        await expect(page.page.locator(".job")).to_have_count(1)
        await expect(page.page.locator(".job")).to_contain_text("RVM-003")
        assert page.faults == []


@pytest.mark.parametrize("script", [True, False])
async def test_the_selected_machines_are_saved_as_csv_again_and_again(stage: Stage, *, script: bool) -> None:
    """The page stays as it is, and its other buttons go on."""
    async with tab(stage.browser, stage.hub, java_script_enabled=script, accept_downloads=True) as page:
        await page.open("/")
        if script:
            await page.live()
        for number in (1, 3):
            await page.page.locator(f'tr[data-id="{number}"] .x input').check()
        for _ in range(2):
            async with page.page.expect_download() as saving:
                await page.page.click('#bulk [formaction="/bulk/sheet"]')
            text = (await asyncio.to_thread((await (await saving.value).path()).read_bytes)).decode()
            assert [line.partition(",")[0] for line in text.splitlines()[1:]] == ["RVM-001", "RVM-003"]
        await page.page.click('#bulk [formaction="/bulk/backups"]')
        await page.page.wait_for_url("**/bulk/backups")
        assert page.faults == []


@pytest.mark.parametrize(("width", "locale"), [(1440, "en-GB"), (390, "id-ID")])
async def test_maintenance_of_many_is_asked_for_some_hours(stage: Stage, width: int, locale: str, zone: str) -> None:
    look: dict[str, Any] = {"viewport": {"width": width, "height": 844}, "locale": locale, "timezone_id": zone}
    async with tab(stage.browser, stage.hub, **look) as page:
        await page.open("/")
        await page.live()
        await page.page.locator('tr[data-id="1"] .x input').check()
        await page.page.click("#bulk button[value=sync_timezone]")
        dialog = page.page.locator("#bulk-ask")
        await expect(dialog.locator("[name=until]")).to_be_hidden()
        await dialog.locator("form [data-close]").click()
        await page.page.click("#bulk button[value=maintenance]")
        await dialog.locator("[name=until]").select_option("4")
        await dialog.locator("[name=reason]").fill("belts")
        await dialog.locator("[data-go]").click()
        await expect(dialog.locator("#bulk-result")).to_be_visible()
        async with stage.hub.client() as client:
            (command,) = (await client.get("/api/v2/commands?rvm=1&name=set_status")).json()["data"]
        asked = datetime.fromisoformat(command["issued_at"].replace("Z", "+00:00"))
        ends = datetime.fromisoformat(command["args"]["until"].replace("Z", "+00:00"))
        assert timedelta(hours=3, minutes=58) < ends - asked <= timedelta(hours=4)
        assert page.faults == []


async def test_a_group_counts_on_while_it_is_watched(stage: Stage) -> None:
    stage.machine.confirms = False
    async with tab(stage.browser, stage.hub) as page:
        async with stage.hub.client() as client:
            asked = {"name": "sync_timezone", "rvms": [1, 3]}
            group = (await client.post("/api/v2/commands", json=asked)).json()["data"]["group_id"]
        await page.open(f"/jobs?group={group}")
        await page.live()
        await expect(page.page.locator("#tally")).to_contain_text("1 under way")
        await stage.machine.tell("succeeded")
        await expect(page.page.locator("#tally")).to_contain_text("1 of 2 done")
        await expect(page.page.locator("#ended .job")).to_have_count(1)
