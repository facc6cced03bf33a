"""Jobs in real browsers: asked for on one screen, seen on all, the same after a reload, stopped, asked with care."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Route, WebSocketRoute, expect

from protocol import messages as m
from tests.browser.conftest import Stage
from tests.support.browser import SHORTLY, Tab, tab
from tests.support.until import until

CARD = "#machine-jobs .job"
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "locale": "id-ID"}


class Way:
    """The browser's way to the hub's feed, which a test may shut."""

    def __init__(self) -> None:
        self.shut = False
        self.sockets: list[WebSocketRoute] = []

    async def take(self, socket: WebSocketRoute) -> None:
        if self.shut:
            await socket.close(code=1001)
            return
        socket.connect_to_server()
        self.sockets.append(socket)


async def choose(page: Tab, action: str) -> None:
    """Open the menu and take an action."""
    await page.page.click("#acts .menu > summary")
    await page.page.click(f"[data-offer={action}]")


async def ask_reboot(page: Tab, reason: str) -> None:
    await choose(page, "reboot")
    await page.page.fill("#do-reboot [name=reason]", reason)
    await page.page.click("#do-reboot button.danger")


@pytest.mark.alone
async def test_a_job_is_seen_on_every_screen_and_the_same_after_a_reload(stage: Stage) -> None:
    stage.machine.confirms = False
    operator = await stage.hub.people.add("operator")
    async with tab(stage.browser, stage.hub) as mine, tab(stage.browser, stage.hub, operator) as theirs:
        await theirs.open("/jobs")
        await theirs.live()
        await expect(theirs.page.locator("#none-open")).to_be_visible()
        await mine.open("/machines/1")
        await mine.live()
        await choose(mine, "reboot")
        await expect(mine.page.locator("#do-reboot")).to_contain_text("nobody is using it")
        await mine.page.fill("#do-reboot [name=reason]", "camera hangs")
        await mine.page.click("#do-reboot button.danger")
        card = theirs.page.locator("#open .job")
        await expect(card).to_contain_text("camera hangs")
        await expect(card.locator("[data-how]")).to_have_text("Sent. Waiting for the machine to confirm…")
        await expect(theirs.page.locator("[data-open-jobs]")).to_have_text("1")
        await stage.machine.tell("running", progress=m.Progress(phase="return_session"))
        waiting = "Waiting for the end of the return session"
        await expect(card.locator("[data-how]")).to_contain_text(waiting)
        await expect(card.locator("[data-how]")).to_contain_text("s more, then it is given up")
        await expect(mine.page.locator(CARD)).to_contain_text(waiting)
        counting = re.compile(r"\d+\s+s(?=\s+more)")
        alive = counting.sub("", await mine.page.inner_text(CARD))
        await mine.page.reload()
        await mine.live()
        assert counting.sub("", await mine.page.inner_text(CARD)) == alive
        await stage.machine.tell("succeeded", result={"boot_id": "new"})
        await expect(theirs.page.locator("#ended .job")).to_contain_text("Done: the machine confirmed it.")
        await expect(theirs.page.locator("#open-count")).to_have_text("0")
        await expect(mine.page.locator(CARD)).to_contain_text("Done")
        await mine.page.reload()
        await expect(mine.page.locator(CARD)).to_contain_text("Done: the machine confirmed it.")
        assert mine.faults == theirs.faults == []


async def test_one_job_shows_everything_and_goes_on_live(stage: Stage) -> None:
    stage.machine.confirms = False
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/1")
        await page.live()
        await page.page.click("#acts .menu > summary")
        await page.page.click(".pop summary")
        await page.page.click("[data-do=sync_timezone] button")
        await page.page.click(f"{CARD} [data-job-what]")
        await page.page.wait_for_url("**/jobs/*")
        await page.live()
        details = page.page.locator("#details")
        await expect(details).to_contain_text("RVM-001")
        await expect(details.locator("[data-detail=deadline]")).to_contain_text(re.compile(SHORTLY))
        await stage.machine.tell("running", progress=m.Progress(phase="setting", done=1, total=3))
        await expect(page.page.locator("[data-how]")).to_have_text("Setting the time zone: 1 of 3")
        await expect(page.page.locator("progress")).to_have_attribute("value", "1")
        failure = m.Failure(code="not_permitted", message="not permitted: install the helper")
        await stage.machine.tell("failed", error=failure)
        await expect(page.page.locator("[data-how]")).to_have_text(
            "Failed: the agent is not allowed to do this on the machine: ask whoever installed it there"
        )
        await expect(details.locator("[data-detail=error_code]")).to_have_text("not_permitted")
        await expect(page.page).to_have_title(re.compile("Failed: Sync time zone – RVM-001 – RVM$"))
        assert page.faults == []


async def test_a_job_is_cancelled_where_the_machine_has_it_and_where_it_has_not(stage: Stage) -> None:
    stage.machine.confirms = False
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/1")
        await page.live()
        await ask_reboot(page, "hangs")
        await expect(page.page.locator(CARD)).to_contain_text("Sent.")
        await page.page.click(f"{CARD} .confirm summary")
        await expect(page.page.locator(CARD)).to_contain_text("A reboot that has begun cannot be stopped.")
        await page.page.click(f"{CARD} .confirm button")
        await expect(page.page.locator(f"{CARD} [data-how]")).to_have_text("Cancelled: the machine did not do it.")
        await expect(page.page.locator(f"{CARD} .confirm")).to_be_hidden()
        await page.open("/machines/3")
        await page.live()
        await page.page.click("#acts .menu > summary")
        await page.page.click(".pop summary")
        promise = page.page.locator("[data-do=sync_timezone] [data-waits]")
        await expect(promise).to_contain_text(re.compile(f"Not connected: will run when it connects, until {SHORTLY}"))
        await page.page.click("[data-do=sync_timezone] button")
        await expect(page.page.locator(CARD)).to_contain_text(
            re.compile(f"Queued. Runs when the machine connects, until {SHORTLY}")
        )
        await page.page.click(f"{CARD} .confirm summary")
        await expect(page.page.locator(CARD)).to_contain_text("Nothing has happened yet")
        await page.page.click(f"{CARD} .confirm button")
        await expect(page.page.locator(CARD)).to_contain_text("Cancelled before it was sent.")
        assert page.faults == []


async def test_who_cancels_by_keyboard_stays_at_the_job(stage: Stage) -> None:
    """Also while the hub's news of it are on their way."""

    async def late(route: Route) -> None:
        await asyncio.sleep(0.5)  # how late the news are
        await route.continue_()

    async with stage.hub.client() as client, tab(stage.browser, stage.hub) as page:
        await page.open("/jobs")
        await page.live()
        await client.post("/api/v2/rvms/3/commands", json={"name": "sync_timezone", "args": {}})
        card = page.page.locator("#open .job")
        await card.locator(".confirm summary").press("Enter")
        await page.page.route("**/jobs/parts**", late)
        await card.locator(".confirm button").press("Enter")
        await expect(page.page.locator("#ended .job")).to_contain_text("Cancelled")
        place: bool = await page.page.evaluate("document.activeElement.matches('.job h3 a')")
        assert place
        assert page.faults == []


async def test_what_is_not_possible_stays_visible_and_says_why(stage: Stage) -> None:
    viewer = await stage.hub.people.add("viewer")
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/3")
        await page.live()
        await page.page.click("#acts .menu > summary")
        reboot = page.page.locator("[data-offer=reboot]")
        await expect(reboot).to_contain_text("Needs the machine online")
        await expect(reboot).to_have_attribute("aria-disabled", "true")
        await reboot.click(force=True)
        await expect(page.page.locator("#do-reboot")).to_be_hidden()
        await page.open("/machines/2")
        await page.live()
        await page.page.click("#acts .menu > summary")
        await expect(page.page.locator("[data-offer=reboot]")).to_contain_text("software cannot do it")
        await expect(page.page.locator("[data-do=sync_timezone] button")).to_be_disabled()
    async with tab(stage.browser, stage.hub, viewer) as page:
        await page.open("/machines/1")
        await page.live()
        await page.page.click("#acts .menu > summary")
        await expect(page.page.locator("[data-offer=reboot]")).to_contain_text("You need the role")


async def test_a_reboot_begins_with_cancel_and_is_forced_only_while_somebody_is_there(stage: Stage) -> None:
    stage.machine.confirms = False
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/1")
        await page.live()
        await page.page.keyboard.press(".")
        await page.page.keyboard.press("Tab")
        for _ in range(9):  # past the other offers
            if await page.page.evaluate("document.activeElement.dataset.offer") == "reboot":
                break
            await page.page.keyboard.press("Tab")
        await page.page.keyboard.press("Enter")
        dialog = page.page.locator("#do-reboot")
        await expect(dialog).to_be_visible()
        await expect(dialog.locator("[data-cancel]")).to_be_focused()
        await expect(dialog.locator("[data-force]")).to_be_hidden()
        await stage.machine.say(m.StatusReport(status="active", seq=7, busy=True))
        await expect(dialog).to_contain_text("Somebody is returning containers now.")
        await expect(dialog.locator("[data-force]")).to_be_visible()
        await page.page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        await expect(page.page.locator("#acts summary").first).to_be_focused()
        assert stage.machine.asked == []
        await choose(page, "reboot")
        await dialog.locator("button.danger").click()
        await expect(dialog).to_be_visible()
        assert stage.machine.asked == [], "without a reason nothing is asked"
        await dialog.locator("[name=reason]").fill("stuck")
        await dialog.locator("[name=force]").check()
        await dialog.locator("button.danger").click()
        await expect(page.page.locator(CARD)).to_contain_text("Reboot machine at once (forced)")
        await until(lambda: stage.machine.commands)
        assert stage.machine.commands[-1].args["force"] is True


async def test_what_ended_while_the_page_was_away_is_caught_up(stage: Stage) -> None:
    stage.machine.confirms = False
    way = Way()
    async with tab(stage.browser, stage.hub) as page:
        await page.page.route_web_socket("**/ws/dashboard*", way.take)
        await page.open("/machines/1")
        await page.live()
        await ask_reboot(page, "hangs")
        await expect(page.page.locator(CARD)).to_contain_text("Sent.")
        way.shut = True
        for socket in way.sockets:
            await socket.close(code=1001)
        await page.page.wait_for_selector("body[data-link=lost]")
        await stage.machine.tell("succeeded")
        async with stage.hub.client() as client:
            ended = await client.get(f"/api/v2/commands/{stage.machine.commands[-1].id}?wait=10")
            assert ended.json()["data"]["state"] == "succeeded"
        await expect(page.page.locator(CARD)).to_contain_text("Sent.")
        way.shut = False
        await page.live()
        await expect(page.page.locator(CARD)).to_contain_text("Done: the machine confirmed it.")


async def test_without_script_everything_has_its_page(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub, java_script_enabled=False) as page:
        await page.open("/machines/1")
        await choose(page, "reboot")
        await page.page.wait_for_url("**/machines/1/do/reboot")
        assert "comes back in about two minutes" in await page.page.inner_text("main")
        await page.page.fill("[name=reason]", "camera hangs")
        await page.page.click("button.danger")
        await page.page.wait_for_url("**/machines/1")
        assert "camera hangs" in await page.page.inner_text("#machine-jobs")
        await page.open("/machines/3")
        await page.page.click("#acts .menu > summary")
        await page.page.click(".pop summary")
        await page.page.click("[data-do=sync_timezone] button")
        await page.page.click(f"{CARD} .confirm summary")
        await page.page.click(f"{CARD} .confirm button")
        await page.page.wait_for_url("**/jobs/*")
        assert "Cancelled before it was sent." in await page.page.inner_text("main")
        await page.open("/")
        for rvm_id in (1, 3):
            await page.page.check(f'tr[data-id="{rvm_id}"] .x input')
        await page.page.click("#bulk button[value=maintenance]")
        await expect(page.page.locator("main")).to_contain_text("1 is not connected: will run when it connects")
        await page.page.fill("[name=reason]", "cleaning day")
        await page.page.click("main form .btn.main")
        await page.page.wait_for_url("**/jobs?group=*")
        assert "1 offline (queued)" in await page.page.inner_text("#tally")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_shows_jobs_and_asks_with_big_buttons(stage: Stage, scheme: Any) -> None:
    stage.machine.confirms = False
    async with tab(stage.browser, stage.hub, color_scheme=scheme, **PHONE) as page:
        await page.open("/machines/1")
        await page.live()
        await choose(page, "reboot")
        buttons = page.page.locator("#do-reboot .row.ends .btn")
        heights = await buttons.evaluate_all("all => all.map(e => e.getBoundingClientRect().height)")
        assert min(heights) >= 44
        await page.page.fill("#do-reboot [name=reason]", "kamera macet")
        await page.page.click("#do-reboot button.danger")
        await expect(page.page.locator(CARD)).to_contain_text("Boot ulang mesin")
        async with stage.hub.client() as client:
            command = (await client.get("/api/v2/commands?state=open")).json()["data"][0]["id"]
        for path in ("/", "/machines/1", "/jobs", f"/jobs/{command}", "/machines/1/do/reboot"):
            await page.open(path)
            assert await page.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert page.faults == []
