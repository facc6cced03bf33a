"""Signing in with a link: once, in time, and by nobody who is disabled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from db.errors import Unavailable
from hub.model import credentials
from hub.model.changes import Put
from hub.people import rules
from hub.web.auth import sign_in as signing_in
from hub.web.auth.limits import AddressLimiter
from hub.web.auth.sign_in import SignInRefused
from hub.web.auth.state import AuthState
from tests.support.api_hub import PASSWORD, ApiHub, api_hub


@pytest.fixture
async def either(tmp_path: Path, database_url: str) -> AsyncIterator[ApiHub]:
    """On both databases."""
    async with api_hub(tmp_path, database_url=database_url) as made:
        await made.add_everybody()
        yield made


def somebody(address: str = "10.0.0.1") -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [(b"user-agent", b"test")], "client": (address, 1)})


async def make_link(hub: ApiHub, name: str) -> str:
    secret, made = rules.make_link(hub.users[name], hub.context.clock())
    await hub.context.announce(Put(made))
    return secret.text


async def tried(hub: ApiHub, password: str, address: str, email: str = "boss@example.com") -> str:
    """`in`, or why not."""
    try:
        await signing_in.by_password(hub.context, somebody(address), email, password)
    except SignInRefused as refused:
        return refused.code
    return "in"


async def refusal(hub: ApiHub, link: str) -> str:
    with pytest.raises(SignInRefused) as refused:
        await signing_in.by_link(hub.context, somebody(), link)
    return refused.value.code


async def test_a_link_opens_one_session_and_no_second(door: ApiHub) -> None:
    link = await make_link(door, "admin")
    signed = await signing_in.by_link(door.context, somebody(), f" {link}\n")
    async with door.browser(signed.secret) as browser:
        assert (await browser.get("/api/v2/auth/me")).json()["data"]["email"] == "admin@example.com"
    assert await refusal(door, link) == "link"


async def test_of_ten_at_once_one_gets_in(door: ApiHub) -> None:
    link = await make_link(door, "viewer")
    tries = [signing_in.by_link(door.context, somebody(), link) for _ in range(10)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
    assert all(isinstance(o, SignInRefused | signing_in.SignedIn) for o in outcomes)


async def test_a_link_is_good_for_fifteen_minutes(door: ApiHub) -> None:
    link = await make_link(door, "viewer")
    now = door.context.clock
    door.context.clock = lambda: now() + timedelta(minutes=15, seconds=1)
    assert await refusal(door, link) == "link"


async def test_what_was_never_a_link_is_none(door: ApiHub) -> None:
    for text in ("", "x", credentials.new_secret("link").text, door.tokens["admin"], "rvml_" + "x" * 5000):
        assert await refusal(door, text) == "link"


async def test_a_disabled_user_has_no_way_in(door: ApiHub) -> None:
    link = await make_link(door, "viewer")
    async with door.of("admin") as admin:
        await admin.patch(f"/api/v2/users/{door.users['viewer']}", json={"disabled": True})
    assert await refusal(door, link) == "link"


async def test_guessing_links_is_limited_by_address(door: ApiHub) -> None:
    door.context[AuthState].wrong_sign_ins = AddressLimiter(burst=3)
    codes = [await refusal(door, "x") for _ in range(5)]
    assert codes == ["link"] * 3 + ["slow_down"] * 2


async def test_right_passwords_and_links_cost_no_guess(door: ApiHub) -> None:
    await door.add_user("boss", "admin", password=PASSWORD)
    door.context[AuthState].wrong_sign_ins = AddressLimiter(burst=3)
    assert [await tried(door, PASSWORD, "10.0.0.1") for _ in range(6)] == ["in"] * 6
    for _ in range(6):
        await signing_in.by_link(door.context, somebody(), await make_link(door, "viewer"))
    assert [await tried(door, "wrong", "10.0.0.1") for _ in range(4)] == ["wrong"] * 3 + ["slow_down"]


async def test_a_database_that_is_away_costs_no_guess(door: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    await door.add_user("boss", "admin", password=PASSWORD)
    door.context[AuthState].wrong_sign_ins = AddressLimiter(burst=3)
    link = await make_link(door, "viewer")

    async def away(*_: object) -> None:
        raise Unavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(door.context.store, "fetch_one", away)
        for _ in range(3):  # an office that tries again and again
            with pytest.raises(Unavailable):
                await signing_in.by_password(door.context, somebody(), "boss@example.com", PASSWORD)
            with pytest.raises(Unavailable):
                await signing_in.by_link(door.context, somebody(), link)
    assert await tried(door, PASSWORD, "10.0.0.1") == "in"


async def test_strangers_do_not_lock_an_account_where_its_owner_signed_in(either: ApiHub) -> None:
    hub = either
    await hub.add_user("boss", "admin", password=PASSWORD)
    assert await tried(hub, PASSWORD, "10.0.0.1") == "in"
    elsewhere = [await tried(hub, "wrong", f"192.0.2.{n}") for n in range(6)]
    assert elsewhere == ["wrong"] * 5 + ["locked"]
    assert await tried(hub, PASSWORD, "192.0.2.9") == "locked"
    assert await tried(hub, PASSWORD, "10.0.0.1") == "in"
    assert await tried(hub, PASSWORD, "192.0.2.9") == "locked", "a place of its own unlocks no other"
    at_home = [await tried(hub, "wrong", "10.0.0.1") for _ in range(6)]
    assert at_home == ["wrong"] * 5 + ["locked"], "which has five tries of its own"


async def test_nobody_can_type_the_name_under_which_a_place_is_counted(door: ApiHub) -> None:
    await door.add_user("boss", "admin", password=PASSWORD)
    assert await tried(door, PASSWORD, "10.0.0.1") == "in"
    for n in range(5):
        await tried(door, "wrong", f"192.0.2.{n}", email=" 10.0.0.1 boss@example.com")
    assert await tried(door, PASSWORD, "10.0.0.1") == "in"


async def test_accounts_that_do_not_exist_are_counted_in_one_line_and_not_on_record(either: ApiHub) -> None:
    hub = either
    before = len(await events(hub))
    for n in range(7):
        await tried(hub, "wrong", f"192.0.2.{n}", email=f"nobody{n // 6}@example.com")
    assert len(await events(hub)) == before
    assert hub.context[AuthState].unknown_accounts.summary() == (
        "6 tries to sign in to accounts that do not exist, from 6 networks"
    ), "the sixth for the first account was refused as locked, before any password was looked at"
    assert hub.context[AuthState].unknown_accounts.summary() is None


async def events(hub: ApiHub) -> list[Any]:
    async with hub.of("admin") as admin:
        found: list[Any] = (await admin.get("/api/v2/events")).json()["data"]
    return found
