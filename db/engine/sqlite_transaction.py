"""Runs a caller's steps in an open SQLite transaction. Begins and commits nothing."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.columns import to_microseconds
from db.engine.compiled import Compiler, Prepared
from db.engine.sqlite_files import from_sqlite
from db.engine.statements import Statement, Step, Write, WriteResult
from db.errors import Conflict, StoreError
from db.rows import SampleRow
from db.schema import system_metrics

_SAMPLE_COLUMNS = (*SampleRow._fields, "id")
_INSERT_SAMPLE = (
    f"INSERT INTO {system_metrics.name} ({', '.join(_SAMPLE_COLUMNS)})"  # noqa: S608 - names of our own schema
    f" VALUES ({', '.join('?' * len(_SAMPLE_COLUMNS))}) ON CONFLICT DO NOTHING"
)
_TAKE_IDS = (
    "INSERT INTO counters (name, value) VALUES ('system_metrics', ?1)"
    " ON CONFLICT (name) DO UPDATE SET value = value + ?1 RETURNING value"
)
_RAISE_MARK = "UPDATE machine_boots SET last_seq = ?1 WHERE id = ?2 AND (last_seq IS NULL OR last_seq < ?1)"


def run_steps(connection: sqlite3.Connection, compiler: Compiler, steps: Sequence[Step]) -> list[WriteResult]:
    """Raises StoreError; the caller then rolls back."""
    results: list[WriteResult] = []
    waiting = deque(steps)
    while waiting:
        step = waiting.popleft()
        if isinstance(step, Write) or not callable(step):
            results.append(_run(connection, compiler, step))
        else:
            waiting.extendleft(reversed(step(results)))
    return results


def _run(connection: sqlite3.Connection, compiler: Compiler, statement: Statement) -> WriteResult:
    prepared, arguments = compiler.write(statement)
    try:
        cursor = connection.execute(prepared.sql, arguments)
        if prepared.returns_rows:
            rows = prepared.rows(cursor.fetchall())
            count = len(rows)
        else:
            rows, count = [], cursor.rowcount
    except (sqlite3.Error, ValueError, OverflowError) as error:
        refused = from_sqlite(error)
        if isinstance(refused, Conflict) and refused.kind == "reference":
            refused = _blame(connection, prepared, statement)
        raise refused from error
    if isinstance(statement, Write) and statement.must_match is not None and count == 0:
        raise Conflict(statement.must_match, "missing")
    return WriteResult(rows, count)


def _blame(connection: sqlite3.Connection, prepared: Prepared, statement: Statement) -> StoreError:
    values = statement.values if isinstance(statement, Write) else {}
    for key in (
        sorted(prepared.table.foreign_keys, key=lambda key: key.parent.name) if prepared.table is not None else ()
    ):
        if values.get(key.parent.name) is None:
            continue
        there = sa.select(sa.literal(1)).where(key.column == sa.bindparam("wanted"))
        if connection.execute(str(there), {"wanted": values[key.parent.name], "param_1": 1}).fetchone() is None:
            return Conflict(key.parent.name, "reference")
    return Conflict("id", "reference")


def store_rows(connection: sqlite3.Connection, rows: Sequence[SampleRow]) -> None:
    """Insert new samples and raise their boots' marks. Raises sqlite3.Error, OverflowError."""
    last: int = connection.execute(_TAKE_IDS, (len(rows),)).fetchone()[0]
    # A frame's samples share their created_at object: convert it once.
    received: datetime | None = None
    received_us = 0
    flat: list[tuple[Any, ...]] = []
    marks: dict[int, int] = {}
    for number, row in enumerate(rows, start=last - len(rows) + 1):
        if row[-1] is not received:
            received = row[-1]
            received_us = to_microseconds(received)
        flat.append((row[0], to_microseconds(row[1]), *row[2:-1], received_us, number))
        boot, seq = row[2], row[3]
        if boot and marks.get(boot, -1) < seq:
            marks[boot] = seq
    connection.executemany(_INSERT_SAMPLE, flat)
    connection.executemany(_RAISE_MARK, [(seq, boot) for boot, seq in marks.items()])
