"""Signing in with a link: once, in time, and by nobody who is disabled."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from starlette.requests import HTTPConnection

from hub.core import credentials, sign_in
from hub.web import signing_in
from hub.web.rate_limit import AddressLimiter
from hub.web.signing_in import SignInRefused
from tests.support.api_hub import ApiHub


def somebody(address: str = "10.0.0.1") -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [(b"user-agent", b"test")], "client": (address, 1)})


async def make_link(hub: ApiHub, name: str) -> str:
    secret, made = sign_in.make_link(hub.users[name], hub.context.clock())
    await hub.context.announce(made)
    return secret.text


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
    for text in ("", "x", credentials.new_link().text, door.tokens["admin"], "rvml_" + "x" * 5000):
        assert await refusal(door, text) == "link"


async def test_a_disabled_user_has_no_way_in(door: ApiHub) -> None:
    link = await make_link(door, "viewer")
    async with door.of("admin") as admin:
        await admin.patch(f"/api/v2/users/{door.users['viewer']}", json={"disabled": True})
    assert await refusal(door, link) == "link"


async def test_guessing_links_is_limited_by_address(door: ApiHub) -> None:
    door.context.gate.addresses = AddressLimiter(burst=3)
    codes = [await refusal(door, "x") for _ in range(5)]
    assert codes == ["link"] * 3 + ["slow_down"] * 2
