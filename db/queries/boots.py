"""Queries on `machine_boots`: each life of a machine, and up to which sample it is stored."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from db.engine.statements import Write
from db.engine.store import Store
from db.records import BootRow, record
from db.schema import machine_boots as boots
from db.schema import reverse_vending_machines as machines

_BOOT = tuple(boots.c)
# A machine's boot of its last hello is the first of its boots, however long its link has lasted.
_of_last_hello = sa.exists().where(machines.c.id == boots.c.rvm_id, machines.c.boot_id == boots.c.boot_id)
_by_use = (_of_last_hello.desc(), boots.c.last_used_at.desc(), boots.c.id.desc())
_PLACED = sa.select(
    *_BOOT, sa.func.row_number().over(partition_by=boots.c.rvm_id, order_by=_by_use).label("place")
).subquery()
_RECENT = (
    sa.select(*(_PLACED.c[column.key] for column in _BOOT))
    .where(_PLACED.c.place <= sa.bindparam("key_kept"))
    .order_by(_PLACED.c.rvm_id, _PLACED.c.place.desc())
)
_WITH_MORE = sa.select(boots.c.rvm_id).group_by(boots.c.rvm_id).having(sa.func.count() > sa.bindparam("key_kept"))
_of_one = boots.c.rvm_id == sa.bindparam("key_id")
_SURPLUS = (
    sa.select(boots.c.id)
    .where(
        _of_one,
        boots.c.last_used_at < sa.bindparam("key_before"),
        boots.c.id.not_in(sa.select(boots.c.id).where(_of_one).order_by(*_by_use).limit(sa.bindparam("key_kept"))),
    )
    .limit(sa.bindparam("key_limit"))
)
_DELETE_SURPLUS = sa.delete(boots).where(boots.c.id.in_(_SURPLUS))


async def machines_with_more_boots(store: Store, kept: int) -> list[int]:
    return [row["rvm_id"] for row in await store.fetch_all(_WITH_MORE, {"key_kept": kept})]


def delete_boots_before(rvm_id: int, before: datetime, limit: int, *, kept: int) -> Write:
    """Not the `kept` used last, nor the last hello's; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_SURPLUS, {"key_id": rvm_id, "key_before": before, "key_limit": limit, "key_kept": kept})


async def recent_boots(store: Store, kept: int) -> list[BootRow]:
    """In order of use: read once, at the hub's start."""
    return [record(BootRow, row) for row in await store.fetch_all(_RECENT, {"key_kept": kept})]
