"""A database that could never serve is refused before anything is written, and with what is wrong."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import asyncpg
import pytest

from db.engine.ownership import InUse, Owner
from db.engine.postgres_checks import LEAST_VERSION, judge
from db.engine.row_writes import insert
from db.engine.store import open_store
from db.errors import Unsuitable
from db.queries import events
from db.records import EventRow
from tests.support.database_rows import NOW
from tests.support.pgbouncer import PROGRAM, pgbouncer
from tests.support.postgres import Databases

NEEDS_PGBOUNCER = pytest.mark.skipif(PROGRAM is None or os.geteuid() != 0, reason="no pgbouncer, or not root")
FACTS = {
    "version": 16, "version_text": "16.2", "encoding": "UTF8", "name": "myrvm", "standby": False, "read_only": "off",
}  # fmt: skip


async def execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url, timeout=60)
    try:
        await connection.execute(sql)
    finally:
        await connection.close(timeout=5)


async def tables(url: str) -> int:
    connection = await asyncpg.connect(url, timeout=60)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"))
    finally:
        await connection.close(timeout=5)


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "SQL_ASCII"])
async def test_a_database_that_is_not_utf8_is_refused(postgres_databases: Databases, encoding: str) -> None:
    name = f"in_{encoding.lower()}"
    made = f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
    await execute(postgres_databases.admin_url, made)
    try:
        with pytest.raises(Unsuitable, match=encoding) as refused:
            await open_store(postgres_databases.url(name))
        assert (refused.value.code, refused.value.facts["encoding"]) == ("encoding", encoding)
        assert await tables(postgres_databases.url(name)) == 0
    finally:
        await asyncio.to_thread(postgres_databases.drop, name)


async def test_a_database_that_only_reads_is_refused(postgres_databases: Databases) -> None:
    name = await asyncio.to_thread(postgres_databases.create)
    url = postgres_databases.url(name)
    try:
        await execute(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        with pytest.raises(Unsuitable) as refused:
            await open_store(url)
        assert refused.value.code == "read_only"
    finally:
        await asyncio.to_thread(postgres_databases.drop, name)


@pytest.mark.parametrize(
    ("facts", "code"),
    [({"standby": True}, "standby"), ({"version": LEAST_VERSION - 1, "version_text": "13.9"}, "version")],
)
def test_a_standby_and_an_old_server_are_refused(facts: dict[str, Any], code: str) -> None:
    judge(FACTS)
    with pytest.raises(Unsuitable) as refused:
        judge(FACTS | facts)
    assert refused.value.code == code


@NEEDS_PGBOUNCER
async def test_a_pooler_that_keeps_sessions_serves_as_it_is_installed(
    postgres_databases: Databases, postgres_url: str
) -> None:
    with pgbouncer(postgres_databases, "session") as pooled:
        url = f"{pooled}/{postgres_url.rpartition('/')[2]}"
        store = await open_store(url, Owner.here())
        await store.write(insert(EventRow(at=NOW, code="pooled", actor="clock", params={})))
        assert [row.code for row in await events.list_events(store, limit=9)] == ["pooled"]
        with pytest.raises(InUse, match=f"process {os.getpid()}"):  # past the pooler, it is the same database
            await open_store(postgres_url, Owner.here())
        await store.close()
        after = await open_store(url, Owner.here())
        await after.close()


@NEEDS_PGBOUNCER
@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_pooler_that_lends_connections_for_less_is_refused(
    postgres_databases: Databases, postgres_url: str, mode: str
) -> None:
    with (
        pgbouncer(postgres_databases, mode) as pooled,
        pytest.raises(Unsuitable) as refused,
    ):
        await open_store(f"{pooled}/{postgres_url.rpartition('/')[2]}")
    assert refused.value.code == "pooling"
