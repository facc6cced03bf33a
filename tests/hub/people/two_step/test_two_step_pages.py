"""Two steps at sign-in by pages: what the browser holds between them, on and off, and the reset."""

from __future__ import annotations

import re

import httpx
import pytest

from dashboard import assets
from db.queries import credentials as stored
from hub.model.changes import Put
from hub.people import rules as people
from hub.web.auth.state import SecondSteps
from tests.support.api_hub import ORIGIN, PASSWORD, ApiHub
from tests.support.authenticator import EMAIL, Phone, events, first_step, login
from tests.support.page_visitor import browser
from tests.support.websocket_dial import dial


async def test_by_pages_the_code_is_asked_after_the_password(hub: ApiHub, phone: Phone) -> None:
    async with hub.client(None, Origin=ORIGIN) as client:
        first = await first_step(hub, client, next="/help")
        assert (first.status_code, first.headers["location"]) == (303, "/login/code?next=%2Fhelp")
        assert "rvm_session" not in first.headers["set-cookie"]
        page = (await client.get("/login/code?next=%2Fhelp")).text
        for wanted in ('autocomplete="one-time-code"', 'inputmode="numeric"', 'name="next" value="/help"'):
            assert wanted in page
        wrong = await client.post("/login/code", data={"code": "000000", "next": "/help"})
        assert (wrong.status_code, "Wrong code" in wrong.text) == (401, True)
        assert (await client.post("/login/code", data={"code": " "})).status_code == 401
        right = await client.post("/login/code", data={"code": phone.code(), "next": "/help"})
        assert (right.status_code, right.headers["location"]) == (303, "/help")
        assert "rvm_session=rvms_" in right.headers["set-cookie"]
        again = await client.post("/login/code", data={"code": phone.next_code()})
        assert again.headers["location"] == "/login?notice=again", "what the browser held is used up"


async def test_a_recovery_code_by_page(hub: ApiHub, phone: Phone) -> None:
    async with hub.client(None, Origin=ORIGIN) as client:
        await first_step(hub, client)
        page = (await client.get("/login/code?with=recovery")).text
        assert 'name="with" value="recovery"' in page
        assert "inputmode" not in page
        wrong = await client.post("/login/code", data={"code": "nothing", "with": "recovery"})
        assert 'name="with" value="recovery"' in wrong.text
        assert "Each recovery code works once." in wrong.text
        right = await client.post("/login/code", data={"code": phone.codes[0], "with": "recovery"})
        assert right.status_code == 303


async def test_what_is_held_between_the_steps_opens_nothing(hub: ApiHub, phone: Phone) -> None:
    async with hub.client(None, Origin=ORIGIN) as client:
        await first_step(hub, client)
        (half,) = client.cookies.values()
        for path in ("/", "/account", "/account/2-step", "/machines/1"):
            assert (await client.get(path)).headers["location"].partition("?")[0] == "/login"
        assert (await client.get("/api/v2/auth/me")).status_code == 401
    for secret in (half, f"rvms_{half}"):
        async with hub.client(secret) as bearer:
            assert (await bearer.get("/api/v2/auth/me")).status_code == 401
        async with hub.browser(secret) as forged:
            assert (await forged.get("/api/v2/auth/me")).status_code == 401
        assert await dial(hub.app, "/ws/dashboard", {"Cookie": f"rvm_session={secret}", "Origin": ORIGIN}) == 401


async def test_a_form_from_elsewhere_is_no_second_step(hub: ApiHub, phone: Phone) -> None:
    async with hub.client(None, Origin=ORIGIN) as client:
        await first_step(hub, client)
        for origin in ("https://evil.test", "null"):
            refused = await client.post("/login/code", data={"code": phone.code()}, headers={"Origin": origin})
            assert refused.status_code == 403


@pytest.mark.parametrize("meanwhile", ["password", "disabled", "ten minutes"])
async def test_a_second_step_comes_too_late(hub: ApiHub, phone: Phone, meanwhile: str) -> None:
    clock = [0.0]
    hub.context[SecondSteps] = SecondSteps(hub.context.settings.data_dir, lambda: clock[0])
    async with hub.client(None, Origin=ORIGIN) as client, hub.of("admin") as admin:
        await first_step(hub, client)
        if meanwhile == "ten minutes":
            clock[0] = 600.0
        else:
            patch = {"disabled": True} if meanwhile == "disabled" else {"password": "quite another phrase 9"}
            await admin.patch(f"/api/v2/users/{hub.users['budi']}", json=patch)
        late = await client.post("/login/code", data={"code": phone.code()})
    assert late.headers["location"] == "/login?notice=again"
    assert "rvm_session=rvms" not in late.headers["set-cookie"]


async def test_a_link_asks_for_the_code_too_and_is_used_up_by_it(hub: ApiHub, phone: Phone) -> None:
    secret, made = people.make_link(hub.users["budi"], hub.context.clock())
    await hub.context.announce(Put(made))
    form = {"link": secret.text}
    async with hub.client(None, Origin=ORIGIN) as one, hub.client(None, Origin=ORIGIN) as other:
        for client in (one, other):
            answer = await client.post("/signin", data=form)
            assert answer.headers["location"].startswith("/login/code")
            client.cookies.update(answer.cookies)
        assert (await one.post("/login/code", data={"code": phone.code()})).headers["location"] == "/"
        late = await other.post("/login/code", data={"code": phone.next_code()})
        assert late.headers["location"] == "/login?notice=again"
        assert (await other.post("/signin", data=form)).status_code == 401


async def _by_link(hub: ApiHub, client: httpx.AsyncClient) -> None:
    """The first step, by an invitation."""
    secret, made = people.make_link(hub.users["budi"], hub.context.clock())
    await hub.context.announce(Put(made))
    answer = await client.post("/signin", data={"link": secret.text})
    assert answer.headers["location"].startswith("/login/code")
    client.cookies.update(answer.cookies)


async def test_an_invitation_lets_in_in_spite_of_a_lock_and_ends_it(hub: ApiHub, phone: Phone) -> None:
    for _ in range(5):
        await login(hub, phone.code(), "a stranger's guess")
    assert (await login(hub, phone.code())).status_code == 429
    async with hub.client(None, Origin=ORIGIN) as client:
        await _by_link(hub, client)
        assert (await client.post("/login/code", data={"code": "000000"})).status_code == 401
        assert (await client.post("/login/code", data={"code": phone.code()})).headers["location"] == "/"
    assert await stored.locked_sign_ins(hub.context.store, hub.context.clock()) == []
    params = (await events(hub, "sign_in.failed"))[0]["params"]
    assert (params["second"], params["by"], params["failures"]) == (True, "link", 1)


async def test_five_wrong_codes_lock_every_link_until_an_administrator_ends_it(hub: ApiHub, phone: Phone) -> None:
    async with hub.client(None, Origin=ORIGIN) as client, hub.of("admin") as admin:
        for _ in range(5):
            await _by_link(hub, client)
            assert (await client.post("/login/code", data={"code": "000000"})).status_code == 401
        await _by_link(hub, client)
        assert (await client.post("/login/code", data={"code": phone.code()})).status_code == 429
        user = f"/api/v2/users/{hub.users['budi']}"
        assert (await admin.get(user)).json()["data"]["locked_until"] is not None
        assert (await admin.delete(f"{user}/lock")).status_code == 204
        assert (await client.post("/login/code", data={"code": phone.code()})).headers["location"] == "/"


async def test_a_link_in_somebody_elses_browser_asks_for_the_code_there(hub: ApiHub, phone: Phone) -> None:
    """It led on as who was signed in, without a word."""
    async with hub.client(None, Origin=ORIGIN) as client:
        client.cookies.set("rvm_session", await hub.add_session("viewer"))
        await _by_link(hub, client)
        page = (await client.get("/login/code")).text
        assert 'name="code"' in page
        scripts = assets.load(hub.context.settings.base_path)
        assert [name for name in ("plain.js", "drawn.js") if scripts[name] in page] == ["plain.js"]
        done = await client.post("/login/code", data={"code": phone.code()})
        assert done.headers["location"] == "/"
        client.cookies.clear()
        client.cookies.update(done.cookies)
        assert (await client.get("/api/v2/auth/me")).json()["data"]["email"] == EMAIL
        assert (await client.get("/login/code?next=/help")).headers["location"] == "/help", "who is in goes on"


async def test_on_and_off_by_pages(hub: ApiHub) -> None:
    phone = Phone(hub)
    async with await browser(hub, "budi") as budi:
        assert "Set up 2-step sign-in" in (await budi.get("/account/2-step")).text
        assert (await budi.post("/account/2-step", data={"do": "begin"})).status_code == 303
        page = (await budi.get("/account/2-step")).text
        (address,) = re.findall(r'href="otpauth://[^"]*secret=([A-Z2-7]+)', page)
        assert "<svg" in page
        phone.secret = address
        wrong = await budi.post("/account/2-step", data={"do": "on", "code": "1", "current": PASSWORD})
        assert (wrong.status_code, "six digits" in wrong.text, address in wrong.text) == (422, True, True)
        on = {"do": "on", "code": phone.code(), "current": PASSWORD}
        assert (await budi.post("/account/2-step", data=on)).headers["location"] == "/account/2-step?notice=on"
        page = (await budi.get("/account/2-step")).text
        (codes,) = re.findall(r'<pre id="codes">([^<]+)</pre>', page)
        assert len(codes.split()) == 10
        assert address not in page
        assert "10 of 10" in page
        assert (await budi.post("/account/2-step", data={"do": "stored"})).status_code == 303
        assert "codes" not in re.findall(r'<pre id="(\w+)"', (await budi.get("/account/2-step")).text)
        assert ">on</span>" in (await budi.get("/account")).text
        off = {"do": "off", "code": codes.split()[0], "current": PASSWORD}
        assert (await budi.post("/account/2-step", data=off)).headers["location"] == "/account/2-step?notice=off"
        assert (await budi.post("/account/2-step", data={"do": "x"})).status_code == 404


async def test_an_administrator_sees_and_resets_it_by_pages(hub: ApiHub, phone: Phone) -> None:
    path = f"/admin/users/{hub.users['budi']}"
    async with await browser(hub) as admin:
        assert ">2-step</span>" in (await admin.get("/admin/users")).text
        assert "Reset 2-step sign-in" in (await admin.get(path)).text
        done = await admin.post(f"{path}/two-step")
        assert done.headers["location"] == f"{path}?notice=reset"
        page = (await admin.get(done.headers["location"])).text
        assert "2-step sign-in is reset" in page
        assert ">2-step</span>" not in (await admin.get("/admin/users")).text
