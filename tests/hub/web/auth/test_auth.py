"""From a request to a Principal."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.requests import HTTPConnection
from starlette.responses import Response

from hub.model import credentials
from hub.model.access import Principal
from hub.settings import Settings
from hub.web.auth import identify
from tests.support.api_hub import ApiHub, api_hub


def asking(*headers: tuple[str, str]) -> HTTPConnection:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    return HTTPConnection({"type": "http", "scheme": "http", "headers": raw, "client": ("10.0.0.1", 1)})


async def test_each_kind_of_credential_names_who_it_is(door: ApiHub) -> None:
    async def who(*headers: tuple[str, str]) -> Principal:
        found = await identify.identify(door.context, asking(*headers))
        assert found is not None
        return found

    admin = await who(("Authorization", f"Bearer {door.tokens['admin']}"))
    assert (admin.kind, admin.role, admin.machines, admin.via) == ("user", "admin", None, "token")
    technician = await who(("Authorization", f"bearer {door.tokens['technician']}"))
    assert technician.machines == frozenset({door.machines["one"]})
    machine = await who(("Authorization", f"Bearer {door.keys['two']}"))
    assert (machine.kind, machine.id, machine.machines) == ("machine", 2, frozenset({2}))
    session = await door.add_session("viewer")
    cookie = await who(("Cookie", f"a=b; rvm_session={session}; c=d"))
    bearer = await who(("Authorization", f"Bearer {session}"))
    assert (cookie.via, bearer.via) == ("session", "login")
    assert cookie.credential_id == bearer.credential_id


async def test_a_known_credential_costs_no_look_up(door: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    said = asking(("Authorization", f"Bearer {door.tokens['viewer']}"))
    assert await identify.identify(door.context, said) is not None

    async def away(*_: object) -> None:
        raise AssertionError("asked the database")

    monkeypatch.setattr(door.context.store, "fetch_one", away)
    assert await identify.identify(door.context, said) is not None
    assert await identify.identify(door.context, asking(("Authorization", f"Bearer {door.keys['one']}"))) is not None


async def test_a_key_with_the_right_prefix_and_another_secret_is_refused(door: ApiHub) -> None:
    prefix = door.keys["one"].rpartition("_")[0]
    assert identify.machine_by_key(door.context, f"{prefix}_{'0' * 32}") is None
    assert identify.machine_by_key(door.context, door.tokens["admin"]) is None
    assert identify.machine_by_key(door.context, credentials.new_secret("key").text) is None


def test_the_cookie_is_bound_to_the_host_where_there_is_tls() -> None:
    for settings, name, secure in (
        (Settings(), "rvm_session", False),
        (Settings(behind_proxy=("10.0.0.1",)), "__Host-rvm_session", True),
        (Settings(tls_cert=Path("c"), tls_key=Path("k")), "__Host-rvm_session", True),
    ):
        answer = Response()
        identify.set_session_cookie(answer, settings, "secret")
        told = answer.headers["set-cookie"].lower()
        assert told.startswith(f"{name.lower()}=secret")
        assert "httponly" in told
        assert "samesite=lax" in told
        assert "path=/" in told
        assert "domain" not in told
        assert ("; secure" in told) is secure


async def test_the_secure_hub_does_not_read_the_plain_cookie(tmp_path: Path, sqlite_url: str) -> None:
    async with api_hub(tmp_path, database_url=sqlite_url, behind_proxy="10.9.9.9") as hub:
        await hub.add_everybody()
        session = await hub.add_session("viewer")
        assert await identify.identify(hub.context, asking(("Cookie", f"rvm_session={session}"))) is None
        found = await identify.identify(hub.context, asking(("Cookie", f"__Host-rvm_session={session}")))
        assert found is not None
