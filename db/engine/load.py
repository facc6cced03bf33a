"""Fills an empty database with a copy: all or nothing, and only while no hub has it.

The schema is made as old as the copy, then upgraded with the rows in it. SQLite: in a file that takes its place at
the end; PostgreSQL: in one transaction."""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import asyncpg

from db.backup_records import BACKUP_COUNTER
from db.engine import postgres_ownership
from db.engine.dump import BATCH, connected
from db.engine.migrate import make_sqlite, script, upgrade, versions
from db.engine.ownership import FileLock, Owner
from db.engine.postgres_errors import FAILURES, from_postgres
from db.engine.row_text import CopiedTable, insert_all, last_id_of, read
from db.engine.sqlite_files import from_sqlite, path_of
from db.errors import NotEmpty, OtherVersion
from db.schema import metadata

RESTORING: Final = ".restoring"
_CHUNK: Final = 256 * 1024
_LAST_ID = """
SELECT setval(found, $3::bigint) FROM pg_get_serial_sequence($1::text, $2::text) AS found
WHERE found IS NOT NULL AND $3::bigint > 0
"""


class DatabaseLoad(Protocol):
    async def copy(self, table: CopiedTable, lines: BinaryIO) -> int:
        """How many rows. Raises StoreError, ValueError."""

    async def keep_last_ids(self, last_ids: Mapping[str, int]) -> None: ...

    async def count_backups_from(self, behind: int) -> None:
        """The hub numbers them itself: the next one is that far behind all known ones."""


@contextlib.asynccontextmanager
async def open_load(url: str, version: str, owner: Owner) -> AsyncIterator[DatabaseLoad]:
    """The copy is there when the block ends well. Raises NotEmpty, InUse, OtherVersion, StoreError, OSError."""
    if version not in versions():
        raise OtherVersion(version, versions()[-1])
    if url.startswith("sqlite"):
        try:
            async with _sqlite(path_of(url).resolve(), version, owner) as load:
                yield load
        except sqlite3.Error as error:
            raise from_sqlite(error) from error
        return
    try:
        async with _postgres(url, version, owner) as load:
            yield load
    except FAILURES as error:
        raise from_postgres(error) from error


@contextlib.asynccontextmanager
async def _sqlite(path: Path, version: str, owner: Owner) -> AsyncIterator[DatabaseLoad]:
    lock = await FileLock.take(path.with_name(path.name + ".lock"), owner, "database")
    filled = path.with_name(path.name + RESTORING)
    try:
        if any(path.with_name(path.name + end).exists() for end in ("", "-wal", "-journal")):
            raise NotEmpty(str(path))
        _remove(filled)
        with contextlib.closing(make_sqlite(filled, version)) as connection:
            connection.execute("BEGIN")
            yield _IntoSqlite(connection)
            connection.execute("COMMIT")
        upgrade(f"sqlite:///{filled}")
        _check(filled)
        filled.replace(path)
        _sync(path.parent)
    finally:
        _remove(filled)
        lock.release()


def _check(path: Path) -> None:
    """Foreign keys hold; all is in the one file, on disk."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        if broken := connection.execute("PRAGMA foreign_key_check").fetchall():
            raise sqlite3.IntegrityError(f"{len(broken)} rows refer to what is not there")
        connection.execute("PRAGMA journal_mode=DELETE")
    _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)


class _IntoSqlite:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def copy(self, table: CopiedTable, lines: BinaryIO) -> int:
        insert = insert_all(table)
        rows = read(table, io.TextIOWrapper(lines, encoding="utf-8", newline="\n"))
        count = 0
        while batch := list(islice(rows, BATCH)):
            self._connection.executemany(insert, batch)
            count += len(batch)
        return count

    async def keep_last_ids(self, last_ids: Mapping[str, int]) -> None:
        there = {str(name) for (name,) in self._connection.execute("SELECT name FROM sqlite_sequence")}
        kept = {str(name) for (name,) in self._connection.execute(_AUTOINCREMENT)}
        for name, value in last_ids.items():
            if name in there:
                self._connection.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (value, name))
            elif name in kept:
                self._connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, value))
        most = self._connection.execute("SELECT max(id) FROM system_metrics").fetchone()[0] or 0
        if last := max(most, last_ids.get("system_metrics", 0)):
            self._connection.execute(_COUNT_SAMPLES, (last,))

    async def count_backups_from(self, behind: int) -> None:
        count = _COUNT_BACKUPS.format(name="?1", behind="?2", most="max")
        self._connection.execute(count, (BACKUP_COUNTER, behind))


_AUTOINCREMENT = "SELECT name FROM sqlite_master WHERE type = 'table' AND upper(sql) LIKE '%AUTOINCREMENT%'"
_COUNT_BACKUPS = """
INSERT INTO counters (name, value) SELECT {name}, {behind} + {most}(
    coalesce((SELECT max(id) FROM backup_logs), 0), coalesce((SELECT value FROM counters WHERE name = {name}), 0)
) WHERE true ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
_COUNT_SAMPLES = """
INSERT INTO counters (name, value) VALUES ('system_metrics', ?1)
ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)
"""


@contextlib.asynccontextmanager
async def _postgres(url: str, version: str, owner: Owner) -> AsyncIterator[DatabaseLoad]:
    connection = await connected(url, postgres_ownership.label(owner))
    try:
        await postgres_ownership.take(connection, postgres_ownership.DATABASE, owner)
        async with connection.transaction():
            for name in ("alembic_version", *metadata.tables):
                if await connection.fetchval("SELECT to_regclass($1::text)::text", name):
                    raise NotEmpty(str(await connection.fetchval("SELECT current_database()")))
            await connection.execute(script(None, version))
            yield _IntoPostgres(connection)
            if version != versions()[-1]:
                await connection.execute(script(version))
    finally:
        connection.terminate()


class _IntoPostgres:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def copy(self, table: CopiedTable, lines: BinaryIO) -> int:
        async def source() -> AsyncIterator[bytes]:
            for chunk in _chunks(lines):
                yield chunk

        names = [name for name, _ in table.columns]
        done = await self._connection.copy_to_table(table.name, source=source(), columns=names)
        return int(str(done).rpartition(" ")[2])

    async def keep_last_ids(self, last_ids: Mapping[str, int]) -> None:
        """A copy from SQLite has them also of tables that may reuse ids."""
        found = await self._connection.fetch(_WITH_IDS)
        for row in found:
            name = str(row["name"])
            most = await self._connection.fetchval(last_id_of(name))
            await self._connection.execute(_LAST_ID, name, "id", max(int(most or 0), last_ids.get(name, 0)))

    async def count_backups_from(self, behind: int) -> None:
        count = _COUNT_BACKUPS.format(name="$1::text", behind="$2::bigint", most="greatest")
        await self._connection.execute(count, BACKUP_COUNTER, behind)


_WITH_IDS = """
SELECT table_name AS name FROM information_schema.columns
WHERE table_schema = current_schema() AND column_name = 'id' AND data_type IN ('integer', 'bigint')
"""


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
