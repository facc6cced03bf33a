"""Any record as a statement: insert, patch, delete. Each shape (table, columns, conditions) is made once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from msgspec.structs import asdict, replace
from sqlalchemy.sql.dml import UpdateBase

from db.conditions import COMPARE, Where
from db.engine.statements import PerDialect, Write, WriteResult, insert_or_ignore, insert_or_update
from db.records import OPEN, EventRow, in_members
from db.schema import metadata
from db.schema import reverse_vending_machines as machines
from db.table_row import R, TableRow

_Shape = tuple[tuple[str, str], ...]
_MOST_SHAPES: Final = 1000


def table_of(of: type[TableRow]) -> sa.Table:
    return metadata.tables[of.TABLE]


def insert(row: TableRow, *, over: tuple[str, ...] = (), once: bool = False, must: str | None = None) -> Write:
    """Where the natural key exists: the columns `over` are replaced; or with `once`, nothing is (Conflict(must,
    "missing") with a `must`). Returns the row, or its new id."""
    values = asdict(row)
    statement, made = _insert(type(row), over, once, values.get("id") == 0)
    if made:
        del values["id"]
    return Write(statement, values, must)


def update(
    of: type[TableRow],
    key: Any,
    values: Mapping[str, Any],
    where: Where = (),
    *,
    while_open: bool = False,
    must: str | None = None,
) -> Write:
    """Of the row with this primary key (None: all) for which `where` holds. No values: only locked. Conflict:
    `must`, where there is no such row."""
    where = _with_key(of, key, where)
    ends_as = values.get(OPEN[of].column) if while_open and OPEN[of].repeats else None
    statement = _update(of, not values, _shape(where), while_open, ends_as is not None)
    repeated = {} if ends_as is None else {"key_end": ends_as}
    return Write(statement, {**values, **_bound(where), **repeated}, must)


def delete(of: type[TableRow], key: Any, where: Where = (), *, must: str | None = None) -> Write:
    where = _with_key(of, key, where)
    return Write(_delete(of, _shape(where)), _bound(where), must)


def as_stored(row: R, result: WriteResult) -> R | None:
    """None: it was there."""
    if not result.rows:
        return row if result.rowcount else None
    return replace(row, **in_members(type(row), result.rows[0]))


def belonging(rows: Iterable[TableRow], to: TableRow, result: WriteResult) -> list[TableRow]:
    """With `to`'s new id in their foreign key."""
    return [replace(row, **{_foreign_key(type(row), type(to)): result.rows[0]["id"]}) for row in rows]


def key_of(row: TableRow) -> Any:
    return getattr(row, _key_of(type(row)))


def _foreign_key(of: type[TableRow], to: type[TableRow]) -> str:
    return next(key.parent.name for key in table_of(of).foreign_keys if key.column.table is table_of(to))


def _with_key(of: type[TableRow], key: Any, where: Where) -> Where:
    return where if key is None else ((_key_of(of), "=", key), *where)


@lru_cache(_MOST_SHAPES)
def _key_of(of: type[TableRow]) -> str:
    """The column of its primary key."""
    return next(iter(table_of(of).primary_key)).name


def _shape(where: Where) -> _Shape:
    return tuple((column, "null" if value is None else how) for column, how, value in where)


def _bound(where: Where) -> dict[str, Any]:
    return {_name(place, column): value for place, (column, _, value) in enumerate(where) if value is not None}


def _name(place: int, column: str) -> str:
    return f"key_{column}_of_{place}"


@lru_cache(_MOST_SHAPES)
def _insert(of: type[TableRow], over: tuple[str, ...], once: bool, new: bool) -> tuple[UpdateBase | PerDialect, bool]:
    """And whether the database makes its id."""
    table = table_of(of) if not over else _changing(of)
    made = new and table.autoincrement_column is not None
    if over:
        return insert_or_update(table, _natural_key(table), over, tuple(table.c)), made
    if once:
        return insert_or_ignore(table, *table.primary_key), made
    return sa.insert(table).returning(table.c.id) if made else sa.insert(table), made


def _changing(of: type[TableRow]) -> sa.Table:
    """Raises ValueError for the audit log."""
    if of.TABLE == EventRow.TABLE:
        raise ValueError("the audit log is only added to")
    return table_of(of)


def _natural_key(table: sa.Table) -> tuple[str, ...]:
    unique = [key for key in table.constraints if isinstance(key, sa.UniqueConstraint)]
    return tuple(column.name for column in (unique[0] if unique else table.primary_key).columns)


@lru_cache(_MOST_SHAPES)
def _update(of: type[TableRow], nothing: bool, shape: _Shape, while_open: bool, repeats: bool) -> UpdateBase:
    update = sa.update(_changing(of)).where(*_conditions(of, shape))
    if while_open:
        update = update.where(_is_open(of, repeats))
    key = table_of(of).c[_key_of(of)]
    return update.values({key.name: key}) if nothing else update


@lru_cache(_MOST_SHAPES)
def _delete(of: type[TableRow], shape: _Shape) -> UpdateBase:
    return sa.delete(_changing(of)).where(*_conditions(of, shape))


def _is_open(of: type[TableRow], repeats: bool) -> sa.ColumnElement[bool]:
    rule = OPEN[of]
    column = table_of(of).c[rule.column]
    # No IN list: what an UPDATE sets could not be bound beside one.
    states = [column == state for state in rule.states]
    return sa.or_(*states, column == sa.bindparam("key_end", type_=column.type)) if repeats else sa.or_(*states)


def _conditions(of: type[TableRow], shape: _Shape) -> list[sa.ColumnElement[bool]]:
    table = table_of(of)
    return [_condition(table.c[column], how, _name(place, column)) for place, (column, how) in enumerate(shape)]


def _condition(column: sa.Column[Any], how: str, name: str) -> sa.ColumnElement[bool]:
    if how == "null":
        return column.is_(None)
    if how == "of":
        key = sa.bindparam(name, type_=sa.Integer())
        return column == sa.select(machines.c[column.name]).where(machines.c.id == key).scalar_subquery()
    found: sa.ColumnElement[bool] = COMPARE[how](column, sa.bindparam(name, type_=column.type))
    return found
