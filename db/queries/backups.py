"""Queries on `backup_logs`, `backup_parts` and `backup_restores`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from db.backup_records import BACKUP_COUNTER, GOOD_BACKUP, OPEN_BACKUP, BackupPartRow, BackupRow, RestoreRow
from db.engine.statements import Write
from db.engine.store import Store
from db.records import record
from db.schema import backup_logs as table
from db.schema import backup_parts as parts
from db.schema import backup_restores as restores
from db.schema import counters

_ID = sa.bindparam("key_id", type_=sa.Integer())
_RVM = sa.bindparam("key_rvm", type_=sa.Integer())
_BEFORE = sa.bindparam("key_before", type_=table.c.created_at.type)
_THERE = table.c.deleted_at.is_(None)
_GOOD = sa.or_(*(table.c.upload_status == status for status in GOOD_BACKUP))
_OPEN = sa.or_(*(table.c.upload_status == status for status in OPEN_BACKUP))
_ONE = sa.select(table).where(table.c.id == _ID)
_OF_COMMAND = sa.select(table).where(table.c.command_id == sa.bindparam("key_command")).order_by(table.c.id).limit(1)
_ALL_OPEN = sa.select(table).where(_OPEN).order_by(table.c.id)
_NEWEST = sa.select(sa.func.max(table.c.id)).group_by(table.c.rvm_id)
_UNDAMAGED = sa.and_(_THERE, _GOOD, table.c.drill_error.is_(None))
_NEWEST_VERIFIED = (
    sa.select(sa.func.max(table.c.id)).where(_UNDAMAGED, table.c.upload_status == "verified").group_by(table.c.rvm_id)
)
_NEWEST_GOOD = (
    sa.select(sa.func.max(table.c.id))
    .where(_UNDAMAGED, sa.or_(table.c.trigger != "upload", table.c.upload_status == "verified"))
    .group_by(table.c.rvm_id)
)
_CANCELLED = sa.and_(table.c.upload_status == "failed", table.c.error["code"].as_string() == "cancelled")
_NEWEST_TRIED = (
    sa.select(sa.func.max(table.c.id))
    .where(sa.not_(_OPEN), sa.func.coalesce(sa.not_(_CANCELLED), sa.true()))
    .group_by(table.c.rvm_id)
)
_NEWEST_OF_EACH = (
    sa.select(table)
    .where(sa.or_(*(table.c.id.in_(one) for one in (_NEWEST, _NEWEST_GOOD, _NEWEST_VERIFIED, _NEWEST_TRIED)), _OPEN))
    .order_by(table.c.id)
)
_KEPT = sa.select(table).where(table.c.rvm_id == _RVM, _THERE, _GOOD).order_by(table.c.id)
_CHAIN = (
    sa.select(table)
    .where(table.c.rvm_id == _RVM, table.c.chain_id == sa.bindparam("key_chain", type_=sa.Integer()), _THERE)
    .order_by(table.c.chain_position, table.c.id)
)
_PARTS = sa.select(parts).where(parts.c.backup_id == _ID).order_by(parts.c.number)
_PART = sa.select(parts).where(parts.c.backup_id == _ID, parts.c.number == sa.bindparam("key_n", type_=sa.Integer()))
_NONE: Final = sa.literal_column("0", sa.BigInteger)
_SIZE = sa.select(sa.func.coalesce(sa.func.sum(table.c.file_size), _NONE)).where(_THERE)
_UPLOADED = sa.select(sa.func.coalesce(sa.func.sum(parts.c.size), _NONE))
_UPLOADED_OF = _UPLOADED.join(table, table.c.id == parts.c.backup_id).where(table.c.rvm_id == _RVM)
_BYTES = sa.select(
    _SIZE.scalar_subquery().label("whole"),
    _SIZE.where(table.c.rvm_id == _RVM).scalar_subquery().label("whole_of"),
    _UPLOADED.scalar_subquery().label("uploaded"),
    _UPLOADED_OF.scalar_subquery().label("uploaded_of"),
    _UPLOADED.where(parts.c.backup_id == _ID).scalar_subquery().label("own"),
)
_LAST = sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0).label("id"))
_COUNTED = sa.select(counters.c.value).where(counters.c.name == BACKUP_COUNTER)
_WITHOUT_FILE = sa.or_(
    table.c.deleted_at < _BEFORE, sa.and_(table.c.upload_status == "failed", table.c.created_at < _BEFORE)
)
_DELETE = sa.delete(table).where(
    table.c.id.in_(sa.select(table.c.id).where(_WITHOUT_FILE).limit(sa.bindparam("key_limit")))
)
_DELETE_RESTORES = sa.delete(restores).where(
    restores.c.id.in_(sa.select(restores.c.id).where(restores.c.created_at < _BEFORE).limit(sa.bindparam("key_limit")))
)
_RESTORE = sa.select(restores).where(restores.c.id == _ID)
_OPEN_RESTORES = sa.select(restores).where(restores.c.finished_at.is_(None)).order_by(restores.c.id)


def delete_backups_before(before: datetime, limit: int) -> Write:
    """Some rows without a file (deleted or failed earlier); repeat until `rowcount` is below `limit`."""
    return Write(_DELETE, {"key_before": before, "key_limit": limit})


def delete_restores_before(before: datetime, limit: int) -> Write:
    """Some asked for earlier; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_RESTORES, {"key_before": before, "key_limit": limit})


async def find(store: Store, backup_id: int) -> BackupRow | None:
    return await _one(store, _ONE, {"key_id": backup_id})


async def of_command(store: Store, command_id: str) -> BackupRow | None:
    return await _one(store, _OF_COMMAND, {"key_command": command_id})


async def last_id(store: Store) -> int:
    """Ever given, also of a row that is gone."""
    there, counted = await store.fetch_one(_LAST), await store.fetch_one(_COUNTED)
    return max(0 if there is None else int(there["id"]), 0 if counted is None else int(counted["value"]))


async def of_machine(
    store: Store, rvm_id: int, limit: int, before: int | None = None, *, with_deleted: bool = True
) -> list[BackupRow]:
    """Newest first, from before `before`."""
    query = sa.select(table).where(table.c.rvm_id == rvm_id).order_by(table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.id < before)
    if not with_deleted:
        query = query.where(_THERE)
    return await _all(store, query)


async def newest_of_each(store: Store) -> list[BackupRow]:
    """Each machine's newest, newest good and verified ones and newest that nobody cancelled, by id: read once, at the
    hub's start."""
    return await _all(store, _NEWEST_OF_EACH)


async def unfinished(store: Store) -> list[BackupRow]:
    """Pending or uploading, oldest first."""
    return await _all(store, _ALL_OPEN)


async def kept(store: Store, rvm_id: int) -> list[BackupRow]:
    """Good with a file, oldest first."""
    return await _all(store, _KEPT, {"key_rvm": rvm_id})


async def chain(store: Store, rvm_id: int, chain_id: int) -> list[BackupRow]:
    """The full first; also unfinished and failed ones."""
    return await _all(store, _CHAIN, {"key_rvm": rvm_id, "key_chain": chain_id})


async def keys_gone(store: Store) -> set[str]:
    """Archives of failed or deleted backups: of no use in the store."""
    gone = sa.or_(table.c.deleted_at.is_not(None), table.c.upload_status == "failed")
    query = sa.select(table.c.file_path).where(table.c.file_path.is_not(None), gone)
    return {str(row["file_path"]) for row in await store.fetch_all(query)}


async def keys_there(store: Store) -> set[str]:
    """Archives and manifests, stored or under way."""
    query = sa.select(table.c.file_path, table.c.manifest_key).where(_THERE, table.c.upload_status != "failed")
    return {str(key) for row in await store.fetch_all(query) for key in row.values() if key is not None}


async def parts_of(store: Store, backup_id: int) -> list[BackupPartRow]:
    return [record(BackupPartRow, row) for row in await store.fetch_all(_PARTS, {"key_id": backup_id})]


async def find_part(store: Store, backup_id: int, number: int) -> BackupPartRow | None:
    row = await store.fetch_one(_PART, {"key_id": backup_id, "key_n": number})
    return None if row is None else record(BackupPartRow, row)


class BytesKept(NamedTuple):
    of_machine: int
    of_fleet: int


async def bytes_kept(store: Store, rvm_id: int, but: int = 0) -> BytesKept:
    """Without parts of `but`. One read, as a flood of uploads asks each time."""
    row = await store.fetch_one(_BYTES, {"key_rvm": rvm_id, "key_id": but}) or {}
    kept = {name: int(size) for name, size in row.items()}
    return BytesKept(
        kept["whole_of"] + kept["uploaded_of"] - kept["own"], kept["whole"] + kept["uploaded"] - kept["own"]
    )


async def find_restore(store: Store, restore_id: int) -> RestoreRow | None:
    row = await store.fetch_one(_RESTORE, {"key_id": restore_id})
    return None if row is None else record(RestoreRow, row)


async def restores_of(store: Store, rvm_id: int, limit: int) -> list[RestoreRow]:
    """Newest first."""
    query = sa.select(restores).where(restores.c.rvm_id == rvm_id).order_by(restores.c.id.desc()).limit(limit)
    return [record(RestoreRow, row) for row in await store.fetch_all(query)]


async def open_restores(store: Store) -> list[RestoreRow]:
    """Oldest first."""
    return [record(RestoreRow, row) for row in await store.fetch_all(_OPEN_RESTORES)]


async def _one(store: Store, query: sa.Select[Any], values: Mapping[str, Any]) -> BackupRow | None:
    row = await store.fetch_one(query, values)
    return None if row is None else record(BackupRow, row)


async def _all(store: Store, query: sa.Select[Any], values: Mapping[str, Any] | None = None) -> list[BackupRow]:
    return [record(BackupRow, row) for row in await store.fetch_all(query, values or {})]
