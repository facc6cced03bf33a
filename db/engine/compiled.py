"""Compiles a statement to SQL and value conversions, once: SQLAlchemy takes some 0.3 ms."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.engine import Compiled
from sqlalchemy.engine import Dialect as SqlDialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import SelectBase
from sqlalchemy.types import TypeEngine

from db.engine.statements import PerDialect, Write
from db.errors import Rejected

Convert = Callable[[Any], Any]
_INT4 = 2**31
_INT8 = 2**63


def _to_json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def dialect_of(name: str) -> SqlDialect:
    """`?` for sqlite3, `$1` for asyncpg."""
    if name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.dialect(paramstyle="qmark", json_serializer=_to_json)
    from sqlalchemy.dialects.postgresql.base import PGDialect

    return PGDialect(paramstyle="numeric_dollar", json_serializer=_to_json)  # type: ignore[no-untyped-call]


def _checked_text(column: str, length: int | None) -> Convert:
    def check(value: Any) -> Any:
        if not isinstance(value, str):
            raise Rejected(f"{column}: not a text")
        if length is not None and len(value) > length:
            raise Rejected(f"{column}: longer than {length} characters")
        if "\x00" in value:
            raise Rejected(f"{column}: contains NUL")
        return value

    return check


def _checked_integer(column: str, bound: int) -> Convert:
    def check(value: Any) -> Any:
        if not isinstance(value, int) or not -bound <= value < bound:
            raise Rejected(f"{column}: not an integer of the allowed range")
        return value

    return check


def _checked_number(column: str) -> Convert:
    def check(value: Any) -> Any:
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise Rejected(f"{column}: not a finite number")
        return float(value)

    return check


def _guard(column: str, kind: TypeEngine[Any]) -> Convert | None:
    """Refuses for both what PostgreSQL refuses and SQLite swallows."""
    if isinstance(kind, sa.String):
        return _checked_text(column, kind.length)
    if isinstance(kind, sa.Integer):
        return _checked_integer(column, _INT8 if isinstance(kind, sa.BigInteger) else _INT4)
    return _checked_number(column) if isinstance(kind, sa.Float) else None


def _converter(column: str, kind: TypeEngine[Any], dialect: SqlDialect) -> Convert:
    guard = _guard(column, kind)
    process = kind.dialect_impl(dialect).bind_processor(dialect)

    def convert(value: Any) -> Any:
        if value is None:
            return None
        if guard is not None:
            value = guard(value)
        if process is None:
            return value
        try:
            return process(value)
        except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise Rejected(f"{column}: {error}") from error

    return convert


class Prepared:
    """`sql`, and how values become arguments and rows become mappings."""

    __slots__ = ("_arguments", "_columns", "returns_rows", "sql", "table")

    def __init__(self, sql: str, arguments: Iterable[Any], columns: Iterable[Any], table: sa.Table | None) -> None:
        self.sql = sql
        self._arguments: tuple[tuple[str, Convert, Any], ...] = tuple(arguments)
        self._columns: tuple[tuple[str, Convert | None], ...] = tuple(columns)
        self.returns_rows = bool(self._columns)
        self.table = table

    def bind(self, values: Mapping[str, Any]) -> list[Any]:
        return [convert(values[name]) if name in values else constant for name, convert, constant in self._arguments]

    def rows(self, raw: Iterable[Any]) -> list[dict[str, Any]]:
        columns = self._columns
        return [
            {
                name: value if process is None or value is None else process(value)
                for (name, process), value in zip(columns, tuple(row), strict=True)
            }
            for row in raw
        ]


def _sql(compiled: Compiled) -> SQLCompiler:
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 - so it is for everything but DDL; narrows the type
    return compiled


def _prepare(statement: UpdateBase, dialect: SqlDialect, column_keys: list[str] | None) -> Prepared:
    compiled = _sql(
        statement.compile(dialect=dialect, column_keys=column_keys, compile_kwargs={"render_postcompile": True})
    )
    # Values come with each use; what has one here is a constant of the statement.
    constants = compiled.construct_params(dict.fromkeys([*(column_keys or ()), *_required(compiled)]))
    arguments = []
    for name in compiled.positiontup or ():
        # `at_1_2` is the second element of the IN list `at_1`.
        bind = compiled.binds.get(name, compiled.binds.get(name.rpartition("_")[0]))
        kind = sa.types.NULLTYPE if bind is None else bind.type
        convert = _converter(name.removeprefix("key_"), kind, dialect)
        constant = constants.get(name)
        arguments.append((name, convert, convert(constant)))
    columns = [
        (column.key, column.type.dialect_impl(dialect).result_processor(dialect, None))
        for column in statement.exported_columns
    ]
    table = statement.table if isinstance(statement.table, sa.Table) else None
    return Prepared(compiled.string, arguments, columns, table)


def _required(compiled: SQLCompiler) -> list[str]:
    return [name for name, bind in compiled.binds.items() if bind.required]


class FilledSelect:
    """A select with this time's values in the place of the two: `databases` asks it for its compiled form and nothing
    else. Selects that differ in values alone, however they were made, are compiled once."""

    MOST = 1000
    # Bound: MOST, then it begins anew. By SQLAlchemy's own key of a statement, which leaves values out.
    known: ClassVar[dict[tuple[str, tuple[Any, ...]], tuple[SQLCompiler, Sequence[sa.BindParameter[Any]]]]] = {}

    def __init__(self, select: SelectBase, values: Mapping[str, Any]) -> None:
        self._select = select
        self._values = values

    def compile(self, dialect: SqlDialect, **_: Any) -> Any:
        """With the lists of IN spelled out, as `databases` asks."""
        compiled, own = self._compiled(dialect)
        state = compiled.construct_expanded_state({**own, **self._values})
        filled: Any = copy.copy(compiled)
        filled.string, filled.positiontup = state.statement, state.positiontup
        filled.construct_params = lambda **_: state.parameters
        return filled

    def _compiled(self, dialect: SqlDialect) -> tuple[SQLCompiler, dict[str, Any]]:
        """And the values that this select was made with, by the names that they have in the compiled one."""
        key = self._select._generate_cache_key()  # noqa: SLF001 - as SQLAlchemy's example of a query cache does
        if key is None:
            return _sql(self._select.compile(dialect=dialect)), {}
        place = dialect.name, key.key
        known = self.known.get(place)
        if known is None:
            if len(self.known) >= self.MOST:
                self.known.clear()
            known = _sql(self._select.compile(dialect=dialect)), key.bindparams
            self.known[place] = known
        compiled, first = known
        pairs = zip(first, key.bindparams, strict=True)
        return compiled, {one.key: this.effective_value for one, this in pairs if not this.required}


class Compiler:
    """Of one dialect: `compiler_of`. No list as an IN value: how many there are is part of the text."""

    _MOST = 1000

    def __init__(self, dialect: str) -> None:
        self._name = dialect
        self._dialect = dialect_of(dialect)
        # Bound: _MOST, then it begins anew.
        self._known: dict[tuple[Any, ...], Prepared] = {}

    def write(self, write: Write | UpdateBase) -> tuple[Prepared, list[Any]]:
        """Raises Rejected for values that cannot be stored."""
        try:
            return self._write(write)
        except sa.exc.SQLAlchemyError as error:
            raise Rejected(f"not a statement to be compiled once: {error}") from error

    def _write(self, write: Write | UpdateBase) -> tuple[Prepared, list[Any]]:
        if not isinstance(write, Write):
            plain = _prepare(write, self._dialect, None)
            return plain, plain.bind({})
        key = (write.statement, *write.values)
        prepared = self._known.get(key)
        if prepared is None:
            statement = write.statement
            if isinstance(statement, PerDialect):
                statement = statement.make(self._name)
            prepared = _prepare(statement, self._dialect, list(write.values))
            if len(self._known) >= self._MOST:
                self._known.clear()
            self._known[key] = prepared
        return prepared, prepared.bind(write.values)


@cache  # Bound: the two dialects
def compiler_of(dialect: str) -> Compiler:
    """One for all writers of the process: at worst two compile the same."""
    return Compiler(dialect)
