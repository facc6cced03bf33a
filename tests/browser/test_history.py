"""The history of a machine in a real browser: by links, keys and a drag; in both languages and two zones."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Route, expect

from hub.cli.data import open_data
from tests.browser.conftest import Stage, staged
from tests.support.browser import Tab, tab
from tests.support.measured_past import booted, measure, went_away
from tests.support.until import until_answered

WINDOWS: list[dict[str, Any]] = [
    {"viewport": {"width": 1440, "height": 900}, "locale": "en-GB"},
    {"viewport": {"width": 390, "height": 844}, "locale": "id-ID", "has_touch": True, "is_mobile": True},
]
DRAWN = "document.querySelector('[data-chart=cpu_usage] [data-plot]')?.data?.length > 0"
PLOT = "document.querySelector('[data-chart=cpu_usage] [data-plot]')"
UTC = "(at) => Date.parse(at.replace(' ', 'T') + 'Z')"
WIDE = "document.documentElement.scrollWidth > innerWidth"
CUT = """() => { const left = (of) => of.getBoundingClientRect().left;
  return [...document.querySelectorAll("#network .ytick text")]
    .filter((of) => left(of) < left(of.closest(".plot"))).map((of) => of.textContent); }"""
AT = "/machines/1/history"
HOUR = timedelta(hours=1)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def past(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> AsyncIterator[Stage]:
    """Eight days of samples, each five minutes, with six hours away; all of it long over."""
    async with staged(tmp_path_factory.mktemp("past"), browser) as stage:
        end = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0) - HOUR
        gone = [(end - 15 * HOUR, end - 9 * HOUR)]
        async with open_data(stage.hub.settings, create=False) as opened:
            await measure(opened.store, 1, end, timedelta(days=8), timedelta(minutes=5), gone)
            await opened.commit(*went_away(1, gone), *booted(1, end - 100 * HOUR, gone[0][1]))
        yield stage


def asked(page: Tab) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.page.url).query).items()}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@pytest.mark.parametrize("look", WINDOWS, ids=["1440", "390"])
async def test_ranges_are_links_and_back_goes_back(past: Stage, look: dict[str, Any], tmp_path: Path) -> None:
    async with tab(past.browser, past.hub, **look) as page:
        await page.open("/machines/1")
        await page.page.locator("#tiles [data-m=cpu_usage] h2 a").click()
        await page.page.wait_for_url(f"**{AT}#cpu_usage")
        await until_answered(lambda: page.page.evaluate(DRAWN))
        await page.page.locator("[data-range='7d']").click()
        await page.page.wait_for_url(f"**{AT}?range=7d")
        await page.live()
        await page.page.locator("[data-chart=cpu_usage]").scroll_into_view_if_needed()  # only what is seen is drawn
        await until_answered(lambda: page.page.evaluate(DRAWN))
        names = await page.page.evaluate(f"{PLOT}.data.map((trace) => trace.meta)")
        assert names == ["cpu_usage.band", "cpu_usage", "status"]
        assert await page.page.evaluate(f"{PLOT}.data[0].x.length") > 100, "lowest to highest, not the mean alone"
        last = page.page.locator("[data-chart=cpu_usage] figcaption")
        await expect(last).to_contain_text({"en-GB": "last 7 days", "id-ID": "7 hari terakhir"}[look["locale"]])
        await page.page.locator("#network").scroll_into_view_if_needed()
        await page.page.locator("#network .ytick text").first.wait_for()
        assert await page.page.evaluate(CUT) == [], "a rate is read whole, 20 kB/s not 0 kB/s"
        assert not await page.page.evaluate(WIDE)
        await page.page.go_back()
        await page.page.wait_for_url(f"**{AT}#cpu_usage")
        assert page.faults == []


@pytest.mark.parametrize("look", WINDOWS, ids=["1440", "390"])
async def test_charts_that_cannot_be_drawn_say_so_and_the_page_lives(past: Stage, look: dict[str, Any]) -> None:
    """Until they could be drawn they asked for JavaScript."""
    ended = asyncio.Event()

    async def late(route: Route) -> None:
        await ended.wait()
        await route.abort()

    words = {
        "en-GB": ("Loading history…", "The history could not be loaded."),
        "id-ID": ("Memuat riwayat…", "Riwayat tidak dapat dimuat."),
    }
    async with tab(past.browser, past.hub, **look) as page:
        await page.page.route("**/static/plotly*", late)
        await page.page.goto(f"{past.hub.url}{AT}?range=7d", wait_until="commit")
        await page.live()
        for said in words[look["locale"]]:
            for plot in await page.page.locator("[data-plot]").all():
                await expect(plot).to_have_attribute("data-wait", said)
            ended.set()
        assert page.faults == []


async def test_a_drag_is_the_time_of_all_charts_and_stands_in_the_address(past: Stage, zone: str) -> None:
    """The zone of the computer changes nothing: the page is in the machine's."""
    async with tab(past.browser, past.hub, timezone_id=zone, **WINDOWS[0]) as page:
        await page.open(f"{AT}?range=24h")
        await page.live()
        await until_answered(lambda: page.page.evaluate(DRAWN))
        shown = await page.page.evaluate(f"{PLOT}._fullLayout.xaxis.range.map({UTC})")
        box = await page.page.locator("[data-chart=cpu_usage] .nsewdrag").first.bounding_box()
        assert box is not None
        left, right, middle = box["x"] + box["width"] / 4, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        await page.page.mouse.move(left, middle)
        await page.page.mouse.down()
        await page.page.mouse.move((left + right) / 2, middle, steps=4)
        await page.page.mouse.move(right, middle, steps=4)
        await page.page.mouse.up()
        await page.page.wait_for_url("**from=**")
        address = asked(page)
        start, end = (instant(address[name]).timestamp() for name in ("from", "to"))
        ahead = 7 * 3600
        width = (shown[1] - shown[0]) / 1000
        assert abs(start - (shown[0] / 1000 - ahead + width / 4)) < width / 50
        assert abs(end - (shown[0] / 1000 - ahead + width / 2)) < width / 50
        await page.live()
        await expect(page.page.locator("#history-paused")).to_be_visible()
        await page.page.locator("#history-paused").click()
        await page.page.wait_for_url(f"**{AT}?range=24h")
        assert page.faults == []


@pytest.mark.parametrize("look", WINDOWS, ids=["1440", "390"])
async def test_another_zone_is_one_press_away_and_stays(past: Stage, zone: str, look: dict[str, Any]) -> None:
    """Charts, tables and what leads on."""
    async with tab(past.browser, past.hub, timezone_id=zone, **look) as page:
        await page.open(f"{AT}?range=7d")
        await page.page.locator("[data-zone=utc]").click()
        await page.page.wait_for_url(f"**{AT}?range=7d&zone=utc")
        await page.live()
        await page.page.locator("[data-chart=cpu_usage]").scroll_into_view_if_needed()
        await until_answered(lambda: page.page.evaluate(DRAWN))
        assert "UTC" in await page.page.evaluate(f"{PLOT}._fullLayout.xaxis.hoverformat")
        first = await page.page.locator("[data-chart=cpu_usage] tbody tr").last.get_attribute("data-key")
        shown = await page.page.locator("[data-chart=cpu_usage] tbody th").last.text_content() or ""
        hour = f"{datetime.fromtimestamp(int((first or '').rpartition('-')[2]) / 1000, timezone.utc):%H:%M}"
        assert hour in shown.replace(".", ":")
        await page.page.locator("[data-way=earlier]").click()
        await page.page.wait_for_url("**from=*&zone=utc")
        await page.live()
        if not look.get("is_mobile"):
            await page.page.locator("[data-chart=cpu_usage]").scroll_into_view_if_needed()
            await until_answered(lambda: page.page.evaluate(DRAWN))
            box = await page.page.locator("[data-chart=cpu_usage] .nsewdrag").bounding_box()
            assert box is not None
            before, middle = page.page.url, box["y"] + box["height"] / 2
            await page.page.mouse.move(box["x"] + box["width"] / 2, middle)
            await page.page.mouse.down()
            await page.page.mouse.move(box["x"] + box["width"] * 3 / 4, middle, steps=5)
            await page.page.mouse.up()
            await page.page.wait_for_url(lambda url: url != before and "zone=utc" in url)
        assert not await page.page.evaluate(WIDE)
        assert page.faults == []


async def test_a_time_that_is_none_is_named_and_puts_nothing_wrong_into_a_field(past: Stage) -> None:
    async with tab(past.browser, past.hub, **WINDOWS[0]) as page:
        told: list[str] = []
        page.page.on("console", lambda message: told.append(message.text) if message.type == "warning" else None)
        await page.page.goto(f"{past.hub.url}{AT}?from=abc&to=2026-11-20T14:00")
        await expect(page.page.locator("#history")).to_contain_text("From: “abc” is not a date and time")
        assert await page.page.input_value("#history-to") == "2026-11-20T14:00"
        assert told == []


async def test_a_finger_scrolls_and_does_not_zoom(past: Stage) -> None:
    async with tab(past.browser, past.hub, **WINDOWS[1]) as page:
        await page.open(f"{AT}?range=24h")
        await page.page.locator("[data-chart=cpu_usage]").scroll_into_view_if_needed()
        await until_answered(lambda: page.page.evaluate(DRAWN))
        assert await page.page.evaluate(f"{PLOT}._fullLayout.dragmode") is False


async def test_keyboard_shortcuts_choose_and_shift_the_range_pause_and_show_the_table(past: Stage) -> None:
    async with tab(past.browser, past.hub, **WINDOWS[0]) as page:
        await page.open("/machines/1")
        await page.live()
        await page.page.keyboard.press("2")
        await page.page.wait_for_url(f"**{AT}")
        await page.live()
        for keys, ends in ((("t", "5"), "?range=7d"), (("t", "1"), "?range=10m"), (("t", "4"), "?range=24h")):
            for key in keys:
                await page.page.keyboard.press(key)
            await page.page.wait_for_url(f"**{AT}{ends}")
            await page.live()
        await page.page.keyboard.press("l")
        await expect(page.page.locator("#history-live")).to_have_attribute("data-state", "paused")
        await page.page.keyboard.press("l")
        await expect(page.page.locator("#history-live")).to_have_attribute("data-state", "live")
        await page.page.keyboard.press("v")
        await expect(page.page.locator("[data-chart=cpu_usage] table")).to_be_visible()
        await page.page.keyboard.press("v")
        await expect(page.page.locator("[data-chart=cpu_usage] table")).to_be_hidden()
        for key in ("t", "ArrowLeft"):
            await page.page.keyboard.press(key)
        await page.page.wait_for_url("**from=**")
        await page.live()
        for key in ("t", "ArrowRight"):
            await page.page.keyboard.press(key)
        await page.page.wait_for_url(f"**{AT}?range=24h")
        await page.live()
        for key in ("t", "z"):
            await page.page.keyboard.press(key)
        await page.page.wait_for_url(f"**{AT}?range=7d")
        await page.live()
        await page.page.keyboard.press("]")
        await page.page.wait_for_url("**/machines/2/history?range=7d")
        await page.live()
        await page.page.keyboard.press("?")
        await expect(page.page.locator("#shortcuts")).to_contain_text("History: zoom out")
        assert page.faults == []


async def test_a_chart_fills_the_screen_and_comes_back(past: Stage) -> None:
    async with tab(past.browser, past.hub, **WINDOWS[0]) as page:
        await page.open(f"{AT}?range=24h")
        await page.live()
        await until_answered(lambda: page.page.evaluate(DRAWN))
        await page.page.locator("[data-chart=cpu_usage] [data-full]").click()
        await until_answered(lambda: page.page.evaluate("document.fullscreenElement?.dataset.chart === 'cpu_usage'"))
        await until_answered(lambda: page.page.evaluate(f"{PLOT}._fullLayout.height > 400"))
        await page.page.keyboard.press("f")
        await until_answered(lambda: page.page.evaluate("document.fullscreenElement === null"))


async def test_charts_share_the_pointer(past: Stage) -> None:
    async with tab(past.browser, past.hub, **WINDOWS[0]) as page:
        await page.open(f"{AT}?range=7d")
        await page.live()
        memory = "document.querySelector('[data-chart=memory_usage] [data-plot]')?.data?.length > 0"
        await until_answered(lambda: page.page.evaluate(f"{DRAWN} && {memory}"))
        box = await page.page.locator("[data-chart=cpu_usage] .nsewdrag").first.bounding_box()
        assert box is not None
        for step in range(12):
            await page.page.mouse.move(box["x"] + box["width"] / 2 + step, box["y"] + 60)
        hovered = page.page.locator("[data-chart=memory_usage] .hoverlayer :is(.hovertext, .legend)")
        await expect(hovered).not_to_have_count(0)
        assert page.faults == []


async def test_an_absence_is_a_grey_band_that_names_it_and_no_line_crosses_it(past: Stage) -> None:
    async with tab(past.browser, past.hub, **WINDOWS[0]) as page:
        await page.open(f"{AT}?range=24h")
        await page.live()
        await until_answered(lambda: page.page.evaluate(DRAWN))
        words = f"[...{PLOT}.querySelectorAll('.annotation-text')].map((node) => node.textContent)"
        await until_answered(lambda: page.page.evaluate(f"{words}.some((text) => text.includes('machine offline'))"))
        assert await page.page.evaluate(f"{PLOT}.data[1].y.includes(null)")
        await expect(page.page.locator(".band")).to_contain_text("2 reboots")  # and the one that runs now


async def test_a_table_keeps_its_rows_when_the_hub_draws_it_again(past: Stage) -> None:
    async with tab(past.browser, past.hub, **WINDOWS[0]) as page:
        await page.open(f"{AT}?range=24h")
        await page.live()
        rows = page.page.locator("[data-chart=cpu_usage] tbody tr")
        before = await rows.count()
        assert before > 10
        read = page.page.locator("#history > p.muted").first  # names the second in which it was read
        first = await read.text_content()

        async def is_drawn_again() -> bool:
            for _ in range(2):  # a pause and its end, which asks for what was missed
                await page.page.locator("#history-live").click()
            return await read.text_content() != first

        await until_answered(is_drawn_again, every=1)
        assert abs(await rows.count() - before) <= 2, "a bucket may have ended"
        assert page.faults == []


@pytest.mark.parametrize(
    ("own", "day", "hours"),
    [
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("Asia/Jakarta", "2026-03-08", 24),
    ],
)
async def test_days_and_hours_are_those_of_the_readers_zone_also_when_its_clocks_change(
    past: Stage, zone: str, own: str, day: str, hours: int
) -> None:
    """8 March 2026 has 23 hours in New York, 1 November 25: none is drawn twice, none left out."""
    begins = datetime.fromisoformat(day)
    next_day = (begins + 24 * HOUR).date().isoformat()
    noon = (begins + 12 * HOUR).replace(tzinfo=ZoneInfo(own)).astimezone(timezone.utc)
    async with open_data(past.hub.settings, create=False) as opened:
        await measure(opened.store, 2, noon + 24 * HOUR, timedelta(hours=48), timedelta(minutes=10))
    async with past.hub.client() as client:
        assert (await client.patch("/api/v2/auth/me", json={"timezone": own})).status_code == 200
        try:
            async with tab(past.browser, past.hub, timezone_id=zone, **WINDOWS[0]) as page:
                await page.open(f"/machines/2/history?from={day}T00:00&to={next_day}T00:00")
                address = asked(page)
                assert instant(address["to"]) - instant(address["from"]) == hours * HOUR
                await until_answered(lambda: page.page.evaluate(DRAWN))
                times = await page.page.evaluate(f"{PLOT}.data[1].x")
                assert times[0].startswith(f"{day}T00:00"), "the first bucket begins at midnight there"
                last = (begins + (hours - 1) * HOUR).isoformat()[:14]
                assert times[-1].startswith(last), "and the last one is before the next, by the same clock"
                assert times == sorted(set(times))
                shown = f"{begins.day} {begins:%b}"
                assert await page.page.evaluate(f"{PLOT}.querySelector('.xtick text').textContent") == shown
                rows = await page.page.locator("[data-chart=cpu_usage] tbody tr th").all_text_contents()
                assert re.search(rf"\b{shown}( {begins.year})? 00:00", rows[-1]), "with the year where it is another"
                assert len(rows) == len(set(rows)), "an hour that is there twice is named by its zone"
                assert page.faults == []
        finally:
            await client.patch("/api/v2/auth/me", json={"timezone": None})


@pytest.mark.parametrize("look", WINDOWS, ids=["1440", "390"])
async def test_without_script_ranges_tables_and_files_work(past: Stage, look: dict[str, Any], tmp_path: Path) -> None:
    async with tab(past.browser, past.hub, java_script_enabled=False, **look) as page:
        await page.open(AT)
        await page.page.locator("[data-range='7d']").click()
        await page.page.wait_for_url(f"**{AT}?range=7d")
        card = page.page.locator("[data-chart=cpu_usage]")
        await card.locator("summary").click()
        await expect(card.locator("tbody tr").first).to_be_visible()
        await expect(card.locator("[data-full]")).to_be_hidden()
        async with page.page.expect_download() as coming:
            await card.get_by_text("CSV").click()
        file = await coming.value
        assert re.fullmatch(r"history-[\w.-]+-7d\.csv", file.suggested_filename)
        await page.page.locator("#history-custom summary").click()
        await page.page.fill("#history-from", "2026-11-20T00:00")
        await page.page.fill("#history-to", "2026-11-20T06:00")
        await page.page.locator("#history-custom button").click()
        await page.page.wait_for_url("**from=2026-11-19T17:00:00Z&to=2026-11-19T23:00:00Z**")
        await page.page.locator("[data-zone=utc]").click()
        await page.page.wait_for_url("**from=2026-11-19T17:00:00Z&to=2026-11-19T23:00:00Z&range=7d&zone=utc")
        await page.page.locator("#history-custom summary").click()
        assert await page.page.input_value("#history-from") == "2026-11-19T17:00"


async def test_live_charts_go_on_by_themselves_and_a_silent_page_takes_now_back(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub, **WINDOWS[0]) as page:
        await page.open(f"{AT}?range=10m")
        await page.live()
        await until_answered(lambda: page.page.evaluate(DRAWN))
        before = await page.page.locator("#history").get_attribute("data-until")
        stage.machine.cpu = 77.0
        await expect(page.page.locator("[data-chart=cpu_usage] .fresh-only")).to_contain_text("now 77")
        assert await page.page.locator("#history").get_attribute("data-until") != before
        await until_answered(lambda: page.page.evaluate(f"{PLOT}.data[1].y.at(-1) > 70"))
        await stage.hub.kill()
        await expect(page.page.locator("[data-chart=cpu_usage] .fresh-only")).to_be_hidden()
        await expect(page.page.locator("[data-chart=cpu_usage] .silent-only")).to_contain_text("last 77")
        await expect(page.page.locator("#history-live")).to_have_attribute("data-state", "off")
        assert page.faults == []
