"""The map on tiles of another host, in a real browser: right places, and nothing else let in or out."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from hub.web.http.layers import policy
from tests.support.browser import Tab, tab
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.hub_people import MachineKey
from tests.support.tile_server import SIDE, TileServer, tile_server
from tests.support.until import until, until_answered

PLACES = {"Monas": (-6.1754, 106.8272), "Surabaya": (-7.2575, 112.7521), "Banda Aceh": (5.5483, 95.3238)}
SHOWN = """() => [...document.querySelectorAll(".ground img")].filter((img) => img.offsetParent).map((img) => {
  const { x, y, width, height } = img.getBoundingClientRect();
  return { src: img.src, x, y, width, height, complete: img.complete, natural: img.naturalWidth };
})"""
CENTRE = """(circle) => { const { x, y, width, height } = circle.getBoundingClientRect();
  return [x + width / 2, y + height / 2]; }"""


@dataclass
class Mapped:
    hub: ForkedHub
    server: TileServer
    browser: Browser
    keys: dict[str, MachineKey]

    async def move(self, name: str, latitude: float, longitude: float) -> None:
        async with self.hub.client() as admin:
            at = {"latitude": latitude, "longitude": longitude}
            answer = await admin.patch(f"/api/v2/rvms/{self.keys[name].id}", json=at)
            assert answer.status_code == 200, answer.text


@pytest_asyncio.fixture(loop_scope="session")
async def mapped(tmp_path: Path, browser: Browser) -> AsyncIterator[Mapped]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(tile_server())
        hub = await stack.enter_async_context(forked_hub(tmp_path, **server.settings))
        made = Mapped(hub, server, browser, {name: await hub.add_machine(name) for name in PLACES})
        for name, place in PLACES.items():
            await made.move(name, *place)
        yield made


def mercator(latitude: float, longitude: float, count: int) -> tuple[float, float]:
    """In tiles from the world's north-western corner; not by the code that draws."""
    angle = math.radians(latitude)
    return (longitude + 180) / 360 * count, (1 - math.log(math.tan(angle) + 1 / math.cos(angle)) / math.pi) / 2 * count


async def where_tiles_show(page: Tab, latitude: float, longitude: float) -> tuple[float, float]:
    """Where on the screen the tiles that are seen have that spot."""
    for tile in await page.page.evaluate(SHOWN):
        zoom, x, y = (int(part.removesuffix(".png")) for part in urlsplit(tile["src"]).path.split("/")[-3:])
        across, down = mercator(latitude, longitude, 2**zoom)
        if (int(across), int(down)) == (x, y):
            return tile["x"] + (across - x) * tile["width"], tile["y"] + (down - y) * tile["height"]
    raise AssertionError("no tile has it")


async def seen(page: Tab, good: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until every tile that is shown is so."""

    async def all_are() -> bool:
        shown = await page.page.evaluate(SHOWN)
        return bool(shown) and all(map(good, shown))

    await until_answered(all_are)


async def loaded(page: Tab) -> None:
    await seen(page, lambda tile: tile["complete"] and tile["natural"] == SIDE)


async def check_places(page: Tab, places: dict[str, tuple[float, float]]) -> None:
    for name, place in places.items():
        circle = page.page.locator(f'.marks a[aria-label^="{name}"] circle')
        x, y = await circle.evaluate(CENTRE)
        shown_x, shown_y = await where_tiles_show(page, *place)
        assert abs(x - shown_x) < 1, (name, x, shown_x)
        assert abs(y - shown_y) < 1, (name, y, shown_y)


@pytest.mark.parametrize(
    ("width", "look", "script", "locale"),
    [
        (1440, "light", True, "en-GB"),
        (390, "dark", True, "id-ID"),
        (1440, "dark", False, "id-ID"),
        (390, "light", False, "en-GB"),
    ],
)
async def test_machines_stand_where_the_tiles_have_their_place(
    mapped: Mapped, width: int, look: Any, script: bool, locale: str
) -> None:
    looks: dict[str, Any] = {"viewport": {"width": width, "height": 844}, "color_scheme": look, "locale": locale}
    async with tab(mapped.browser, mapped.hub, java_script_enabled=script, **looks) as page:
        answer = await page.page.goto(mapped.hub.url + "/map")
        assert answer is not None
        netloc = urlsplit(mapped.hub.url).netloc
        plain = policy((netloc,)).decode()
        assert answer.headers["content-security-policy"] == plain.replace("blob:", f"blob: {mapped.server.origin}")
        assert answer.headers["referrer-policy"] == "same-origin"
        await expect(page.page.locator(".marks a")).to_have_count(3)
        await loaded(page)
        await check_places(page, PLACES)
        filtered = await page.page.locator(".ground").first.evaluate("(node) => getComputedStyle(node).filter")
        assert ("invert" in filtered) == (look == "dark")
        credit = page.page.locator(".credits a")
        await expect(credit).to_be_visible()
        assert (await credit.inner_text(), await credit.get_attribute("href")) == (
            "Street <makers>", "https://makers.example/copyright",
        )  # fmt: skip
        other = await page.page.goto(mapped.hub.url + "/")
        assert other is not None
        assert other.headers["content-security-policy"] == plain
        assert page.faults == []
    if script:
        assert len({asked.zoom for asked in mapped.server.asked}) == 1, "what this screen shows, not the other's"
    await until(lambda: bool(mapped.server.asked))
    for asked in mapped.server.asked:
        assert asked.headers["referer"] == f"{mapped.hub.url}/", "the hub's name, no path of its"
        assert "cookie" not in asked.headers
    assert mapped.server.strange == []


async def test_the_readings_of_a_machine_are_not_drawn_as_the_map_is(mapped: Mapped) -> None:
    async with tab(mapped.browser, mapped.hub, color_scheme="dark", java_script_enabled=False) as page:
        await page.open("/machines/1")
        style = "(node) => [getComputedStyle(node).filter, getComputedStyle(node.querySelector('.fine span')).position]"
        assert await page.page.locator("#tiles").evaluate(style) == ["none", "static"]


async def test_a_place_is_looked_at_closer_by_keyboard_and_tiles_follow_a_machine_that_moves(mapped: Mapped) -> None:
    async with tab(mapped.browser, mapped.hub) as page:
        await mapped.move("Surabaya", -6.1760, 106.8280)
        await page.open("/map")
        await page.live()
        await page.page.locator('.marks a[aria-label^="2 "]').focus()
        await page.page.keyboard.press("Enter")
        await page.page.wait_for_url("**/map?box=*")
        await loaded(page)
        await check_places(page, {"Monas": PLACES["Monas"], "Surabaya": (-6.1760, 106.8280)})
        await page.open("/map")
        await page.live()
        await mapped.move("Surabaya", -8.65, 115.2167)
        await expect(page.page.locator(".marks a")).to_have_count(3)
        await loaded(page)
        await check_places(page, PLACES | {"Surabaya": (-8.65, 115.2167)})
        assert page.faults == []


@pytest.mark.parametrize("does", ["miss", "wait"])
async def test_without_its_tiles_the_map_is_the_plain_one(mapped: Mapped, does: Any) -> None:
    """A server that has none, and one that never answers: the page is there, live, and readable as if without."""
    mapped.server.does = does
    async with tab(mapped.browser, mapped.hub) as page:
        await page.open("/map")
        await page.live()
        await until(lambda: bool(mapped.server.asked))
        if does == "miss":
            await seen(page, lambda tile: tile["complete"])
        drawing = page.page.locator(".map")
        with_tiles = await drawing.screenshot(animations="disabled")
        await page.page.evaluate(
            "document.querySelectorAll('.ground img').forEach((img) => { img.style.visibility = 'hidden'; })"
        )
        assert await drawing.screenshot(animations="disabled") == with_tiles
        await page.page.locator('.marks a[aria-label^="Banda"]').click()
        await page.page.wait_for_url(f"**/machines/{mapped.keys['Banda Aceh'].id}")
        assert page.faults == []


async def test_without_the_setting_nobody_else_is_asked(tmp_path: Path, browser: Browser) -> None:
    async with forked_hub(tmp_path) as hub, tab(browser, hub) as page:
        key = await hub.add_machine("Monas")
        async with hub.client() as admin:
            await admin.patch(f"/api/v2/rvms/{key.id}", json={"latitude": -6.1754, "longitude": 106.8272})
        asked: list[str] = []
        page.page.on("request", lambda request: asked.append(request.url))
        answer = await page.page.goto(hub.url + "/map")
        await page.live()
        assert answer is not None
        assert answer.headers["content-security-policy"] == policy((urlsplit(hub.url).netloc,)).decode()
        await expect(page.page.locator(".marks a")).to_have_count(1)
        await expect(page.page.locator(".ground, .credits")).to_have_count(0)
        assert [url for url in asked if not url.startswith(f"{hub.url}/")] == []


async def test_below_a_path_the_tiles_are_those_of_the_other_host(tmp_path: Path, browser: Browser) -> None:
    async with tile_server() as server, forked_hub(tmp_path, base_path="/rvm", **server.settings) as hub:
        key = await hub.add_machine("Monas")
        async with hub.client() as admin:
            await admin.patch(f"/api/v2/rvms/{key.id}", json={"latitude": -6.1754, "longitude": 106.8272})
        async with tab(browser, hub) as page:
            answer = await page.page.goto(hub.url + "/rvm/map")
            assert answer is not None
            plain = policy((urlsplit(hub.url).netloc,), base_path="/rvm").decode()
            assert answer.headers["content-security-policy"] == plain.replace("blob:", f"blob: {server.origin}")
            await loaded(page)
            await check_places(page, {"Monas": PLACES["Monas"]})
            assert page.faults == []
        assert {asked.headers["referer"] for asked in server.asked} == {f"{hub.url}/"}
