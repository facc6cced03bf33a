"""Samples committed in batches before a cumulative acknowledgement, on SQLite and on PostgreSQL: the physical limit."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import Any, Protocol

import asyncpg
from starlette.websockets import WebSocket

from bench.bare_wire import Metrics, Receive, acknowledge

BATCH = 2_000
Row = tuple[Any, ...]


class Store(Protocol):
    async def open(self) -> None: ...
    async def write(self, rows: list[Row]) -> None: ...
    async def close(self) -> None: ...


class SqliteStore:
    """One held connection, WAL, flushed at each commit. In the loop's own thread: a second one fights for the same
    interpreter lock and is slower."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def open(self) -> None:
        self._db = sqlite3.connect(self._path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS samples(rvm_id INTEGER, ts INTEGER, seq INTEGER, cpu REAL, memory REAL,"
            " disk REAL, gpu REAL, temperature REAL, PRIMARY KEY(rvm_id, ts, seq)) WITHOUT ROWID"
        )

    async def write(self, rows: list[Row]) -> None:
        values = [(row[0], int(row[1].timestamp() * 1000), *row[2:]) for row in rows]
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT OR IGNORE INTO samples VALUES (?,?,?,?,?,?,?,?)", values)
        self._db.execute("COMMIT")
        await asyncio.sleep(0)

    async def close(self) -> None:
        self._db.close()


class PostgresqlStore:
    """One held connection; the columns of a batch as arrays."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        self._db = await asyncpg.connect(self._url)
        await self._db.execute(
            "CREATE TABLE IF NOT EXISTS samples(rvm_id integer, ts timestamptz, seq bigint, cpu float8, memory float8,"
            " disk float8, gpu float8, temperature float8, PRIMARY KEY(rvm_id, ts, seq))"
        )
        self._insert = await self._db.prepare(
            "INSERT INTO samples SELECT * FROM unnest($1::int[],$2::timestamptz[],$3::bigint[],$4::float8[],"
            "$5::float8[],$6::float8[],$7::float8[],$8::float8[]) ON CONFLICT DO NOTHING"
        )

    async def write(self, rows: list[Row]) -> None:
        await self._insert.fetch(*zip(*rows, strict=True))

    async def close(self) -> None:
        await self._db.close()


def open_store(store: str) -> Store:
    return PostgresqlStore(store) if "://" in store else SqliteStore(store)


class Durable(Receive):
    """One writer task; what arrives while a commit runs is the next batch."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._rows: list[Row] = []
        self._marks: list[tuple[int, WebSocket, int]] = []  # (rows up to here, whose, seq)
        self._taken = 0
        self._news = asyncio.Event()

    async def start(self) -> None:
        await self._store.open()
        self._writer = asyncio.ensure_future(self._write())

    async def stop(self) -> None:
        self._writer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._writer
        await self._store.close()

    async def metrics(self, link: WebSocket, machine: int, message: Metrics) -> None:
        seq = message.seq - len(message.samples)
        for sample in message.samples:
            seq += 1
            self._rows.append(
                (
                    machine, sample.timestamp, seq, sample.cpu_usage, sample.memory_usage, sample.disk_usage,
                    sample.gpu_usage, sample.temperature,
                )
            )  # fmt: skip
        self._taken += len(message.samples)
        self._marks.append((self._taken, link, message.seq))
        self._news.set()

    async def _write(self) -> None:
        written = 0
        while True:
            await self._news.wait()
            rows, self._rows = self._rows[:BATCH], self._rows[BATCH:]
            await self._store.write(rows)
            written += len(rows)
            acked: dict[WebSocket, int] = {}
            done = 0
            for upto, link, seq in self._marks:
                if upto > written:
                    break
                acked[link] = seq
                done += 1
            del self._marks[:done]
            if not self._rows:
                self._news.clear()
            for link, seq in acked.items():
                with contextlib.suppress(Exception):  # the machine may be gone
                    await acknowledge(link, seq)
