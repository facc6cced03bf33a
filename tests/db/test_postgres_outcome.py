"""A commit whose answer was lost is asked about: what is stored counts, what is not may be asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import asyncpg
import pytest
import pytest_asyncio
import sqlalchemy as sa

from db.engine import postgres_lane
from db.engine.postgres_lane import connect
from db.engine.postgres_outcome import is_committed, number_of
from db.engine.row_writes import insert, update
from db.engine.statements import Write
from db.engine.store import Store, open_store
from db.errors import Unavailable
from db.records import CounterRow, EventRow
from db.schema import events
from tests.support.database_rows import NOW
from tests.support.lost_commit import lose_the_next_commit
from tests.support.until import until


@pytest_asyncio.fixture
async def stored(postgres_url: str) -> AsyncIterator[Store]:
    opened = await open_store(postgres_url)
    yield opened
    await opened.close()


def event(code: str) -> Write:
    return insert(EventRow(at=NOW, code=code, actor="clock", params={}))


async def codes(store: Store) -> list[str]:
    return sorted(row["code"] for row in await store.fetch_all(sa.select(events.c.code)))


@pytest.mark.parametrize("count", [1, 3])
async def test_what_was_stored_is_answered_as_stored_and_takes_effect_once_in_order(
    stored: Store, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """One call by itself, and several in one commit."""
    lose_the_next_commit(monkeypatch, arrives=True)
    followed: list[int] = []

    def follow(n: int, _: object) -> None:
        followed.append(n)

    calls = [stored.submit([event(f"{n}a"), event(f"{n}b")], partial(follow, n)) for n in range(count)]
    await asyncio.gather(*calls)
    await stored.write(event("later"))
    assert followed == list(range(count))
    assert await codes(stored) == sorted([*(f"{n}{part}" for n in range(count) for part in "ab"), "later"])


async def test_a_single_row_with_an_id_of_the_database_is_asked_about_too(
    stored: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever tried it again would have it twice."""
    lose_the_next_commit(monkeypatch, arrives=True)
    (result,) = await stored.write(event("once"))
    assert result.rows[0]["id"] > 0
    assert await codes(stored) == ["once"]


async def test_what_never_reached_the_server_is_refused_as_not_stored(
    stored: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_the_next_commit(monkeypatch, arrives=False)
    with pytest.raises(Unavailable) as caught:
        await stored.write(event("a"), event("b"))
    assert not caught.value.outcome_unknown
    await stored.write(event("after"))
    assert await codes(stored) == ["after"]


async def test_what_waited_behind_it_is_refused_as_not_stored(stored: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of a group fails by itself, so each gets a commit of its own; the first one's answer is lost."""
    lose_the_next_commit(monkeypatch, arrives=True)
    steps = ([event("a"), event("b")], [event("c"), event("d")], [update(CounterRow, "none", {}, must="name")])
    done, behind, last = await asyncio.gather(
        *(stored.submit(one, lambda _: None) for one in steps), return_exceptions=True
    )
    assert done is None
    for refused in (behind, last):
        assert isinstance(refused, Unavailable)
        assert not refused.outcome_unknown
    assert await codes(stored) == ["a", "b"]


async def test_it_takes_effect_although_its_caller_has_left(stored: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_the_next_commit(monkeypatch, arrives=True)
    followed: list[str] = []
    call = stored.submit([event("a"), event("b")], lambda _: followed.append("done"))
    await asyncio.sleep(0)
    await until(lambda: bool(followed) or call.cancel())
    await until(lambda: followed == ["done"])


async def test_a_server_that_is_away_is_asked_four_times_a_second_however_much_is_to_be_written(
    stored: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[str] = []

    async def refused(*_: object) -> asyncpg.Connection:
        attempts.append("refused")
        raise ConnectionRefusedError

    await stored.write(event("before"))  # connects
    lose_the_next_commit(monkeypatch, arrives=True)
    with monkeypatch.context() as away:
        away.setattr(postgres_lane, "connect", refused)
        away.setattr(postgres_lane, "ASK_AGAIN_S", 0.1)
        doubted = stored.submit([event("a"), event("b")], lambda _: None)
        await until(lambda: attempts)
        for _ in range(20):
            with pytest.raises(Unavailable):
                await stored.write(event("c"))
            await asyncio.sleep(0.004)
        attempts.clear()
        await asyncio.sleep(0.5)
        assert 0 < len(attempts) <= 7
    await doubted
    assert await codes(stored) == ["a", "b", "before"]


async def test_a_process_of_the_server_that_still_waits_is_ended(postgres_url: str) -> None:
    first, second = await connect(postgres_url), await connect(postgres_url)
    try:
        await first.execute("BEGIN")
        number = await number_of(first)
        assert await is_committed(second, number) is False
    finally:
        first.terminate()
        await second.close()


async def test_a_server_that_never_had_it_says_no(postgres_url: str) -> None:
    connection = await connect(postgres_url)
    try:
        await connection.execute("BEGIN")
        number = await number_of(connection)
        await connection.execute("ROLLBACK")
        assert await is_committed(connection, number) is False
        assert await is_committed(connection, str(int(number) + 1_000_000)) is False
        assert await is_committed(connection, "not a number") is None
    finally:
        await connection.close()


async def test_a_standby_is_not_believed(postgres_url: str) -> None:
    """It may replay the commit when it takes over. Here a function of our own calls this server one."""
    connection = await connect(postgres_url)
    try:
        number = await number_of(connection)
        await connection.execute(
            "BEGIN; CREATE SCHEMA standby; SET LOCAL search_path = standby, pg_catalog;"
            "CREATE FUNCTION pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'"
        )
        for asked in (number, str(int(number) + 1_000_000)):
            with pytest.raises(Unavailable, match="standby"):
                await is_committed(connection, asked)
    finally:
        await connection.execute("ROLLBACK")
        await connection.close()


async def test_an_outcome_the_server_does_not_know_is_refused_as_unknown_and_the_next_call_is_served(
    stored: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(*_: object) -> None:
        return None

    monkeypatch.setattr("db.engine.postgres_lane.is_committed", unknown)
    lose_the_next_commit(monkeypatch, arrives=True)
    with pytest.raises(Unavailable) as caught:
        await stored.write(event("a"), event("b"))
    assert caught.value.outcome_unknown
    await stored.write(event("next"))
