"""One migrated PostgreSQL database for a whole test process, emptied for each test that asks.

Emptying takes a fiftieth of creating and dropping. What a test changes beside rows (tables, roles, settings of the
database) would meet the next test: such a test makes a database of its own by `postgres_databases`.
"""

from __future__ import annotations

import asyncio
import threading

import asyncpg

from db.engine.migrate import upgrade
from tests.support.postgres import Databases

_WITHIN_S = 60.0
_BIG = 1_000_000
"""Bytes of a table from which TRUNCATE is quicker than DELETE, which leaves its rows to be walked over."""
_LEAVE = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"
# As a replica the server fires no trigger: neither those that keep the record of events nor those of foreign keys.
_SETTINGS = {"session_replication_role": "replica", "lock_timeout": "10s"}
_EMPTY = f"""
DO $$
DECLARE
    named text;
BEGIN
    FOR named IN
        SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    LOOP
        IF pg_relation_size(named::regclass) > {_BIG} THEN
            EXECUTE 'TRUNCATE ' || named || ' CASCADE';
        ELSE
            EXECUTE 'DELETE FROM ' || named;
        END IF;
    END LOOP;
    FOR named IN
        SELECT quote_ident(sequencename) FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL
    LOOP
        EXECUTE 'ALTER SEQUENCE ' || named || ' RESTART';
    END LOOP;
END $$
"""


class EmptiedDatabase:
    """`url` leads to it. Its one connection lives in a loop of its own, because the caller's may be running."""

    def __init__(self, server: Databases) -> None:
        self._server = server
        self._name = server.create()
        self.url = server.url(self._name)
        upgrade(self.url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="emptied-database", daemon=True)
        self._thread.start()
        self._connection: asyncpg.Connection | None = None

    def empty(self) -> None:
        """Put everybody off it who is still there, and leave it as the migrations made it: without a row."""
        asyncio.run_coroutine_threadsafe(self._empty(), self._loop).result(_WITHIN_S)

    async def _empty(self) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self.url, server_settings=_SETTINGS)
        await self._connection.execute(_LEAVE, self._name)
        await self._connection.execute(_EMPTY)

    def drop(self) -> None:
        """With whoever is on it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        if self._connection is not None:
            self._connection.terminate()
        self._loop.close()
        self._server.drop(self._name)
