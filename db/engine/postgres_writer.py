"""Writes to PostgreSQL: one lane for transactions, one for samples.

Waiting calls share a transaction; when one fails, each gets its own, so that the failure is its caller's."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import asyncpg
import sqlalchemy as sa

from db.engine.compiled import compiler_of
from db.engine.ownership import InUse, Owner
from db.engine.postgres_errors import FAILURES, from_postgres
from db.engine.postgres_lane import NAME, Attempt, Call, Doubt, PostgresLane
from db.engine.postgres_outcome import number_of
from db.engine.postgres_ownership import DATABASE, SAMPLES, label, take
from db.engine.statements import Statement, Step, Write, WriteResult
from db.errors import Conflict, Rejected, StoreError, Unavailable
from db.rows import SampleRow
from db.schema import system_metrics

_TYPES = {"INTEGER": "int", "BIGINT": "bigint", "FLOAT": "float8", "BOOLEAN": "bool", "DATETIME": "timestamptz"}


def _array(column: str, number: int) -> str:
    kind = system_metrics.c[column].type
    name = "DATETIME" if isinstance(kind, sa.types.TypeDecorator) else str(kind.compile())
    return f"${number}::{_TYPES[name]}[]"


T = TypeVar("T")

_COLUMNS = SampleRow._fields
_ARRAYS = ", ".join(_array(column, number) for number, column in enumerate(_COLUMNS, start=1))
_N = len(_COLUMNS)
# One statement, therefore one transaction and one round trip.
_STORE = (
    f"WITH stored AS (INSERT INTO {system_metrics.name} ({', '.join(_COLUMNS)})"  # noqa: S608 - our own schema's names
    f" SELECT * FROM unnest({_ARRAYS}) ON CONFLICT DO NOTHING)"
    f" UPDATE machine_boots SET last_seq = mark.seq"
    f" FROM unnest(${_N + 1}::int[], ${_N + 2}::bigint[]) AS mark (boot, seq)"
    f" WHERE machine_boots.id = mark.boot AND (last_seq IS NULL OR last_seq < mark.seq)"
)


class PostgresWriter:
    """Calls of one kind take effect in order."""

    def __init__(self, dsn: str, owner: Owner | None = None) -> None:
        self._compiler = compiler_of("postgresql")
        self._owner = owner
        self._opened = False
        name, own_database, own_samples = NAME, None, None
        if owner is not None:
            name = label(owner)
            own_database = partial(take, key=DATABASE, owner=owner)
            # At the start the database was just taken: whoever still has this key lost that one before.
            own_samples = partial(take, key=SAMPLES, owner=owner, evict=lambda: not self._opened)
        self._writes = PostgresLane(dsn, self._serve_writes, name, own_database)
        self._samples = PostgresLane(dsn, self._serve_samples, name, own_samples)

    async def open(self) -> None:
        if self._owner is not None:
            await self._writes.hold()
            await self._samples.hold()
            self._opened = True

    async def lost(self) -> InUse:
        both = (self._writes.lost, self._samples.lost)
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()

    @property
    def silent_s(self) -> float:
        return self._writes.silent_s

    def submit(self, steps: Sequence[Step], on_commit: Callable[[list[WriteResult]], T]) -> asyncio.Future[T]:
        return self._writes.submit(steps, on_commit)

    async def store_samples(self, rows: Sequence[SampleRow]) -> None:
        if rows:
            await self._samples.submit(rows)

    async def close(self) -> None:
        await asyncio.gather(self._writes.close(), self._samples.close())

    # --- transactions -----------------------------------------------------------------------------------------------

    async def _serve_writes(self, attempt: Attempt, group: Sequence[Call]) -> None:
        if len(group) > 1:
            outcomes = await self._together(attempt, group)
            if outcomes is not None:
                for call, outcome in zip(group, outcomes, strict=True):
                    call.settle(outcome)
                return
        for call in group:
            call.settle(await self._alone(attempt, call))
            attempt.answered()

    async def _together(self, attempt: Attempt, group: Sequence[Call]) -> list[list[WriteResult]] | None:
        """None, and nothing changed: one failed by itself."""
        connection = attempt.connection
        await connection.execute("BEGIN")
        try:
            outcomes = [await self._run_steps(attempt, call.work) for call in group]
        except Exception as error:  # noqa: BLE001 - a step may be a caller's function, and its failure is the caller's
            _raise_if_away(error)
            await connection.execute("ROLLBACK")
            return None
        await _commit(attempt, list(zip(group, outcomes, strict=True)))
        return outcomes

    async def _alone(self, attempt: Attempt, call: Call) -> list[WriteResult] | Exception:
        connection, steps = attempt.connection, call.work
        # A single statement is a transaction by itself: one round trip instead of four. Not one that makes an id: it
        # could not be asked what became of it, and a repetition would make another.
        single = len(steps) == 1 and self._may_repeat(steps[0])
        if not single:
            await connection.execute("BEGIN")
        attempt.committing = single
        try:
            results = await self._run_steps(attempt, steps)
        except Exception as error:  # noqa: BLE001 - a step may be a caller's function, and its failure is the caller's
            _raise_if_away(error)
            attempt.committing = False
            if not single:
                await connection.execute("ROLLBACK")
            return error
        if not single:
            await _commit(attempt, [(call, results)])
        attempt.committing = False
        return results

    def _may_repeat(self, step: Step) -> bool:
        if not isinstance(step, Write) and callable(step):
            return False
        try:
            return not self._compiler.write(step)[0].returns_rows
        except Rejected:
            return True

    async def _run_steps(self, attempt: Attempt, steps: Sequence[Step]) -> list[WriteResult]:
        results: list[WriteResult] = []
        waiting = deque(steps)
        while waiting:
            step = waiting.popleft()
            if isinstance(step, Write) or not callable(step):
                results.append(await self._run(attempt.connection, step))
                attempt.answered()
            else:
                waiting.extendleft(reversed(step(results)))
        return results

    async def _run(self, connection: asyncpg.Connection, statement: Statement) -> WriteResult:
        prepared, arguments = self._compiler.write(statement)
        try:
            if prepared.returns_rows:
                rows = prepared.rows(await connection.fetch(prepared.sql, *arguments))
                count = len(rows)
            else:
                # "UPDATE 3", "INSERT 0 1"
                rows, count = [], int((await connection.execute(prepared.sql, *arguments)).rpartition(" ")[2])
        except FAILURES as error:
            raise from_postgres(error, prepared.table) from error
        if isinstance(statement, Write) and statement.must_match is not None and count == 0:
            raise Conflict(statement.must_match, "missing")
        return WriteResult(rows, count)

    # --- samples ----------------------------------------------------------------------------------------------------

    async def _serve_samples(self, attempt: Attempt, group: Sequence[Call]) -> None:
        for call in group:
            outcome: Exception | None = None
            if not call.work:
                call.settle(None)
                continue
            attempt.committing = True
            try:
                await attempt.connection.execute(_STORE, *_arrays(call.work))
            except FAILURES as error:
                outcome = from_postgres(error)
                _raise_if_away(outcome)
            attempt.committing = False
            attempt.answered()
            call.settle(outcome)


def _arrays(rows: Sequence[SampleRow]) -> list[Any]:
    marks: dict[int, int] = {}
    for row in rows:
        boot, seq = row[2], row[3]
        if boot and marks.get(boot, -1) < seq:
            marks[boot] = seq
    return [*zip(*rows, strict=True), list(marks), list(marks.values())]


def _raise_if_away(error: Exception) -> None:
    """Failures that concern the whole group, and the connection."""
    if isinstance(error, Unavailable):
        raise error


async def _commit(attempt: Attempt, outcomes: Sequence[tuple[Call, Any]]) -> None:
    attempt.doubt = Doubt(await number_of(attempt.connection), outcomes)
    attempt.committing = True
    # A transaction that had failed answers COMMIT with ROLLBACK, and no error.
    committed = await attempt.connection.execute("COMMIT") == "COMMIT"
    attempt.committing, attempt.doubt = False, None
    if not committed:
        raise StoreError("the transaction was rolled back")
