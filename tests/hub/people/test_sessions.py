"""Where somebody is signed in: listed, ended one by one, or everywhere; one's own, and by administrators others'."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.queries import credentials
from hub.web.auth import identify
from tests.support.api_hub import ApiHub, api_hub
from tests.support.until import until_answered

OWN = "/api/v2/auth/sessions"


async def test_one_session_is_ended_and_the_others_go_on(any_hub: ApiHub) -> None:
    mine, other = [await any_hub.add_session("operator") for _ in range(2)]
    async with any_hub.browser(mine) as here, any_hub.browser(other) as there:
        listed = (await here.get(OWN)).json()["data"]
        assert [row["current"] for row in listed] == [False, True, False], "the one that was opened by REST, too"
        assert {row["ip"] for row in listed} == {"10.0.0.1"}
        assert {row["user_agent"] for row in listed} == {"test"}
        assert not {"hash", "user_id"} & listed[0].keys()
        assert (await here.delete(f"{OWN}/{listed[0]['id']}")).status_code == 204
        assert (await there.get("/api/v2/auth/me")).status_code == 401
        assert (await here.get("/api/v2/auth/me")).status_code == 200
        assert (await here.delete(f"{OWN}/{listed[0]['id']}")).status_code == 404
        assert len((await here.get(OWN)).json()["data"]) == 2


async def test_sign_out_everywhere_ends_all_of_them_and_no_token(any_hub: ApiHub) -> None:
    sessions = [await any_hub.add_session("operator") for _ in range(3)]
    async with any_hub.browser(sessions[0]) as here, any_hub.program("operator") as program:
        assert (await here.delete(OWN)).status_code == 204
        for session in sessions:
            async with any_hub.browser(session) as browser:
                assert (await browser.get("/api/v2/auth/me")).status_code == 401
        assert (await program.get("/api/v2/auth/me")).status_code == 200
        assert [row["current"] for row in (await program.get(OWN)).json()["data"]] == []


@pytest.mark.parametrize("every", [True, False])
async def test_an_administrator_ends_those_of_others(any_hub: ApiHub, every: bool) -> None:
    session = await any_hub.add_session("viewer")
    path = f"/api/v2/users/{any_hub.users['viewer']}/sessions"
    async with any_hub.of("admin") as admin, any_hub.of("operator") as operator, any_hub.browser(session) as browser:
        assert (await operator.get(path)).status_code == 403
        assert (await browser.get("/api/v2/auth/me")).status_code == 200
        listed = (await admin.get(path)).json()["data"]
        assert [row["current"] for row in listed] == [False, False]
        assert (await admin.delete(path if every else f"{path}/{listed[0]['id']}")).status_code == 204
        assert (await browser.get("/api/v2/auth/me")).status_code == 401
        events = (await admin.get("/api/v2/events", params={"code": "sign_in.sessions_ended"})).json()["data"]
        assert [event["params"]["count"] for event in events] == [2 if every else 1]


async def test_nobody_ends_a_session_by_anothers_address(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin, any_hub.of("viewer") as viewer:
        theirs = (await admin.get(OWN)).json()["data"][0]["id"]
        assert (await viewer.delete(f"{OWN}/{theirs}")).status_code == 404
        of_viewer = f"/api/v2/users/{any_hub.users['viewer']}/sessions/{theirs}"
        assert (await admin.delete(of_viewer)).status_code == 404
        for wrong in ("0", "abc", "99999999999999999999"):
            assert (await viewer.delete(f"{OWN}/{wrong}")).status_code == 404
        assert (await admin.get("/api/v2/auth/me")).status_code == 200


async def test_whoever_only_opens_pages_uses_their_session(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only answers of REST wrote it down: the list had an age of the last of those, and where nobody asks REST, people
    were signed out twelve hours after they had come, in the middle of their work."""
    monkeypatch.setattr(identify, "WRITE_USES_EVERY_S", 0.01)
    async with api_hub(tmp_path, database_url=sqlite_url) as hub:
        user_id = await hub.add_user("budi", "viewer")
        session = await hub.add_session("budi")
        (before, _) = await credentials.sessions_of(hub.context.store, user_id, hub.context.clock())
        async with hub.browser(session) as browser:
            assert (await browser.get("/account")).status_code == 200

        async def is_noted() -> bool:
            (now, _) = await credentials.sessions_of(hub.context.store, user_id, hub.context.clock())
            return now.last_used_at is not None and now.expires_at > before.expires_at

        await until_answered(is_noted)
