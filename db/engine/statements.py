"""A write as a value: a statement that never changes and the values of this time. The statement is a module constant of
the subject's query file, so that its SQL is compiled once. Knows no connection and no driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import UpdateBase


@dataclass(frozen=True, eq=False)
class PerDialect:
    """Where SQLAlchemy has no common form (ON CONFLICT). `make` is called with "sqlite" or "postgresql", once."""

    make: Callable[[str], UpdateBase]


@dataclass(slots=True, eq=False)
class Write:
    """`values` are column values and the `key_...` parameters of its WHERE. With `must_match`, touching no row fails
    the whole transaction with Conflict(must_match, "missing")."""

    statement: UpdateBase | PerDialect
    values: Mapping[str, Any]
    must_match: str | None = None


@dataclass(slots=True, eq=False)
class WriteResult:
    """`rows` is what RETURNING gave; `rowcount` the number of rows touched."""

    rows: list[dict[str, Any]]
    rowcount: int


Statement = Write | UpdateBase
Later = Callable[[Sequence[WriteResult]], Sequence[Statement]]
Step = Statement | Later


def insert_or_ignore(table: sa.Table, *returning: sa.Column[Any]) -> PerDialect:
    """INSERT .. ON CONFLICT DO NOTHING: no row comes back when it was there."""
    return PerDialect(lambda dialect: _insert(dialect, table).on_conflict_do_nothing().returning(*returning))


def insert_or_update(
    table: sa.Table, keys: Sequence[str], changed: Sequence[str], returning: Sequence[sa.Column[Any]] = ()
) -> PerDialect:
    """INSERT .. ON CONFLICT (keys) DO UPDATE SET the `changed` columns to what was to be inserted."""

    def make(dialect: str) -> UpdateBase:
        insert = _insert(dialect, table)
        taken = {name: insert.excluded[name] for name in changed}
        upsert: UpdateBase = insert.on_conflict_do_update(index_elements=list(keys), set_=taken)
        return upsert.returning(*returning) if returning else upsert

    return PerDialect(make)


def _insert(dialect: str, table: sa.Table) -> Any:
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)
