"""Queries on `commands`: each one's life, and a search over all machines."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from db.engine.statements import Write
from db.engine.store import NOTHING, Store
from db.records import PENDING_STATES, CommandRow, record
from db.schema import commands

_PENDING = sa.or_(*(commands.c.state == state for state in PENDING_STATES))
_ALL_PENDING = sa.select(commands).where(_PENDING).order_by(commands.c.issued_at, commands.c.id)
_BY_ID = sa.select(commands).where(commands.c.id == sa.bindparam("key_id"))
_BY_KEY = sa.select(commands).where(
    commands.c.rvm_id == sa.bindparam("key_rvm_id"), commands.c.idempotency_key == sa.bindparam("key_key")
)
_ENDED = sa.select(commands.c.id).where(commands.c.issued_at < sa.bindparam("key_before"), sa.not_(_PENDING))
_DELETE_ENDED = sa.delete(commands).where(commands.c.id.in_(_ENDED.limit(sa.bindparam("key_limit"))))
_RECENT = (
    sa.select(commands)
    .where(commands.c.rvm_id == sa.bindparam("key_rvm"))
    .order_by(commands.c.issued_at.desc(), commands.c.id.desc())
    .limit(sa.bindparam("key_limit"))
)
_RECENT_BEFORE = _RECENT.where(
    sa.or_(
        commands.c.issued_at < sa.bindparam("key_at"),
        sa.and_(commands.c.issued_at == sa.bindparam("key_at"), commands.c.id < sa.bindparam("key_id")),
    )
)


async def find_command(store: Store, command_id: str) -> CommandRow | None:
    return await _one(store, _BY_ID, {"key_id": command_id})


async def find_by_idempotency_key(store: Store, rvm_id: int, key: str) -> CommandRow | None:
    return await _one(store, _BY_KEY, {"key_rvm_id": rvm_id, "key_key": key})


async def pending_commands(store: Store) -> list[CommandRow]:
    return await _all(store, _ALL_PENDING)


async def commands_of_group(store: Store, group_id: str) -> list[CommandRow]:
    query = sa.select(commands).where(commands.c.group_id == group_id)
    return await _all(store, query.order_by(commands.c.rvm_id, commands.c.id))


async def recent_commands(
    store: Store, rvm_id: int, limit: int, before: tuple[datetime, str] | None = None
) -> list[CommandRow]:
    """Newest first; `before`: (issued_at, id) of the last row of the page before."""
    values: dict[str, Any] = {"key_rvm": rvm_id, "key_limit": limit}
    if before is None:
        return await _all(store, _RECENT, values)
    return await _all(store, _RECENT_BEFORE, {**values, "key_at": before[0], "key_id": before[1]})


async def _one(store: Store, query: sa.Select[Any], values: Mapping[str, Any]) -> CommandRow | None:
    row = await store.fetch_one(query, values)
    return None if row is None else record(CommandRow, row)


async def _all(store: Store, query: sa.Select[Any], values: Mapping[str, Any] = NOTHING) -> list[CommandRow]:
    return [record(CommandRow, row) for row in await store.fetch_all(query, values)]


def delete_commands_before(before: datetime, limit: int) -> Write:
    """Some that were issued earlier and have ended; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_ENDED, {"key_before": before, "key_limit": limit})


_C = commands.c


class CommandMark(NamedTuple):
    at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class CommandFilters:
    """`rvm_ids`: only these (() finds nothing)."""

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
    """States without any are left out."""
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
