"""What cannot be done says why and what to do instead: on a phone, a tablet and in windows."""

from __future__ import annotations

import csv
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from protocol import messages as m
from tests.browser.conftest import Stage
from tests.browser.test_found_by_eye import DESK, LOOKS, PHONE, at_every_width
from tests.support.browser import tab
from tests.support.machine_client import MachineClient
from tests.support.until import until, until_answered


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
            await expect(page.page.locator("#applied > .i")).to_have_class("i inactive")
            assert page.faults == []


async def test_who_refuses_settings_is_named_wherever_somebody_looks(stage: Stage) -> None:
    async with stage.hub.client() as admin, MachineClient.connect(stage.hub.websocket_url, stage.keys[2]) as machine:
        await machine.say_hello(capabilities=["ping"], time=datetime.now(timezone.utc).isoformat())
        async with at_every_width(stage, "/admin/settings") as pages:
            await admin.patch("/api/v2/rvms/3/config", json={"cpu_threshold": 70})
            told = await machine.hear(m.Config)
            await machine.say(m.ConfigApplied(version=told.version, errors={"cpu_threshold": "set by the environment"}))
            for page in pages:
                applied = page.page.locator("#applied")
                await expect(applied).to_contain_text("1 machine refuses a setting: RVM-003")
                await expect(applied).to_contain_text("No fleet settings yet")
                await expect(applied).not_to_contain_text("run these settings")
                await expect(applied.locator("[href='/machines/3/settings']")).to_be_visible()
            await admin.patch("/api/v2/config", json={"memory_threshold": 70})
            told = await machine.hear(m.Config)
            await machine.say(m.ConfigApplied(version=told.version, errors={"cpu_threshold": "set by the environment"}))
            for page in pages:
                await expect(page.page.locator("#applied")).to_contain_text("0 of 3 machines run these settings.")
                await expect(page.page.locator("#applied")).to_contain_text("1 machine refuses a setting: RVM-003")
        async with at_every_width(stage, "/") as pages:
            for page in pages:
                row = page.page.locator("#attention li[data-key='3']")
                await expect(row).to_contain_text("Refuses settings")
                await expect(row).to_contain_text("Administrator: Open Settings: each refused one says why.")
                await expect(row.locator(".since")).to_have_text(re.compile(r"\d"))
                await expect(row.locator("a.btn")).to_have_attribute("href", "/machines/3/settings")


async def test_a_wrong_time_zone_is_named_in_the_list(stage: Stage) -> None:
    now = datetime.now(timezone.utc)
    report = m.TimezoneReport(
        timezone="Asia/Jakarta", timestamp=now.isoformat(), sync_method="automatic", source="lookup", applied=False,
        system_timezone="Asia/Makassar",
    )  # fmt: skip
    async with MachineClient.connect(stage.hub.websocket_url, stage.keys[2]) as machine:
        await machine.say_hello(capabilities=["ping"], timezone="Asia/Jakarta", time=now.isoformat())
        async with at_every_width(stage, "/") as pages:
            await machine.say(report)
            for page in pages:
                row = page.page.locator("#attention li[data-key='3']")
                await expect(row).to_contain_text("Wrong time zone")
                await expect(row).to_contain_text("Operator: Open the time zone card")
                await expect(row.locator(".since")).to_have_text(re.compile(r"\d"))
                await expect(row.locator("a").first).to_have_attribute("href", "/machines/3#zone")


async def test_a_remote_session_that_is_refused_says_where_it_would_not_be(stage: Stage) -> None:
    async with stage.hub.client() as admin:
        answer = await admin.patch("/api/v2/rvms/1/config", json={"admin_ips": ["192.0.2.0/24"]})
        assert answer.status_code == 200, answer.text
        await admin.patch("/api/v2/rvms/3/config", json={"admin_ips": ["192.0.2.0/24"]})
    for rvm_id, words in (
        (1, "Use the office network or its VPN, or ask an administrator to add the address in the machine's settings"),
        (3, "The machine is offline. Remote access works again as soon as it is back."),
    ):
        async with at_every_width(stage, f"/machines/{rvm_id}/remote") as pages:
            for page in pages:
                place = page.page.locator("#lease-place")
                await expect(place).to_contain_text(words)
                await expect(place).to_contain_text("“Networks allowed to open sessions”" if rvm_id == 1 else "offline")
                await expect(place.get_by_role("button", name="Start remote access")).to_be_disabled()


@pytest.mark.parametrize("script", [True, False])
async def test_full_is_asked_for_once_more_when_the_bin_says_otherwise(stage: Stage, script: bool) -> None:
    async def nearly_empty() -> bool:
        async with stage.hub.client() as client:
            found = (await client.get("/api/v2/rvms/1")).json()["data"]
        return (found["effective_status"], found["capacity"]) == ("active", 10)

    for seq, look in enumerate(LOOKS, start=1):
        await stage.machine.say(m.StatusReport(seq=seq, status="active", capacity=10))
        await until_answered(nearly_empty)
        async with tab(stage.browser, stage.hub, java_script_enabled=script, **look) as page:
            await page.open("/machines/1")
            sure, fault = page.page.locator("#status-form [name=sure]"), page.page.locator("#status-fault")
            if script:
                await page.live()
            await expect(page.page.locator("[data-sure]")).to_have_text("Full although the bin says 10\u202f%")
            await page.page.check("input[value=full]", force=True)
            await page.page.click("[data-send]")
            await expect(fault).to_contain_text("According to its sensor the bin is not full: tick the box")
            if script or look["viewport"]["height"] > 400:  # else the card alone is higher than the screen
                await expect(fault).to_be_in_viewport()
            assert stage.machine.asked == []
            await sure.check()
            await page.page.click("[data-send]")
            await expect(page.page.locator("#done")).to_contain_text("Full requested.")
            if script or look["viewport"]["height"] > 400:
                await expect(page.page.locator("#done")).to_be_in_viewport()
            await until(lambda: stage.machine.asked[-1:] == ["full"])
            assert stage.machine.asked == ["full"]
            stage.machine.asked.clear()
            assert page.faults == []


@pytest.mark.parametrize(("locale", "separator"), [("id-ID", ";"), ("en-GB", ",")])
@pytest.mark.parametrize("look", LOOKS, ids=lambda look: str(look["viewport"]["width"]))
async def test_a_spreadsheet_comes_as_the_readers_program_opens_it(
    seen_stage: Stage, tmp_path: Path, look: dict[str, Any], locale: str, separator: str
) -> None:
    async with tab(seen_stage.browser, seen_stage.hub, **look, locale=locale, accept_downloads=True) as page:
        await page.open("/events")
        await page.live()
        await page.page.get_by_text({"id-ID": "Ekspor CSV", "en-GB": "Export CSV"}[locale]).click()
        async with page.page.expect_download() as coming:
            await page.page.get_by_role("button", name={"id-ID": "Unduh", "en-GB": "Download"}[locale]).click()
        await (await coming.value).save_as(tmp_path / "events.csv")
        # Below a line that names the separator Excel reads no UTF-8.
        written = "utf-16" if separator == ";" else "utf-8-sig"
        lines = (tmp_path / "events.csv").read_text(encoding=written).splitlines()
        if separator == ";":
            assert lines.pop(0) == "sep=;"
        assert lines[0].startswith(separator.join(("id", "at", "kind")))
        assert page.faults == []


@pytest.mark.parametrize("look", [PHONE, DESK], ids=["390", "1440"])
async def test_a_spreadsheet_is_in_the_readers_own_zone(stage: Stage, tmp_path: Path, look: dict[str, Any]) -> None:
    """Its times, what their column says, and the day in its name; another zone is a choice."""
    farthest = timezone(timedelta(hours=14))  # Another day than in UTC for most of it
    async with tab(stage.browser, stage.hub, **look, accept_downloads=True) as page:
        await page.open("/account")
        await page.page.check("input[name=zone][value=own]", force=True)
        await page.page.fill("[name=timezone]", "Pacific/Kiritimati")
        await page.page.click("form[action='/account'] button")
        await expect(page.page.locator(".note.good")).to_have_text("Saved.")
        await page.open("/events")
        await page.page.click("#export summary")
        for chosen, zone in ((None, farthest), ("UTC", timezone.utc)):
            if chosen is not None:
                await page.page.select_option("#zone", chosen)
            before = datetime.now(zone).replace(microsecond=0)
            async with page.page.expect_download() as coming:
                await page.page.click("#export button")
            download = await coming.value
            await download.save_as(tmp_path / "events.csv")
            named = datetime.strptime(download.suggested_filename, "events-%Y%m%d-%H%M%S.csv").replace(tzinfo=zone)
            assert before <= named <= datetime.now(zone)
            first, *_ = csv.DictReader((tmp_path / "events.csv").read_text(encoding="utf-8-sig").splitlines())
            at = datetime.fromisoformat(first["at"].replace("Z", "+00:00"))
            assert first[f"at {chosen or 'Pacific/Kiritimati'}"] == at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
        assert page.faults == []
