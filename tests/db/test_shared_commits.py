"""Transactions that wait share a commit; what follows them happens in the order of the commits, whoever waits still."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from db.engine.row_writes import insert
from db.engine.statements import Statement, Step, Write, WriteResult
from db.engine.store import Store
from db.errors import Conflict, Unavailable
from db.queries import events
from db.records import EventRow
from db.schema import reverse_vending_machines
from tests.support.counted_commits import counted_commits
from tests.support.database_rows import NOW, add_machine, machine

SLOW_S = 0.02
LIMIT_S = 0.6


def event(code: str) -> Write:
    return insert(EventRow(at=NOW, code=code, actor="clock", params={}))


async def stored_codes(store: Store) -> list[str]:
    """In the order in which they were stored."""
    return [row.code for row in reversed(await events.list_events(store, limit=1000))]


def slow(store: Store) -> Step:
    """A statement that the database takes its time for."""
    if store.dialect == "postgresql":
        return (
            sa.update(reverse_vending_machines).values(capacity=1).where(sa.text(f"pg_sleep({SLOW_S})::text = 'never'"))
        )

    def sleep(_: Sequence[WriteResult]) -> Sequence[Statement]:
        time.sleep(SLOW_S)
        return []

    return sleep


def submitted(store: Store, followed: list[str], code: str, *steps: Step) -> asyncio.Future[str]:
    def follow(_: list[WriteResult]) -> str:
        followed.append(code)
        return code

    return store.submit([event(code), *steps], follow)


async def test_what_follows_a_commit_happens_in_the_order_of_the_commits(store: Store) -> None:
    """Also for whoever stopped waiting, and around the ones that are refused."""
    await store.write(machine("taken"))
    followed: list[str] = []
    futures = [
        submitted(store, followed, f"e{n:02}", *([machine("taken", device_id=f"d{n}")] if n % 10 == 5 else []))
        for n in range(60)
    ]
    await asyncio.sleep(0)
    for future in futures[::7]:
        future.cancel()
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    await store.write(event("last"))
    assert [*followed, "last"] == await stored_codes(store)
    assert followed == sorted(followed)
    for n, outcome in enumerate(outcomes):
        if n % 7:
            assert isinstance(outcome, Conflict) if n % 10 == 5 else outcome == f"e{n:02}", n


async def test_nothing_follows_before_it_is_on_the_disk(store: Store) -> None:
    seen: list[asyncio.Task[list[str]]] = []

    def look(_: list[WriteResult]) -> None:
        seen.append(asyncio.ensure_future(stored_codes(store)))

    await asyncio.gather(*(store.submit([event(f"e{n}")], look) for n in range(20)))
    for n, codes in enumerate(await asyncio.gather(*seen)):
        assert f"e{n}" in codes


async def test_a_bug_in_what_follows_reaches_its_caller_and_nobody_else(store: Store) -> None:
    def bug(_: list[WriteResult]) -> None:
        raise ZeroDivisionError

    followed: list[str] = []
    outcomes = await asyncio.gather(
        submitted(store, followed, "before"), store.submit([event("bug")], bug), submitted(store, followed, "after"),
        return_exceptions=True,
    )  # fmt: skip
    assert [outcomes[0], type(outcomes[1]), outcomes[2]] == ["before", ZeroDivisionError, "after"]
    assert await stored_codes(store) == ["before", "bug", "after"]


async def test_a_call_waits_as_long_as_the_database_answers_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storm: all of it takes far longer than any call may wait for a silent database, and more than one commit."""
    await add_machine(store)
    monkeypatch.setattr("db.engine.pending.LONGEST_CALL_S", LIMIT_S)
    monkeypatch.setattr("db.engine.postgres_lane._SILENCE_S", LIMIT_S)
    followed: list[str] = []
    began = time.monotonic()
    storm = [submitted(store, followed, f"e{n:03}", slow(store)) for n in range(250)]
    assert await asyncio.gather(*storm) == followed
    assert time.monotonic() - began > 4 * LIMIT_S
    assert store.silent_s == 0
    assert len(followed) == 250


async def test_waiting_ends_with_the_answers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await add_machine(store)
    monkeypatch.setattr("db.engine.pending.LONGEST_CALL_S", LIMIT_S)
    await store.write(event("before"))
    silence: list[float] = []
    stuck: list[asyncio.Future[None]] = [
        store.submit(_hanging(store), lambda _: None),
        *(store.submit([event("x")], lambda _: None) for _ in range(5)),
    ]
    began = time.monotonic()
    for outcome in await asyncio.gather(*stuck, return_exceptions=True):
        silence.append(time.monotonic() - began)
        assert isinstance(outcome, Unavailable), outcome
    assert max(silence) < 5


def _hanging(store: Store) -> list[Step]:
    if store.dialect == "postgresql":
        return [sa.update(reverse_vending_machines).values(capacity=1).where(sa.text("pg_sleep(3)::text = 'never'"))]

    def sleep(_: Sequence[WriteResult]) -> Sequence[Statement]:
        time.sleep(3)
        return []

    return [sleep]


async def test_many_that_wait_share_few_commits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = counted_commits(store, monkeypatch)
    await asyncio.gather(*(store.write(event(f"e{n}"), event("x")) for n in range(200)))
    assert len(await stored_codes(store)) == 400
    assert 1 <= commits() <= 20
