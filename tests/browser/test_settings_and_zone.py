"""Settings, time zone, history and quarantine of a machine in a real browser, against a real hub."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from protocol import messages as m
from tests.browser.conftest import Stage
from tests.browser.test_found_by_eye import at_every_width
from tests.support.browser import SHORTLY, Tab, tab
from tests.support.machine_client import MachineClient

CAPABLE = ["ping", "set_status", "sync_timezone", "until"]


def said(page: Tab) -> Any:
    return page.page.locator("#save [data-said]")


async def saved(page: Tab) -> None:
    async with page.page.expect_navigation(url="**?notice=saved"):
        await page.page.click("#save [data-send]")


async def test_a_value_is_overridden_saved_and_inherited_again(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/1/settings")
        await page.live()
        await page.page.fill("[name='v.temperature_threshold']", "75,5")
        await expect(page.page.locator("[name='o.temperature_threshold']")).to_have_value("own")
        await expect(said(page)).to_have_text("1 change not saved")
        await saved(page)
        await page.live()
        await expect(page.page.locator("[name='v.temperature_threshold']")).to_have_value("75.5")
        await expect(page.page.locator("main .note.good")).to_have_text("Saved as version 1.")
        await page.page.select_option("[name='o.temperature_threshold']", "")
        await saved(page)
        await expect(page.page.locator("[name='v.temperature_threshold']")).to_have_value("80")
        assert page.faults == []


async def test_wanted_and_run_are_live_with_what_the_machine_refused(stage: Stage) -> None:
    async with stage.hub.client() as admin, tab(stage.browser, stage.hub) as page:
        await page.open("/machines/3/settings")
        await page.live()
        await expect(page.page.locator("#applied")).to_contain_text("The machine runs with its own file.")
        async with MachineClient.connect(stage.hub.websocket_url, stage.keys[2]) as machine:
            await machine.say_hello(capabilities=CAPABLE)
            await admin.patch("/api/v2/rvms/3/config", json={"cpu_threshold": 70, "temperature_threshold": 70})
            told = await machine.hear(m.Config)
            await expect(page.page.locator("#applied")).to_contain_text(
                f"Version {told.version} is wanted, the machine runs 0."
            )
            await expect(page.page.locator("[name='v.cpu_threshold']")).to_have_value("70")
            await machine.say(m.ConfigApplied(version=told.version, errors={"cpu_threshold": "set by the environment"}))
            await expect(page.page.locator("#applied")).to_contain_text(
                "The machine runs these settings. The machine refused 1 setting"
            )
            await expect(page.page.locator("[data-key=cpu_threshold] [data-refused]")).to_contain_text(
                "set by the environment"
            )
        assert page.faults == []


async def test_what_somebody_else_saved_is_shown_and_what_was_typed_stays(stage: Stage) -> None:
    """Who it was is named; of saving nothing is told before anybody has tried."""
    sari = await stage.hub.people.add("admin")
    async with stage.hub.client(sari.token) as other, at_every_width(stage, "/machines/1/settings") as pages:
        for page in pages:
            await page.page.fill("[name='v.cpu_threshold']", "70")
            await page.page.fill("[name='v.metrics_interval']", "60")
        changed = {"cpu_threshold": 85, "memory_threshold": 60}
        assert (await other.patch("/api/v2/rvms/1/config", json=changed)).status_code == 200
        for page in pages:
            note = page.page.locator("[data-key=cpu_threshold] [data-now]")
            await expect(note).to_have_text(f"{sari.email} set this to 85\u202f% while you were editing.")
            await expect(page.page.locator("[name='v.memory_threshold']")).to_have_value("60")
            await expect(page.page.locator("[name='v.cpu_threshold']")).to_have_value("70")
            await expect(said(page)).to_contain_text(f"{sari.email} changed settings while you were editing.")
            await expect(said(page)).not_to_contain_text("again")
        await saved(pages[0])
        found = (await other.get("/api/v2/rvms/1/config")).json()["data"]["values"]
        assert (found["cpu_threshold"], found["metrics_interval"], found["memory_threshold"]) == (70, 60, 60)


async def test_a_stale_form_is_answered_with_what_is_now(stage: Stage) -> None:
    """The hub's news does not come through; the 409 tells it."""
    async with stage.hub.client() as other, tab(stage.browser, stage.hub) as page:
        await page.open("/machines/1/settings")
        await page.live()
        await page.page.click("#link-chip")
        await page.page.fill("[name='v.cpu_threshold']", "70")
        await page.page.evaluate("document.querySelector('#settings').elements.version.value = '0'")
        await other.patch("/api/v2/rvms/1/config", json={"cpu_threshold": 85})
        await page.page.evaluate("document.querySelector('#settings').elements.version.value = '0'")
        async with page.page.expect_response("**/settings") as answer:
            await page.page.click("#save [data-send]")
        assert (await answer.value).status in (200, 409)
        await expect(said(page)).to_contain_text("Nothing of yours is lost")
        await expect(page.page.locator("[name='v.cpu_threshold']")).to_have_value("70")


async def test_a_wrong_value_is_shown_at_its_field_and_a_key_is_added(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/1/settings")
        await page.live()
        await page.page.fill("[name='v.metrics_interval']", "1.000")
        await page.page.press("[name='v.metrics_interval']", "Enter")
        fault = page.page.locator("[data-key=metrics_interval] [data-fault]")
        await expect(fault).to_have_text("“1.000” could mean 1000 or 1.0: write it as one of these.")
        await expect(said(page)).to_have_text("Not saved: see the marked fields.")
        await page.page.fill("[name='v.metrics_interval']", "1000")
        await expect(fault).to_be_hidden()
        await page.page.fill("[name='v.cpu_threshold']", "900")
        await page.page.click("#save [data-send]")
        await expect(page.page.locator("[data-key=cpu_threshold] [data-fault]")).to_be_visible()
        await expect(said(page)).to_have_text("Not saved: see the marked fields.")
        async with stage.hub.client() as other:
            await other.patch("/api/v2/rvms/1/config", json={"memory_threshold": 60})
        await expect(page.page.locator("[name='v.memory_threshold']")).to_have_value("60")
        await expect(page.page.locator("[data-key=cpu_threshold] [data-fault]")).to_be_visible()
        await page.page.fill("[name='v.cpu_threshold']", "90")
        await page.page.select_option("[name='o.cpu_threshold']", "")
        await page.page.click(".set-add summary")
        await page.page.fill("[name='add.key']", "Bad Key")
        await page.page.fill("[name='add.value']", "0,6")
        await page.page.click("#save [data-send]")
        await expect(page.page.locator(".set-new [data-fault]")).to_be_visible()
        await page.page.fill("[name='add.key']", "confidence-threshold")
        await saved(page)
        await expect(page.page.locator("[name='v.confidence_threshold']")).to_have_value("0.6")
        assert page.faults == []


async def test_the_zone_is_synced_by_a_button_whose_steps_are_seen(stage: Stage, zone: str) -> None:
    async with tab(stage.browser, stage.hub, timezone_id=zone) as page:
        async with MachineClient.connect(stage.hub.websocket_url, stage.keys[2]) as machine:
            await machine.say_hello(capabilities=CAPABLE, timezone="Asia/Jakarta", time=_now())
            await page.open("/machines/3")
            await page.live()
            card = page.page.locator("#zone")
            await card.get_by_role("button", name="Sync time zone").click()
            command = await machine.hear(m.Command)
            assert command.name == "sync_timezone"
            steps = card.locator("[data-step][data-done]")
            await expect(steps).to_have_count(1)
            await machine.say(m.CommandUpdate(id=command.id, state="running", progress=m.Progress(phase="verifying")))
            await expect(steps).to_have_count(2)
            await machine.say(
                m.TimezoneReport(
                    timezone="Asia/Makassar", timestamp=_now(), sync_method="manual", source="lookup", applied=True,
                    city="Denpasar", country="Indonesia", system_timezone="Asia/Makassar", restart=["vision.service"],
                )
            )  # fmt: skip
            await machine.say(m.CommandUpdate(id=command.id, state="succeeded"))
            await expect(steps).to_have_count(3)
            await expect(card).to_contain_text("Time zone correct (Asia/Makassar, WITA)")
            await expect(card).to_contain_text("Restart to use the new time zone: vision.service")
            await expect(card).to_contain_text("0 automatic, 1 manual")
            await card.get_by_role("button", name="Pin Asia/Makassar").click()
            await expect(card.get_by_role("button", name="Unpin")).to_be_visible()
            await expect(card).to_contain_text("Asia/Makassar, WITA (pinned)")
            report = m.TimezoneReport(
                timezone="Asia/Makassar", timestamp=_now(), sync_method="automatic", source="pinned",
                guess="Asia/Jakarta", system_timezone="Asia/Makassar", applied=True,
            )  # fmt: skip
            await machine.say(report)
            await expect(card).to_contain_text("The look-up found Asia/Jakarta, WIB, pinned is Asia/Makassar, WITA.")
            await card.get_by_role("button", name="Keep Asia/Makassar").click()
            await expect(card).to_contain_text("decided to keep Asia/Makassar, WITA")
        assert page.faults == []


async def test_a_sync_that_failed_shows_how_far_it_came_and_why(stage: Stage) -> None:
    async with MachineClient.connect(stage.hub.websocket_url, stage.keys[2]) as machine:
        await machine.say_hello(capabilities=CAPABLE, timezone="Asia/Jakarta", time=_now())
        async with at_every_width(stage, "/machines/3") as pages:
            for asker, phase, code, done, why in (
                (pages[0], "setting", "not_permitted", ["Sent"], "not allowed to do this on the machine"),
                (pages[-1], "verifying", "not_verified", ["Sent", "Applied"], "the system does not show it"),
            ):
                await asker.page.locator("#zone").get_by_role("button", name="Sync time zone").click()
                told = await machine.hear(m.Command)
                await machine.say(m.CommandUpdate(id=told.id, state="running", progress=m.Progress(phase=phase)))
                for page in pages:
                    await expect(page.page.locator("#zone [data-done]")).to_have_text(done)
                failure = m.Failure(code=code, message="what systemd said")
                await machine.say(m.CommandUpdate(id=told.id, state="failed", error=failure))
                for page in pages:
                    steps = page.page.locator("#zone [data-step]")
                    failed = page.page.locator("#zone [data-failed]")
                    await expect(failed).to_have_text(f"{('Applied', 'Verified')[len(done) - 1]}: Failed")
                    await expect(page.page.locator("#zone [data-done]")).to_have_text(done)
                    await expect(steps).to_have_count(3)
                    await expect(page.page.locator("#zone [data-how]")).to_contain_text(why)
                    colours = await steps.evaluate_all("all => all.map(one => getComputedStyle(one).borderTopColor)")
                    assert colours.count(colours[len(done)]) == 1, "the one that failed stands out"


async def test_status_until_busy_and_history_are_live(stage: Stage, zone: str) -> None:
    async with stage.hub.client() as operator, tab(stage.browser, stage.hub, timezone_id=zone) as page:
        await page.open("/machines/1")
        await page.live()
        await page.page.click("#statuses summary")
        before = await page.page.locator("#statuses tbody tr").count()
        wanted = {"status": "maintenance", "reason": "Ganti sensor", "until": "2099-01-01T00:00:00Z"}
        assert (await operator.patch("/api/v2/rvms/1/status?wait=10", json=wanted)).status_code == 200
        await expect(page.page.locator("#status-until")).to_have_text(
            re.compile("^back to Active 1 Jan 2099,? 07:00 WIB")
        )
        rows = page.page.locator("#statuses tbody tr")
        await expect(rows).to_have_count(before + 1)
        await expect(rows.first).to_contain_text("Ganti sensor")
        await page.page.check('input[value="maintenance"]', force=True)
        await page.page.fill("#reason", "Ganti sensor")
        await page.page.select_option("#until", "tomorrow")
        await page.page.click("[data-send]")
        await expect(page.page.locator("#status-until")).to_have_text(
            re.compile(f"^back to Active {SHORTLY} 07:00 WIB$")
        )
        assert page.faults == []


@pytest.mark.parametrize("locale", ["en-GB", "id-ID"])
async def test_the_new_pages_fit_a_phone(stage: Stage, locale: str, tmp_path: Path) -> None:
    look: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "locale": locale, "has_touch": True}
    async with tab(stage.browser, stage.hub, **look) as page:
        for path in ("/machines/1/settings", "/machines/1", "/admin/settings"):
            await page.open(path)
            await page.live()
            assert await page.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        picture = await page.picture(tmp_path / "settings.png")
        assert len(picture) > 20_000


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
