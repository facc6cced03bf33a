"""Searching commands over all machines, newest first, page by page; and how many of one group are in which state."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from db.connection import Store
from db.records import CommandRow
from db.schema import commands

_C = commands.c


class CommandMark(NamedTuple):
    """A place among commands: they are ordered by instant, and by id within one."""

    at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class CommandFilters:
    """Each one that is given narrows. `rvm_ids`: of these machines alone (() finds nothing)."""

    rvm_ids: Collection[int] | None = None
    states: Collection[str] | None = None
    name: str | None = None
    group_id: str | None = None
    issued_by: str | None = None


async def search(
    store: Store, filters: CommandFilters, limit: int, before: CommandMark | None = None
) -> list[CommandRow]:
    """Newest first, older than `before`."""
    query = sa.select(commands).where(*_conditions(filters))
    if before is not None:
        query = query.where(sa.or_(_C.issued_at < before.at, sa.and_(_C.issued_at == before.at, _C.id < before.id)))
    query = query.order_by(_C.issued_at.desc(), _C.id.desc()).limit(limit)
    return [CommandRow(**row) for row in await store.fetch_all(query)]


async def count_states(store: Store, filters: CommandFilters) -> dict[str, int]:
    """How many there are in each state; states nobody is in are left out."""
    query = sa.select(_C.state, sa.func.count().label("n")).where(*_conditions(filters)).group_by(_C.state)
    return {row["state"]: row["n"] for row in await store.fetch_all(query)}


def _conditions(filters: CommandFilters) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = []
    many: list[tuple[sa.Column[Any], Collection[Any] | None]] = [
        (_C.rvm_id, filters.rvm_ids),
        (_C.state, filters.states),
    ]
    wanted += [column.in_(list(values)) for column, values in many if values is not None]
    one: list[tuple[sa.Column[Any], Any]] = [
        (_C.name, filters.name),
        (_C.group_id, filters.group_id),
        (_C.issued_by, filters.issued_by),
    ]
    return wanted + [column == value for column, value in one if value is not None]
