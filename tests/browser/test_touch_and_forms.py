"""What a finger, a screen reader and high contrast need of every page."""

from __future__ import annotations

from typing import Any, Final

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Stage
from tests.browser.test_every_width import PAGES
from tests.browser.test_remote_access import PHONE
from tests.support.browser import tab

TOO_SMALL: Final = """() => {
  const found = [];
  const inText = (e) => e.tagName === "A" && !e.classList.length && e.closest("p, dd, li, td, h3, .crumb, small, .list") && getComputedStyle(e).display === "inline";
  const touched = "a, button, summary, select, textarea, input:not([type=hidden]), label:has(input[type=checkbox], input[type=radio])";
  for (const e of document.querySelectorAll(touched)) {
    if (!e.checkVisibility({visibilityProperty: true}) || e.closest(".vh, .skip, .xterm")) continue;
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
events (24 px), is no target of that kind (WCAG 2.5.8)."""

UNNAMED: Final = """() => {
  const found = [];
  const words = (e) => e.innerText.replace(/\\s+/g, " ").trim().toLowerCase();
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


async def test_everything_that_is_touched_has_44_pixels(stage: Stage) -> None:
    found = []
    async with tab(stage.browser, stage.hub, **PHONE, locale="id-ID") as page:
        for path in PAGES:
            await page.open(path)
            found += [f"{path}: {fault}" for fault in await page.page.evaluate(TOO_SMALL)]
        assert "\n".join(found) == ""


async def test_names_heads_and_links_are_what_a_screen_reader_needs(stage: Stage) -> None:
    found: list[str] = []
    for look in ({}, PHONE):
        async with tab(stage.browser, stage.hub, **look) as page:
            for path in PAGES:
                await page.open(path)
                found += [f"{path}: {fault}" for fault in await page.page.evaluate(UNNAMED)]
    async with tab(stage.browser, stage.hub, signed_in=False) as page:
        for path in ("/login", "/signin"):
            await page.open(path)
            found += [f"{path}: {fault}" for fault in await page.page.evaluate(UNNAMED)]
    assert "\n".join(found) == ""


async def test_a_missing_reason_is_tied_to_its_field(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/1")
        await page.live()
        await page.page.check('input[value="maintenance"]', force=True)
        await page.page.click("[data-send]")
        reason = page.page.locator("#reason")
        await expect(reason).to_be_focused()
        await expect(reason).to_have_attribute("aria-invalid", "true")
        await expect(reason).to_have_accessible_description("Please give a reason: the next person will want to know.")
        fault, until = [await page.page.locator(name).bounding_box() for name in ("#status-fault", "#until")]
        assert fault is not None
        assert until is not None
        assert fault["y"] < until["y"], "beside its field, not below the next"
        await page.page.check('input[value="active"]', force=True)
        await expect(page.page.locator("#status-fault")).to_be_hidden()


@pytest.mark.parametrize("look", [{}, PHONE], ids=["desk", "phone"])
async def test_with_forced_colours_only_the_current_page_is_marked(stage: Stage, look: dict[str, Any]) -> None:
    async with tab(stage.browser, stage.hub, **look, forced_colors="active") as page:
        await page.open("/jobs")
        await page.live()
        edges = (
            "all => all.filter(e => e.offsetParent || e.closest('.nav')).map(e => { const s = getComputedStyle(e);"
            " const drawn = (side) => s[`border${side}Width`] !== '0px' && s[`border${side}Style`] !== 'none'"
            " && s[`border${side}Color`] !== getComputedStyle(document.body).backgroundColor;"
            " return [e.getAttribute('aria-current') === 'page', drawn('Top') || drawn('Bottom')]; })"
        )
        seen = await page.page.locator(".nav a").evaluate_all(edges)
        assert [current for current, _ in seen] == [drawn for _, drawn in seen]
        assert True in [current for current, _ in seen]
        dot = "e => getComputedStyle(e).backgroundColor !== getComputedStyle(document.body).backgroundColor"
        assert await page.page.locator("#link-chip .dot").evaluate(dot), "live is filled"
