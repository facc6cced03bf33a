"""Writes rows as PostgreSQL's COPY does (text, UTC, ISO dates), and reads such lines as SQLite's values.

The form of a whole database's copy: PostgreSQL reads and writes it itself, and either database takes the other's.
Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.elements import quoted_name

from db.columns import UtcTimestamp, from_microseconds, to_microseconds
from db.schema import metadata

Kind = Literal["instant", "boolean", "float", "integer", "text"]
NULL: Final = "\\N"
_ESCAPED: Final = {"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_ESCAPES: Final = str.maketrans(_ESCAPED)
_PLAIN: Final = {text: letter for letter, text in _ESCAPED.items()}
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


class CopiedTable(NamedTuple):
    """`columns`: name and kind, in line order."""

    name: str
    columns: tuple[tuple[str, Kind], ...]


def copied_tables(without: frozenset[str]) -> list[CopiedTable]:
    """Of the newest schema; referred tables first."""
    return [
        CopiedTable(str(table.name), tuple((str(column.name), _kind(column)) for column in table.columns))
        for table in metadata.sorted_tables
        if table.name not in without
    ]


def select_all(table: CopiedTable) -> str:
    """SQL for SQLite."""
    return str(sa.select(_quoted(table)).compile(dialect=sqlite.dialect()))


def insert_all(table: CopiedTable) -> str:
    """SQL for SQLite; the values come in the order of the lines."""
    return str(sa.insert(_quoted(table)).compile(dialect=sqlite.dialect(paramstyle="qmark")))


def last_id_of(name: str) -> str:
    """SQL for either database."""
    return str(sa.select(sa.func.max(sa.column("id"))).select_from(sa.table(quoted_name(name, quote=True))))


def _quoted(table: CopiedTable) -> sa.TableClause:
    columns: list[sa.ColumnClause[Any]] = [sa.column(quoted_name(name, quote=True)) for name, _ in table.columns]
    return sa.table(quoted_name(table.name, quote=True), *columns)


def _kind(column: sa.Column[Any]) -> Kind:
    kinds: tuple[tuple[type, Kind], ...] = (
        (UtcTimestamp, "instant"), (sa.Boolean, "boolean"), (sa.Float, "float"), (sa.Integer, "integer"),
        (sa.JSON, "text"), (sa.String, "text"),
    )  # fmt: skip
    return next(kind for known, kind in kinds if isinstance(column.type, known))


def written(table: CopiedTable, rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """From SQLite's values."""
    writers = [_WRITERS[kind] for _, kind in table.columns]
    for row in rows:
        fields = (NULL if value is None else write(value) for write, value in zip(writers, row, strict=True))
        yield "\t".join(fields) + "\n"


def read(table: CopiedTable, lines: Iterable[str]) -> Iterator[list[Any]]:
    """SQLite's values. Raises ValueError for a line not of this table."""
    readers = [_READERS[kind] for _, kind in table.columns]
    for line in lines:
        fields = line.removesuffix("\n").split("\t")
        yield [None if field == NULL else read(field) for read, field in zip(readers, fields, strict=True)]


def _instant(value: int) -> str:
    return f"{from_microseconds(value).replace(tzinfo=None).isoformat(' ')}+00"


def _microseconds(field: str) -> int:
    if not field.endswith("+00"):
        raise ValueError(f"no instant in UTC: {field}")
    second, _, fraction = field[:-3].partition(".")
    whole = to_microseconds(datetime.fromisoformat(second).replace(tzinfo=timezone.utc))
    return whole + int(fraction[:6].ljust(6, "0"))


def _truth(field: str) -> bool:
    if field not in ("t", "f"):
        raise ValueError(f"neither t nor f: {field}")
    return field == "t"


def _unescaped(field: str) -> str:
    return _ESCAPE.sub(lambda found: _PLAIN.get(found[0], found[1]), field) if "\\" in field else field


_WRITERS: Final[dict[Kind, Callable[[Any], str]]] = {
    "instant": _instant,
    "boolean": lambda value: "t" if value else "f",
    "float": lambda value: repr(float(value)),
    "integer": str,
    "text": lambda value: str(value).translate(_ESCAPES),
}
_READERS: Final[dict[Kind, Callable[[str], Any]]] = {
    "instant": _microseconds,
    "boolean": _truth,
    "float": float,
    "integer": int,
    "text": _unescaped,
}
