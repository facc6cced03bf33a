"""The Overview of one machine in a real browser: commands, charts, keyboard."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from protocol import messages as m
from tests.browser.conftest import Stage
from tests.support.browser import SHORTLY, Tab, tab
from tests.support.door_process import REPOSITORY
from tests.support.machine_client import MachineClient

JOB = "#machine-jobs .job:first-child [data-how]"
ZOOM = """() => {
  const plot = document.querySelector('[data-chart=load] [data-plot]');
  const to = Date.parse(`${plot._fullLayout.xaxis.range[1].replace(' ', 'T')}Z`);
  const text = (ms) => new Date(ms).toISOString().slice(0, -1);
  return Plotly.relayout(plot, {'xaxis.range[0]': text(to - 60000), 'xaxis.range[1]': text(to - 30000)});
}"""
"""What Plotly does when somebody drags across a chart."""
HOVER = """() => {
  const plot = document.querySelector('[data-chart=load] [data-plot]');
  Plotly.Fx.hover(plot, {xval: plot.calcdata[0][0].x});
}"""
RANGE = """document.querySelector('[data-chart=load] [data-plot]')._fullLayout.xaxis.range
  .map((at) => Date.parse(`${at.replace(' ', 'T')}Z`))"""
"""In ms, the axis's time taken for UTC."""


async def moved_from(page: Tab, before: list[float]) -> None:
    """Wait until the charts show another stretch of time."""
    ends = time.monotonic() + 15
    while await page.page.evaluate(RANGE) == before:
        assert time.monotonic() < ends, "the window stands still"


async def test_maintenance_is_shown_when_the_machine_has_confirmed_it_and_not_before(stage: Stage) -> None:
    stage.machine.confirms = False
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/1")
        await page.live()
        await page.page.check('input[value="maintenance"]', force=True)
        await page.page.click("[data-send]")
        await expect(page.page.locator("#status-form [data-fault]")).to_contain_text("Please give a reason")
        await page.page.fill("#reason", "Ganti sensor berat")
        await page.page.click("[data-send]")
        await expect(page.page.locator(JOB)).to_have_text("Sent. Waiting for the machine to confirm…")
        await expect(page.page.locator("#status-pill")).to_contain_text("Active")
        # The answer may come after the feed's news; then the form is empty again.
        await expect(page.page.locator("[data-send]")).not_to_have_attribute("aria-busy", "true")
        stage.machine.confirms = True
        await page.page.check('input[value="maintenance"]', force=True)
        await page.page.fill("#reason", "Ganti sensor berat")
        await page.page.click("[data-send]")
        await expect(page.page.locator("#status-pill")).to_contain_text("Maintenance")
        # Below the one that is still open.
        done = page.page.locator("#machine-jobs [data-state=succeeded] [data-how]")
        await expect(done).to_have_text("Done: the machine confirmed it.")
        await expect(page.page.locator("#why")).to_contain_text("Ganti sensor berat")
        assert stage.machine.asked[-1] == "maintenance"
        assert page.faults == []


async def test_what_is_typed_while_the_hub_answers_stays_and_a_lost_answer_comes_by_the_feed(
    stage: Stage,
) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/1")
        await page.live()
        asking: asyncio.Queue[Route] = asyncio.Queue()
        await page.page.route("**/api/v2/rvms/1/status", asking.put)
        fault, reason = page.page.locator("#status-form [data-fault]"), page.page.locator("#reason")
        await page.page.check('input[value="maintenance"]', force=True)
        await reason.fill("first")
        await page.page.click("[data-send]")
        first = await asking.get()
        await reason.fill("typed meanwhile")
        await first.continue_()
        await expect(page.page.locator("#status-pill")).to_contain_text("Maintenance")
        await expect(page.page.locator("#why")).to_contain_text("first")
        await expect(page.page.locator("[data-send]")).not_to_have_attribute("aria-busy", "true")
        await expect(reason).to_have_value("typed meanwhile")
        await page.page.check('input[value="error"]', force=True)
        await page.page.click("[data-send]")
        second = await asking.get()
        await second.fetch()
        await second.abort()
        await expect(page.page.locator("#status-pill")).to_contain_text("Error")
        await expect(page.page.locator("#why")).to_contain_text("typed meanwhile")
        await expect(reason).to_have_value("")
        await expect(fault).to_be_hidden()
        assert page.faults == []


async def test_the_status_is_changed_by_keyboard_alone(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/1")
        await page.live()
        await page.page.keyboard.press("s")
        await page.page.keyboard.press("ArrowDown")
        await page.page.keyboard.press("ArrowDown")
        assert await page.page.evaluate("document.activeElement.value") == "maintenance"
        await page.page.keyboard.press("Tab")
        await page.page.keyboard.type("by keyboard")
        await page.page.keyboard.press("Enter")
        await expect(page.page.locator("#status-pill")).to_contain_text("Maintenance")


async def test_of_an_offline_machine_it_is_shown_before_the_click_when_it_will_happen(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/3")
        await page.live()
        promise = re.compile(f"Not connected: will run when it connects, until {SHORTLY}")
        await expect(page.page.locator("#when-offline")).to_contain_text(promise)
        await expect(page.page.locator("#why")).to_contain_text("This machine has never connected.")
        bin_of = page.page.locator('.tile[data-m="capacity"]')
        await expect(bin_of.locator("[data-value]")).to_have_text("—")
        await expect(bin_of.locator("[data-range]")).to_have_text("nothing received yet")
        await page.page.check('input[value="full"]', force=True)
        await page.page.click("[data-send]")
        await expect(page.page.locator(JOB)).to_contain_text("Queued. Runs when the machine connects")


@pytest.mark.parametrize("then_s", [0.0, -30 * 86400.0], ids=["put right", "set far back"])
async def test_a_chart_goes_on_when_the_clock_of_the_machine_is_set_back(stage: Stage, then_s: float) -> None:
    stage.machine.ahead_s = 240.0
    async with tab(stage.browser, stage.hub, viewport={"width": 1280, "height": 1600}) as page:
        await page.open("/machines/1")
        caption = page.page.locator("[data-chart=load] [data-caption]")
        await expect(caption).to_contain_text("20")
        for cpu in (61.0, 83.0):
            stage.machine.cpu = cpu
            await expect(caption).to_contain_text(f"{cpu:.0f}")
            stage.machine.ahead_s = then_s
        times = await page.page.evaluate("document.querySelector('[data-chart=load] [data-plot]').data[0].x")
        assert times == sorted(times), "no line runs backwards"
        assert page.faults == []


async def test_a_zoom_is_kept_while_values_come_and_live_is_one_press_away(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub, viewport={"width": 1280, "height": 1600}) as page:
        await page.open("/machines/1")
        await page.page.wait_for_selector("[data-chart=load] .xaxislayer-above", state="attached")
        before = await page.page.evaluate(RANGE)
        await moved_from(page, before)
        await page.page.evaluate(ZOOM)
        chip = page.page.locator("[data-chart=load] [data-live]")
        await expect(chip).to_contain_text("Paused · Back to live")
        zoomed = await page.page.evaluate(RANGE)
        await expect(chip).to_contain_text("behind")
        assert await page.page.evaluate(RANGE) == zoomed
        await expect(page.page.locator("[data-chart=temperature] [data-live]")).to_contain_text("Paused")
        await page.page.keyboard.press("l")
        await expect(chip).to_have_text("Live")
        await moved_from(page, zoomed)
        load = page.page.locator("[data-chart=load]")
        await load.locator("[data-as-table]").click()
        await expect(load.locator("[data-table] td").first).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))
        await expect(load.locator("[data-caption]")).to_contain_text("CPU, last 10 minutes: now 20")
        assert page.faults == []


@pytest.mark.parametrize("zone", ["Asia/Jakarta", "America/New_York", "Asia/Kathmandu", "UTC"])
async def test_axis_hover_table_and_caption_show_the_sites_time_wherever_the_browser_is(
    stage: Stage, zone: str
) -> None:
    async with tab(stage.browser, stage.hub, viewport={"width": 1280, "height": 1600}, timezone_id=zone) as page:
        await page.open("/machines/1")
        load = page.page.locator("[data-chart=load]")
        await load.locator(".xaxislayer-above").wait_for(state="attached")
        ahead = (await page.page.evaluate(RANGE))[1] / 1000 - time.time()
        assert abs(ahead - 7 * 3600) < 60, "the site is in Jakarta"
        # All its values are alike, so that the first is the highest.
        caption = load.locator("[data-caption]")
        await expect(caption).to_contain_text(re.compile(r"highest 20\s?% at \d\d:\d\d"))
        at = re.findall(r"at (\d\d:\d\d)", await caption.inner_text())[0]
        await page.page.evaluate(HOVER)
        await expect(load.locator(".hoverlayer")).to_contain_text(re.compile(rf"{at}:\d\d WIB"))
        await load.locator("[data-as-table]").click()
        await expect(load.locator("[data-table] tr").last.locator("td").first).to_have_text(re.compile(f"^{at}:"))
        assert page.faults == []


async def test_a_viewer_sees_the_control_locked(stage: Stage) -> None:
    viewer = await stage.hub.people.add("viewer")
    async with tab(stage.browser, stage.hub, viewer) as page:
        await page.open("/machines/1")
        await page.live()
        assert await page.page.locator("#status-form input[name=status]").first.is_disabled()
        await expect(page.page.locator("#control")).to_contain_text("You need the role")


async def test_the_file_of_the_page_starts_the_agent_and_a_reload_loses_no_key(stage: Stage, tmp_path: Path) -> None:
    """With a real agent, and the file as the browser saves it."""
    async with tab(stage.browser, stage.hub, accept_downloads=True) as page:
        await page.open("/machines/add")
        await page.page.fill("#name", "RVM-010")
        await page.page.dblclick("[formaction='/machines/add']")
        await expect(page.page.locator("#waiting")).to_contain_text("Waiting for the machine…")
        await page.live()
        key = await page.page.text_content("#key")
        assert key
        assert key not in page.page.url
        await page.page.reload()
        assert await page.page.text_content("#key") == key
        await page.page.goto(f"{stage.hub.url}/")
        await page.page.go_back()
        assert await page.page.text_content("#key") == key
        await page.live()
        await page.page.click("details:has(#download) > summary")
        async with page.page.expect_download() as saving:
            await page.page.click("#download")
        file = tmp_path / "machine" / (await saving.value).suggested_filename
        await (await saving.value).save_as(file)
        assert key in file.read_text("utf-8")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(REPOSITORY / "run_device.py"),
            "--config",
            file.name,
            cwd=file.parent,
            env=os.environ | {"RVM_BOOTSTRAP": "off"},
        )
        try:
            await expect(page.page.locator("#waiting")).to_contain_text("Receiving data")
            await page.page.click("#open")
            await page.live()
            await expect(page.page.locator("h1")).to_have_text("RVM-010")
            await page.page.get_by_role("link", name="Settings").first.click()
            await page.page.get_by_role("link", name="New key").click()
            await page.page.get_by_text("New key…").click()
            await page.page.get_by_role("button", name="Make a new key").click()
            await expect(page.page.locator("#key")).not_to_have_text(key)
            await expect(page.page.locator("main")).to_contain_text("The machine is offline until it has this key.")
            await page.page.click("#open")
            await page.page.get_by_role("link", name="Settings").first.click()
            await page.page.get_by_role("link", name="Remove machine").click()
            await page.page.get_by_label("Type RVM-010 to confirm").fill("RVM-010")
            await page.page.get_by_role("button", name="Remove machine").click()
            await expect(page.page.locator("main > .note.warn")).to_have_text("RVM-010: this machine was removed.")
            await expect(page.page.locator("tbody tr", has_text="RVM-010")).to_have_count(0)
        finally:
            process.kill()
            await process.wait()
        assert page.faults == []


async def test_theme_and_language_change_without_losing_the_place(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub, viewport={"width": 1440, "height": 900}) as page:
        await page.open("/machines/1")
        await page.live()
        async with page.page.expect_response("**/preferences"):
            await page.page.click("header button[value=dark]:visible")
        await expect(page.page.locator("html")).to_have_attribute("data-theme", "dark")
        await page.page.click("header button[value=id]:visible")
        await expect(page.page.locator("#control-head")).to_have_text("Ubah status")
        assert page.page.url.endswith("/machines/1")
        assert await page.page.get_attribute("html", "data-theme") == "dark"


@pytest.mark.parametrize("locale", ["en-GB", "id-ID"])
async def test_each_tab_of_a_machine_is_named_by_its_title(stage: Stage, locale: str) -> None:
    """Among many that are open, and in the history."""
    async with tab(stage.browser, stage.hub, locale=locale) as page:
        await page.open("/machines/2")
        tabs = page.page.locator(".tabs a")
        named = {await each.get_attribute("href"): await each.inner_text() for each in await tabs.all()}
        assert len(named) == 6
        for path, name in list(named.items())[1:]:
            assert path is not None
            await page.open(path)
            await expect(page.page).to_have_title(re.compile(rf"RVM-002 – {name} – RVM$"))
        assert page.faults == []


async def test_a_machine_measures_more_often_only_while_somebody_watches(stage: Stage) -> None:
    """Each second for its own page, every five for the list, and for no page that shows none of it."""
    async with MachineClient.connect(stage.hub.websocket_url, stage.keys[2]) as machine:
        await machine.say_hello(capabilities=[])

        async def asked(interval: float) -> None:
            while (await machine.hear(m.Live)).interval != interval:
                pass

        async with tab(stage.browser, stage.hub) as page:
            for path, interval in (("/", 5), ("/machines/3", 1), ("/help", 0), ("/machines/3", 1), ("/", 5)):
                await page.open(path)
                await asked(interval)
            assert page.faults == []
        await asked(0)
