"""Queries on `users`, technicians' machines and their tags. Sees password hashes only."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from db.engine.store import Store
from db.records import UserRow
from db.schema import reverse_vending_machines, two_steps, user_machines, user_tags, users

_TWO_STEP = sa.exists().where(two_steps.c.user_id == users.c.id).label("two_step")
_ALL = sa.select(users, _TWO_STEP).order_by(users.c.id)
_ALL_OWNED = sa.select(user_machines)
_ALL_TAGS = sa.select(user_tags)
_BY_ID = sa.select(users, _TWO_STEP).where(users.c.id == sa.bindparam("key"))
_BY_EMAIL = (
    sa.select(users, _TWO_STEP)
    .where(users.c.email.in_([sa.bindparam("key"), sa.bindparam("key_apart")]))
    .order_by(users.c.id)
)
_OWNED = sa.select(user_machines.c.rvm_id).where(user_machines.c.user_id == sa.bindparam("key"))
_TAGS = sa.select(user_tags.c.tag).where(user_tags.c.user_id == sa.bindparam("key"))
_TAGGED = sa.select(reverse_vending_machines.c.id, reverse_vending_machines.c.tags).where(
    reverse_vending_machines.c.tags.is_not(None)
)

_Tagged = Sequence[tuple[int, frozenset[str]]]


class UserWithMachines(UserRow, frozen=True, kw_only=True):
    """`machines`: ids of all that a technician reaches: those `named`, and those that have one of `tags` now.
    `two_step`: signing in asks for a code, too."""

    two_step: bool
    machines: frozenset[int]
    named: frozenset[int]
    tags: frozenset[str]


async def all_users(store: Store) -> list[UserWithMachines]:
    owned: dict[int, set[int]] = {}
    for row in await store.fetch_all(_ALL_OWNED):
        owned.setdefault(row["user_id"], set()).add(row["rvm_id"])
    tags: dict[int, set[str]] = {}
    for row in await store.fetch_all(_ALL_TAGS):
        tags.setdefault(row["user_id"], set()).add(row["tag"])
    tagged = await _tagged(store) if tags else []
    rows = await store.fetch_all(_ALL)
    return [_with_machines(row, owned.get(row["id"], ()), tags.get(row["id"], ()), tagged) for row in rows]


async def find_user(store: Store, user_id: int) -> UserWithMachines | None:
    return await _one(store, _BY_ID, {"key": user_id})


async def find_user_by_email(store: Store, email: str) -> UserWithMachines | None:
    """In its normal form (lower case, composed); older rows may hold accents apart."""
    return await _one(store, _BY_EMAIL, {"key": email, "key_apart": unicodedata.normalize("NFD", email)})


async def count_users(store: Store, role: str | None = None) -> int:
    query = sa.select(sa.func.count().label("n")).select_from(users).where(users.c.disabled_at.is_(None))
    if role is not None:
        query = query.where(users.c.role == role)
    row = await store.fetch_one(query)
    return 0 if row is None else int(row["n"])


async def _one(store: Store, query: sa.Select[Any], values: Mapping[str, Any]) -> UserWithMachines | None:
    row = await store.fetch_one(query, values)
    if row is None:
        return None
    owned = await store.fetch_all(_OWNED, {"key": row["id"]})
    tags = {each["tag"] for each in await store.fetch_all(_TAGS, {"key": row["id"]})}
    return _with_machines(row, {each["rvm_id"] for each in owned}, tags, await _tagged(store) if tags else [])


async def machines_tagged(store: Store, tags: Iterable[str]) -> frozenset[int]:
    """Ids of those that have one of them now."""
    wanted = frozenset(tags)
    return frozenset(rvm_id for rvm_id, own in await _tagged(store) if own & wanted) if wanted else frozenset()


async def _tagged(store: Store) -> _Tagged:
    return [(row["id"], frozenset(row["tags"])) for row in await store.fetch_all(_TAGGED)]


def _with_machines(
    row: Mapping[str, Any], named: Iterable[int], tags: Iterable[str], tagged: _Tagged
) -> UserWithMachines:
    named, tags = frozenset(named), frozenset(tags)
    by_tag = {rvm_id for rvm_id, own in tagged if own & tags}
    values = {**row, "two_step": bool(row["two_step"])}
    return UserWithMachines(**values, machines=named | by_tag, named=named, tags=tags)
