"""The one face of the database: `open_store(url)` and its `Store`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeVar

import anyio.to_thread
from sqlalchemy.sql.selectable import SelectBase

from db.engine.migrate import upgrade
from db.engine.ownership import InUse, Owner
from db.engine.pending import unchanged
from db.engine.reading import ReadPool
from db.engine.statements import Step, WriteResult
from db.rows import SampleRow

NOTHING: Mapping[str, Any] = MappingProxyType({})
Dialect = Literal["sqlite", "postgresql"]


T = TypeVar("T")


class _Writer(Protocol):
    @property
    def silent_s(self) -> float: ...

    def submit(self, steps: Sequence[Step], on_commit: Callable[[list[WriteResult]], T]) -> asyncio.Future[T]: ...

    async def store_samples(self, rows: Sequence[SampleRow]) -> None: ...

    async def open(self) -> None: ...

    async def lost(self) -> InUse: ...

    async def close(self) -> None: ...


class Store:
    """Calls end within 5 s of the database's last answer, if need be with `db.errors.Unavailable`. Belongs to one
    event loop."""

    def __init__(self, dialect: Dialect, reader: ReadPool, writer: _Writer) -> None:
        self.dialect = dialect
        self._reader = reader
        self._writer = writer

    async def fetch_all(self, query: SelectBase, values: Mapping[str, Any] = NOTHING) -> list[Mapping[str, Any]]:
        """As mappings; `values` for its `bindparam`s. `db.engine.reading` has what may not stand in it. Raises
        Rejected, Unavailable."""
        return [*await self._reader.fetch_all(query, values)]

    async def fetch_one(self, query: SelectBase, values: Mapping[str, Any] = NOTHING) -> Mapping[str, Any] | None:
        """The first row. Raises Rejected, Unavailable."""
        return await self._reader.fetch_one(query, values)

    async def write(self, *steps: Step) -> list[WriteResult]:
        """ONE transaction, on disk on return; a result for each statement, in order. Raises Conflict, Rejected,
        Unavailable."""
        results: list[WriteResult] = await self.submit(steps, unchanged)
        return results

    def submit(self, steps: Sequence[Step], on_commit: Callable[[list[WriteResult]], T]) -> asyncio.Future[T]:
        """Hand in a transaction before all later ones; those that wait share one commit.

        `on_commit` is called in the event loop once all is on disk, in commit order, whether or not anyone waits;
        the future has what it returns, or Conflict, Rejected, Unavailable. Cancelled before its turn it never
        begins. Raises Unavailable when closed or full."""
        return self._writer.submit(steps, on_commit)

    @property
    def silent_s(self) -> float:
        return self._writer.silent_s

    async def store_samples(self, rows: Sequence[SampleRow]) -> None:
        """With machine_boots.last_seq, in one durable transaction; duplicates are ignored. Raises Rejected,
        Unavailable."""
        await self._writer.store_samples(rows)

    async def lost(self) -> InUse:
        return await self._writer.lost()

    async def close(self) -> None:
        await self._reader.close()
        await self._writer.close()


@contextlib.asynccontextmanager
async def reading(url: str) -> AsyncIterator[ReadPool]:
    """A look at a database as it is. Raises StoreError."""
    pool = ReadPool(url)
    try:
        await pool.open()
        yield pool
    finally:
        with anyio.CancelScope(shield=True):
            await pool.close()


def dialect_of(url: str) -> Dialect:
    """Raises ValueError for an unknown database."""
    if url.startswith("sqlite:///"):
        return "sqlite"
    if url.startswith(("postgresql://", "postgres://")):
        return "postgresql"
    raise ValueError("the database is neither sqlite:///PATH nor postgresql://...")


async def open_store(url: str, owner: Owner | None = None) -> Store:
    """Upgrade and open the database; with an `owner`, keep other hubs off it.

    Raises InUse, Unsuitable, Unavailable, StoreError, ValueError, OSError. `sqlite:///PATH` (PATH taken as it is) or
    `postgresql://...`."""
    dialect = dialect_of(url)
    if dialect == "postgresql":
        from db.engine.postgres_checks import check

        await check(url)
    else:
        from db.engine.sqlite_files import check_library

        check_library()
    writer = _writer(dialect, url, owner)
    try:
        await writer.open()
        await anyio.to_thread.run_sync(upgrade, url)
        reader = ReadPool(url)
        await reader.open()
    except BaseException:
        with anyio.CancelScope(shield=True):
            await writer.close()
        raise
    return Store(dialect, reader, writer)


def _writer(dialect: Dialect, url: str, owner: Owner | None) -> _Writer:
    if dialect == "sqlite":
        from db.engine.sqlite_files import path_of
        from db.engine.sqlite_writer import SqliteWriter

        return SqliteWriter(path_of(url), owner)
    from db.engine.postgres_writer import PostgresWriter

    return PostgresWriter(url, owner)
