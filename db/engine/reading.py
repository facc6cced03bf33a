"""Reads through `databases`, in turns and within 5 s.

A time-out around all, a task for each read (it keeps a connection for a task), and all of a PostgreSQL address. On
SQLite a few connections are held open. A literal % in a select's text, and a list of instants as a value, do not
work there and are refused."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import anyio
from databases import Database
from databases.core import Connection
from databases.interfaces import Record
from sqlalchemy.sql.selectable import SelectBase

from db.engine.compiled import FilledSelect
from db.engine.sqlite_files import BUSY_MS, ReadConnection, from_sqlite, path_of
from db.errors import StoreError, Unavailable

CALL_S = 4.8
CLOSE_S = 1.0
LEAVE_S = 0.15
"""For a thread of SQLite's to end. With CALL_S it stays below 5 s."""
AT_ONCE = 8
"""Others wait, within their time."""

Row = dict[str, Any]
T = TypeVar("T")


class ReadPool:
    """Calls end within 5 s."""

    def __init__(self, url: str) -> None:
        self._failures: tuple[type[Exception], ...] = (sqlite3.Error, ValueError, OverflowError)
        self._translate: Callable[[Exception], StoreError] = from_sqlite
        if url.startswith("sqlite"):
            # Quoted: it decodes the name of the file, and looks for options in it.
            name = quote(str(path_of(url)))
            self._database = Database(f"sqlite:///{name}", factory=ReadConnection, timeout=BUSY_MS / 1000)
        else:
            from db.engine.postgres_errors import FAILURES, from_postgres
            from db.engine.postgres_lane import CONNECT_S, NAME, STATEMENT_S

            self._failures, self._translate = FAILURES, from_postgres
            # The address is asyncpg's to read (`databases` knows no sslmode and no second host). Not one connection
            # in advance: the pool would complain aloud while the server is away.
            self._database = Database(
                "postgresql://", dsn=url, database=None, min_size=0, max_size=AT_ONCE, timeout=CONNECT_S,
                init=_begin, reset=_begin_again, command_timeout=STATEMENT_S,
                server_settings={"application_name": NAME},
            )  # fmt: skip
        self._turn = anyio.Semaphore(AT_ONCE)
        # Bound: AT_ONCE.
        self._held: list[Connection] = []
        self._holds = url.startswith("sqlite")

    async def open(self) -> None:
        await self._limited(self._database.connect)

    async def fetch_all(self, select: SelectBase, values: Mapping[str, Any]) -> list[Row]:
        asked: Any = FilledSelect(select, values)
        return _rows(await self._limited(lambda: self._read(lambda on: on.fetch_all(asked))))

    async def fetch_one(self, select: SelectBase, values: Mapping[str, Any]) -> Row | None:
        asked: Any = FilledSelect(select, values)
        record = await self._limited(lambda: self._read(lambda on: on.fetch_one(asked)))
        return None if record is None else _rows([record])[0]

    async def close(self) -> None:
        with anyio.move_on_after(CLOSE_S):
            while self._held:
                await self._held.pop().__aexit__()
            await self._database.disconnect()

    async def _read(self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        """On a held connection; never again on one that failed."""
        async with self._turn:
            connection = self._held.pop() if self._held else await self._open()
            held = False
            try:
                answer = await ask(connection)
                held = self._holds
            finally:
                if held:
                    self._held.append(connection)
                else:
                    await self._leave(connection)
            return answer

    async def _open(self) -> Connection:
        """On SQLite to its end, whoever gives up meanwhile: the thread that opens would answer a loop that is gone."""
        with anyio.CancelScope(shield=self._holds, deadline=anyio.current_effective_deadline()) as scope:
            connection = await self._database.connection().__aenter__()
        if scope.cancelled_caught:
            await anyio.sleep_forever()  # the time is over, which our caller is about to notice
        return connection

    async def _leave(self, connection: Connection) -> None:
        if self._holds:  # a query that nobody waits for any more must not keep its thread
            await connection.raw_connection.interrupt()
            with anyio.move_on_after(LEAVE_S, shield=True):
                await connection.__aexit__()
        else:
            await connection.__aexit__()

    async def _limited(self, call: Callable[[], Awaitable[T]]) -> T:
        answers: list[T] = []
        failures: list[StoreError] = []

        async def read() -> None:
            try:
                answers.append(await call())
            except self._failures as error:
                failures.append(self._translate(error))
                failures[0].__cause__ = error

        try:
            with anyio.fail_after(CALL_S):
                async with anyio.create_task_group() as own:
                    own.start_soon(read)
        except TimeoutError as error:
            raise Unavailable("the database took too long") from error
        if failures:
            raise failures[0]
        return answers[0]


async def _begin(connection: Any) -> None:
    from db.engine.postgres_lane import begin_session

    await begin_session(connection)
    await connection.set_type_codec("json", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)


async def _begin_again(connection: Any) -> None:
    """The driver's RESET ALL would undo the time limits."""
    from db.engine.postgres_lane import begin_session

    await begin_session(connection)


def _rows(records: Sequence[Record]) -> list[Row]:
    """`_mapping` is documented by `databases`."""
    names = tuple(records[0]._mapping.keys()) if records else ()  # noqa: SLF001
    return [dict(zip(names, record._mapping.values(), strict=True)) for record in records]  # noqa: SLF001
