"""Reading through `databases`, in turns and within 5 s. Knows no table and no driver.

Its back ends wait for ever, keep no PRAGMA and break on a literal %; `db.sqlite_reading` and `db.postgres_reading` are
ours in their place, imported only when they are used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import anyio
from databases import Database
from sqlalchemy.sql.selectable import SelectBase

from db.errors import Unavailable
from db.sqlite_files import path_of

CALL_S = 4.8
AT_ONCE = 8
"""Reads at once; the others wait for their turn, within their time."""

Row = dict[str, Any]
T = TypeVar("T")


class Query(NamedTuple):
    """What travels through `databases` in place of a statement."""

    select: SelectBase
    values: Mapping[str, Any]


class _Database(Database):
    SUPPORTED_BACKENDS = {  # noqa: RUF012 - the shape `databases` gives it
        "sqlite": "db.sqlite_reading:SqliteReader",
        "postgresql": "db.postgres_reading:PostgresReader",
    }


class Reader:
    """Every call ends within 5 s."""

    def __init__(self, url: str) -> None:
        if url.startswith("sqlite"):
            self._database = _Database("sqlite:///x", path=str(path_of(url)))
        else:
            self._database = _Database("postgresql://x", dsn=url)
        self._turn = anyio.Semaphore(AT_ONCE)

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
            with anyio.fail_after(CALL_S):
                async with self._turn:
                    return await call()
        except TimeoutError as error:
            raise Unavailable("the database took too long") from error
