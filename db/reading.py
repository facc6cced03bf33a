"""Reading through `databases`: its pools and connections, with what it leaves open closed. Knows no table.

Its back ends compile each query in ways that break on a literal %, keep no PRAGMA and wait for ever; these subclasses
of them compile by `db.compiled`, read by `db.sqlite_files` and end every call.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import anyio
import asyncpg
from databases import Database, DatabaseURL
from databases.backends.postgres import PostgresBackend, PostgresConnection
from databases.backends.sqlite import SQLiteBackend, SQLiteConnection
from sqlalchemy.sql import ClauseElement
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


class SqliteReads(SQLiteConnection):
    """A connection of its own for each call, with the PRAGMAs of `ReadConnection`."""

    compiler = Compiler("sqlite")

    async def fetch_all(self, query: ClauseElement) -> list[Any]:
        prepared, arguments = self.compiler.read(cast(SelectBase, query))
        async with self.raw_connection.execute(prepared.sql, arguments) as cursor:
            return prepared.rows(await cursor.fetchall())

    async def fetch_one(self, query: ClauseElement) -> Any:
        prepared, arguments = self.compiler.read(cast(SelectBase, query))
        async with self.raw_connection.execute(prepared.sql, arguments) as cursor:
            row = await cursor.fetchone()
            return None if row is None else prepared.rows([row])[0]


class SqliteReader(SQLiteBackend):
    def __init__(self, database_url: DatabaseURL, *, path: str) -> None:
        super().__init__(database_url, factory=ReadConnection, timeout=BUSY_MS / 1000)
        # The name as it is: `databases` would take a ? in it for options.
        self._pool._database = path  # noqa: SLF001 - as its constructor would

    async def connect(self) -> None:
        """Nothing to open yet: each call opens for itself."""

    def connection(self) -> SqliteReads:
        return SqliteReads(self._pool, self._dialect)


class PostgresReads(PostgresConnection):
    """A connection of the pool, taken and used with a time-out, and thrown away after any doubt."""

    compiler = Compiler("postgresql")

    async def acquire(self) -> None:
        pool: Any = self._database._pool  # noqa: SLF001 - as its base class does
        self._connection = await pool.acquire(timeout=_CALL_S)

    async def fetch_all(self, query: ClauseElement) -> list[Any]:
        prepared, arguments = self.compiler.read(cast(SelectBase, query))
        return prepared.rows(await self._sure(self.raw_connection.fetch(prepared.sql, *arguments)))

    async def fetch_one(self, query: ClauseElement) -> Any:
        prepared, arguments = self.compiler.read(cast(SelectBase, query))
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

    async def fetch_all(self, query: SelectBase) -> list[Row]:
        """Raises StoreError."""
        rows: list[Any] = await self._limited(lambda: self._database.fetch_all(query))
        return rows

    async def fetch_one(self, query: SelectBase) -> Row | None:
        """Raises StoreError."""
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
