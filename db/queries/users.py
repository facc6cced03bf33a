"""Queries on `users` and technicians' machines. Sees password hashes only."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from db.engine.store import Store
from db.records import UserRow
from db.schema import user_machines, users

_ALL = sa.select(users).order_by(users.c.id)
_ALL_OWNED = sa.select(user_machines)
_BY_ID = sa.select(users).where(users.c.id == sa.bindparam("key"))
_BY_EMAIL = (
    sa.select(users).where(users.c.email.in_([sa.bindparam("key"), sa.bindparam("key_apart")])).order_by(users.c.id)
)
_OWNED = sa.select(user_machines.c.rvm_id).where(user_machines.c.user_id == sa.bindparam("key"))


class UserWithMachines(UserRow, frozen=True, kw_only=True):
    """`machines`: ids of a technician's own."""

    machines: frozenset[int]


async def all_users(store: Store) -> list[UserWithMachines]:
    owned: dict[int, set[int]] = {}
    for row in await store.fetch_all(_ALL_OWNED):
        owned.setdefault(row["user_id"], set()).add(row["rvm_id"])
    rows = await store.fetch_all(_ALL)
    return [UserWithMachines(**row, machines=frozenset(owned.get(row["id"], ()))) for row in rows]


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
    return UserWithMachines(**row, machines=frozenset(machine["rvm_id"] for machine in owned))
