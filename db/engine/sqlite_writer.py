"""The one writer of an SQLite file: one connection, one thread, one commit for all that waits. A savepoint around
each call keeps its failure its own."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from db.engine.compiled import compiler_of
from db.engine.ownership import FileLock, InUse, Owner
from db.engine.pending import MOST_PENDING, Answers, Pending, settle_all, unchanged
from db.engine.sqlite_files import from_sqlite, open_for_writing
from db.engine.sqlite_transaction import run_steps, store_rows
from db.engine.statements import Step, WriteResult
from db.errors import Unavailable
from db.rows import SampleRow


class _Samples(tuple[SampleRow, ...]):
    __slots__ = ()


Call = Pending[Any, Any]
T = TypeVar("T")

_MOST_CALLS = 200
"""In one transaction, and so in one turn of the event loop."""
_MOST_ROWS = 8_000
# When to move the log into the file: after about 1,000 pages, guessed (a commit writes a few, a sample at most one).
_CHECKPOINT_WEIGHT = 8_000
_COMMIT_WEIGHT = 30
_IDLE_S = 2.0


class SqliteWriter:
    """Calls take effect in order."""

    def __init__(self, path: Path, owner: Owner | None = None) -> None:
        self._path = path
        self._owner = owner
        self._lock: FileLock | None = None
        self._loop = asyncio.get_running_loop()
        self._compiler = compiler_of("sqlite")
        # Bound: MOST_PENDING, beyond it a call is refused.
        self._queue: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._answers = Answers()
        self._connection: sqlite3.Connection | None = None
        self._weight = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def open(self) -> None:
        """With an owner: lock it, by a file beside it. Raises InUse, OSError."""
        if self._owner is not None:
            real = self._path.resolve()
            self._lock = await FileLock.take(real.with_name(real.name + ".lock"), self._owner, "database")

    async def lost(self) -> InUse:
        """Never: the kernel keeps the lock."""
        never: asyncio.Future[InUse] = self._loop.create_future()
        return await never

    @property
    def silent_s(self) -> float:
        return self._answers.silent_s

    def submit(self, steps: Sequence[Step], on_commit: Callable[[list[WriteResult]], T]) -> asyncio.Future[T]:
        return self._submit(steps, on_commit)

    async def store_samples(self, rows: Sequence[SampleRow]) -> None:
        if rows:
            await self._submit(_Samples(rows))

    async def close(self) -> None:
        self._closing = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        if self._lock is not None:
            self._lock.release()

    def _submit(self, work: Any, on_commit: Callable[[Any], Any] = unchanged) -> asyncio.Future[Any]:
        if self._closing:
            raise Unavailable("the database is closed")
        if self._queue.qsize() >= MOST_PENDING:
            raise Unavailable("too many writes are waiting")
        call: Call = Pending(work, self._answers, on_commit)
        self._queue.put(call)
        return call.future

    # --- on the writer's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        going = True
        while going:
            calls, going = self._take()
            if calls:
                self._commit(calls)
            elif going and self._weight:
                self._checkpoint("PASSIVE")
            if self._weight >= _CHECKPOINT_WEIGHT:
                self._checkpoint("PASSIVE")
        self._let_go("TRUNCATE")

    def _take(self) -> tuple[list[Call], bool]:
        """False: the last time."""
        calls: list[Call] = []
        rows = 0
        try:
            call = self._queue.get(timeout=_IDLE_S if self._weight else None)
            while call is not None:
                if not call.given_up:
                    call.begun = True
                    calls.append(call)
                    rows += len(call.work)
                if len(calls) >= _MOST_CALLS or rows >= _MOST_ROWS:
                    return calls, True
                call = self._queue.get_nowait()
        except queue.Empty:
            return calls, True
        return calls, False

    def _commit(self, calls: list[Call]) -> None:
        outcomes: list[tuple[Call, Any]]
        committing = False
        try:
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            alone = len(calls) == 1
            outcomes = [(call, self._one(connection, call, alone)) for call in calls]
            if connection.in_transaction:
                committing = True
                connection.execute("COMMIT")
        except (sqlite3.Error, Unavailable) as error:
            self._let_go(None)
            reason = str(error)
            outcomes = [(call, Unavailable(reason, outcome_unknown=committing)) for call in calls]
        self._weight += _COMMIT_WEIGHT + sum(len(call.work) for call in calls)
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it all who waited
            self._loop.call_soon_threadsafe(settle_all, outcomes)

    def _one(self, connection: sqlite3.Connection, call: Call, alone: bool) -> Any:
        """Results, or its own exception. Raises when all are affected."""
        if not alone:
            connection.execute("SAVEPOINT caller")
        try:
            outcome: Any = self._work(connection, call.work)
        except Unavailable:
            raise
        except Exception as error:  # a step may be a caller's function, and its failure is the caller's
            if not connection.in_transaction:
                raise Unavailable(str(error)) from error
            connection.execute("ROLLBACK" if alone else "ROLLBACK TO caller")
            outcome = error
        if not alone:
            connection.execute("RELEASE caller")
        self._answers.answered()
        return outcome

    def _work(self, connection: sqlite3.Connection, work: Any) -> list[WriteResult] | None:
        if not isinstance(work, _Samples):
            return run_steps(connection, self._compiler, work)
        try:
            store_rows(connection, work)
        except (sqlite3.Error, TypeError, ValueError, OverflowError) as error:
            raise from_sqlite(error) from error
        return None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_for_writing(self._path)
        return self._connection

    def _checkpoint(self, how: str) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):  # the log stays and grows; the next time may work
                self._connection.execute(f"PRAGMA wal_checkpoint({how})").fetchall()
        self._weight = 0

    def _let_go(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self._checkpoint(checkpoint)
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
