"""A database that does as it is told: keeps what it was given in order, can be away, slow, or refuse."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from db.engine.pending import Answers, Pending
from db.engine.statements import PerDialect, Step, Write, WriteResult
from db.engine.store import Store
from db.errors import Rejected, StoreError, Unavailable
from db.rows import SampleRow

T = TypeVar("T")


class FakeStore(Store):
    """`transactions` and `batches` are what was committed; `open` is cleared to hold every call."""

    def __init__(self) -> None:  # nothing is opened, so the real one's parts are not made
        self.dialect = "sqlite"
        self.transactions: list[list[Write]] = []
        self.batches: list[list[SampleRow]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.away = False
        self.calls = 0
        self.refuse: Callable[[Write], Exception | None] = lambda _: None
        self.refuse_sample: Callable[[SampleRow], bool] = lambda _: False
        self._ids = itertools.count(1)
        self._answers = Answers()
        self._tasks: set[asyncio.Future[None]] = set()

    @property
    def silent_s(self) -> float:
        return 0.0

    def submit(self, steps: Sequence[Step], on_commit: Callable[[list[WriteResult]], T]) -> asyncio.Future[T]:
        """Like the store's: what is begun is committed, whether or not anyone waits still."""
        pending = Pending(steps, self._answers, on_commit)
        self._tasks.add(task := asyncio.ensure_future(self._settle(pending)))
        task.add_done_callback(self._tasks.discard)
        return pending.future

    async def _settle(self, pending: Pending[Sequence[Step], Any]) -> None:
        try:
            pending.settle(await self._transaction(pending.work))
        except StoreError as refused:
            pending.settle(refused)

    async def _transaction(self, steps: Sequence[Step]) -> list[WriteResult]:
        await self._reach()
        writes: list[Write] = []
        results: list[WriteResult] = []
        for step in steps:
            made = [step] if isinstance(step, Write) else list(step(results))  # type: ignore[operator]
            for write in made:
                if (error := self.refuse(write)) is not None:
                    raise error
                writes.append(write)
                results.append(WriteResult(self._returned(write), 1))
        self.transactions.append(writes)
        return results

    def _returned(self, write: Write) -> list[dict[str, Any]]:
        """The row as its RETURNING asks for it, with a new id."""
        statement = write.statement.make("sqlite") if isinstance(write.statement, PerDialect) else write.statement
        known = {**write.values, "id": next(self._ids)}
        row = {str(column.key): known.get(str(column.key)) for column in statement.exported_columns}
        return [row] if row else []

    async def store_samples(self, rows: Sequence[SampleRow]) -> None:
        await self._reach()
        if any(self.refuse_sample(row) for row in rows):
            raise Rejected("a value out of range")
        self.batches.append(list(rows))

    async def fetch_all(self, query: Any, values: Mapping[str, Any] | None = None) -> list[Mapping[str, Any]]:
        await self._reach()
        return []

    async def fetch_one(self, query: Any, values: Mapping[str, Any] | None = None) -> Mapping[str, Any] | None:
        await self._reach()
        return None

    async def close(self) -> None:
        """Nothing was opened."""

    async def _reach(self) -> None:
        self.calls += 1
        await asyncio.sleep(0)
        await self.open.wait()
        if self.away:
            raise Unavailable("the database is away")
