"""Reading at a glance: tags and groups, the palette, charts that fit and move together."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Route, expect

from hub.cli.data import open_data
from hub.lifespan import utc_now
from hub.machines.rules import edited
from tests.browser.conftest import Stage
from tests.support.browser import Tab, tab
from tests.support.until import until_answered

SIZES: list[dict[str, Any]] = [{"width": 1440, "height": 900}, {"width": 390, "height": 844}]
WIDE = "document.documentElement.scrollWidth > innerWidth"
HEADS = "rows => rows.map(row => row.dataset.group !== undefined ? `[${row.innerText.trim()}]` : row.dataset.id)"


async def tag(stage: Stage, number: int, site: str | None, *tags: str) -> None:
    """As the command line does it: from another process."""
    async with open_data(stage.hub.settings, create=False) as opened:
        values = {"location_description": site, "tags": tags or None}
        await opened.commit(*edited(stage.keys[number - 1].id, values, utc_now()))


async def rows(page: Tab) -> list[str]:
    """The rows that are shown and the heads among them."""
    shown = page.page.locator("tbody tr:not([hidden])")
    found: list[str] = await shown.evaluate_all(HEADS)
    return found


@pytest.mark.parametrize("viewport", SIZES)
async def test_a_tag_filters_and_machines_stand_in_groups_that_follow_the_feed(
    stage: Stage, viewport: dict[str, int]
) -> None:
    await tag(stage, 1, "Pasar Baru", "mall", "west")
    await tag(stage, 2, "Aula", "west")
    async with tab(stage.browser, stage.hub, viewport=viewport) as page:
        await page.open("/")
        await page.live()
        await page.page.locator('[data-member=tag][data-value="mall"]').click()
        await expect(page.page.locator("tbody tr:not([hidden])")).to_have_count(1)
        assert page.page.url.endswith("/?tag=mall")
        await expect(page.page.locator("#filters .filter:not([hidden])")).to_contain_text("mall")
        await page.page.locator('[data-member=tag][data-value="mall"]').click()
        await expect(page.page.locator("tbody tr:not([hidden])")).to_have_count(3)
        await page.page.locator("select[name=group]").select_option("site")
        await page.page.wait_for_url("**/?group=site")
        await page.live()
        ids = [str(key.id) for key in stage.keys]
        assert await rows(page) == ["[Aula 1]", ids[1], "[Pasar Baru 1]", ids[0], "[No site 1]", ids[2]]
        await tag(stage, 3, "Aula", "west")
        await expect(page.page.locator('[data-group="Aula"]')).to_contain_text("2")
        await page.page.mouse.move(0, 0)
        await expect(page.page.locator('[data-group=""]')).to_have_count(0)
        assert await rows(page) == ["[Aula 2]", ids[1], ids[2], "[Pasar Baru 1]", ids[0]]
        await expect(page.page.locator('[data-member=tag][data-value="west"]')).to_contain_text("3")
        assert not await page.page.evaluate(WIDE)
        assert page.faults == []


async def test_without_script_tags_and_groups_are_links_and_a_form(stage: Stage) -> None:
    await tag(stage, 1, "Pasar Baru", "mall")
    async with tab(stage.browser, stage.hub, java_script_enabled=False, locale="id-ID") as page:

        async def has_tags() -> bool:
            await page.open("/")
            return await page.page.locator(".kinds a[data-member=tag]").count() > 0

        await until_answered(has_tags)  # the hub sees within a second what another process wrote
        await page.page.locator(".kinds a[data-member=tag]").click()
        await expect(page.page.locator("tbody tr th a")).to_have_text([re.compile("^RVM-001")])
        await page.page.locator("select[name=group]").select_option("status")
        await page.page.get_by_role("button", name="Terapkan").click()
        await expect(page.page.locator(".machines .group")).to_contain_text("Aktif")


@pytest.mark.parametrize(("viewport", "language"), [(SIZES[0], "en-GB"), (SIZES[1], "id-ID")])
async def test_the_palette_leads_to_machines_pages_and_actions_by_keyboard(
    stage: Stage, viewport: dict[str, int], language: str
) -> None:
    await tag(stage, 3, "Café Ångström")
    async with tab(stage.browser, stage.hub, viewport=viewport, locale=language) as page:
        await page.open("/help")
        await page.page.keyboard.press("Control+k")
        box = page.page.locator("#palette input")
        await expect(box).to_be_focused()
        await page.page.keyboard.type("rvm-002")
        await expect(box).to_have_value("rvm-002")
        await expect(page.page.locator("#palette li:not([hidden])")).to_have_count(1)
        await page.page.keyboard.press("Enter")
        await page.page.wait_for_url(f"**/machines/{stage.keys[1].id}")
        await page.live()
        await page.page.keyboard.press("Control+k")
        await expect(box).to_be_focused()
        await page.page.keyboard.type("nonsense")
        await expect(page.page.locator("#palette [data-none]")).to_be_visible()
        await box.fill("cafe angstrom")
        await expect(page.page.locator("#palette li:not([hidden])")).to_contain_text("RVM-003")
        await box.fill("")
        await page.page.keyboard.press("ArrowDown")
        await expect(page.page.locator("#palette [aria-selected=true]")).to_contain_text("RVM-002")
        assert not await page.page.evaluate(WIDE)
        await page.page.keyboard.press("Escape")
        await expect(page.page.locator("#palette")).to_have_count(0)
        await page.page.keyboard.press("6")
        await page.page.wait_for_url("**/settings")
        await page.page.keyboard.press("]")
        await page.page.wait_for_url(f"**/machines/{stage.keys[2].id}/settings")
        await page.page.keyboard.press("[")
        await page.page.wait_for_url(f"**/machines/{stage.keys[1].id}/settings")
        assert page.faults == []


@pytest.mark.parametrize("language", ["en-GB", "id-ID"])
async def test_the_header_has_a_button_for_the_palette_and_its_keys(stage: Stage, language: str) -> None:
    """The key of search goes to the page's own where there is one."""
    async with tab(stage.browser, stage.hub, viewport=SIZES[0], locale=language) as page:
        await page.open("/help")
        button, box = page.page.locator(".top .to-palette"), page.page.locator("#palette input")
        assert (await button.inner_text()).split("\n")[-2:] == ["/", "Ctrl K"]
        await button.click()
        await expect(box).to_be_focused()
        await page.page.keyboard.type("rvm-002")
        await expect(page.page.locator("#palette li:not([hidden])")).to_have_count(1)
        await page.page.keyboard.press("Escape")  # the letters, then the palette
        await page.page.keyboard.press("Escape")
        await expect(button).to_be_focused()
        await page.page.keyboard.press("/")
        await expect(box).to_be_focused()
        await page.open("/")
        await page.page.keyboard.press("/")
        await expect(page.page.locator("#q")).to_be_focused()
        await page.page.set_viewport_size({"width": 390, "height": 844})
        await expect(button).to_be_hidden()
        assert page.faults == []
    async with tab(stage.browser, stage.hub, viewport=SIZES[0], java_script_enabled=False) as page:
        await page.open("/help")
        await page.page.locator(".top .to-palette").click()
        await page.page.wait_for_url("**/#q")


async def test_the_search_of_the_list_finds_without_accents(stage: Stage) -> None:
    await tag(stage, 3, "Café Ångström")
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/")
        await page.live()
        await page.page.fill("#q", "CAFE angstrom")
        await expect(page.page.locator("tbody tr[data-id]:visible")).to_have_count(1)
        await page.page.reload()
        await expect(page.page.locator("tbody tr[data-id]:visible")).to_contain_text("RVM-003")
        assert page.faults == []


@pytest.mark.parametrize(
    "late", [re.compile(r"/static/hands\."), re.compile(r"/static/palette\."), "**/machines/palette*"]
)
async def test_letters_typed_before_the_palette_has_come_are_kept(stage: Stage, late: Any) -> None:
    """A slow network: neither its script nor its list is there, and no letter is a key of the page meanwhile."""
    come = asyncio.Event()

    async def slow(route: Route) -> None:
        await come.wait()
        await route.continue_()

    async with tab(stage.browser, stage.hub) as page:
        await page.page.route(late, slow)
        await page.open("/jobs")
        await page.page.keyboard.press("Control+k")
        await page.page.keyboard.type("rvm-00x")
        await page.page.keyboard.press("Backspace")
        await page.page.keyboard.type("3")
        await expect(page.page.locator("#palette input")).to_have_value("rvm-003")
        await page.page.keyboard.press("Enter")
        come.set()
        await page.page.wait_for_url(f"**/machines/{stage.keys[2].id}")
        assert page.faults == []


async def test_the_palette_comes_again_at_once_when_it_was_just_left(stage: Stage) -> None:
    """Before its `close` event, which takes a turn of its own: a busy computer, or quick fingers."""
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/help")
        await page.page.keyboard.press("Control+k")
        await expect(page.page.locator("#palette li").first).to_be_attached()
        await page.page.evaluate("""() => {
          document.querySelector("#palette").close();
          document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "k", ctrlKey: true, bubbles: true }));
        }""")
        await page.page.keyboard.type("rvm-003")
        await expect(page.page.locator("#palette[open] input")).to_have_value("rvm-003")
        await expect(page.page.locator("#palette li:not([hidden])")).to_have_count(1)
        await expect(page.page.locator("#palette")).to_have_count(1)
        assert page.faults == []


async def test_a_palette_that_cannot_come_says_so_and_comes_when_asked_again(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/help")
        await page.live()
        await page.page.route("**/machines/palette*", lambda route: route.abort())
        await page.page.keyboard.press("Control+k")
        await page.page.keyboard.type("jobs")
        await expect(page.page.locator("#palette [role=alert]")).to_contain_text("not connected to the hub")
        await page.page.keyboard.type("?")
        await expect(page.page.locator("#palette input")).to_have_value("jobs?")
        await page.page.keyboard.press("Escape")
        await expect(page.page.locator("#palette input")).to_have_value("")
        await expect(page.page.locator("#palette input")).to_be_focused()
        await page.page.keyboard.press("Escape")
        await page.page.unroute("**/machines/palette*")
        await page.page.keyboard.press("Control+k")
        await expect(page.page.locator("#palette li").first).to_be_attached()
    async with tab(stage.browser, stage.hub, signed_in=False) as page:
        await page.open("/login")
        await page.page.keyboard.press("Control+k")
        await page.page.keyboard.press("[")
        await expect(page.page.locator("#palette")).to_have_count(0)
        assert page.faults == []


async def test_keys_work_before_the_rest_of_the_hands_has_come(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        pressed = asyncio.Event()

        async def late(route: Route) -> None:
            await pressed.wait()
            await route.continue_()

        await page.page.route("**/static/choices.*", late)
        # A pointer that Chromium makes up may ask for it before the page is loaded, which then waits for it.
        await page.page.goto(page.hub.url, wait_until="domcontentloaded")
        await page.live()
        await page.page.keyboard.press("/")
        await expect(page.page.locator("#tools [name=q]")).to_be_focused()
        assert await page.page.locator("#tools [name=q]").input_value() == ""
        await page.page.keyboard.type("003")
        async with page.page.expect_response("**/static/choices.*"):
            pressed.set()
        await expect(page.page.locator("#machines tr[data-id]:not([hidden])")).to_have_count(1)
        await expect(page.page).to_have_url(f"{stage.hub.url}/?q=003")
        assert page.faults == []


PLOT = "document.querySelector('[data-chart={}] [data-plot]')"
COVERED = """() => {
  const box = (e) => e.getBoundingClientRect();
  return [...document.querySelectorAll("[data-plot] .legend")].map((legend) =>
    box(legend).bottom > box(legend.closest("[data-plot]").querySelector(".nsewdrag")).top + 1);
}"""
"""Of each chart with a legend, whether it lies over the grid."""
HOVERED = "[data-chart=temperature] .hoverlayer :is(.hovertext, .legend)"


async def test_charts_come_first_fit_what_they_show_and_share_the_pointer(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub, viewport=SIZES[0]) as page:
        await page.open(f"/machines/{stage.keys[0].id}")
        await page.live()
        places = "['#charts', '#zone'].map(id => document.querySelector(id).getBoundingClientRect().top)"
        charts, zone = await page.page.evaluate(places)
        assert charts < zone
        shown = f"{PLOT.format('temperature')}.layout?.yaxis.range[0] >= 40"
        await until_answered(lambda: page.page.evaluate(shown))
        low, high = await page.page.evaluate(f"{PLOT.format('temperature')}.layout.yaxis.range")
        limit = (await page.page.evaluate("JSON.parse(document.body.dataset.limits)"))["temperature"]
        assert (low < 50, high > limit, high - low < 70) == (True, True, True), (low, high)
        load = page.page.locator("[data-chart=load] .plot")
        await load.scroll_into_view_if_needed()
        some = f"{PLOT.format('load')}.data?.[0].x.length > 4"
        await until_answered(lambda: page.page.evaluate(some))
        assert await page.page.evaluate(COVERED) == [False]
        box = await load.bounding_box()
        assert box is not None
        for step in range(12):
            await page.page.mouse.move(box["x"] + box["width"] - 68 - step % 3, box["y"] + 100)
        await expect(page.page.locator(HOVERED)).not_to_have_count(0)
        assert page.faults == []


@pytest.mark.parametrize("viewport", SIZES)
async def test_the_page_of_the_hub_shows_its_state_and_stays_current(stage: Stage, viewport: dict[str, int]) -> None:
    async with tab(stage.browser, stage.hub, viewport=viewport) as page:
        await page.open("/admin")
        await page.page.get_by_role("link", name="Hub", exact=True).click()
        await page.live()
        frames = page.page.locator("#system-load + dl dd").first
        await expect(frames).not_to_have_text("0.0/s")
        first = await page.page.locator("#system").get_attribute("data-until")
        await expect(page.page.locator("#system")).not_to_have_attribute("data-until", str(first))
        assert not await page.page.evaluate(WIDE)
        assert page.faults == []


@pytest.mark.parametrize(("viewport", "language"), [(SIZES[0], "en-GB"), (SIZES[1], "id-ID")])
async def test_a_screen_on_the_wall_shows_a_clock_and_one_group_after_the_other(
    stage: Stage, viewport: dict[str, int], language: str
) -> None:
    await tag(stage, 1, "Pasar Baru", "mall")
    async with tab(stage.browser, stage.hub, viewport=viewport, locale=language) as page:
        await page.open("/?group=site")
        await page.page.locator(".kiosk-way a[href*=kiosk]").click()
        await page.page.wait_for_url("**/?group=site&kiosk=1")
        await expect(page.page.locator("body")).to_have_attribute("data-kiosk", "20")
        await page.open("/?group=site&kiosk=1&each=1")
        await page.live()
        await expect(page.page.locator("#kiosk-updated")).to_contain_text("ago" if language == "en-GB" else "lalu")
        await expect(page.page.locator("#kiosk-clock")).to_have_text(re.compile(r"^[0-2]\d[:.][0-5]\d$"))
        await expect(page.page.locator("header.top")).to_be_hidden()
        await expect(page.page.locator("#tools")).to_be_hidden()
        await expect(page.page.locator("body")).to_have_attribute("data-turn", "1")
        assert not await page.page.evaluate(WIDE)
        await page.page.locator("#kiosk a").click()
        await page.page.wait_for_url("**/?group=site")
        await expect(page.page.locator("#tools")).to_be_visible()
        assert page.faults == []


QUICK = (
    "const real = setInterval; window.setInterval = (act, ms, ...more) => real(act, ms === 5000 ? 400 : ms, ...more)"
)
"""A wall's turns, one after the other."""
ROUND = """() => new Promise(done => {
  const seen = new Set();
  const look = () => requestAnimationFrame(() => requestAnimationFrame(() => {
    const bars = [...document.querySelectorAll("#kiosk, #machines thead th")];
    const from = Math.max(...bars.map(bar => bar.getBoundingClientRect().bottom));
    for (const row of document.querySelectorAll("#machines tbody tr[data-id]:not([hidden])")) {
      const {top, bottom} = row.getBoundingClientRect();
      if (top >= from - 1 && bottom <= innerHeight + 1) seen.add(row.dataset.id);
    }
  }));
  let rounds = 0;
  new MutationObserver(() => {
    if (document.body.dataset.turn === "0" && (rounds += 1) === 2) return done(seen.size);
    if (rounds) look();
  }).observe(document.body, {attributeFilter: ["data-turn"]});
})"""
"""How many machines stood whole on the screen in one round."""


@pytest.mark.parametrize("viewport", SIZES)
@pytest.mark.parametrize("group", ["", "&group=status"])
async def test_a_screen_on_the_wall_shows_every_machine_in_a_round(
    stage: Stage, viewport: dict[str, int], group: str
) -> None:
    """Whatever stands above the rows, and in a group that is longer than the screen."""
    for number in range(4, 34):
        await stage.hub.people.add_machine(f"RVM-{number:03d}", ago=timedelta(hours=1))
    async with tab(stage.browser, stage.hub, viewport=viewport) as page:
        await page.page.add_init_script(QUICK)
        await page.open(f"/?kiosk=1&each=5{group}")
        await page.live()
        await expect(page.page.locator("#machines tbody tr[data-id]")).to_have_count(33)
        assert await page.page.evaluate(ROUND) == 33
        assert page.faults == []
