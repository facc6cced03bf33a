"""A technician's terminal: two taps from the machine's page, above the on-screen keyboard, on a desk above the fold."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from playwright.async_api import Page, expect

from tests.browser.test_remote_access import DESK, PHONE, Room, room, screen
from tests.support.browser import Tab, tab

__all__ = ["room"]

FAKE_KEYBOARD: Final = """() => {
  const real = window.visualViewport;
  const fake = Object.assign(new EventTarget(), {height: real.height, width: real.width, offsetTop: 0, offsetLeft: 0, scale: 1});
  Object.defineProperty(window, "visualViewport", {value: fake, configurable: true});
}"""  # noqa: E501
"""As on iOS: the keyboard covers the page, whose window stays as high as it was."""
KEYBOARD: Final = """([height, offsetTop]) => {
  Object.assign(visualViewport, {height, offsetTop});
  for (const type of ["resize", "scroll"]) visualViewport.dispatchEvent(new Event(type));
}"""
PLACES: Final = """() => {
  const box = (selector) => { const b = document.querySelector(selector)?.getBoundingClientRect(); return b && [b.top, b.bottom]; };
  const rows = [...document.querySelectorAll(".xterm-rows > div")].filter((row) => row.textContent.trim());
  const last = rows.at(-1).getBoundingClientRect();
  const header = document.elementFromPoint(innerWidth / 2, visualViewport.offsetTop + 4)?.closest(".top") !== null;
  return {free: visualViewport.height, from: visualViewport.offsetTop, all: box(".term"), keys: box(".key-row"), last: [last.top, last.bottom], header};
}"""  # noqa: E501


FILLED: Final = """() => {
  const screen = document.querySelector(".screen"), style = getComputedStyle(screen);
  const room = screen.getBoundingClientRect().bottom - parseFloat(style.borderBottomWidth) - parseFloat(style.paddingBottom);
  const left = room - document.querySelector(".xterm-screen").getBoundingClientRect().bottom;
  return -0.5 <= left && left < 32;
}"""  # noqa: E501
"""Its last line is whole, and no line more would fit."""


async def two_taps(page: Tab, what: str = "Open terminal") -> None:
    await page.open("/machines/1")
    await page.live()
    await page.page.get_by_role("link", name=what).click()
    await page.page.fill("#lease-reason", "The camera is dark")
    await page.page.get_by_role("button", name=what).click()
    await expect(page.page.locator("[data-term=tools]")).to_be_visible()


async def filled(page: Page) -> None:
    """So many lines that the prompt stands at the end of the screen."""
    await page.locator(".xterm-helper-textarea").focus()
    await page.keyboard.type("seq 1 80; echo all-of-it\n")
    await expect(screen(page)).to_contain_text("all-of-it")


async def all_free(page: Page) -> dict[str, Any]:
    """The last line and the key bar stand in what the keyboard leaves free, and nothing of the page above them."""
    await page.wait_for_function(
        "() => Math.abs(document.querySelector('.term').getBoundingClientRect().height - visualViewport.height) < 1"
    )
    await page.wait_for_function(FILLED)
    found: dict[str, Any] = await page.evaluate(PLACES)
    assert found["keys"][1] <= found["from"] + found["free"] + 0.5, found
    assert found["last"][1] <= found["keys"][0] + 0.5, found
    assert found["last"][0] >= found["from"], found
    assert abs(found["all"][0] - found["from"]) < 1, found
    assert not found["header"], found
    return found


async def test_on_a_phone_it_is_two_taps_and_above_the_keyboard(room: Room) -> None:
    """Upright and lying, with the keyboard and without: by a window that it makes smaller, as on Android."""
    async with tab(room.browser, room.hub, **PHONE) as page:
        await two_taps(page)
        await filled(page.page)
        for width, height in ((390, 844), (390, 450), (844, 390), (844, 180), (768, 1024), (390, 844), (320, 300)):
            await page.page.set_viewport_size({"width": width, "height": height})
            await all_free(page.page)
        await expect(page.page.locator("[data-term=recorded]")).to_be_visible()
        await expect(page.page.locator(".term-head [data-left]")).to_be_visible()
        await page.page.tap("[data-key=ctrl]")
        await expect(page.page.locator("[data-key=ctrl]")).to_have_attribute("aria-pressed", "true")
        await page.page.keyboard.type("c")
        await expect(page.page.locator("[data-key=ctrl]")).to_have_attribute("aria-pressed", "false")
        await page.page.set_viewport_size({"width": 390, "height": 844})
        await page.page.tap("[data-term=full]")
        await expect(page.page.locator(".term")).not_to_have_class("full")
        assert page.faults == []


async def test_a_keyboard_that_covers_the_page_covers_nothing_of_the_terminal(room: Room) -> None:
    """By `visualViewport` alone, as on iOS, where the page is also pushed up under the keyboard."""
    async with tab(room.browser, room.hub, **PHONE) as page:
        await page.page.add_init_script(f"({FAKE_KEYBOARD})()")
        await two_taps(page)
        await filled(page.page)
        await all_free(page.page)
        for height, offset in ((430, 0), (430, 60), (844, 0)):
            await page.page.evaluate(KEYBOARD, [height, offset])
            found = await all_free(page.page)
            assert found["free"] == height
        assert page.faults == []


@pytest.mark.parametrize("look", [PHONE, DESK])
async def test_a_press_on_its_tools_takes_no_letter_from_the_shell(room: Room, look: dict[str, Any]) -> None:
    """Letters behind it would be keys of the page: `g e` leads to the events."""
    async with tab(room.browser, room.hub, **look) as page:
        await two_taps(page)
        await expect(page.page.locator(".xterm-helper-textarea")).to_be_focused()
        for number, tool in enumerate(("smaller", "larger", "full", "full", "copy"), start=1):
            press = page.page.locator(f"[data-term={tool}]")
            await (press.tap() if look is PHONE else press.click())
            await page.page.keyboard.type(f"echo tangelo-$((7*{number}))\n")
            await expect(screen(page.page)).to_contain_text(f"tangelo-{7 * number}")
        assert page.page.url.endswith("/machines/1/remote")
        assert page.faults == []


async def test_who_ended_it_and_why_stands_at_the_terminal(room: Room) -> None:
    oki = await room.hub.people.add("operator")
    async with tab(room.browser, room.hub, oki, **PHONE) as page:
        await two_taps(page)
        async with room.hub.client() as admin:
            asked = await admin.post("/api/v2/rvms/1/remote-access/stop", json={"reason": "moved away"})
            assert asked.status_code in (200, 202), asked.text
        await expect(page.page.locator("[data-term=note]")).to_contain_text(
            re.compile("ended your session.*: moved away")
        )
        assert page.faults == []


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768)])
async def test_on_a_desk_the_prompt_is_above_the_fold(room: Room, width: int, height: int) -> None:
    async with tab(room.browser, room.hub, viewport={"width": width, "height": height}) as page:
        await two_taps(page)
        await filled(page.page)
        box = await page.page.locator(".screen").bounding_box()
        assert box is not None
        assert box["y"] >= 56
        assert box["y"] + box["height"] <= height
        await page.page.wait_for_function(FILLED)
        assert page.page.url.endswith("/machines/1/remote"), "a reload opens no second shell"
        await page.page.reload()
        await expect(page.page.locator("[data-term=connect]")).to_be_visible()
        await page.open("/machines/1")
        await page.page.get_by_role("link", name="Open terminal").click()
        await expect(page.page.locator("[data-term=tools]")).to_be_visible()
        assert page.faults == []


@pytest.mark.parametrize("language", ["en", "id"])
async def test_the_short_form_says_what_is_recorded_and_keeps_what_was_typed(room: Room, language: str) -> None:
    """Without script, too: the form, its refusal, and the session it begins."""
    locale = {"en": "en-GB", "id": "id-ID"}[language]
    async with tab(room.browser, room.hub, **PHONE, java_script_enabled=False, locale=locale) as page:
        await page.open("/machines/1/terminal")
        told = {"en": "is recorded", "id": "direkam"}[language]
        await expect(page.page.locator("main")).to_contain_text(told)
        await page.page.evaluate("document.querySelector('#lease-reason').removeAttribute('required')")
        await page.page.locator("#start-form button").click()
        wanted = {"en": "Please give a reason", "id": "alasan"}[language]
        await expect(page.page.locator(".note.bad")).to_contain_text(wanted, ignore_case=True)
        await page.page.fill("#lease-reason", "Kamera gelap")
        await page.page.locator("#start-form button").click()
        await expect(page.page.locator("#leases")).to_contain_text("Kamera gelap")
