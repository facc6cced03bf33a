"""Needs attention in a real browser: each kind's cause and next step, one number everywhere, a machine that is off."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from typing import Any, Final

import pytest
from playwright.async_api import Page, expect

from dashboard.texts import texts_in
from protocol import messages as m
from tests.browser.conftest import Stage
from tests.browser.test_found_by_eye import at_every_width
from tests.support.browser import LATELY, tab
from tests.support.lively_machine import LivelyMachine, lively
from tests.support.machine_client import MachineClient

READINGS: Final[dict[str, dict[str, Any]]] = {
    "hot": {"temperature": 86.0},
    "disk": {"disk_usage": 97.0},
}


async def agree(page: Page, many: int) -> None:
    """The list's head, the navigation and the title count the same."""
    await expect(page.locator("[data-total]")).to_have_text(str(many))
    await expect(page.locator("#alarms")).to_contain_text(str(many))
    await expect(page).to_have_title(re.compile(rf"^\({many}\) "))


async def shows(page: Page, rvm_id: int, cause: str, language: str = "en") -> None:
    """Its line in the list: the cause, who acts, and the same next step as on its own page."""
    t = texts_in(language)
    line = page.locator(f"#needs li[data-key='{rvm_id}']")
    await expect(line.locator("[data-words]")).to_contain_text(t(f"cause.{cause}", value="|").partition("|")[0])
    await expect(line.locator(".todo")).to_contain_text(t(f"why.{cause}.next"))
    await expect(line.locator(".todo b")).to_have_text(re.compile(r"^\S.*:$"))


async def declare(machine: LivelyMachine, seq: int, status: Any, **members: Any) -> None:
    await machine.say(m.StatusReport(seq=seq, status=status, **members))


@pytest.mark.parametrize(("width", "language", "reading"), [(1440, "en", "hot"), (390, "id", "disk")])
async def test_each_kind_says_what_to_do_and_all_count_alike(
    stage: Stage, width: int, language: str, reading: str
) -> None:
    machine = stage.machine
    look: dict[str, Any] = {"viewport": {"width": width, "height": 844}, "locale": language}
    async with tab(stage.browser, stage.hub, **look) as page:
        await page.open("/")
        await page.live()
        await shows(page.page, 2, "full", language)
        await shows(page.page, 3, "never", language)
        await agree(page.page, 2)
        machine.members = READINGS[reading]
        await shows(page.page, 1, reading, language)
        await agree(page.page, 3)
        await declare(machine, 1, "error", reason="belt")
        await shows(page.page, 1, "error", language)
        line = page.page.locator("#needs li[data-key='1']")
        await expect(line).to_contain_text("belt")
        await expect(page.page.locator('[data-count="error"]')).to_contain_text("1")
        await agree(page.page, 3)
        await page.open("/machines/1")
        await expect(page.page.locator("#why")).to_contain_text(texts_in(language)("why.error.next"))
        assert page.faults == []


async def test_an_offline_machine_shows_its_last_report_as_past(stage: Stage) -> None:
    """It stands in the list a minute later: tests/dashboard/test_decisions.py."""
    key = await stage.hub.add_machine("RVM-004")
    async with tab(stage.browser, stage.hub) as page:
        async with lively(stage.hub, key, status="active") as machine:
            await page.open("/")
            await page.live()
            await expect(page.page.locator("tr[data-id='4'] .e")).to_have_text("Live")
            await expect(page.page.locator('[data-count="offline"]')).to_contain_text("0")
            machine.cpu = 30.0
        await expect(page.page.locator('[data-count="offline"]')).to_contain_text("1")
        await page.open("/machines/4")
        await page.live()
        head = page.page.locator("#head")
        await expect(head).to_have_class(re.compile("past"))
        await expect(page.page.locator("#status-known")).to_be_visible()
        await expect(page.page.locator("[data-fact=time]")).to_have_text(re.compile(f"^last {LATELY} "))
        await expect(page.page.locator(".tile[data-m=cpu_usage] [data-age]")).to_have_text(re.compile(r"\d"))
        await expect(page.page.locator("#why")).to_contain_text(texts_in("en")("why.offline.next"))
        assert page.faults == []


async def test_a_busy_cpu_is_trouble_after_a_minute_and_no_single_sample_takes_it_in_or_out(stage: Stage) -> None:
    """Its own time: the samples are of the last minutes, and come at once."""
    began = time.time() - 300
    async with MachineClient.connect(stage.hub.websocket_url, stage.keys[2]) as machine:
        await machine.say_hello(capabilities=["ping"], time=datetime.now(timezone.utc).isoformat())
        async with at_every_width(stage, "/") as pages:

            async def measure(after_s: int, cpu: float) -> None:
                sample = m.Sample(timestamp=began + after_s, cpu_usage=cpu, temperature=50.0)
                await machine.say(m.Metrics(seq=after_s + 1, samples=[sample], live=True))
                for page in pages:
                    await expect(page.page.locator("tr[data-id='3']")).to_contain_text(f"{cpu:.0f}")

            for after_s, cpu, listed in (
                (0, 95, 0), (20, 30, 0), (40, 96, 0), (65, 97, 1), (80, 31, 1), (120, 32, 1), (130, 33, 0),
            ):  # fmt: skip
                await measure(after_s, cpu)
                for page in pages:
                    row = page.page.locator("#attention li[data-key='3']")
                    await expect(row).to_have_count(listed)
                    await expect(page.page.locator("#alarms")).to_have_text(str(1 + listed))
                    if listed:
                        await expect(row.locator("[data-words]")).to_contain_text(f"CPU at {cpu}")
                        await expect(row.locator(".since")).to_have_text(re.compile(r"^\d+\smin ago$"))


async def test_a_machine_that_was_shut_down_is_no_silent_one(stage: Stage) -> None:
    async with MachineClient.connect(stage.hub.websocket_url, stage.keys[2]) as machine:
        await machine.say_hello(capabilities=["ping"])
        async with at_every_width(stage, "/machines/3") as pages:
            await machine.say(m.Bye(reason="shutdown"))
            for page in pages:
                await expect(page.page.locator("#why")).to_contain_text("The machine was shut down normally.")
                await expect(page.page.locator("#why")).to_contain_text(texts_in("en")("why.shutdown.next"))
