"""What was checked a moment ago: for how long, and forgotten when told."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

import pytest

from db.errors import Unavailable
from hub.model.access import Principal
from hub.web.auth.state import MAX_CREDENTIALS, CredentialCache

NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def user(number: int = 1) -> Principal:
    return Principal(kind="user", id=number, name="", role="viewer", machines=None, via="token", credential_id=1)


def test_known_for_three_seconds() -> None:
    clock = Clock()
    cache = CredentialCache(clock=clock)
    cache.keep("h", user(), None, cache.generation)
    clock.now = 2.9
    assert cache.find("h", NOW) == user()
    clock.now = 3.0
    assert cache.find("h", NOW) is None


def test_never_beyond_its_own_end() -> None:
    cache = CredentialCache(clock=Clock())
    cache.keep("h", user(), NOW + timedelta(seconds=1), cache.generation)
    assert cache.find("h", NOW) is not None
    assert cache.find("h", NOW + timedelta(seconds=1)) is None


def test_forgetting_a_user_leaves_the_others() -> None:
    cache = CredentialCache(clock=Clock())
    cache.keep("a", user(1), None, cache.generation)
    cache.keep("b", user(2), None, cache.generation)
    cache.drop_user(1)
    assert cache.find("a", NOW) is None
    assert cache.find("b", NOW) is not None
    cache.drop("b")
    assert cache.find("b", NOW) is None


def test_a_look_up_overtaken_by_a_revocation_is_not_kept() -> None:
    cache = CredentialCache(clock=Clock())
    began = cache.generation
    cache.drop_user(1)
    cache.keep("h", user(1), None, began)
    assert cache.find("h", NOW) is None


def test_the_table_is_bounded() -> None:
    cache = CredentialCache(clock=Clock())
    for n in range(MAX_CREDENTIALS + 10):
        cache.keep(str(n), user(), None, cache.generation)
    assert cache.find("0", NOW) is None
    assert cache.find(str(MAX_CREDENTIALS + 9), NOW) is not None


class Database:
    """Answers when it is let, and counts who asked."""

    def __init__(self, answer: Principal | Exception | None) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self._answer = answer

    async def look_up(self) -> Principal | None:
        self.asked += 1
        await self.may_answer.wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


async def turns() -> None:
    """Everybody who can go on has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_requests_of_one_credential_ask_the_database_once() -> None:
    cache, database = CredentialCache(), Database(user())
    asking = [asyncio.create_task(cache.share("h", database.look_up)) for _ in range(300)]
    other = asyncio.create_task(cache.share("another", database.look_up))
    await turns()
    database.may_answer.set()
    assert await asyncio.gather(*asking, other) == [user()] * 301
    assert database.asked == 2
    assert await cache.share("h", database.look_up) == user()
    assert database.asked == 3


async def test_who_comes_after_a_revocation_looks_again() -> None:
    cache, before, after = CredentialCache(), Database(user()), Database(None)
    early = asyncio.create_task(cache.share("h", before.look_up))
    await turns()
    cache.drop("h")
    late = asyncio.create_task(cache.share("h", after.look_up))
    await turns()
    before.may_answer.set()
    after.may_answer.set()
    assert (await early, await late) == (user(), None)


async def test_a_request_that_is_given_up_takes_no_other_along() -> None:
    cache, database = CredentialCache(), Database(user())
    first, second = (asyncio.create_task(cache.share("h", database.look_up)) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    database.may_answer.set()
    assert await second == user()


async def test_a_database_that_is_away_is_reported_to_all_who_asked() -> None:
    cache, database = CredentialCache(), Database(Unavailable("away"))
    asking = [asyncio.create_task(cache.share("h", database.look_up)) for _ in range(3)]
    await turns()
    database.may_answer.set()
    for one in asking:
        with pytest.raises(Unavailable):
            await one
    assert database.asked == 1
