"""Every page of the product at every width: nothing cut off, nothing beside the window, no word broken in a button."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from dashboard.texts import texts_in
from hub.routes import page_routes
from tests.browser.conftest import Stage
from tests.support.browser import Tab, tab

LONG: Final = "Stasiun Gambir Pintu Utara, dekat Loket 14 dan Pengisian Daya Listrik Umum (lama: RVM-0002)"
PAGES: Final = (
    "/", "/?status=maintenance", "/?group=site", "/?kiosk=1", "/admin", "/admin/system", "/admin/users",
    "/alerts", "/alerts?tab=over", "/alerts/rules?cause=hot&limit=60",
    "/jobs", "/events", "/map", "/views", "/account", "/account/2-step", "/help", "/help/guide", "/machines/add",
    "/admin/enrol", "/machines/3/enrol", "/machines/import",
    "/admin/tokens", "/admin/settings", "/admin/backups", "/admin/users/1",
    "/machines/1", "/machines/1/remote", "/admin/notifications",
    "/machines/1/backups", "/machines/1/history", "/machines/3/history",
    "/machines/1/history?from=x&to=y", "/machines/1/events", "/machines/1/settings", "/machines/1/key",
    "/machines/1/remove", "/machines/1/do/reboot",
    "/machines/2", "/machines/2/remote", "/machines/3", "/machines/3/remote", "/nothing/here", "/m/1", "/m/2", "/m/3",
    "/labels", "/scan", "/scan?code=404", "/machines/2/label", "/machines/1/terminal", "/machines/2/terminal?page=5000",
)  # fmt: skip
ENTRANCES: Final = ("/login", "/signin")
ELSEWHERE: Final = re.compile(
    r".*/parts|.*/charts\.json|.*/file\.csv|.*/rvm\.json|.*/lines|/login/code|/logout|/preferences|/account/.*|/jobs/\{command_id\}.*|/bulk.*"
    r"|/machines/palette|/machines/\{id\}/(rename|release|zone|status|undo|board)|/machines/\{id\}/remote/.*|/recordings/.*"
    r"|/views/.*|/alerts/\{trouble_id\}/.*|/admin/notifications/.*|/admin/enrol/.*|/admin/users/.*|/admin/tokens/.*|/machines/\{id\}/(backups|restores)/.*|/static/.*"
)
"""Parts, files, what only takes a form, and pages of something that this stage has not: their own tests open them."""

PHONE_SIZES: Final = ((320, 640), (390, 844), (844, 390), (768, 1024))
DESK_SIZES: Final = tuple(
    (width, 900) for width in (640, 720, 800, 899, 900, 1024, 1079, 1080, 1199, 1200, 1280, 1359, 1440, 2560)
)
"""640 and 720 px are also what a laptop has left at 200 %."""

FAULTS: Final = (Path(__file__).parent / "whole_page.js").read_text(encoding="utf-8")
"""What somebody would see to be wrong. A text that ends in dots by intention, or scrolls, is none of it."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def worst(seen_stage: Stage) -> AsyncIterator[Stage]:
    """A machine in maintenance with a long reason, one with a very long name that is full, one that never connected."""
    async with seen_stage.hub.client() as client:
        named = {"name": LONG, "location_description": LONG, "latitude": -6.18, "longitude": 106.83}
        assert (await client.patch("/api/v2/rvms/2", json=named)).status_code == 200
        asked = {"status": "maintenance", "reason": f"{LONG}: sabuk pemisah macet"}
        assert (await client.patch("/api/v2/rvms/1/status?wait=10", json=asked)).status_code == 200
    yield seen_stage


async def faults(page: Tab, path: str, sizes: tuple[tuple[int, int], ...]) -> list[str]:
    found: list[str] = []
    for width, height in sizes:
        await page.page.set_viewport_size({"width": width, "height": height})
        seen: list[str] = await page.page.evaluate(FAULTS)
        found += [f"{path} at {width}: {fault}" for fault in seen]
    return found


async def every_page(stage: Stage, look: dict[str, Any], sizes: tuple[tuple[int, int], ...]) -> list[str]:
    """And whatever is fetched from elsewhere: a site may have no internet."""
    found: list[str] = []
    async with tab(stage.browser, stage.hub, **look) as page:
        asked: list[str] = []
        page.page.on("request", lambda request: asked.append(request.url))
        for path in PAGES:
            await page.open(path)
            found += await faults(page, path, sizes)
        found += [f"asks for {url}" for url in asked if not url.startswith((f"{stage.hub.url}/", "data:", "blob:"))]
        assert page.faults == []
    async with tab(stage.browser, stage.hub, signed_in=False, **look) as page:
        for path in ENTRANCES:
            await page.open(path)
            found += await faults(page, path, sizes)
    return found


def test_no_page_is_left_out() -> None:
    """A new page is measured here, or named as one that this stage cannot show."""
    opened = {re.sub(r"/\d+", "/{id}", path.partition("?")[0]) for path in (*PAGES, *ENTRANCES)}
    missing = [
        path
        for route in page_routes()
        if (path := str(getattr(route, "path", ""))) != "/{rest:path}"
        and re.sub(r"\{action\}", "reboot", path) not in opened
        and not ELSEWHERE.fullmatch(path)
    ]
    assert missing == []


async def test_nothing_is_cut_off_on_a_phone(worst: Stage) -> None:
    """Upright and lying, and a tablet; what is touched is coarse. In Indonesian: tests.browser.test_every_page."""
    look = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "locale": "en-GB"}
    assert "\n".join(await every_page(worst, look, PHONE_SIZES)) == ""


async def test_nothing_is_cut_off_in_a_window(worst: Stage) -> None:
    """In English: tests.browser.test_every_page."""
    assert "\n".join(await every_page(worst, {"locale": "id-ID"}, DESK_SIZES)) == ""


LOADED: Final = """words => {
  const top = document.querySelector(".top-in");
  top.replaceWith(top.cloneNode(true)); // the page goes on writing into the one that it knows
  const chip = document.querySelector("#link-chip"), lease = document.querySelector("#lease-chip");
  chip.hidden = lease.hidden = false;
  chip.querySelector("[data-said]").textContent = words;
  lease.querySelector("bdi").textContent = "Stasiun Gambir";
  lease.querySelector("[data-left]").textContent = "1:29:16";
  for (const count of document.querySelectorAll(".nav .count")) {
    count.hidden = false; count.textContent = "188";
    count.removeAttribute("id"); delete count.dataset.openJobs; // the next frame would find it by these
  }
}"""
"""The header with all it can hold at once."""


@pytest.mark.parametrize("language", ["en", "id"])
async def test_the_header_is_whole_with_everything_in_it(worst: Stage, language: str) -> None:
    words = texts_in(language)("chip.lost")
    locale = {"en": "en-GB", "id": "id-ID"}[language]
    async with tab(worst.browser, worst.hub, locale=locale) as page:
        await page.open("/help")
        await page.open("/machines/3/events")
        await page.page.evaluate(LOADED, words)
        sizes = tuple((width, 700) for width in (*range(320, 1480, 40), 1920, 2560))
        assert await faults(page, "header", sizes) == []
        cut_at = []
        for width, height in sizes:
            await page.page.set_viewport_size({"width": width, "height": height})
            top = await page.page.evaluate("document.querySelector('.top').getBoundingClientRect().height")
            assert top <= 58, width
            cut = "e => e.filter(c => c.offsetParent && c.scrollWidth > c.clientWidth + 1).map(c => c.textContent)"
            if await page.page.locator(".top .chip [data-said], .brand").evaluate_all(cut):
                cut_at.append(width)
        assert cut_at == []


async def test_the_counters_fill_their_rows(worst: Stage) -> None:
    """With the one of machines that never connected and without it."""
    for locale in ("en-GB", "id-ID"):
        async with tab(worst.browser, worst.hub, locale=locale) as page:
            await page.open("/")
            for hidden in ("false", "true"):
                await page.page.evaluate(f"document.querySelector('.counters a:nth-child(8)').hidden = {hidden}")
                assert await faults(page, hidden, (*PHONE_SIZES, *DESK_SIZES)) == []


ONE_WORD: Final = "X" * 100
WIDENED: Final = "document.documentElement.scrollWidth - innerWidth"
WITH_NAMES: Final = (
    "/", "/?group=tag", "/?kiosk=1", "/map", "/views", "/machines/1", "/machines/1/settings", "/machines/1/remote",
    "/machines/1/label", "/machines/1/do/reboot", "/admin/users",
)  # fmt: skip


@pytest.mark.parametrize(("width", "locale"), [(390, "id-ID"), (1100, "en-GB"), (1440, "id-ID")])
async def test_a_name_of_one_long_word_widens_no_page(stage: Stage, width: int, locale: str) -> None:
    async with stage.hub.client() as admin:
        named = {"name": ONE_WORD, "location_description": ONE_WORD, "tags": ["t" * 32]}
        assert (await admin.patch(f"/api/v2/rvms/{stage.keys[0].id}", json=named)).status_code == 200
        view = {"name": "V" * 40, "q": "Q" * 60, "shared": True}
        assert (await admin.post("/api/v2/views", json=view)).status_code == 201
    async with tab(stage.browser, stage.hub, viewport={"width": width, "height": 844}, locale=locale) as page:
        widened = {}
        for path in WITH_NAMES:
            await page.open(path)
            widened[path] = await page.page.evaluate(WIDENED)
        assert {path: more for path, more in widened.items() if more > 0} == {}
        assert page.faults == []
