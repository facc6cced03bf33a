"""Sign-ins while nothing can be stored: what counts, what ends them, and that they are stored in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import pytest_asyncio

from db.errors import Unavailable
from db.records import SignInFailureRow
from hub.model import changes as c
from hub.people import rules
from hub.web.auth import state
from hub.web.auth.state import AuthState, UnstoredSignIns
from tests.support.api_hub import ORIGIN, PASSWORD, ApiHub, api_hub
from tests.support.until import until

NOW = datetime(2026, 11, 29, 7, 0, tzinfo=timezone.utc)


def opened(user_id: int = 1) -> tuple[str, list[c.Change]]:
    secret, made = rules.succeeded_sign_in(
        user_id, "a@b.test", NOW, address="192.0.2.1", user_agent=None, by="password"
    )
    return secret.hash, made


def test_a_session_counts_until_it_ends_or_its_time_is_over() -> None:
    unstored = UnstoredSignIns()
    digest, made = opened()
    assert unstored.keep(made)
    found = unstored.find(digest, NOW)
    assert found is not None
    assert found.user_id == 1
    assert unstored.find(digest, NOW + timedelta(seconds=rules.IDLE_S)) is None
    assert not unstored.end(2)
    assert not unstored.end(1, "another")
    assert unstored.end(1)
    assert unstored.find(digest, NOW) is None


def test_there_is_an_end_to_how_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MAX_UNSTORED", 2)
    unstored = UnstoredSignIns()
    assert [unstored.keep(opened(number)[1]) for number in range(3)] == [True, True, False]


def test_a_link_is_used_once() -> None:
    unstored = UnstoredSignIns()
    assert unstored.keep([rules.use_link("link", NOW), *opened()[1]])
    assert unstored.has_used("link")
    assert not unstored.has_used("another")


def test_wrong_passwords_are_counted_for_a_bounded_number_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MAX_COUNTED", 2)
    unstored = UnstoredSignIns()
    for name in ("a", "b", "c"):
        unstored.count(SignInFailureRow(email=name, failures=3, last_at=NOW))
    assert unstored.failures("a") is None
    counted = unstored.failures("c")
    assert counted is not None
    assert counted.failures == 3
    unstored.drop_failures("c")
    assert unstored.failures("c") is None


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        yield made


async def test_who_signs_out_before_it_is_stored_stays_out(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what did happen is on record when there is room."""
    await hub.add_user("budi", "operator", password=PASSWORD)
    body = {"email": "budi@example.com", "password": PASSWORD}

    def full(*_: object) -> object:
        raise Unavailable("database or disk is full")

    async with hub.client(None, Origin=ORIGIN) as client:
        with monkeypatch.context() as patched:
            patched.setattr(hub.context.store, "submit", full)
            tokens = []
            for _ in range(2):
                answer = await client.post("/api/v2/auth/login", json=body)
                assert answer.status_code == 200
                tokens.append({"Authorization": f"Bearer {answer.json()['data']['token']}"})
            client.cookies.clear()
            assert (await client.post("/api/v2/auth/logout", headers=tokens[0])).status_code in (200, 204)
            seen = [(await client.get("/api/v2/auth/me", headers=held)).status_code for held in tokens]
            assert seen == [401, 200]
        await until(lambda: not hub.context[AuthState].unstored._waiting)
        seen = [(await client.get("/api/v2/auth/me", headers=held)).status_code for held in tokens]
        assert seen == [401, 200]
