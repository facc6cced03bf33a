"""What each page is sent of the fleet, and that nothing it shows of other machines is late for it."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timezone
from functools import partial
from typing import Any, Final

import pytest
from playwright.async_api import Request, WebSocket, expect

from protocol import messages as m
from tests.browser.conftest import Stage
from tests.browser.test_remote_access import DESK, PHONE
from tests.support.browser import Tab, tab
from tests.support.machine_client import MachineClient
from tests.support.remote_operator import RemoteOperator
from tests.support.until import until, until_answered

WITH_READINGS: Final = """() => [...document.body.feed.fleet.machines.values()]
  .filter((m) => "readings" in m).map(({ id }) => id)"""


@pytest.mark.parametrize(
    ("path", "whole"), [("/", [1, 2, 3]), ("/alerts", [1, 2, 3]), ("/machines/1", [1]), ("/m/1", [1]), ("/help", [])]
)
async def test_a_page_is_sent_readings_of_what_it_draws(seen_stage: Stage, path: str, whole: list[int]) -> None:
    """Which page is of what: tests/hub/web/shell/test_feed_addresses.py."""
    async with tab(seen_stage.browser, seen_stage.hub) as page:
        await page.open(path)
        await until_answered(lambda: page.page.evaluate("document.body.feed?.fleet.machines.size === 3"))
        assert await page.page.evaluate(WITH_READINGS) == whole
        assert page.faults == []


@asynccontextmanager
async def opened(stage: Stage, look: dict[str, Any]) -> AsyncIterator[list[Tab]]:
    """A page of another machine, of none, and the list."""
    paths = ("/machines/1", "/help", "/alerts")
    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(tab(stage.browser, stage.hub, **look)) for _ in paths]
        for page, path in zip(pages, paths, strict=True):
            await page.open(path)
            await page.live()
        yield pages
        assert [page.faults for page in pages] == [[] for _ in pages]


async def all_count(pages: list[Tab], trouble: int) -> None:
    for page in pages:
        await expect(page.page.locator("#alarms")).to_have_text(re.compile(rf"^\s*{trouble}\b"))
        await expect(page.page).to_have_title(re.compile(rf"^\({trouble}\) "))


@pytest.mark.parametrize("look", [PHONE, DESK], ids=["390", "1440"])
async def test_trouble_jobs_and_sessions_of_another_machine_show_on_every_page(
    stage: Stage, look: dict[str, Any]
) -> None:
    key = stage.keys[2]
    async with opened(stage, look) as pages, MachineClient.connect(stage.hub.websocket_url, key) as machine:
        await all_count(pages, 2)
        now = datetime.now(timezone.utc).isoformat()
        await machine.say_hello(capabilities=["ping", "terminal", "remote"], time=now)
        await all_count(pages, 1)

        async def measure(seq: int, disk: float) -> None:
            sample = m.Sample(timestamp=time.time(), cpu_usage=5.0, temperature=50.0, disk_usage=disk)
            await machine.say(m.Metrics(seq=seq, samples=[sample], live=True))

        value = pages[-1].page.locator(f"[data-worth=disk][data-rvm='{key.id}']").first
        await measure(1, 97.0)
        await all_count(pages, 2)
        await expect(value).to_contain_text("97")
        await measure(2, 98.0)
        await expect(value).to_contain_text("98")
        operator = RemoteOperator(stage.hub, stage.hub.admin)
        answer = await operator.ask("POST", f"/rvms/{key.id}/commands", {"name": "ping"})
        assert answer.status_code in (201, 202), answer.text
        await machine.say(m.ConfigApplied(version=0, own={"admin_ips": ["127.0.0.0/8"]}))
        for page in pages:
            await expect(page.page.locator("[data-open-jobs]")).to_have_text("1")
        await operator.start(key)
        for page in pages:
            await expect(page.page.locator("[data-open-jobs]")).to_have_text("2")
            await expect(page.page.locator("#lease-chip bdi")).to_have_text("RVM-003")
            await expect(page.page.locator("#lease-chip")).to_be_visible()


async def test_a_page_of_no_machine_has_a_frame_each_second_although_no_reading_comes(seen_stage: Stage) -> None:
    """So it knows silence from peace; while the machines measure five times a second."""
    beats, readings = 0, 0

    def count(text: str | bytes) -> None:
        nonlocal beats, readings
        frame = json.loads(text)
        if frame["type"] == "delta":
            beats += frame["m"] == []
            readings += any("readings" in machine for machine in frame["m"])

    def listen(socket: WebSocket) -> None:
        assert socket.url.endswith("/ws/dashboard?of=0")
        socket.on("framereceived", count)

    async with tab(seen_stage.browser, seen_stage.hub) as page:
        page.page.on("websocket", listen)
        await page.open("/help")
        await page.live()
        await until(lambda: beats >= 3)
        assert readings == 0
        await expect(page.page.locator("body")).to_have_attribute("data-link", "live")
        assert page.faults == []


async def test_what_time_alone_changes_is_asked_for_on_every_page(seen_stage: Stage) -> None:
    """A snooze that ends counts again, and no frame says so."""
    paths = ("/", "/jobs", "/events", "/admin/settings", "/machines/1", "/help")
    asked = Counter[str]()

    def count(request: Request, path: str) -> None:
        asked[path] += bool(re.search(r"/machines/parts\?.*\bof=[^&]*alarms", request.url))

    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(tab(seen_stage.browser, seen_stage.hub)) for _ in paths]
        for page, path in zip(pages, paths, strict=True):
            page.page.on("request", partial(count, path=path))
            await page.open(path)
            await page.live()

        async def again() -> bool:
            """Once it is asked for when a page begins."""
            for page in pages:
                await page.page.evaluate("document.querySelector('#alarms').dataset.until = '1'")
            return all(asked[path] >= 3 for path in paths)

        await until_answered(again)
        assert [page.faults for page in pages] == [[] for _ in pages]
