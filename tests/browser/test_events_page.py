"""The record in a real browser: what is new is announced and not pushed in, older lines come on request."""

from __future__ import annotations

import re

from playwright.async_api import expect

from hub.lifespan import utc_now
from hub.model.views import rfc3339
from protocol import messages as m
from tests.browser.conftest import Stage
from tests.support.browser import Tab, tab
from tests.support.hub_people import MachineKey
from tests.support.machine_client import MachineClient

HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m"


async def report(stage: Stage, count: int, first: int = 1, key: MachineKey | None = None) -> None:
    """Events of the machine that is not there otherwise."""
    async with MachineClient.connect(stage.hub.websocket_url, key or stage.keys[2]) as client:
        await client.say_hello(boot_id="boot-of-events")
        for seq in range(first, first + count):
            happened = m.Event(seq=seq, code=f"door.{seq}", params={"text": HOSTILE}, timestamp=rfc3339(utc_now()))
            await client.say(happened)
            await client.hear(m.Received)


async def sentences(page: Tab) -> list[str]:
    return await page.page.locator("#events p").all_inner_texts()


async def test_what_is_new_waits_for_a_press_and_moves_nothing(stage: Stage, zone: str) -> None:
    async with tab(stage.browser, stage.hub, timezone_id=zone) as page:
        await page.open("/events?kind=machine&machine=RVM-003")
        await page.live()
        before = await sentences(page)
        await report(stage, 3)
        await expect(page.page.locator("#news")).to_have_text(re.compile(r"[34] new – show"))
        assert await sentences(page) == before
        await page.page.click("#news button")
        await expect(page.page.locator("#events")).to_contain_text("The machine reports door.3")
        assert "The machine reports door.3, text: <img src=x onerror=alert(1)>\ufffd\ufffd[31m" in await sentences(page)
        await expect(page.page.locator("#news")).to_be_hidden()
        assert await page.page.locator("#events li.day").count() == 1
        assert page.faults == []


async def test_older_lines_are_added_at_the_end(stage: Stage) -> None:
    await report(stage, 60)
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/3/events?q=door")
        await page.live()
        assert len(await sentences(page)) == 50
        await page.page.click("#more a")
        await expect(page.page.locator("#events p")).to_have_count(60)
        await expect(page.page.locator("#more")).to_have_text("No older events.")
        told = [int(text.partition("door.")[2].partition(",")[0]) for text in await sentences(page)]
        assert told == list(range(60, 0, -1))
        assert page.faults == []


async def test_the_lists_work_without_script_and_by_keyboard(stage: Stage) -> None:
    await report(stage, 55)
    async with tab(stage.browser, stage.hub, java_script_enabled=False) as page:
        await page.open("/events?kind=machine&machine=RVM-003")
        await page.page.click("#more a")
        await page.page.wait_for_url(re.compile("before="))
        await expect(page.page.locator("#events")).to_contain_text("door.1,")
        await page.page.fill("[name=q]", "door.42")
        await page.page.press("[name=q]", "Enter")
        await expect(page.page.locator("#events p")).to_have_count(1)
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/")
        await page.live()
        await page.page.keyboard.press("g")
        await page.page.keyboard.press("e")
        await page.page.wait_for_url("**/events")
        await page.live()
        await page.page.keyboard.press("/")
        assert await page.page.evaluate("document.activeElement.name") == "q"


async def test_a_file_of_what_is_shown_is_one_press_away(stage: Stage) -> None:
    await report(stage, 2)
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/events?q=door")
        async with page.page.expect_download() as coming:
            await page.page.click("#export summary")
            await page.page.select_option("#separator", "tab")
            await page.page.click("#export button")
        download = await coming.value
        assert re.fullmatch(r"events-[\d-]+\.csv", download.suggested_filename)
        text = (await download.path()).read_text("utf-16")
        assert text.startswith("sep=\t\nid\tat\tkind")
        assert text.count("The machine reports door.") == 2
