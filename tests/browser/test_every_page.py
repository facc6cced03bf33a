"""Every page: whole at every width, its targets and names, and axe-core's rules in light and dark; in Indonesian on a
phone and in English in a window (tests.browser.test_every_width has the other two), and what others than an
administrator see. A page is opened once for all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Stage
from tests.browser.test_every_width import DESK_SIZES, ENTRANCES, PAGES, PHONE_SIZES, faults, worst
from tests.browser.test_remote_access import DESK, PHONE, Room, begin, room, screen
from tests.support.browser import Tab, tab

__all__ = ["room", "worst"]

AXE: Final = (Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
RUN: Final = """async only => {
  const more = { "label-content-name-mismatch": { enabled: true }, "target-size": { enabled: true } };
  const { violations } = await axe.run(document, { resultTypes: ["violations"], preload: false, ...(only.length ? { runOnly: only } : { rules: more }) });
  return violations.flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id}: ${node.html.slice(0, 160)} | ${node.failureSummary.split("\\n").slice(1).join(";").slice(0, 200)}`));
}"""  # noqa: E501
"""`only`: rules; none: all. `preload` would fetch our style sheets, which no script of a page may."""
UNFOLDED: Final = """for (const each of document.querySelectorAll("main details:not(.menu, .pop)")) each.open = true;
for (const row of document.querySelectorAll("tr")) row.style.contentVisibility = "visible";"""
"""What is drawn only when it comes into view counts as well; not menus: open, they lie over one another."""
LOOKS: Final[dict[str, dict[str, Any]]] = {"390": {**PHONE, "locale": "id-ID"}, "1440": {**DESK, "locale": "en-GB"}}
TURNS: Final = 6
"""Tests that share the pages, so that none takes long."""
OF_ROLES: Final = (
    "/", "/jobs", "/machines/1", "/machines/1/remote", "/machines/1/backups", "/machines/1/settings", "/m/1",
    "/machines/1/terminal", "/admin/users", "/machines/add",
)  # fmt: skip
"""Drawn otherwise for them, or refused."""


TOO_SMALL: Final = """() => {
  const found = [];
  const inText = (e) => e.tagName === "A" && !e.classList.length && e.closest("p, dd, li, td, h3, .crumb, small, .list") && getComputedStyle(e).display === "inline";
  const touched = "a, button, summary, select, textarea, input:not([type=hidden]), label:has(input[type=checkbox], input[type=radio])";
  for (const e of document.querySelectorAll(touched)) {
    if (!e.checkVisibility({visibilityProperty: true}) || e.closest(".vh, .skip, .xterm, svg")) continue;
    if (e.matches("input[type=checkbox], input[type=radio]") && e.closest("label")) continue;
    if (inText(e) || e.closest(".events")) continue;
    let box = e.getBoundingClientRect();
    const wide = getComputedStyle(e, "::after");
    if (wide.position === "absolute" && wide.content !== "none") box = e.closest("tr").getBoundingClientRect();
    if (!box.width) continue;
    if (box.height < 43.5 || box.width < 43.5 && !e.matches("label, a:not([class])")) found.push(`${e.tagName} ${Math.round(box.width)}×${Math.round(box.height)} “${(e.textContent || e.name).trim().slice(0, 30)}” .${e.className}`);
  }
  return [...new Set(found)];
}"""  # noqa: E501
"""Buttons, links that stand alone, fields; a link inside a sentence, and one in the dense list of
events (24 px), is no target of that kind (WCAG 2.5.8); nor is a point of the map, whose place stands in the list below
it as well."""

UNNAMED: Final = """() => {
  const found = [];
  const words = (e) => (e.innerText ?? "").replace(/\\s+/g, " ").trim().toLowerCase();
  for (const e of document.querySelectorAll("[aria-label]:is(a, button, summary)")) {
    const seen = e.checkVisibility() ? words(e) : "";
    if (/\\p{L}{2}/u.test(seen) && !e.getAttribute("aria-label").toLowerCase().includes(seen)) found.push(`label: ${e.getAttribute("aria-label")} / ${seen}`);
  }
  for (const e of document.querySelectorAll("th")) if (!e.textContent.trim()) found.push("an empty head of a column");
  for (const e of document.querySelectorAll("p a:not([class]), .hint a")) if (!getComputedStyle(e).textDecorationLine.includes("underline")) found.push(`only colour: ${e.textContent}`);
  for (const e of document.querySelectorAll("[aria-describedby], [aria-labelledby]"))
    for (const id of `${e.getAttribute("aria-describedby") ?? ""} ${e.getAttribute("aria-labelledby") ?? ""}`.split(" ").filter(Boolean))
      if (!document.getElementById(id)) found.push(`nothing has the id ${id}`);
  return found;
}"""  # noqa: E501


async def page_faults(page: Tab, path: str, look: str) -> list[str]:
    await page.open(path)
    return await shown_faults(page, path, look)


async def shown_faults(page: Tab, path: str, look: str) -> list[str]:
    """At every width, then at its own what a finger and a screen reader need, then axe-core."""
    found = await faults(page, path, PHONE_SIZES if look == "390" else DESK_SIZES)
    await page.page.set_viewport_size(LOOKS[look]["viewport"])
    asked = (UNNAMED, TOO_SMALL) if look == "390" else (UNNAMED,)
    found += [f"{path}: {fault}" for script in asked for fault in await page.page.evaluate(script)]
    if look == "390":
        await page.page.evaluate(UNFOLDED)
        found += [f"{path} unfolded: {fault}" for fault in await page.page.evaluate(TOO_SMALL)]
        for menu in await page.page.locator("main details.menu").all():
            await menu.evaluate("e => { e.open = true; }")
            found += [f"{path} menu: {fault}" for fault in await page.page.evaluate(TOO_SMALL)]
            await menu.evaluate("e => { e.open = false; }")
        found = list(dict.fromkeys(found))
    return found + await axe_faults(page, path, ("light", "dark"))


async def axe_faults(page: Tab, path: str, schemes: tuple[Literal["light", "dark"], ...]) -> list[str]:
    """All rules in the first scheme, in others those of colours."""
    found: list[str] = []
    await page.page.evaluate(AXE)
    await page.page.evaluate(UNFOLDED)
    for scheme in schemes:
        await page.page.emulate_media(color_scheme=scheme)
        only = [] if scheme == schemes[0] else ["color-contrast", "link-in-text-block"]
        found += [f"{path} {scheme}: {fault}" for fault in await page.page.evaluate(RUN, only)]
    await page.page.emulate_media(color_scheme="light")
    return found


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("turn", range(TURNS))
async def test_every_page_of_an_administrator(worst: Stage, look: str, turn: int) -> None:
    found: list[str] = []
    async with tab(worst.browser, worst.hub, **LOOKS[look]) as page:
        for path in PAGES[turn::TURNS]:
            found += await page_faults(page, path, look)
        assert page.faults == []
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("look", LOOKS)
async def test_the_ways_in(worst: Stage, look: str) -> None:
    found: list[str] = []
    async with tab(worst.browser, worst.hub, signed_in=False, **LOOKS[look]) as page:
        for path in ENTRANCES:
            found += await page_faults(page, path, look)
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("look", LOOKS)
async def test_a_session_its_files_and_its_recording(room: Room, look: str) -> None:
    """What the stage of the other pages has not."""
    async with tab(room.browser, room.hub, **LOOKS[look]) as page:
        await begin(page)
        await page.page.click("[data-term=connect]")
        await expect(page.page.locator("[data-term=tools]")).to_be_visible()
        await page.page.keyboard.type("echo seen-$((1+1))\n")
        await expect(screen(page.page)).to_contain_text("seen-2")
        await page.page.click("[data-term=close]")
        await page.page.click(f"[data-folder='{room.machine.files}']")
        await expect(page.page.locator("#files tbody")).to_contain_text("belt.log")
        await page.page.evaluate("scrollTo(0, 0)")
        found = await shown_faults(page, "session", look)
        await page.page.locator(".lease [data-ask=stop] button").click()
        await expect(page.page.locator("#stale a")).to_be_visible()
        await page.open("/machines/1/remote")
        await expect(page.page.locator(".rec-link")).to_be_visible()
        found += await shown_faults(page, "recording", look)
        await page.page.click(".rec-link")
        await page.page.click("[data-play=start]")
        await expect(page.page.locator(".player .xterm")).to_be_visible()
        await page.page.evaluate("scrollTo(0, 0)")
        found += await shown_faults(page, "player", look)
        assert page.faults == []
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize(("role", "look"), [("operator", "1440"), ("technician", "390"), ("viewer", "390")])
async def test_what_others_see(worst: Stage, role: str, look: str) -> None:
    own = (worst.keys[0].id,) if role == "technician" else ()
    person = await worst.hub.people.add(role, own)
    found: list[str] = []
    async with tab(worst.browser, worst.hub, person, **LOOKS[look]) as page:
        for path in OF_ROLES:
            await page.open(path)
            found += await axe_faults(page, path, ("light",))
        assert page.faults == []
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("size", [{"width": 844, "height": 390}, {"width": 768, "height": 1024}], ids=["844", "768"])
async def test_targets_of_a_phone_that_lies_and_of_a_tablet(worst: Stage, size: dict[str, int]) -> None:
    found: list[str] = []
    async with tab(worst.browser, worst.hub, **{**PHONE, "viewport": size, "locale": "id-ID"}) as page:
        for path in (*OF_ROLES, "/events", "/m/2"):
            await page.open(path)
            found += [f"{path}: {fault}" for fault in await page.page.evaluate(TOO_SMALL)]
    if found:
        pytest.fail("\n".join(found), pytrace=False)
