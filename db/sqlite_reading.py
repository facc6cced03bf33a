"""`databases`' SQLite back end, cured: connections that keep their PRAGMAs, statements that end. Knows no table.

The back end it replaces opens a connection for each call, sets no PRAGMA and breaks on a literal %.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import aiosqlite
from databases import DatabaseURL
from databases.backends.sqlite import SQLiteBackend, SQLiteConnection

from db.compiled import Compiler
from db.sqlite_errors import from_sqlite
from db.sqlite_files import BUSY_MS, ReadConnection


class SqlitePool:
    """Connections with the PRAGMAs of `ReadConnection`, kept open: each has a thread and the parsed schema."""

    _memref = None

    def __init__(self, path: str) -> None:
        self._path = path
        # Bound: the connections of the pool.
        self._idle: list[aiosqlite.Connection] = []

    async def acquire(self) -> aiosqlite.Connection:
        if self._idle:
            return self._idle.pop()
        connection = aiosqlite.connect(self._path, isolation_level=None, factory=ReadConnection, timeout=BUSY_MS / 1000)
        # A program that ends without closing must not wait for these threads for ever.
        thread: Any = getattr(connection, "_thread", connection)
        thread.daemon = True
        try:
            return await connection
        except sqlite3.Error as error:
            raise from_sqlite(error) from error

    async def release(self, connection: aiosqlite.Connection) -> None:
        self._idle.append(connection)

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()


class SqliteReads(SQLiteConnection):
    """One connection of the pool; thrown away after any failure."""

    compiler = Compiler("sqlite")
    _sound = True

    async def fetch_all(self, query: Any) -> list[Any]:
        prepared, arguments = self.compiler.read(*query)
        return prepared.rows(await self._fetched(prepared.sql, arguments))

    async def fetch_one(self, query: Any) -> Any:
        prepared, arguments = self.compiler.read(*query)
        rows = prepared.rows((await self._fetched(prepared.sql, arguments))[:1])
        return rows[0] if rows else None

    async def _fetched(self, sql: str, arguments: list[Any]) -> list[Any]:
        self._sound = False
        try:
            rows = list(await self.raw_connection.execute_fetchall(sql, arguments))
        except (sqlite3.Error, ValueError, OverflowError) as error:
            raise from_sqlite(error) from error
        self._sound = True
        return rows

    async def release(self) -> None:
        connection, self._connection = self.raw_connection, None
        if self._sound:
            await self._pool.release(connection)
        else:
            # It may be busy still: its thread closes it when it comes to that.
            connection.stop()


class SqliteReader(SQLiteBackend):
    def __init__(self, database_url: DatabaseURL, *, path: str) -> None:
        super().__init__(database_url)
        self._pool: Any = SqlitePool(path)

    async def disconnect(self) -> None:
        await self._pool.close()

    def connection(self) -> SqliteReads:
        return SqliteReads(self._pool, self._dialect)
