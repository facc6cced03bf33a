"""Reading through `databases`: its pools and connections, with what it leaves open closed. Knows no table.

Its back ends compile each query in ways that break on a literal %, keep no PRAGMA and wait for ever; these subclasses
of them compile by `db.compiled`, read by `db.sqlite_files` and end every call.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import aiosqlite
import anyio
import asyncpg
from databases import Database, DatabaseURL
from databases.backends.postgres import PostgresBackend, PostgresConnection
from databases.backends.sqlite import SQLiteBackend, SQLiteConnection
from sqlalchemy.sql.selectable import SelectBase

from db.compiled import Compiler
from db.errors import StoreError, Unavailable
from db.postgres_lane import CONNECT_S, SETTINGS
from db.sqlite_files import BUSY_MS, ReadConnection, path_of
from db.translate import from_postgres, from_sqlite

_CALL_S = 4.8
_AT_ONCE = 8
"""Reads at once; the others wait for their turn, within their time."""

Row = dict[str, Any]
T = TypeVar("T")


class Query(NamedTuple):
    """What travels through `databases` in place of a statement."""

    select: SelectBase
    values: Mapping[str, Any]


class SqlitePool:
    """Connections with the PRAGMAs of `ReadConnection`, kept open: each has a thread and the parsed schema."""

    _memref = None

    def __init__(self, path: str) -> None:
        self._path = path
        self._idle: list[aiosqlite.Connection] = []

    async def acquire(self) -> aiosqlite.Connection:
        if self._idle:
            return self._idle.pop()
        connection = aiosqlite.connect(self._path, isolation_level=None, factory=ReadConnection, timeout=BUSY_MS / 1000)
        # A program that ends without closing must not wait for these threads for ever.
        thread: Any = getattr(connection, "_thread", connection)
        thread.daemon = True
        return await connection

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
        rows = list(await self.raw_connection.execute_fetchall(sql, arguments))
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


class PostgresReads(PostgresConnection):
    """A connection of the pool, taken and used with a time-out, and thrown away after any doubt."""

    compiler = Compiler("postgresql")

    async def acquire(self) -> None:
        pool: Any = self._database._pool  # noqa: SLF001 - as its base class does
        self._connection = await pool.acquire(timeout=_CALL_S)

    async def fetch_all(self, query: Any) -> list[Any]:
        prepared, arguments = self.compiler.read(*query)
        return prepared.rows(await self._sure(self.raw_connection.fetch(prepared.sql, *arguments)))

    async def fetch_one(self, query: Any) -> Any:
        prepared, arguments = self.compiler.read(*query)
        row = await self._sure(self.raw_connection.fetchrow(prepared.sql, *arguments))
        return None if row is None else prepared.rows([row])[0]

    async def _sure(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except asyncpg.PostgresError:
            raise  # the server answered: the connection is sound
        except BaseException:
            # Otherwise the pool would wait for this connection to recover, without a limit.
            self.raw_connection.terminate()
            raise


class PostgresReader(PostgresBackend):
    def __init__(self, database_url: DatabaseURL, *, dsn: str) -> None:
        super().__init__(database_url)
        self._dsn = dsn

    async def connect(self) -> None:
        # Not one connection in advance: the pool would complain aloud while the server is away.
        self._pool = await asyncpg.create_pool(self._dsn, min_size=0, max_size=_AT_ONCE, timeout=CONNECT_S, **SETTINGS)

    async def disconnect(self) -> None:
        pool: Any = self._pool
        self._pool = None
        if pool is not None:
            with anyio.move_on_after(1) as waited:
                await pool.close()
            if waited.cancel_called:
                pool.terminate()

    def connection(self) -> PostgresReads:
        return PostgresReads(self, self._dialect)


class _Database(Database):
    SUPPORTED_BACKENDS = {  # noqa: RUF012 - the shape `databases` gives it
        "sqlite": "db.reading:SqliteReader",
        "postgresql": "db.reading:PostgresReader",
    }


class Reader:
    """Every call ends within 5 s."""

    def __init__(self, url: str) -> None:
        if url.startswith("sqlite"):
            self._translate: Callable[[Exception], StoreError] = from_sqlite
            self._database = _Database("sqlite:///x", path=str(path_of(url)))
        else:
            self._translate = from_postgres
            self._database = _Database("postgresql://x", dsn=url)
        self._turn = anyio.Semaphore(_AT_ONCE)

    async def open(self) -> None:
        """Raises Unavailable."""
        await self._limited(self._database.connect)

    async def fetch_all(self, select: SelectBase, values: Mapping[str, Any]) -> list[Row]:
        """Raises StoreError."""
        query: Any = Query(select, values)
        rows: list[Any] = await self._limited(lambda: self._database.fetch_all(query))
        return rows

    async def fetch_one(self, select: SelectBase, values: Mapping[str, Any]) -> Row | None:
        """Raises StoreError."""
        query: Any = Query(select, values)
        row: Any = await self._limited(lambda: self._database.fetch_one(query))
        return row  # type: ignore[no-any-return]

    async def close(self) -> None:
        await self._database.disconnect()

    async def _limited(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            with anyio.fail_after(_CALL_S):
                async with self._turn:
                    return await call()
        except StoreError:
            raise
        except TimeoutError as error:
            raise Unavailable("the database took too long") from error
        except (
            OSError,
            ValueError,
            OverflowError,
            sqlite3.Error,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncio.TimeoutError,
        ) as error:
            raise self._translate(error) from error
