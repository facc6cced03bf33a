"""A write as a value: a fixed statement and this time's values. The statement is a constant of a query file, so that
it is compiled once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import UpdateBase

ONE, NONE = sa.literal_column("1", sa.Integer), sa.literal_column("0", sa.Integer)
"""Written out: of a parameter PostgreSQL would not know the kind."""


@dataclass(frozen=True, eq=False)
class PerDialect:
    """Where SQLAlchemy has no common form (ON CONFLICT). `make` gets "sqlite" or "postgresql", once."""

    make: Callable[[str], UpdateBase]


@dataclass(slots=True, eq=False)
class Write:
    """`values`: columns, and the `key_...` parameters of its WHERE. With `must_match`, touching no row fails the
    transaction with Conflict(must_match, "missing")."""

    statement: UpdateBase | PerDialect
    values: Mapping[str, Any]
    must_match: str | None = None


@dataclass(slots=True, eq=False)
class WriteResult:
    """`rows`: of RETURNING; `rowcount`: rows touched."""

    rows: list[dict[str, Any]]
    rowcount: int


Statement = Write | UpdateBase
Later = Callable[[Sequence[WriteResult]], Sequence[Statement]]
Step = Statement | Later


def insert_or_ignore(table: sa.Table, *returning: sa.Column[Any]) -> PerDialect:
    """No row comes back when it existed."""
    return PerDialect(lambda dialect: _insert(dialect, table).on_conflict_do_nothing().returning(*returning))


def insert_or_update(
    table: sa.Table, keys: Sequence[str], changed: Sequence[str], returning: Sequence[sa.Column[Any]] = ()
) -> PerDialect:
    """INSERT .. ON CONFLICT (keys) DO UPDATE of the `changed` columns."""

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
