"""A part of the page made equal to a fresh one: what is the same stays the same node, and what somebody does there goes
on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from dashboard.esbuild import STATIC
from tests.browser.conftest import Stage
from tests.support.browser import tab

MORPH = (STATIC / "js/morph.js").read_text("utf-8").replace("export function", "function")


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context()
    made = await context.new_page()
    await made.evaluate(f"(() => {{ {MORPH}; window.morph = morph; }})()")
    yield made
    await context.close()


async def put(page: Page, html: str) -> None:
    await page.evaluate(
        "html => { document.body.innerHTML = html; window.part = document.body.firstElementChild }", html
    )


async def morph(page: Page, html: str, *, still: bool = False) -> bool:
    """Whether it was done whole."""
    code = """([html, still]) =>
      morph(window.part, new DOMParser().parseFromString(html, "text/html").body.firstElementChild, still)"""
    whole: bool = await page.evaluate(code, [html, still])
    return whole


async def inside(page: Page) -> str:
    html: str = await page.evaluate("window.part.outerHTML")
    return html


LISTS = (
    ("<p>a</p>", "<p>b</p>"),
    ("<ul><li data-key=1>1<li data-key=2>2</ul>", "<ul><li data-key=2>2<li data-key=3>3<li data-key=1>one</ul>"),
    ("<p class=x hidden>a<b>c</b></p>", "<p id=y><b>c</b>d</p>"),
    ("<dl><dt>a<dd>b</dl>", "<dl><dt>a<dd>b<dt>c<dd>d</dl>"),
    ("<svg><use href='#a'/></svg>", "<svg class=i><use href='#b'/></svg>"),
    ("<i data-key=a></i><b data-key=b></b>", "<b data-key=a></b><i data-key=b></i>"),
    ("<ul id=o><li data-key=1>1</ul><ul id=e></ul>", "<ul id=o></ul><ul id=e><li data-key=1>over</ul>"),
    ("<ul id=o></ul><ul id=e><li data-key=1>1</ul>", "<ul id=o><li data-key=1>x</ul><ul id=e></ul>"),
    (
        "<ul><li data-key=1>1<li data-key=2>2</ul>",
        "<ul><li data-key=3>3</ul><details><ul><li data-key=1>1<li data-key=2>x</ul></details>",
    ),
    ("<i data-key=1></i><b data-key=2></b>", "<p><i data-key=1></i></p><b data-key=2></b>"),
    ("<ul><li data-key=1>1</ul><ol><li data-key=1>1</ol>", "<ul></ul><ol><li data-key=1>1</ol>"),
)


async def test_the_part_becomes_the_fresh_one_whatever_it_was(page: Page) -> None:
    for before, after in LISTS:
        await put(page, f"<section>{before}</section>")
        assert await morph(page, f"<section>{after}</section>")
        got = await inside(page)
        await put(page, f"<section>{after}</section>")
        assert got == await inside(page)


async def test_focus_what_is_open_and_what_was_typed_stay(page: Page) -> None:
    row = (
        "<li data-key={0}><details><summary>{0}</summary><input name=why value='{1}'><button>go</button></details></li>"
    )

    def rows(*keys: int, given: str = "") -> str:
        return f"<ul>{''.join(row.format(key, given) for key in keys)}</ul>"

    await put(page, rows(1, 2))
    await page.click("li:nth-child(2) summary")
    await page.fill("li:nth-child(2) input", "typed")
    await page.evaluate("window.field = document.activeElement")
    await morph(page, rows(2, 3, 1, given="fresh"))
    state: dict[str, Any] = await page.evaluate(
        """() => ({focus: document.activeElement === window.field, typed: window.field.value,
          open: window.field.closest("details").open, other: document.querySelector("li:last-child input").value,
          order: [...document.querySelectorAll("summary")].map(s => s.textContent).join("")})"""
    )
    assert state == {"focus": True, "typed": "typed", "open": True, "other": "fresh", "order": "231"}


async def test_what_a_script_drew_stays(page: Page) -> None:
    await put(
        page, "<div><p data-mine>no answer</p><button data-needs-hub aria-disabled=true aria-busy=true>a</button></div>"
    )
    await morph(page, "<div><p data-mine hidden></p><button data-needs-hub class=main>b</button></div>")
    assert await inside(page) == (
        '<div><p data-mine="">no answer</p>'
        '<button data-needs-hub="" aria-disabled="true" aria-busy="true" class="main">b</button></div>'
    )


async def test_under_a_hand_nothing_moves_and_everything_is_true(page: Page) -> None:
    await put(page, "<div><ul><li data-key=1>1<li data-key=2>2</ul><ol></ol></div>")
    fresh = "<div><ul><li data-key=3>3<li data-key=1>one</ul><ol><li data-key=2>two</ol></div>"
    assert not await morph(page, fresh, still=True)
    assert await page.evaluate("window.part.innerText.split(/\\s+/)") == ["one", "two", "3"]
    assert await page.evaluate("document.querySelectorAll('ul li').length") == 3
    gone = "<div><ul><li data-key=1>one<li data-key=3>3</ul><ol></ol></div>"
    assert not await morph(page, gone, still=True)
    assert await page.evaluate("document.querySelector('[inert]').textContent") == "two"
    assert not await morph(page, fresh, still=True)
    assert await page.evaluate("document.querySelector('[inert]')") is None, "it is back"
    assert await morph(page, fresh)
    assert await page.evaluate("document.querySelectorAll('ol li').length") == 1
    folded = "<div><ul><li data-key=3>3</ul><details><ul><li data-key=1>one</ul></details></div>"
    assert not await morph(page, folded, still=True)
    assert await page.evaluate("document.querySelectorAll('[data-key=\"1\"]').length") == 1, "not in both lists"
    assert await morph(page, folded)
    assert await page.evaluate("document.querySelectorAll('details [data-key]').length") == 1


async def test_a_part_follows_the_hub_while_somebody_is_in_it(stage: Stage) -> None:
    async with stage.hub.client() as other, tab(stage.browser, stage.hub) as tab_:
        await tab_.open("/machines/1")
        await tab_.live()
        await tab_.page.focus("#zone [data-request=sync] button")
        await other.patch("/api/v2/rvms/1/config/pinned_timezone", json={"value": "Asia/Makassar"})
        await expect(tab_.page.locator("#zone")).to_contain_text("(pinned)")
        assert await tab_.page.evaluate("document.activeElement.closest('[data-request]')?.dataset.request") == "sync"
        async with tab_.page.expect_response("**/config/pinned_timezone") as answer:
            await tab_.page.get_by_role("button", name="Unpin").click()
        assert (await answer.value).status == 200
        await expect(tab_.page.locator("#zone")).not_to_contain_text("(pinned)")
        # Pressed with the pointer there; Unpin is hidden now.
        assert await tab_.page.evaluate("document.activeElement.closest('#zone') !== null")
        assert await tab_.page.evaluate("document.activeElement.offsetParent !== null")
        assert tab_.faults == []


async def declare(stage: Stage, status: str) -> None:
    async with stage.hub.client() as client:
        asked = {"status": status, "reason": "belt"}
        assert (await client.patch("/api/v2/rvms/1/status?wait=10", json=asked)).status_code == 200


async def test_a_row_stays_until_its_trouble_is_over_and_a_second_press_asks_nothing(stage: Stage) -> None:
    await declare(stage, "error")
    async with tab(stage.browser, stage.hub) as tab_:
        await tab_.open("/")
        await tab_.live()
        row = tab_.page.locator("#attention [data-key='1']")
        await expect(row).to_contain_text("Reports an error")
        asked: list[str] = []
        tab_.page.on("request", lambda request: asked.append(request.url) if request.method != "GET" else None)
        put = row.locator("summary").get_by_text("Put in maintenance")
        await put.focus()
        await tab_.page.keyboard.press("Enter")
        await row.locator("input[name=reason]").focus()
        await tab_.page.keyboard.type("belt")
        await tab_.page.keyboard.press("Enter")
        await tab_.page.keyboard.press("Enter")
        await expect(row).to_contain_text(": Maintenance")
        await expect(row).to_contain_text("Reports an error")
        await expect(put).to_have_count(0)
        assert len(asked) == 1, "pressed again it asks nothing"
        await tab_.live()
        await row.locator("a").first.focus()
        await declare(stage, "active")
        await expect(row).to_have_count(0)
        place = await tab_.page.evaluate("document.activeElement.getAttribute('href')")
        assert place == "/machines/2", "the row that stands there now"
        assert stage.machine.asked.count("maintenance") == 1
        assert tab_.faults == []


async def test_a_row_dealt_with_is_shut_under_the_pointer_and_soon_gone(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as tab_:
        fetched: list[str] = []
        tab_.page.on("request", lambda request: fetched.append(request.url) if "/parts?" in request.url else None)
        await tab_.open("/")
        await tab_.live()
        row = tab_.page.locator("#attention [data-key='1']")
        for leaves in (True, False):
            await declare(stage, "error")
            await row.locator("summary").get_by_text("Put in maintenance").hover()
            await declare(stage, "active")
            await expect(tab_.page.locator("#attention [data-key='1'][inert]")).to_have_count(1)
            if leaves:
                await tab_.page.mouse.move(0, 0)
            await expect(row).to_have_count(0)
        settled = len(fetched)
        await asyncio.sleep(4)  # as long as a pointer that rests there
        assert len(fetched) - settled <= 1
        assert tab_.faults == []


TIMERS_PASSED = "new Promise(done => setTimeout(done, 1500))"
"""In the page's own order: a timer of a second that was set before has passed."""


async def test_values_of_troubles_follow_each_sample_without_a_fetch(stage: Stage) -> None:
    stage.machine.members = {"temperature": 91.0}
    async with tab(stage.browser, stage.hub) as tab_:
        await tab_.open("/")
        await tab_.live()
        row = tab_.page.locator("#attention [data-key='1']")
        await expect(row).to_contain_text("Hot: 91.0\u202f°C")
        await expect(tab_.page.locator("#alarms")).to_have_text("3")
        await tab_.page.evaluate(TIMERS_PASSED)  # what the news before asked for has been fetched
        fetched: list[str] = []
        tab_.page.on("request", lambda request: fetched.append(request.url) if "/parts?" in request.url else None)
        stage.machine.members = {"temperature": 92.0}
        await expect(row).to_contain_text("Hot: 92.0\u202f°C")
        stage.machine.members = {}
        await expect(row).to_contain_text("Hot: 50.0\u202f°C")
        assert fetched == [], "one sample takes nothing out of the list"
        stage.machine.members = {"temperature": 91.0}
        await tab_.open("/machines/1")
        await tab_.live()
        await expect(tab_.page.locator("#why")).to_contain_text("It is too hot: 91.0\u202f°C.")
        stage.machine.members = {"temperature": 93.0}
        await expect(tab_.page.locator("#why")).to_contain_text("It is too hot: 93.0\u202f°C.")
        assert tab_.faults == []
