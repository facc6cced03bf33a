"""A whole database as it is at one moment, put into an empty one of either kind: the same rows, all or nothing."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import sqlalchemy as sa

from db.engine.dump import open_snapshot
from db.engine.load import RESTORING, open_load
from db.engine.migrate import versions
from db.engine.ownership import InUse, Owner
from db.engine.row_text import CopiedTable, copied_tables
from db.engine.statements import Write
from db.engine.store import Store, open_store
from db.errors import NotEmpty, OtherVersion, StoreError
from db.schema import events, reverse_vending_machines, system_metrics, users
from tests.support.database_rows import sample
from tests.support.every_table import fill, held
from tests.support.pgbouncer import PROGRAM, pgbouncer
from tests.support.postgres import Databases

NEWEST = versions()[-1]
Held = dict[str, list[dict[str, Any]]]
Copy = tuple[list[tuple[CopiedTable, bytes, int]], dict[str, int]]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where nothing is."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'restored.sqlite3'}"
        return
    server: Databases = request.getfixturevalue("postgres_databases")
    name = server.create()
    yield server.url(name)
    server.drop(name)


async def copied(url: str, folder: Path) -> Copy:
    scratch = await anyio.to_thread.run_sync(made, folder)
    tables = []
    async with open_snapshot(url, scratch) as snapshot:
        for table in copied_tables(frozenset()):
            lines = io.BytesIO()
            rows = await snapshot.copy(table, lines.write)
            tables.append((table, lines.getvalue(), rows))
        return tables, await snapshot.last_ids()


def made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


async def loaded(url: str, copy: Copy, version: str = NEWEST) -> None:
    async with open_load(url, version, Owner.here()) as load:
        for table, lines, rows in copy[0]:
            assert await load.copy(table, io.BytesIO(lines)) == rows
        await load.keep_last_ids(copy[1])


async def test_every_row_of_every_table_is_the_same_in_either_database(
    store: Store, database_url: str, empty_url: str, tmp_path: Path
) -> None:
    await fill(store)
    await loaded(empty_url, await copied(database_url, tmp_path / "scratch"))
    restored = await open_store(empty_url)
    try:
        assert without_sample_counter(await held(restored)) == without_sample_counter(await held(store))
    finally:
        await restored.close()


def without_sample_counter(found: Held) -> Held:
    """SQLite's own: see below."""
    return found | {"counters": [row for row in found["counters"] if row["name"] != "system_metrics"]}


async def test_ids_of_rows_that_are_gone_are_not_given_again(
    store: Store, database_url: str, empty_url: str, tmp_path: Path
) -> None:
    await fill(store)
    for gone in (7, 8):
        await store.write(Write(sa.insert(users), person(gone)))
    await store.write(sa.delete(users).where(users.c.id > 3))
    await loaded(empty_url, await copied(database_url, tmp_path / "scratch"))
    restored = await open_store(empty_url)
    try:
        (made,) = await restored.write(Write(sa.insert(users).returning(users.c.id), person(None)))
        assert made.rows[0]["id"] > (8 if restored.dialect == store.dialect == "sqlite" else 3)
        (line,) = await restored.write(Write(sa.insert(events).returning(events.c.id), event()))
        assert line.rows[0]["id"] == 4
    finally:
        await restored.close()


def person(user_id: int | None) -> dict[str, object]:
    moment = datetime.now(timezone.utc)
    named = {} if user_id is None else {"id": user_id}
    mail = f"{user_id}@example.com"
    return {"email": mail, "name": "x", "role": "viewer", "created_at": moment, "updated_at": moment} | named


def event() -> dict[str, object]:
    return {"at": datetime.now(timezone.utc), "code": "x.y", "actor": "system", "params": {}}


async def test_samples_are_counted_on(store: Store, database_url: str, empty_url: str, tmp_path: Path) -> None:
    """SQLite counts them in a table of its own, PostgreSQL by an identity."""
    await fill(store)
    await loaded(empty_url, await copied(database_url, tmp_path / "scratch"))
    restored = await open_store(empty_url)
    try:
        await restored.store_samples([sample(1, 9)])
        ids = [row["id"] for row in await restored.fetch_all(sa.select(system_metrics.c.id))]
        assert len(ids) == len(set(ids)) == 4
    finally:
        await restored.close()


async def test_a_copy_is_of_one_moment_while_a_hub_writes(store: Store, database_url: str, tmp_path: Path) -> None:
    """Each transaction writes a line into two tables; no copy has one without the other."""
    await fill(store)

    async def write() -> None:
        number = 100
        while True:
            number += 1
            mark = {"id": number, **event()}
            await store.write(Write(sa.insert(users), person(number)), Write(sa.insert(events), mark))

    async with anyio.create_task_group() as writing:
        writing.start_soon(write)
        seen = []
        for number in range(3):
            tables, _ = await copied(database_url, tmp_path / f"scratch{number}")
            counts = {table.name: rows for table, _, rows in tables}
            seen.append((counts["users"], counts["events"]))
        writing.cancel_scope.cancel()
    assert all(people == lines for people, lines in seen)
    assert seen[0] < seen[-1], "it wrote meanwhile"


async def test_no_copy_is_left_by_whatever_ends_the_process(store: Store, database_url: str, tmp_path: Path) -> None:
    await fill(store)
    async with open_snapshot(database_url, made(tmp_path / "scratch")) as snapshot:
        for table in copied_tables(frozenset()):
            assert await snapshot.copy(table, len) == 3
        left = await anyio.to_thread.run_sync(os.listdir, tmp_path / "scratch")
        assert "copy.sqlite3" not in left


async def test_a_database_with_tables_is_left_as_it_is(store: Store, database_url: str, tmp_path: Path) -> None:
    await fill(store)
    copy = await copied(database_url, tmp_path / "scratch")
    before = await held(store)
    with pytest.raises(NotEmpty):
        await loaded(database_url, copy)
    assert await held(store) == before


async def test_what_fails_half_way_leaves_nothing(
    store: Store, database_url: str, empty_url: str, tmp_path: Path
) -> None:
    await fill(store)
    tables, ids = await copied(database_url, tmp_path / "scratch")
    table, lines, rows = tables[-1]
    broken = lines.rstrip(b"\n").rpartition(b"\t")[0] + b"\n"
    with pytest.raises((StoreError, ValueError)):
        await loaded(empty_url, ([*tables[:-1], (table, broken, rows)], ids))
    left = await anyio.to_thread.run_sync(os.listdir, tmp_path)
    assert not [name for name in left if RESTORING in name or name == "restored.sqlite3"]
    await loaded(empty_url, (tables, ids))


async def test_rows_that_refer_to_nothing_are_refused(
    sqlite_store: Store, sqlite_url: str, empty_url: str, tmp_path: Path
) -> None:
    await fill(sqlite_store)
    tables, ids = await copied(sqlite_url, tmp_path / "scratch")
    orphans = [each for each in tables if each[0].name != reverse_vending_machines.name]
    with pytest.raises(StoreError):
        await loaded(empty_url, (orphans, ids))


async def test_a_hub_that_runs_on_it_is_found(empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.engine.ownership.WAIT_S", 0.2)
    monkeypatch.setattr("db.engine.postgres_ownership.WAIT_S", 0.2)
    hub = await open_store(empty_url, Owner.here())
    try:
        with pytest.raises(InUse):
            await loaded(empty_url, ([], {}))
    finally:
        await hub.close()


async def test_an_older_copy_is_brought_up_to_date_and_a_newer_one_refused(empty_url: str, tmp_path: Path) -> None:
    """Version 0007 calls the boots' last use otherwise."""
    machine = next(table for table in copied_tables(frozenset()) if table.name == "sign_in_failures")
    lines = b"a@example.com\t2\t2026-01-02 03:04:05+00\t\\N\n"
    async with open_load(empty_url, "0007", Owner.here()) as load:
        await load.copy(machine, io.BytesIO(lines))
    restored = await open_store(empty_url)
    try:
        found = await held(restored)
        assert [row["failures"] for row in found["sign_in_failures"]] == [2]
        assert found["backup_parts"] == []
    finally:
        await restored.close()
    with pytest.raises(OtherVersion) as refused:
        await loaded(empty_url, ([], {}), "9999")
    assert (refused.value.found, refused.value.newest) == ("9999", NEWEST)


async def test_a_database_that_is_not_of_this_version_is_not_copied(tmp_path: Path, sqlite_url: str) -> None:
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE alembic_version SET version_num = '0005'")
    with pytest.raises(OtherVersion):
        await copied(sqlite_url, tmp_path / "scratch")
    with pytest.raises(StoreError):
        await copied(f"sqlite:///{tmp_path / 'none.sqlite3'}", tmp_path / "other")
    assert not (tmp_path / "none.sqlite3").exists()


@pytest.mark.skipif(PROGRAM is None or os.geteuid() != 0, reason="no pgbouncer, or not root")
async def test_a_pooler_that_keeps_sessions_is_no_hindrance(
    postgres_databases: Databases, postgres_url: str, tmp_path: Path
) -> None:
    name = postgres_databases.create()
    with pgbouncer(postgres_databases, "session") as pooled:
        copy = await copied(f"{pooled}/{postgres_url.rpartition('/')[2]}", tmp_path / "scratch")
        await loaded(f"{pooled}/{name}", copy)
    postgres_databases.drop(name)
