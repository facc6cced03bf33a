"""The tests' own PostgreSQL: the next test finds it as the migrations made it, whatever the last one left behind."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import asyncpg
import pytest

from db.schema import metadata
from tests.support.emptied_database import EmptiedDatabase

RECORD = "INSERT INTO events (at, code, actor, params) VALUES (now(), 'a.b', 'system', '{}') RETURNING id"


@pytest.mark.parametrize("rows", [1, 20_000])
async def test_rows_and_numbers_are_gone_even_those_of_the_record(emptied_postgres: EmptiedDatabase, rows: int) -> None:
    for _ in range(2):
        emptied_postgres.empty()
        connection = await asyncpg.connect(emptied_postgres.url)
        try:
            assert await connection.fetchval(RECORD) == 1
            await connection.execute(
                "INSERT INTO events (at, code, actor, params) SELECT now(), 'a', 'b', '{}' FROM generate_series(2, $1)",
                rows,
            )
            assert await connection.fetchval("SELECT count(*) FROM events") == rows
        finally:
            await connection.close()


async def test_who_left_a_transaction_open_is_put_off(emptied_postgres: EmptiedDatabase) -> None:
    emptied_postgres.empty()
    left = await asyncpg.connect(emptied_postgres.url)
    await left.execute("BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
    emptied_postgres.empty()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await left.fetchval(RECORD)


def test_the_migrations_leave_no_row_that_would_have_to_come_back(sqlite_url: str) -> None:
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as file:
        for table in metadata.tables:
            assert file.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
