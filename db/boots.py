"""Queries on `machine_boots`: each life of a machine and the sample it is stored up to. Compares no numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from db.connection import Store
from db.schema import machine_boots as boots
from db.statements import Write, insert_or_update

# The update changes nothing: it is there because DO NOTHING would return no row.
_FIND_OR_CREATE = insert_or_update(
    boots, ("rvm_id", "boot_id"), ("boot_id",), (boots.c.id, boots.c.rvm_id, boots.c.boot_id, boots.c.last_seq)
)


@dataclass(frozen=True, slots=True)
class BootRow:
    """`id` is what system_metrics.boot holds; samples up to `last_seq` are committed (None: none yet)."""

    id: int
    rvm_id: int
    boot_id: str
    last_seq: int | None


def find_or_create_boot(rvm_id: int, boot_id: str, at: datetime) -> Write:
    """Returns `id`, `rvm_id`, `boot_id` and `last_seq`, whether it was there or not. Conflict: rvm_id."""
    return Write(_FIND_OR_CREATE, {"rvm_id": rvm_id, "boot_id": boot_id, "first_seen_at": at})


async def all_boots(store: Store) -> list[BootRow]:
    """Every boot ever seen: read once, when the hub starts."""
    query = sa.select(boots.c.id, boots.c.rvm_id, boots.c.boot_id, boots.c.last_seq).order_by(boots.c.id)
    return [BootRow(**row) for row in await store.fetch_all(query)]
