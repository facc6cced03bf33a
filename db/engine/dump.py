"""Copies a whole database as of one moment, while a hub writes to it: lines of `db.engine.row_text`.

SQLite is copied by its backup API into a file first; PostgreSQL by COPY in one snapshot, which unlike pg_dump needs
no program of the server's version."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import asyncpg

from db.engine.migrate import READ_VERSION, versions
from db.engine.postgres_errors import FAILURES, from_postgres
from db.engine.postgres_lane import CONNECT_S, NAME
from db.engine.row_text import CopiedTable, select_all, written
from db.engine.sqlite_files import BUSY_MS, from_sqlite, path_of
from db.errors import OtherVersion

BATCH: Final = 1000
SESSION: Final = """
SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET extra_float_digits = 1;
SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0
"""
"""Set once connected: a pooler refuses what it does not know."""
_SEQUENCES = """
SELECT t.relname AS name, s.last_value AS value
FROM pg_sequences s JOIN pg_class c ON c.relname = s.sequencename
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = s.schemaname
JOIN pg_depend d ON d.objid = c.oid AND d.deptype IN ('a', 'i') JOIN pg_class t ON t.oid = d.refobjid
WHERE s.schemaname = current_schema() AND s.last_value IS NOT NULL
"""
_OBJECTS = """
SELECT object_key AS key, size, sha256 FROM remote_recordings WHERE state = 'stored' AND object_key IS NOT NULL
UNION ALL
SELECT file_path, file_size, sha256 FROM backup_logs
WHERE file_path IS NOT NULL AND deleted_at IS NULL AND upload_status IN ('completed', 'verified')
UNION ALL
SELECT manifest_key, NULL, NULL FROM backup_logs WHERE manifest_key IS NOT NULL AND deleted_at IS NULL
ORDER BY 1
"""


class ReferredObject(NamedTuple):
    key: str
    size: int | None
    sha256: str | None


class DatabaseSnapshot(Protocol):
    async def copy(self, table: CopiedTable, write: Callable[[bytes], object]) -> int: ...

    async def last_ids(self) -> dict[str, int]:
        """Of tables where ids are never given again."""

    async def objects(self) -> list[ReferredObject]: ...


@contextlib.asynccontextmanager
async def open_snapshot(url: str, scratch: Path) -> AsyncIterator[DatabaseSnapshot]:
    """`scratch`: private, with room for an SQLite copy. Raises OtherVersion, StoreError."""
    if url.startswith("sqlite"):
        try:
            with contextlib.closing(_copy_of(path_of(url), scratch / "copy.sqlite3")) as copied:
                yield _OfSqlite(copied)
        except sqlite3.Error as error:
            raise from_sqlite(error) from error
        return
    try:
        connection = await connected(url, f"{NAME}-copy")
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                there = await connection.fetchval("SELECT to_regclass('alembic_version')::text")
                _must_be_newest(await connection.fetchval(READ_VERSION) if there else None)
                yield _OfPostgres(connection)
        finally:
            connection.terminate()
    except FAILURES as error:
        raise from_postgres(error) from error


async def connected(url: str, name: str) -> asyncpg.Connection:
    """Later statements have no time limit. Raises what asyncpg raises."""
    connection = await asyncpg.connect(url, timeout=CONNECT_S, server_settings={"application_name": name})
    try:
        await connection.execute(SESSION)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _must_be_newest(version: Any) -> None:
    if version != versions()[-1]:
        raise OtherVersion(str(version or "-"), versions()[-1])


def _copy_of(path: Path, target: Path) -> sqlite3.Connection:
    copied = sqlite3.connect(target, isolation_level=None)
    try:
        # Not read-only, since a file in WAL mode wants a -shm beside it; never made.
        there = f"{path.absolute().as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(there, uri=True, timeout=BUSY_MS / 1000)) as source:
            source.backup(copied)  # All pages in one step: a hub's next write would make it begin anew
        copied.execute("PRAGMA journal_mode=DELETE")
        copied.execute("PRAGMA locking_mode=EXCLUSIVE")
        target.unlink()  # It is open: whatever ends this process from here on leaves no copy behind
        ours = copied.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        _must_be_newest(copied.execute(READ_VERSION).fetchone()[0] if ours else None)
    except BaseException:
        copied.close()
        raise
    return copied


class _OfSqlite:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def copy(self, table: CopiedTable, write: Callable[[bytes], object]) -> int:
        found = self._connection.execute(select_all(table))
        count = 0
        while rows := found.fetchmany(BATCH):
            write("".join(written(table, rows)).encode())
            count += len(rows)
        return count

    async def last_ids(self) -> dict[str, int]:
        kept = dict(self._connection.execute("SELECT name, seq FROM sqlite_sequence"))
        return kept | dict(self._connection.execute("SELECT name, value FROM counters WHERE name = 'system_metrics'"))

    async def objects(self) -> list[ReferredObject]:
        return [ReferredObject(*row) for row in self._connection.execute(_OBJECTS)]


class _OfPostgres:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def copy(self, table: CopiedTable, write: Callable[[bytes], object]) -> int:
        async def output(data: bytes) -> None:
            write(data)

        names = [name for name, _ in table.columns]
        done = await self._connection.copy_from_table(table.name, columns=names, output=output)
        return int(str(done).rpartition(" ")[2])

    async def last_ids(self) -> dict[str, int]:
        return {str(row["name"]): int(row["value"]) for row in await self._connection.fetch(_SEQUENCES)}

    async def objects(self) -> list[ReferredObject]:
        return [ReferredObject(*row) for row in await self._connection.fetch(_OBJECTS)]
