"""What an operator at two in the morning must see on whatever screen there is: an outage as one line, who waits for an
approval, why a session ended, a list of events that tells a story, and that a status wants its reason."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Final

import pytest
from playwright.async_api import Locator, expect

from protocol import messages as m
from tests.browser.conftest import Stage
from tests.browser.test_attention import agree
from tests.browser.test_found_by_eye import DESK, LOOKS, PHONE
from tests.browser.test_remote_access import Room, room
from tests.support.browser import Tab, tab
from tests.support.lively_machine import lively

__all__ = ["room"]

NAMED_ONCE: Final = "all => all.map(e => e.dataset.key).filter((key, at, keys) => keys.indexOf(key) !== at)"


async def shown_whole(page: Tab, node: Locator) -> None:
    """Between the header and the phone's bar, or scrolled there; not beyond an edge."""
    await node.scroll_into_view_if_needed()
    box, width = await node.bounding_box(), page.page.viewport_size
    assert box is not None
    assert width is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width["width"]


async def test_an_outage_is_one_line_at_once_and_nobody_is_counted_twice(stage: Stage) -> None:
    keys = [await stage.hub.add_machine(f"RVM-00{number}") for number in (4, 5, 6)]
    async with tab(stage.browser, stage.hub, **DESK) as watching:
        rows = watching.page.locator("#attention li")
        async with AsyncExitStack() as there:
            for key in keys:
                await there.enter_async_context(lively(stage.hub, key))
            await watching.open("/")
            await watching.live()
            await agree(watching.page, 2)  # one is full, one never connected
        lost = watching.page.locator("#attention li[data-key^=outage]")
        await expect(lost).to_contain_text(re.compile(r"3 of 6 machines offline since \d\d:\d\d"))
        await agree(watching.page, 5)
        for look in LOOKS:
            async with tab(stage.browser, stage.hub, **look) as page:
                await page.open("/")
                await page.live()
                lost = page.page.locator("#attention li").first
                # In the hub's zone for a list of several sites, wherever the browser is.
                await expect(lost).to_contain_text(re.compile(r"3 of 6 machines offline since \d\d:\d\d"))
                await expect(lost.locator(".since")).to_have_text(re.compile(r"\d"))
                await expect(lost.locator(".todo b")).to_have_text("Operator:")
                await shown_whole(page, lost)
                await expect(page.page.locator("#calm")).to_be_hidden()
                for state, many in (("offline", "3"), ("active", "1"), ("full", "1"), ("never", "1")):
                    await expect(page.page.locator(f'[data-count="{state}"] b')).to_have_text(many)
                await agree(page.page, 5)
                assert page.faults == []
        async with AsyncExitStack() as back:
            for key in keys:
                await back.enter_async_context(lively(stage.hub, key))
            await agree(watching.page, 2)
            await expect(rows).to_have_count(2)
            assert await rows.evaluate_all(NAMED_ONCE) == []
        assert watching.faults == []


@pytest.mark.parametrize(
    ("size", "language", "more", "lost"),
    [
        ((1440, 900), "en-GB", "2 more", r"3 of 11 machines offline since \d\d:\d\d$"),
        ((390, 844), "id-ID", "2 lagi", r"3 dari 11 mesin offline sejak \d\d[.:]\d\d$"),
    ],
)
async def test_a_screen_on_the_wall_keeps_an_outage_in_sight_and_says_how_many_more(
    stage: Stage, size: tuple[int, int], language: str, more: str, lost: str
) -> None:
    for number in range(5):
        await stage.hub.people.add_machine(f"RVM-1{number}", ago=timedelta(hours=1))
    keys = [await stage.hub.add_machine(f"RVM-00{number}") for number in (4, 5, 6)]
    async with tab(
        stage.browser, stage.hub, viewport={"width": size[0], "height": size[1]}, locale=language
    ) as page:  # fmt: skip
        await page.open("/?kiosk=1&each=600")
        await page.live()
        await expect(page.page.locator("#kiosk-outage")).to_have_text("")
        async with AsyncExitStack() as there:
            for key in keys:
                await there.enter_async_context(lively(stage.hub, key))
            await agree(page.page, 7)
        outage = page.page.locator("#kiosk-outage")
        await expect(outage).to_have_text(re.compile(lost))
        await expect(page.page.locator(".on-wall")).to_have_text(more)
        await expect(page.page.locator(".on-wall")).to_be_visible()
        assert await page.page.evaluate("scrollTo({top: 9000, behavior: 'instant'}), scrollY") > 100
        await expect(outage).to_be_in_viewport(ratio=1)
        head = "parseFloat(getComputedStyle(document.querySelector('.machines thead th')).top)"
        assert await page.page.evaluate(f"{head} < document.querySelector('#kiosk').getBoundingClientRect().height")
        assert not await page.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        # The bar that says it stands at the page's top.
        await stage.hub.kill()
        await expect(outage).to_contain_text({"en-GB": "Connection lost.", "id-ID": "Sambungan terputus."}[language])
        await expect(outage).to_be_in_viewport(ratio=1)
        await stage.hub.start()
        await page.live()
        await expect(outage).to_have_text(re.compile(lost))
        await page.page.locator("#kiosk a").click()
        await page.page.wait_for_url("**/")
        await expect(page.page.locator(".on-wall")).to_be_hidden()
        assert page.faults == []


async def test_who_waits_for_an_approval_and_why_a_session_ended_is_seen_on_every_screen(room: Room) -> None:
    async with room.hub.client() as admin:
        wanted = {"remote_access_approval": True}
        assert (await admin.patch(f"/api/v2/rvms/{room.key.id}/config", json=wanted)).status_code == 200
    oki = await room.hub.people.add("operator")
    async with tab(room.browser, room.hub, oki, **PHONE) as asking:
        await asking.open("/machines/1/remote")
        await asking.live()
        await asking.page.fill("#lease-reason", "Kamera gelap")
        await asking.page.click("#start-form button")
        await expect(asking.page.locator(".lease")).to_contain_text("It starts as soon as somebody does.")
        await asking.open("/")
        await asking.live()
        await expect(asking.page.locator("#attention")).to_be_hidden()
        await asking.open("/machines/1/remote")
        for look in LOOKS:
            async with tab(room.browser, room.hub, **look) as page:
                await page.open("/")
                await page.live()
                waits = page.page.locator("#attention li")
                await expect(waits).to_contain_text("Remote access waits for your approval")
                await shown_whole(page, waits)
                await agree(page.page, 1)
                await page.open("/machines/1")
                await expect(page.page.locator("#why")).to_contain_text("Remote access waits for your approval.")
                await page.page.locator("#why a").click()
                await expect(page.page.locator(".lease")).to_contain_text("Kamera gelap")
                await shown_whole(page, page.page.locator("[data-ask=approve] button"))
                assert page.faults == []
        async with tab(room.browser, room.hub, **DESK) as page:
            await page.open("/machines/1/remote")
            await page.live()
            await page.page.click("[data-ask=approve] button")
            await expect(asking.page.locator(".lease.active")).to_be_visible()
            await page.open("/machines/1/remote")
            await page.live()
            await page.page.click(".lease summary")
            await page.page.fill(".lease details input[name=reason]", "selesai")
            await page.page.click(".lease details [data-ask=stop] button")
            closed = asking.page.locator("[data-closed]")
            ended = rf"^{re.escape(room.hub.admin.email)} ended your session.*: selesai$"
            await expect(closed).to_have_text(re.compile(ended))
            await shown_whole(asking, closed)
            assert page.faults == asking.faults == []


@pytest.mark.parametrize("look", [PHONE, DESK], ids=["390", "1440"])
async def test_a_remote_session_is_one_line_in_the_readers_language(room: Room, look: dict[str, Any]) -> None:
    """Begun and ended with its reason, and the maintenance that it was."""
    session = await room.operator.lease(room.key, reason="Kamera gelap")
    await room.operator.stop(room.key, session_id=session["id"])
    await room.operator.machine(room.key, lambda found: found["effective_status"] == "active")
    async with tab(room.browser, room.hub, **look, locale="id-ID") as page:
        await page.open("/events")
        await page.live()
        lines = page.page.locator("#events > li:not(.day)").filter(has_text=re.compile("Kamera gelap|Akses jarak"))
        await expect(lines).to_have_count(1)
        await expect(lines).to_contain_text("alasan: Kamera gelap")
        words = await page.page.locator("#events").inner_text()
        for kind, told in (("status", "akses jarak jauh: Kamera gelap"), ("command", "alasan: diakhiri")):
            await page.open(f"/events?kind={kind}")
            await expect(page.page.locator("#events")).to_contain_text(told, ignore_case=True)
            words += await page.page.locator("#events").inner_text()
        assert re.findall(r"remote access|stopped|reason|approved|requested", words) == [], words
        assert page.faults == []


@pytest.mark.parametrize("look", LOOKS, ids=[str(look["viewport"]["width"]) for look in LOOKS])
async def test_events_are_happenings_in_one_zone_and_one_language(stage: Stage, look: dict[str, Any]) -> None:
    """A bin that fills is no event, a job is one line that grows, the reader's zone is that of the whole list."""
    for seq, percent in enumerate(range(40, 70, 2), 1):
        await stage.machine.say(m.StatusReport(seq=seq, status="active", capacity=percent))
    async with stage.hub.client() as client:
        asked = {"status": "maintenance", "reason": "Sabuk macet"}
        assert (await client.patch("/api/v2/rvms/1/status?wait=10", json=asked)).status_code == 200
    async with tab(stage.browser, stage.hub, **look, locale="id-ID") as page:
        await page.open("/machines/1/events")
        await page.live()
        lines = page.page.locator("#events > li:not(.day)")
        change = lines.filter(has_text="Sabuk macet")
        await expect(change).to_have_count(1)
        await expect(change.locator("p")).to_contain_text("Pemeliharaan")
        await expect(change.locator("summary")).to_contain_text("catatan")
        await expect(page.page.locator("#events")).not_to_contain_text("isi bak 4")
        assert await lines.count() < 8, await lines.all_inner_texts()
        words = " ".join(await lines.all_inner_texts())
        assert re.findall(r"\b(reason|the|status changed|done|stopped|by)\b", words) == []
        await expect(page.page.locator("main")).to_contain_text("Waktu dalam WIB")
        await shown_whole(page, lines.first)
        assert page.faults == []


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
@pytest.mark.parametrize("look", [DESK, PHONE], ids=["1440", "390"])
async def test_maintenance_without_a_reason_is_asked_for_it(stage: Stage, look: dict[str, Any], script: bool) -> None:
    """Whoever gets round what the browser checks is asked by the hub, with what was chosen kept."""
    async with tab(stage.browser, stage.hub, **look, java_script_enabled=script) as page:
        await page.open("/machines/1")
        form = page.page.locator("#status-form")
        await form.locator("input[value=maintenance]").check(force=True)
        await form.evaluate("form => { form.noValidate = true; form.querySelector('#reason').required = false; }")
        await form.locator("button.main").click()
        fault = page.page.locator("#status-fault")
        await expect(fault).to_contain_text("Please give a reason")
        await shown_whole(page, fault)
        await expect(form.locator("input[value=maintenance]")).to_be_checked()
        assert stage.machine.asked == []
        assert page.faults == []


async def test_a_cause_has_the_room_on_a_tablet(seen_stage: Stage) -> None:
    for look in LOOKS[1:4]:
        async with tab(seen_stage.browser, seen_stage.hub, **look) as page:
            await page.open("/")
            for row in await page.page.locator("#attention li").all():
                name, cause = [await row.locator(f"> :nth-child({place})").bounding_box() for place in (2, 3)]
                assert name is not None
                assert cause is not None
                assert cause["width"] > name["width"], "the sentence has the room, not the name"
