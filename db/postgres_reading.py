"""`databases`' PostgreSQL back end, cured: nothing in it waits for ever. Knows no table.

The back end it replaces has no time-out for taking a connection, for using it or for giving it back.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

import anyio
import asyncpg
from databases import DatabaseURL
from databases.backends.postgres import PostgresBackend, PostgresConnection

from db.compiled import Compiler
from db.postgres_errors import FAILURES, from_postgres
from db.postgres_lane import CONNECT_S, SETTINGS
from db.reading import AT_ONCE, CALL_S

T = TypeVar("T")


class PostgresReads(PostgresConnection):
    """A connection of the pool, taken and used with a time-out, and thrown away after any doubt."""

    compiler = Compiler("postgresql")

    async def acquire(self) -> None:
        pool: Any = self._database._pool  # noqa: SLF001 - as its base class does
        try:
            self._connection = await pool.acquire(timeout=CALL_S)
        except FAILURES as error:
            raise from_postgres(error) from error

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
        except BaseException as error:
            # The server answered: the connection is sound. Otherwise the pool would wait for it to recover, for ever.
            if not isinstance(error, asyncpg.PostgresError):
                self.raw_connection.terminate()
            if isinstance(error, FAILURES):
                raise from_postgres(error) from error
            raise


class PostgresReader(PostgresBackend):
    def __init__(self, database_url: DatabaseURL, *, dsn: str) -> None:
        super().__init__(database_url)
        self._dsn = dsn

    async def connect(self) -> None:
        # Not one connection in advance: the pool would complain aloud while the server is away.
        self._pool = await asyncpg.create_pool(self._dsn, min_size=0, max_size=AT_ONCE, timeout=CONNECT_S, **SETTINGS)

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
