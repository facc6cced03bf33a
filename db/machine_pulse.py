"""Whether another process (the command line) changed machines: a cheap question asked every second, and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from db.connection import Store
from db.schema import events
from db.schema import reverse_vending_machines as machines

_IDENTITY = (
    machines.c.id, machines.c.device_id, machines.c.name, machines.c.location_description, machines.c.api_key,
    machines.c.api_key_prefix, machines.c.updated_at,
)  # fmt: skip
_PULSE = sa.select(sa.func.count().label("count"), sa.func.max(machines.c.updated_at).label("newest")).select_from(
    machines
)
_CHANGED = (
    sa.select(*_IDENTITY)
    .where(machines.c.updated_at >= sa.bindparam("since"))
    .order_by(machines.c.updated_at, machines.c.id)
    .limit(sa.bindparam("most"))
)
_IDS = sa.select(machines.c.id)
_LEAST_SEQ = sa.select(sa.func.min(events.c.seq).label("least")).where(
    events.c.rvm_id == sa.bindparam("key_rvm_id"), events.c.boot_id == sa.bindparam("key_boot_id"), events.c.seq < 0
)


@dataclass(frozen=True, slots=True)
class Pulse:
    """How many machines there are, and when one of them last changed."""

    count: int
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a machine itself: the members that are edited by people. `api_key` is the hash of the key."""

    id: int
    device_id: str
    name: str
    location_description: str | None
    api_key: str | None
    api_key_prefix: str | None
    updated_at: datetime


async def pulse(store: Store) -> Pulse:
    row = await store.fetch_one(_PULSE)
    return Pulse(0, None) if row is None else Pulse(int(row["count"]), row["newest"])


async def changed_since(store: Store, since: datetime, limit: int) -> list[Identity]:
    """Machines changed at `since` or later, the ones changed first ahead."""
    return [Identity(**row) for row in await store.fetch_all(_CHANGED, {"since": since, "most": limit})]


async def all_ids(store: Store) -> set[int]:
    return {row["id"] for row in await store.fetch_all(_IDS)}


async def last_status_seq(store: Store, rvm_id: int, boot_id: str) -> int | None:
    """The number of the last status report of this boot that is stored; kept as -1 - seq (hub.links.rules)."""
    row = await store.fetch_one(_LEAST_SEQ, {"key_rvm_id": rvm_id, "key_boot_id": boot_id})
    return None if row is None or row["least"] is None else -1 - int(row["least"])
