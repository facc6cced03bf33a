"""Reads through `databases`: as many as there are turns, in Python's own values, and nothing broken left behind."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

import aiosqlite
import anyio
import pytest
import sqlalchemy as sa

from db.engine import reading
from db.engine.compiled import FilledSelect
from db.engine.reading import AT_ONCE, ReadPool
from db.engine.row_writes import insert
from db.engine.store import Store
from db.errors import Rejected, StoreError, Unavailable
from db.records import EventRow
from db.schema import events as events_table
from tests.support.compilations import compilations
from tests.support.database_rows import NOW, add_machine
from tests.support.until import until

_E = events_table.c
BY_CODE = sa.select(events_table).where(_E.code == sa.bindparam("key")).order_by(_E.id)
COUNT = (
    "SELECT count(*) AS n FROM"
    " (WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {}) SELECT x FROM c) AS numbers"
)
SLOW, ENDLESS = (sa.text(COUNT.format(most)).columns(sa.column("n", sa.Integer)) for most in (10**5, 10**12))
PARAMS = {"text": "50% ü 'q' \\", "list": [1, 2.5, None, True], "inner": {"a": {}}}


async def put(store: Store, code: str, at: datetime = NOW) -> None:
    await store.write(insert(EventRow(at=at, code=code, actor="clock", params=PARAMS)))


async def test_a_row_is_a_mapping_of_the_values_that_were_written(store: Store) -> None:
    at = datetime(2026, 11, 29, 7, 0, 0, 123456, tzinfo=timezone(timedelta(hours=7)))
    await put(store, "one", at)
    (row,) = await store.fetch_all(BY_CODE, {"key": "one"})
    assert dict(row) == {
        **dict.fromkeys(events_table.c.keys()), "id": row["id"], "at": at, "code": "one", "actor": "clock",
        "params": PARAMS,
    }  # fmt: skip
    assert row["at"].utcoffset() == timedelta(0)
    assert await store.fetch_one(BY_CODE, {"key": "one"}) == row
    assert await store.fetch_one(BY_CODE, {"key": "none"}) is None
    assert await store.fetch_all(BY_CODE, {"key": "none"}) == []


async def test_one_select_is_asked_with_other_values_each_time_and_by_many_at_once(store: Store) -> None:
    for number in range(3 * AT_ONCE):
        await put(store, f"e{number}")
    found = await asyncio.gather(*(store.fetch_all(BY_CODE, {"key": f"e{n}"}) for n in range(3 * AT_ONCE)))
    assert [[row["code"] for row in rows] for rows in found] == [[f"e{n}"] for n in range(3 * AT_ONCE)]


async def test_lists_are_values_like_any_other_but_for_instants_which_are_refused_and_not_missed(store: Store) -> None:
    for day in range(3):
        await put(store, f"day{day}", NOW + timedelta(days=day))
    days = sa.select(_E.code).where(_E.code.in_(["day0", "day2"]), _E.id.in_(range(100)), _E.at >= NOW).order_by(_E.id)
    assert [row["code"] for row in await store.fetch_all(days)] == ["day0", "day2"]
    if store.dialect == "sqlite":
        with pytest.raises(StoreError, match="instant"):
            await store.fetch_all(days.where(_E.at.in_([NOW])))


async def test_a_constant_is_compiled_once_and_bound_to_each_time_s_values(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    constant = (
        sa.select(_E.code, _E.at)
        .where(_E.code.in_(sa.bindparam("codes", expanding=True)), _E.at >= sa.bindparam("since"), _E.rvm_id.is_(None))
        .where(_E.actor.in_(["clock", "system"]))
        .order_by(_E.id)
        .limit(sa.bindparam("most"))
    )
    for day in range(4):
        await put(store, f"day{day}", NOW + timedelta(days=day))
    compiled = compilations(monkeypatch)
    for codes, since, most, found in (
        (["day0", "day1"], 0, 9, ["day0", "day1"]),
        (["day0"], 0, 9, ["day0"]),
        (["day0", "day1", "day2", "day3"], 1, 9, ["day1", "day2", "day3"]),
        (["day0", "day1", "day2", "day3"], 1, 2, ["day1", "day2"]),
        ([], 0, 9, []),
    ):
        rows = await store.fetch_all(constant, {"codes": codes, "since": NOW + timedelta(days=since), "most": most})
        assert [row["code"] for row in rows] == found
        assert all(row["at"].utcoffset() == timedelta(0) for row in rows)
    assert len(compiled) == 1


async def test_selects_that_differ_in_values_alone_are_compiled_once_each_bound_to_its_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(4):
        await put(store, f"day{day}", NOW + timedelta(days=day))

    def made(codes: list[str], since: int, most: int) -> sa.Select[Any]:
        some = sa.select(_E.id).where(_E.code.in_(codes), _E.at >= NOW + timedelta(days=since))
        either = sa.or_(_E.id.in_(some), sa.and_(_E.code == sa.bindparam("key"), _E.actor == "clock"))
        return sa.select(_E.code).where(either).order_by(_E.id).limit(most)

    compiled = compilations(monkeypatch)
    for codes, since, most, key, found in (
        (["day0", "day1"], 0, 9, "day3", ["day0", "day1", "day3"]),
        (["day0", "day1", "day2"], 1, 9, "none", ["day1", "day2"]),
        (["day0", "day1", "day2"], 1, 1, "none", ["day1"]),
        ([], 0, 9, "day2", ["day2"]),
    ):
        rows = await store.fetch_all(made(codes, since, most), {"key": key})
        assert [row["code"] for row in rows] == found
    assert len(compiled) == 1
    assert await store.fetch_all(made(["day0"], 0, 9).where(_E.rvm_id == 1), {"key": "none"}) == []
    assert len(compiled) == 2


async def test_what_is_kept_of_compiled_selects_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FilledSelect, "MOST", 3)
    for shape in range(8):
        await store.fetch_all(sa.select(_E.code.label(f"code{shape}")))
        assert len(FilledSelect.known) <= 3


async def test_callers_that_give_up_leave_the_turn_and_a_sound_connection_to_the_next(store: Store) -> None:
    await put(store, "one")
    for wait in (0.0, 0.001, 0.002, 0.005, 0.01):
        for _ in range(AT_ONCE):
            with anyio.move_on_after(wait):
                await store.fetch_all(SLOW)
    # In this very task, which `databases` would have given the same connection again.
    assert [row["code"] for row in await store.fetch_all(BY_CODE, {"key": "one"})] == ["one"]
    found = await asyncio.gather(*(store.fetch_all(BY_CODE, {"key": "one"}) for _ in range(2 * AT_ONCE)))
    assert len(found) == 2 * AT_ONCE


async def test_a_query_that_nobody_waits_for_gives_its_thread_back(sqlite_store: Store) -> None:
    before = threading.active_count()
    with anyio.move_on_after(0.1) as given_up:
        await sqlite_store.fetch_all(ENDLESS)
    assert given_up.cancelled_caught
    await until(lambda: threading.active_count() <= before)


def reading_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "_connection_worker_thread" in thread.name]


def test_no_thread_answers_a_loop_that_is_gone(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers gave up, their reads go on: an unhandled exception in each thread."""
    monkeypatch.setattr(reading, "LEAVE_S", 60)  # on a busy computer as well
    unhandled: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", unhandled.append)

    async def give_up() -> None:
        reader = ReadPool(sqlite_url)
        await reader.open()
        for wait in (0.0, 0.001, 0.01):
            async with anyio.create_task_group() as readers:
                for _ in range(AT_ONCE):
                    readers.start_soon(reader.fetch_all, ENDLESS, {})
                with anyio.move_on_after(wait):
                    await anyio.sleep_forever()
                readers.cancel_scope.cancel()
        await reader.close()
        left.extend(reading_threads())

    before, left = set(reading_threads()), list[threading.Thread]()
    asyncio.run(give_up())
    for thread in set(left) - before:  # One that has answered may not have ended yet
        thread.join()
    assert not unhandled


async def test_a_read_that_fails_is_in_the_products_words_and_the_next_one_works(store: Store) -> None:
    await add_machine(store)
    for wrong, error in (
        (sa.select(sa.column("n")).select_from(sa.table("nowhere")), StoreError),
        (sa.select(events_table).where(_E.at > datetime(2026, 1, 1)), StoreError),  # noqa: DTZ001 - no instant
        (sa.select(events_table).where(_E.id == sa.literal(10**30, sa.BigInteger)), Rejected),
        (sa.select(events_table).where(_E.code == "\ud800"), Rejected),
    ):
        with pytest.raises(error):
            await store.fetch_all(wrong)
    assert await store.fetch_all(BY_CODE, {"key": "one"}) == []


async def test_a_percent_sign_in_the_text_of_a_select_is_refused_before_it_can_mean_something(
    sqlite_store: Store,
) -> None:
    with pytest.raises(StoreError, match="format"):
        await sqlite_store.fetch_all(sa.select(_E.id).where(sa.text("code LIKE '50%'")))


async def test_what_an_address_demands_of_the_connection_is_demanded(postgres_url: str) -> None:
    """`databases` itself would leave it out."""
    assert not urlsplit(postgres_url).query
    reader = ReadPool(f"{postgres_url}?sslmode=require")
    await reader.open()
    with pytest.raises(Unavailable, match="SSL"):
        await reader.fetch_all(sa.select(_E.id), {})
    await reader.close()


async def test_sqlite_connections_are_held_open_and_one_that_failed_is_not_used_again(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would start a thread, in the event loop."""
    opened, connect = 0, aiosqlite.connect

    def counted(*args: Any, **options: Any) -> aiosqlite.Connection:
        nonlocal opened
        opened += 1
        return connect(*args, **options)

    monkeypatch.setattr(aiosqlite, "connect", counted)
    for _ in range(5):
        await sqlite_store.fetch_all(BY_CODE, {"key": "one"})
    assert opened == 1
    with pytest.raises(StoreError):
        await sqlite_store.fetch_all(sa.select(sa.column("n")).select_from(sa.table("nowhere")))
    await sqlite_store.fetch_all(BY_CODE, {"key": "one"})
    assert opened == 2
    for _ in range(5):
        await asyncio.gather(*(sqlite_store.fetch_all(BY_CODE, {"key": "one"}) for _ in range(3 * AT_ONCE)))
    assert opened <= 1 + AT_ONCE
    threads = threading.active_count()
    await sqlite_store.close()
    assert threading.active_count() < threads
