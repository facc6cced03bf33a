"""One's own tokens."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest

from hub.kernel.context import HubContext
from hub.people import account_api
from hub.web.auth import identify
from hub.web.auth.state import AuthState
from tests.support.api_hub import ApiHub
from tests.support.page_visitor import browser


async def test_a_token_is_shown_once_works_and_can_be_revoked(any_hub: ApiHub) -> None:
    async with any_hub.of("viewer") as viewer:
        made = (await viewer.post("/api/v2/tokens", json={"name": "laporan", "expires_in_days": 30})).json()["data"]
        assert made["token"].startswith(made["prefix"] + "_")
        listed = (await viewer.get("/api/v2/tokens")).json()["data"]
        assert [t["name"] for t in listed] == ["laporan", "test"]
        assert made["token"] not in str(listed)
        assert {k: v for k, v in made.items() if k != "token"} == listed[0]
        async with any_hub.client(made["token"]) as script:
            assert (await script.get("/api/v2/auth/me")).json()["data"]["role"] == "viewer"
            assert (await viewer.delete(f"/api/v2/tokens/{made['id']}")).status_code == 204
            assert (await script.get("/api/v2/auth/me")).status_code == 401
        assert (await viewer.delete(f"/api/v2/tokens/{made['id']}")).status_code == 204
        revoked = (await viewer.get("/api/v2/events")).json()["data"]
        assert not [e for e in revoked if e["code"].startswith("token")]
    async with any_hub.of("admin") as admin:
        events = (await admin.get("/api/v2/events", params={"code": "token.revoked"})).json()["data"]
    assert len(events) == 1


async def test_somebody_elses_token_does_not_exist(hub: ApiHub) -> None:
    async with hub.of("viewer") as viewer:
        own = (await viewer.get("/api/v2/tokens")).json()["data"][0]["id"]
    async with hub.of("operator") as operator:
        answers = [await operator.delete(f"/api/v2/tokens/{key}") for key in (own, 99999, "x")]
    assert {a.status_code for a in answers} == {404}
    assert len({a.content for a in answers}) == 1


async def test_an_expired_token_is_dead(hub: ApiHub) -> None:
    async with hub.of("viewer") as viewer:
        made = (await viewer.post("/api/v2/tokens", json={"name": "x", "expires_in_days": 1})).json()["data"]
        async with hub.client(made["token"]) as script:
            assert (await script.get("/api/v2/auth/me")).status_code == 200
            now = hub.context.clock
            hub.context.clock = lambda: now() + timedelta(days=1, seconds=1)
            assert (await script.get("/api/v2/auth/me")).status_code == 401


async def test_its_last_use_is_noted_behind_the_answer_and_once_a_minute(
    any_hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = 0
    real = identify.write_uses

    async def counted(context: HubContext) -> None:
        nonlocal writes
        writes += 1
        await real(context)

    monkeypatch.setattr(identify, "write_uses", counted)
    async with any_hub.program("viewer") as viewer:
        for _ in range(3):
            any_hub.context[AuthState].credentials.drop_all()
            listed = (await viewer.get("/api/v2/tokens")).json()["data"]
    assert writes == 1
    assert listed[0]["last_used_at"] is not None
    assert listed[0]["last_used_ip"] == "10.0.0.1"


async def test_tokens_are_bounded(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_api, "MAX_LIVE", 2)
    async with hub.of("viewer") as viewer:
        answers = [(await viewer.post("/api/v2/tokens", json={"name": "x"})).status_code for _ in range(2)]
    assert answers == [201, 409]


async def test_tokens_made_at_once_are_bounded(any_hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_api, "MAX_LIVE", 3)
    async with any_hub.of("viewer") as viewer:
        asked = [viewer.post("/api/v2/tokens", json={"name": f"x{number}"}) for number in range(4)]
        assert sorted(one.status_code for one in await asyncio.gather(*asked)) == [201, 201, 409, 409]


async def test_a_token_that_was_stored_is_shown_no_more(hub: ApiHub) -> None:
    async with await browser(hub) as admin:
        made = await admin.post("/admin/tokens", data={"name": "laporan", "days": "90"})
        place = made.headers["location"]
        page = (await admin.get(place)).text
        assert (await admin.get(place)).text.count('id="token"') == 1, "a reload shows it again"
        (number,) = re.findall(r'name="stored" value="(\d+)"', page)
        done = await admin.post("/admin/tokens", data={"stored": number})
        assert done.headers["location"] == "/admin/tokens"
        assert 'id="token"' not in (await admin.get(place)).text
        assert len(hub.tokens) + 1 == len((await admin.get("/api/v2/tokens?user=all")).json()["data"]), "none is made"


async def test_a_machine_has_no_tokens(hub: ApiHub) -> None:
    async with hub.of("one") as machine:
        assert (await machine.get("/api/v2/tokens")).status_code == 403
        assert (await machine.post("/api/v2/tokens", json={"name": "x"})).status_code == 403
