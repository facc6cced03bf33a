"""People as an administrator and they themselves meet them: invited, given machines, taken away, signed out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import pytest
from playwright.async_api import expect

from hub.cli.data import open_data
from hub.cli.people import enabled_person
from hub.lifespan import utc_now
from hub.model.changes import Put
from hub.people import rules
from hub.people.two_step import rules as two_step
from tests.browser.conftest import Stage
from tests.browser.test_found_by_eye import LOOKS
from tests.support.browser import Tab, tab
from tests.support.hub_people import Person

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
OVER = "You were signed out."
PASSWORD = "tiga ekor kucing di atap"


async def at_the_command_line(stage: Stage, email: str, machines: frozenset[int]) -> None:
    """As `run_hub.py user edit` does beside the running hub."""
    async with open_data(stage.hub.settings, create=False) as opened:
        user = await enabled_person(opened, email)
        await opened.commit(*rules.edit_user(user, user.machines, {}, machines, utc_now(), "system"))


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_technician_is_invited_and_works_in_their_own_language(stage: Stage, scripts: bool) -> None:
    look: dict[str, Any] = {"java_script_enabled": scripts}
    async with (
        tab(stage.browser, stage.hub, **look) as admin,
        tab(stage.browser, stage.hub, signed_in=False, locale="id-ID", **PHONE, **look) as budi,
    ):
        await admin.open("/admin/users")
        await admin.page.fill("#name", "Budi Santoso")
        await admin.page.fill("#email", "budi@example.com")
        await admin.page.select_option("#role", "technician")
        await admin.page.click("form[action='/admin/users'] button")
        link = await admin.page.inner_text("#link")
        await expect(admin.page.locator(".note.warn")).to_contain_text("Budi Santoso sees nothing yet")
        await admin.page.check(f"input[name=rvm][value='{stage.keys[0].id}']")
        await admin.page.click("form.person button.main")
        await expect(admin.page.locator(".note.good")).to_have_text("Saved.")
        await budi.page.goto(link)
        if not scripts:
            await budi.page.fill("#link", link)
            await budi.page.click("#link-form button")
        await expect(budi.page.locator("html")).to_have_attribute("lang", "id")
        await expect(budi.page.locator("#machines tbody tr:visible")).to_have_count(1)
        assert await budi.page.locator("a[href^='/admin']").count() == 0
        assert admin.faults == budi.faults == []


async def test_the_first_administrator_keeps_the_language_of_their_browser(stage: Stage) -> None:
    """By the link that a first start prints."""
    for look in LOOKS:
        boss = await stage.hub.people.add("admin")
        async with open_data(stage.hub.settings, create=False) as opened:
            secret, made = rules.make_link(boss.id, utc_now())
            await opened.commit(Put(made))
        async with tab(stage.browser, stage.hub, signed_in=False, locale="id-ID", **look) as page:
            await page.open(f"/signin#{secret.text}")
            await page.live()
            for path in ("/", "/account"):
                await page.open(path)
                await expect(page.page.locator("html")).to_have_attribute("lang", "id")
            assert page.faults == []
        async with tab(stage.browser, stage.hub, boss, locale="en-GB", **look) as page:
            await page.open("/")
            await expect(page.page.locator("h1")).to_contain_text("Mesin")
            assert page.faults == []


async def test_a_link_lets_in_also_where_somebody_is_signed_in(stage: Stage) -> None:
    """As whose link it is: at a computer of several people."""
    budi = await stage.hub.people.add("operator")
    async with open_data(stage.hub.settings, create=False) as opened:
        secret, made = rules.make_link(budi.id, utc_now())
        await opened.commit(Put(made))
    async with tab(stage.browser, stage.hub) as page:
        await page.open(f"/signin#{secret.text}")
        await page.live()
        await page.open("/account")
        await expect(page.page.locator("main h2 bdi").first).to_have_text(budi.email)
        assert page.faults == []


async def signs_in(page: Tab, email: str, password: str) -> None:
    await page.page.fill("#email", email)
    await page.page.fill("#password", password)
    async with page.page.expect_navigation():
        await page.page.click("form[action='/login'] button.main")


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: str(look["viewport"]["width"]))
async def test_who_is_locked_out_reads_the_way_back_in(stage: Stage, look: dict[str, Any]) -> None:
    person = {"name": "Budi", "email": "budi@example.com", "role": "operator", "password": PASSWORD}
    async with stage.hub.client() as client:
        made = await client.post("/api/v2/users", json=person)
        assert made.status_code == 201, made.text
    async with (
        tab(stage.browser, stage.hub, signed_in=False, **look) as budi,
        tab(stage.browser, stage.hub, **look) as admin,
    ):
        await budi.open("/login")
        for _ in range(5):
            await signs_in(budi, person["email"], "salah")
        await signs_in(budi, person["email"], PASSWORD)
        refused = budi.page.locator(".note.bad")
        await expect(refused).to_contain_text("Too many wrong passwords or codes for this account. Try again in")
        await expect(refused).to_contain_text("ask an administrator: they can end the lock")
        await expect(refused).to_be_in_viewport(ratio=1)
        await admin.open("/admin/users")
        await expect(admin.page.locator("#user-list tr", has_text="Budi")).to_contain_text("locked")
        await admin.page.click("#user-list a:has-text('Budi')")
        await expect(admin.page.get_by_text("Locked until")).to_be_visible()
        await admin.page.get_by_role("button", name="Unlock").click()
        await expect(admin.page.locator(".note.good")).to_be_visible()
        await expect(admin.page.get_by_text("Locked until")).to_have_count(0)
        await signs_in(budi, person["email"], PASSWORD)
        await budi.live()
        assert budi.faults == admin.faults == []


async def test_what_is_taken_away_goes_at_once_and_what_is_given_comes(stage: Stage) -> None:
    """Both by the command line: a page that is open needs no reload."""
    sari = await stage.hub.people.add("technician")
    async with tab(stage.browser, stage.hub, sari) as phone, tab(stage.browser, stage.hub) as admin:
        await phone.open("/")
        await phone.live()
        await expect(phone.page.locator("main")).to_contain_text("No machine is assigned to you. Ask")
        await admin.open("/admin/users")
        await admin.live()
        row = admin.page.locator("#user-list tr", has_text=sari.email)
        await expect(row).to_contain_text("none yet")
        await at_the_command_line(stage, sari.email, frozenset({stage.keys[0].id}))
        await expect(phone.page.locator("#machines tbody tr:visible")).to_have_count(1)
        await expect(row).not_to_contain_text("none yet")
        await admin.page.click(f"#user-list a:has-text('{sari.email}')")
        await admin.page.uncheck(f"input[name=rvm][value='{stage.keys[0].id}']")
        await admin.page.click("form.person button.main")
        await expect(phone.page.locator("#machines tbody tr:visible")).to_have_count(0)
        await at_the_command_line(stage, sari.email, frozenset({stage.keys[0].id, stage.keys[1].id}))
        await expect(phone.page.locator("#machines tbody tr:visible")).to_have_count(2)
        for gone, kept in ((0, {stage.keys[1].id}), (1, set[int]())):
            await phone.open(f"/machines/{stage.keys[gone].id}{'/history' * gone}")
            await phone.live()
            await at_the_command_line(stage, sari.email, frozenset(kept))
            said = f"RVM-00{gone + 1}: this machine was removed, or is no longer assigned to you."
            await expect(phone.page.locator(".note.warn", has_text="RVM-00")).to_have_text(said)
        await phone.open(f"/machines/{stage.keys[0].id}")
        await expect(phone.page.locator("h1")).to_have_text("Page not found")
        assert phone.faults == admin.faults == []


async def test_machines_are_chosen_for_technicians_only(stage: Stage) -> None:
    viewer = await stage.hub.people.add("viewer")
    async with tab(stage.browser, stage.hub, **PHONE) as page:
        await page.open(f"/admin/users/{viewer.id}")
        boxes = page.page.locator(".boxes")
        await expect(boxes).to_be_hidden()
        await page.page.select_option("#role", "technician")
        await expect(boxes).to_be_visible()
        assert await page.page.evaluate("document.documentElement.scrollWidth") == 390
        for target in await page.page.locator(".boxes label:visible, .options label:visible").all():
            box = await target.bounding_box()
            assert box is not None
            assert box["height"] >= 44


async def test_machines_of_a_token_are_chosen_where_it_is_to_have_only_these(stage: Stage) -> None:
    key = stage.keys[0]
    async with tab(stage.browser, stage.hub, **PHONE) as page:
        await page.open("/admin/tokens")
        boxes = page.page.locator(".boxes")
        await expect(boxes).to_be_hidden()
        await page.page.click("label:has([value=some])")
        await expect(boxes).to_be_visible()
        assert await page.page.evaluate("document.documentElement.scrollWidth") == 390
        await page.page.fill("#name", "papan status")
        await page.page.select_option("#role", "viewer")
        await page.page.check(f"input[name=rvm][value='{key.id}']")
        await page.page.click("form.person button.main")
        await expect(page.page.locator("#token")).to_be_visible()
        line = page.page.locator("tbody tr", has_text="papan status")
        await expect(line).to_contain_text("Viewer")
        await expect(line).to_contain_text("only ")
        assert page.faults == []


async def ended_by_an_administrator(admin: Tab, user_id: int) -> None:
    await admin.open(f"/admin/users/{user_id}")
    await admin.page.click("#sessions button[value=all]")


async def disabled(admin: Tab, user_id: int) -> None:
    await admin.open(f"/admin/users/{user_id}")
    await admin.page.click("form[action$='/disable'] button")


@pytest.mark.parametrize("act", [ended_by_an_administrator, disabled])
async def test_a_session_that_is_ended_is_over_on_the_open_page(
    stage: Stage, act: Callable[[Tab, int], Awaitable[None]]
) -> None:
    sari = await stage.hub.people.add("operator")
    async with tab(stage.browser, stage.hub, sari) as phone, tab(stage.browser, stage.hub) as admin:
        await phone.open("/?kiosk=1&status=active#machines")
        await phone.live()
        await act(admin, sari.id)
        await expect(phone.page.locator("#link-bar")).to_contain_text(OVER)
        await expect(phone.page.locator("#link-chip")).to_be_hidden()  # it reconnects no more
        # Signed in again, a screen on a wall shows what it showed.
        await phone.page.click("#link-bar [data-retry]")
        await phone.page.wait_for_url("**/login?**")
        await expect(phone.page.locator("input[name=next]")).to_have_value("/?kiosk=1&status=active")
        await phone.open("/")
        assert "/login" in phone.page.url
        assert phone.faults == admin.faults == []


async def session_from(stage: Stage, address: str) -> Person:
    """The administrator, signed in once more."""
    async with open_data(stage.hub.settings, create=False) as opened:
        secret, made = rules.open_session(stage.hub.admin.id, utc_now(), address=address, user_agent=None)
        await opened.commit(made)
    return stage.hub.admin._replace(session=secret.text)


async def test_signing_out_everywhere(stage: Stage) -> None:
    """One of three sessions is ended by its line, the others by one press."""
    lost, kept = [await session_from(stage, address) for address in ("192.0.2.7", "192.0.2.8")]
    async with (
        tab(stage.browser, stage.hub) as one,
        tab(stage.browser, stage.hub, lost, **PHONE) as phone,
        tab(stage.browser, stage.hub, kept, **PHONE) as other,
    ):
        for page in (phone, other):
            await page.open("/")
            await page.live()
        await one.open("/account")
        await expect(one.page.locator("#sessions .tag")).to_have_text("this one")
        rows = one.page.locator("#sessions tbody tr")
        await expect(rows).to_have_count(3)
        await rows.filter(has_text="192.0.2.7").get_by_role("button").click()
        await expect(rows).to_have_count(2)
        await expect(phone.page.locator("#link-bar")).to_contain_text(OVER)
        await expect(other.page.locator("#link-bar")).to_be_hidden()
        await one.page.click("#sessions button[value=all]")
        await expect(one.page.locator(".note.good")).to_have_text("You are signed out.")
        await expect(other.page.locator("#link-bar")).to_contain_text(OVER)
        assert one.faults == phone.faults == other.faults == []


async def test_a_password_is_shown_by_keyboard_and_hidden_when_it_is_sent(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/account")
        field, button = page.page.locator("#new"), page.page.get_by_role("button", name="Show: New password")
        await field.fill(PASSWORD)
        await field.press("Tab")
        await expect(button).to_be_focused()
        for pressed, kind in (("false", "password"), ("true", "text"), ("false", "password"), ("true", "text")):
            await expect(button).to_have_attribute("aria-pressed", pressed)
            await expect(field).to_have_attribute("type", kind)
            if pressed == "false" or kind == "text":
                await page.page.keyboard.press("Space")
        await page.page.click("text=Set password")
        await expect(page.page.locator(".note.good")).to_contain_text("Password set.")
    async with tab(stage.browser, stage.hub, signed_in=False, java_script_enabled=False) as plain:
        await plain.open("/login")
        assert await plain.page.locator("[data-reveal]").is_hidden()


CLOCKS: Final = "rows => rows.map(row => [Number(row.dataset.at), row.querySelector('time').textContent])"


def in_wit(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, timezone(timedelta(hours=9))).strftime("%H:%M:%S")


async def test_a_zone_is_chosen_on_the_phone_and_every_list_follows(stage: Stage, zone: str) -> None:
    """Whatever zone the phone itself is in."""
    async with stage.hub.client() as client:
        asked = (await client.post("/api/v2/rvms/1/commands?wait=10", json={"name": "ping"})).json()["data"]
    ended = datetime.fromisoformat(asked["finished_at"].replace("Z", "+00:00")).timestamp() * 1000
    async with tab(stage.browser, stage.hub, timezone_id=zone, **PHONE) as page:
        await page.open("/account")
        await page.page.check("input[name=zone][value=own]", force=True)
        await page.page.fill("[name=timezone]", "Asia/Jayapura")
        await page.page.click("form[action='/account'] button")
        await expect(page.page.locator(".note.good")).to_have_text("Saved.")
        for path in ("/events", "/jobs", f"/machines/{stage.keys[0].id}/events"):
            await page.open(path)
            await expect(page.page.locator("main")).to_contain_text("Times in WIT")
            seen = await page.page.locator("#events > li[data-at]").evaluate_all(CLOCKS)
            assert seen == [[at, in_wit(at)] for at, _ in seen]
            assert bool(seen) is ("events" in path)
            if path == "/jobs":
                await expect(page.page.locator("#ended [data-job-ended]")).to_have_text(in_wit(ended))
        await page.open(f"/machines/{stage.keys[0].id}")
        await page.live()
        await expect(page.page.locator("[data-fact=time]")).to_contain_text("WIB")
        assert page.faults == []


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("look", LOOKS, ids=lambda look: str(look["viewport"]["width"]))
async def test_signing_in_takes_two_steps(stage: Stage, look: dict[str, Any], scripts: bool) -> None:
    """Switched on with the key as it is shown, then in by the app's next code, and by one from paper."""
    person = {"name": "Budi", "email": "budi@example.com", "role": "operator", "password": PASSWORD}
    async with stage.hub.client() as client:
        made = await client.post("/api/v2/users", json=person)
        assert made.status_code == 201, made.text
    more: dict[str, Any] = {**look, "java_script_enabled": scripts}
    async with tab(stage.browser, stage.hub, signed_in=False, **more) as budi:
        page = budi.page
        await budi.open("/login?next=/account/2-step")
        await signs_in(budi, person["email"], PASSWORD)
        await page.get_by_role("button", name="Set up 2-step sign-in").click()
        await expect(page.get_by_role("img", name="QR code")).to_be_in_viewport()
        secret = (await page.inner_text("#key")).replace(" ", "")
        await page.fill("#current-first", PASSWORD)
        first = two_step.step_at(utc_now())
        await page.fill("#code-first", two_step.code_at(secret, first))
        await page.get_by_role("button", name="Switch on").click()
        codes = (await page.inner_text("#codes")).split()
        await page.get_by_role("button", name="I stored them").click()
        await expect(page.locator("#codes")).to_have_count(0)
        for of_paper in (False, True):
            await page.context.clear_cookies()
            await budi.open("/login?next=/account/2-step")
            await signs_in(budi, person["email"], PASSWORD)
            await expect(page.locator("#code")).to_be_focused()
            if of_paper:
                await page.get_by_role("link", name="Use a recovery code").click()
            await page.fill("#code", "0")
            await page.get_by_role("button", name="Continue").click()
            await expect(page.locator(".note.bad")).to_contain_text("Wrong code")
            step = max(two_step.step_at(utc_now()), first + 1)
            await page.fill("#code", codes[0].lower() if of_paper else two_step.code_at(secret, step))
            await page.get_by_role("button", name="Continue").click()
            await expect(page.locator("h1")).to_have_text("2-step sign-in")
        await expect(page.get_by_text("9 of 10")).to_be_visible()
        assert budi.faults == []
