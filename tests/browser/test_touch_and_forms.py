"""What a form's fault and forced colours need; what every page needs is in tests.browser.test_every_page."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Stage
from tests.browser.test_found_by_eye import LOOKS
from tests.browser.test_remote_access import PHONE
from tests.support.browser import tab


async def test_a_missing_reason_is_tied_to_its_field(seen_stage: Stage) -> None:
    async with tab(seen_stage.browser, seen_stage.hub) as page:
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
async def test_a_form_is_sent_once_however_slow_its_answer(seen_stage: Stage, look: dict[str, Any]) -> None:
    """A second user, a second machine: on a slow network the answer takes longer than patience."""
    watch = """() => { window.sent = []; window.addEventListener("submit", (event) => {
      if (!event.defaultPrevented) window.sent.push(event.target.action);
      event.preventDefault();
    }); }"""
    async with tab(seen_stage.browser, seen_stage.hub, **look) as page:
        await page.page.clock.install()
        await page.open("/admin/users")
        await page.page.fill("main form [name=email]", "siti@example.com")
        await page.page.fill("main form [name=name]", "Siti")
        await page.page.evaluate(watch)
        button = page.page.locator("main form:has([name=email]) button")
        for pressed in (1, 2, 3):
            await button.evaluate("button => button.form.requestSubmit(button)")
            assert await page.page.evaluate("window.sent.length") == 1, f"press {pressed}"
            await expect(button).to_have_attribute("aria-busy", "true")
            await page.page.clock.fast_forward(10_000)
        assert await page.page.input_value("main form [name=name]") == "Siti"
        await page.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
        assert await button.get_attribute("aria-busy") is None, "as Back brings it again"


@pytest.mark.parametrize("look", [{}, PHONE], ids=["desk", "phone"])
async def test_with_forced_colours_only_the_current_page_is_marked(seen_stage: Stage, look: dict[str, Any]) -> None:
    async with tab(seen_stage.browser, seen_stage.hub, **look, forced_colors="active") as page:
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


async def test_with_forced_colours_what_is_chosen_is_marked(seen_stage: Stage) -> None:
    """Elsewhere its background tells; here backgrounds are the system's."""
    marked = "all => all.map(e => getComputedStyle(e).outlineStyle !== 'none')"
    async with tab(seen_stage.browser, seen_stage.hub, forced_colors="active") as page:
        await page.open("/account")
        assert sorted(await page.page.locator(".options label").evaluate_all(marked)) == [False, False, True]
        assert sorted(await page.page.locator("main .seg button").evaluate_all(marked)) == [False] * 3 + [True] * 2


async def test_figures_of_the_phones_list_stand_below_one_another(seen_stage: Stage) -> None:
    edges = "all => [...new Set(all.filter(e => e.offsetParent).map(e => Math.round(e.getBoundingClientRect().right)))]"
    async with tab(seen_stage.browser, seen_stage.hub, viewport={"width": 390, "height": 844}) as page:
        await page.open("/")
        await page.live()
        for figure in (".c-cap", ".c-temp"):
            assert len(await page.page.locator(f".machines tbody tr:not(.old) {figure}").evaluate_all(edges)) == 1
    wide = "all => Math.min(...all.map(e => e.getBoundingClientRect().width))"
    async with tab(seen_stage.browser, seen_stage.hub, viewport={"width": 320, "height": 640}) as page:
        await page.open("/")
        await page.live()
        assert await page.page.locator("tr:has(.s .active):not(.old) .n").evaluate_all(wide) >= 120, "room for a name"


BROKEN = """() => [...document.querySelectorAll(".guide :is(td, th, p, li)")].flatMap(cell => {
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), broken = [];
  while (texts.nextNode()) {
    if (texts.currentNode.parentElement.closest("code")) continue;
    for (const word of texts.currentNode.data.matchAll(/\\p{L}{2,}/gu)) {
      const range = document.createRange();
      range.setStart(texts.currentNode, word.index);
      range.setEnd(texts.currentNode, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) broken.push(word[0]);
    }
  }
  return broken;
})"""


async def test_the_guide_breaks_no_word(seen_stage: Stage) -> None:
    for look in LOOKS:
        for locale in ("id-ID", "en-GB"):
            async with tab(seen_stage.browser, seen_stage.hub, locale=locale, **look) as page:
                await page.open("/help")
                await page.page.click("main a[href='/help/guide']")
                await page.page.wait_for_url("**/help/guide")
                assert await page.page.evaluate(BROKEN) == []
                assert await page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                assert page.faults == []
