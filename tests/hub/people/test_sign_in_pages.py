"""Doors, accounts and administration as pages: who gets in, how long a lock lasts, what a foreign form cannot do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest_asyncio

from hub.model import credentials
from hub.model.changes import Put
from hub.people import rules
from tests.support.api_hub import ORIGIN, PASSWORD, ApiHub, api_hub
from tests.support.page_visitor import browser


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        await made.add_everybody()
        yield made


async def test_before_sign_in_every_page_leads_to_the_door_and_back(hub: ApiHub) -> None:
    async with hub.client() as client:
        for path in ("/", "/machines/1", "/admin/users", "/account", "/machines/1/charts.json", "/nowhere"):
            answer = await client.get(path)
            assert answer.status_code == 303
            assert urlsplit(answer.headers["location"]).path == "/login"
        door = await client.get("/login?next=/machines/1")
        assert 'name="next" value="/machines/1"' in door.text
        for evil in ("//evil.test", "https://evil.test", "/\\evil.test", "javascript:alert(1)"):
            page = await client.get("/login", params={"next": evil})
            assert 'name="next" value="/"' in page.text


async def test_who_was_signed_out_before_the_press_comes_back_to_its_page(hub: ApiHub) -> None:
    """Not what a foreign page asks for, nor what only looks like ours."""
    async with hub.client(None, Origin=ORIGIN) as client:
        for sent_by, place in (
            (f"{ORIGIN}/m/dev-one?done=4", "/m/dev-one?done=4"),
            (f"{ORIGIN}/", ""),
            (f"{ORIGIN}//evil.test/", ""),
            (f"http://evil.test/?{ORIGIN}/m/dev-one", ""),
            ("", ""),
        ):
            answer = await client.post("/machines/1/status", data={"status": "active"}, headers={"Referer": sent_by})
            assert answer.status_code == 303
            assert answer.headers["location"] == (f"/login?{urlencode({'next': place})}" if place else "/login")
    async with hub.client(None, Origin="http://evil.test") as foreign:
        answer = await foreign.post("/machines/1/status", headers={"Referer": f"{ORIGIN}/machines/1/remove"})
        assert answer.headers["location"] == "/login"


async def test_signing_in_and_out(hub: ApiHub) -> None:
    await hub.add_user("budi", "operator", password=PASSWORD)
    async with hub.client(None, Origin=ORIGIN) as client:
        wrong = await client.post("/login", data={"email": "budi@example.com", "password": "no"})
        nobody = await client.post("/login", data={"email": "nobody@example.com", "password": "no"})
        assert (wrong.status_code, nobody.status_code) == (401, 401)
        sentence = "Wrong email or password."
        assert sentence in wrong.text
        assert sentence in nobody.text
        right = await client.post("/login", data={"email": "budi@example.com", "password": PASSWORD, "next": "/help"})
        assert (right.status_code, right.headers["location"]) == (303, "/help")
        client.cookies.update(right.cookies)
        assert "HttpOnly" in right.headers["set-cookie"]
        page = await client.get("/help")
        token = re.search(r'data-csrf="(\w+)"', page.text)
        assert token
        assert (await client.post("/logout", data={"csrf_token": "0" * 64})).status_code == 403
        assert (await client.get("/logout")).headers["location"] == "/account"
        assert (await client.post("/logout", data={"csrf_token": token[1]})).headers["location"] == "/login?notice=out"
        assert (await client.get("/help")).status_code == 303


async def test_too_many_tries_say_how_long_to_wait(hub: ApiHub) -> None:
    await hub.add_user("budi", "operator", password=PASSWORD)
    async with hub.client(None, Origin=ORIGIN) as client:
        for _ in range(6):
            answer = await client.post("/login", data={"email": "budi@example.com", "password": "no"})
    assert answer.status_code == 429
    assert re.search(r"Try again in (30\u202fmin|29\u202fmin \d+\u202fs)", answer.text)


async def test_a_link_works_once(hub: ApiHub) -> None:
    secret, made = rules.make_link(hub.users["operator"], hub.context.clock())
    await hub.context.announce(Put(made))
    async with hub.client(None, Origin=ORIGIN) as client:
        assert secret.text not in (await client.get("/signin")).text
        first = await client.post("/signin", data={"link": f"{ORIGIN}/signin#{secret.text}"})
        again = await client.post("/signin", data={"link": secret.text})
    assert (first.status_code, again.status_code) == (303, 401)
    assert "rvm_session" in first.headers["set-cookie"]
    assert "no longer valid" in again.text


async def test_forms_from_elsewhere_change_nothing(hub: ApiHub) -> None:
    session = await hub.add_session("admin")
    machines = len(hub.context.fleet.machines)
    for origin in ("https://evil.test", "null", None):
        async with hub.browser(session, origin=origin) as client:
            assert (await client.post("/machines/add", data={"name": "x"})).status_code == 403
            assert (await client.post("/machines/1/status", data={"status": "full"})).status_code == 403
    async with hub.client(None, Origin="https://evil.test") as client:
        assert (await client.post("/login", data={"email": "a@b.c", "password": "x"})).status_code == 403
    assert len(hub.context.fleet.machines) == machines


async def test_language_and_theme_are_remembered_with_the_user_and_in_the_browser(hub: ApiHub) -> None:
    async with await browser(hub) as client:
        answer = await client.post("/preferences", data={"language": "id", "theme": "dark", "back": "/help"})
        assert answer.headers["location"] == "/help"
        assert {"rvm_language", "rvm_theme"} <= set(answer.cookies)
        page = await client.get("/help")
    assert '<html lang="id" data-theme="dark">' in page.text
    async with hub.client(None, **{"Accept-Language": "id-ID,id;q=0.9,en;q=0.5"}) as stranger:
        assert '<html lang="id" data-theme="auto">' in (await stranger.get("/login")).text


async def test_a_new_password_needs_the_old_one_and_ends_other_sessions(hub: ApiHub) -> None:
    await hub.add_user("budi", "viewer", password=PASSWORD)
    other = await hub.add_session("budi")
    async with await browser(hub, "budi") as client:
        wrong = await client.post("/account/password", data={"current": "nope", "password": "another long phrase"})
        assert "Wrong current password" in wrong.text
        weak = await client.post("/account/password", data={"current": PASSWORD, "password": "short"})
        assert "Too short: at least 10" in weak.text
        done = await client.post("/account/password", data={"current": PASSWORD, "password": "another long phrase"})
        assert done.headers["location"] == "/account?notice=password"
        assert "rvm_session" in done.headers["set-cookie"]
    async with hub.browser(other) as client:
        assert (await client.get("/")).status_code == 303


async def test_users_and_tokens(hub: ApiHub) -> None:
    async with await browser(hub) as client:
        added = await client.post("/admin/users", data={"name": "Sari", "email": "sari@example.com", "role": "viewer"})
        assert added.status_code == 303
        for _ in range(2):
            assert f"{ORIGIN}/signin#rvml_" in (await client.get(added.headers["location"])).text, "after a reload, too"
        taken = await client.post("/admin/users", data={"name": "Sari", "email": "sari@example.com", "role": "viewer"})
        assert taken.status_code == 409
        sari = max(user["id"] for user in (await client.get("/api/v2/users")).json()["data"])
        again = await client.post(f"/admin/users/{sari}/link")
        assert "rvml_" in (await client.get(again.headers["location"])).text
        assert "rvml_" not in (await client.get("/admin/users")).text
        assert (await client.post(f"/admin/users/{sari}/disable")).headers["location"].endswith("notice=saved")
        assert "disabled" in (await client.get("/admin/users")).text
        made = await client.post("/admin/tokens", data={"name": "Report", "days": "90"})
        page = (await client.get(made.headers["location"])).text
        token = re.search(r"rvmu_\w{8}_\w+", page)
        assert token
        assert token[0] in (await client.get(made.headers["location"])).text, "after a reload, too"
        async with await browser(hub) as other:
            assert token[0] not in (await other.get(made.headers["location"])).text
        listed = (await client.get("/admin/tokens")).text
        assert token[0] not in listed
        assert token[0][:13] in listed
        number = re.findall(r"/admin/tokens/(\d+)/revoke", listed)[0]
        await client.post(f"/admin/tokens/{number}/revoke")
        assert "The token is revoked." in (await client.get("/admin/tokens?notice=revoked")).text


async def test_signing_in_again_ends_the_session_before(hub: ApiHub) -> None:
    """Of the same browser, whoever's it was; another browser's goes on."""
    await hub.add_user("budi", "operator", password=PASSWORD)
    before, elsewhere, others = [await hub.add_session(name) for name in ("budi", "budi", "viewer")]
    for session in (before, others):
        async with hub.client(None, Origin=ORIGIN, Cookie=f"rvm_session={session}") as client:
            assert (await client.get("/help")).status_code == 200
            answer = await client.post("/login", data={"email": "budi@example.com", "password": PASSWORD})
            assert answer.status_code == 303
        async with hub.browser(session) as old, hub.browser(answer.cookies["rvm_session"]) as new:
            assert (await old.get("/api/v2/auth/me")).status_code == 401
            assert (await new.get("/api/v2/auth/me")).json()["data"]["name"] == "budi"
    async with hub.browser(elsewhere) as other:
        assert (await other.get("/api/v2/auth/me")).status_code == 200


async def test_a_wrong_password_leaves_the_session_alone(hub: ApiHub) -> None:
    session = await hub.add_session("viewer")
    async with hub.client(None, Origin=ORIGIN, Cookie=f"rvm_session={session}") as client:
        assert (await client.post("/login", data={"email": "viewer@example.com", "password": "no"})).status_code == 401
        assert (await client.get("/help")).status_code == 200


async def test_at_sign_in_a_person_is_shown_tokens_made_since(any_hub: ApiHub) -> None:
    """Also of those that somebody made at the command line; once, and they go on to where they wanted."""
    await any_hub.add_user("budi", "operator", password=PASSWORD)
    form = {"email": "budi@example.com", "password": PASSWORD, "next": "/jobs"}
    async with any_hub.client(None, Origin=ORIGIN) as client:
        await client.post("/login", data=form)
        secret = credentials.new_secret("token")
        made = rules.create_token(any_hub.users["budi"], "Laporan <b>", secret, None, any_hub.context.clock(), "system")
        await any_hub.context.announce(*made)
        told = await client.post("/login", data=form)
        assert told.headers["location"].startswith("/admin/tokens?")
        page = (await client.get(told.headers["location"])).text
        assert "Since you last signed in, 1 token that acts as you was made: Laporan &lt;b&gt;." in page
        assert 'href="/jobs"' in page
        assert secret.text not in page
        assert (await client.post("/login", data=form)).headers["location"] == "/jobs"
        for hostile in ("/admin/tokens?since=0&next=//evil.test", "/admin/tokens?since=0&next=javascript:x"):
            assert 'class="btn" href="/"' in (await client.get(hostile)).text
        assert (await client.get(f"/admin/tokens?since={'9' * 5000}")).status_code == 200


async def test_an_administrator_sees_and_revokes_the_tokens_of_others(any_hub: ApiHub) -> None:
    async with await browser(any_hub) as client, any_hub.program("operator") as program:
        page = (await client.get("/admin/tokens")).text
        assert "Tokens of other people" in page
        assert (await program.get("/api/v2/auth/me")).status_code == 200
        listed = (await client.get("/api/v2/tokens", params={"user": any_hub.users["operator"]})).json()["data"]
        assert f"/admin/tokens/{listed[0]['id']}/revoke" in page
        assert (await client.post(f"/admin/tokens/{listed[0]['id']}/revoke")).status_code == 303
        assert (await program.get("/api/v2/auth/me")).status_code == 401
    async with await browser(any_hub, "viewer") as client:
        page = (await client.get("/admin/tokens")).text
        assert "Tokens of other people" not in page
        assert len(re.findall(r"/admin/tokens/\d+/revoke", page)) == 1
