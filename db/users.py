"""Queries on `users` and the machines of technicians. Knows no rights and no passwords, only their hashes."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.connection import Store
from db.records import UserRow
from db.schema import user_machines, users
from db.statements import Write

_ALL = sa.select(users).order_by(users.c.id)
_ALL_OWNED = sa.select(user_machines)
_BY_ID = sa.select(users).where(users.c.id == sa.bindparam("key"))
_BY_EMAIL = (
    sa.select(users).where(users.c.email.in_([sa.bindparam("key"), sa.bindparam("key_apart")])).order_by(users.c.id)
)
_OWNED = sa.select(user_machines.c.rvm_id).where(user_machines.c.user_id == sa.bindparam("key"))
_INSERT = sa.insert(users).returning(users.c.id)
_UPDATE = sa.update(users).where(users.c.id == sa.bindparam("key_id"))
_HOLD = sa.update(users).where(
    users.c.id == sa.bindparam("key_id"),
    users.c.password_hash == sa.bindparam("key_password_hash"),
    users.c.disabled_at.is_(None),
)
_DELETE = sa.delete(users).where(users.c.id == sa.bindparam("key_id"))
_CLEAR_MACHINES = sa.delete(user_machines).where(user_machines.c.user_id == sa.bindparam("key_id"))
_ADD_MACHINE = sa.insert(user_machines)


class UserWithMachines(UserRow, frozen=True, kw_only=True):
    """`machines` are the ids of a technician's own machines."""

    machines: frozenset[int]


def insert_user(
    *, email: str, name: str, role: str, password_hash: str | None, language: str | None, at: datetime
) -> Write:
    """Returns its `id`. Conflict: email."""
    values = {
        "email": email,
        "name": name,
        "role": role,
        "password_hash": password_hash,
        "language": language,
        "created_at": at,
        "updated_at": at,
    }
    return Write(_INSERT, values)


def update_user(user_id: int, values: Mapping[str, Any], at: datetime) -> Write:
    """Change the columns `values` names. Conflict: id (no such user), email."""
    return Write(_UPDATE, {**values, "updated_at": at, "key_id": user_id}, must_match="id")


def hold_password(user_id: int, password_hash: str) -> Write:
    """Changes nothing. Conflict: password (it is another one by now, or the user is disabled or gone)."""
    values = {"password_hash": password_hash, "key_id": user_id, "key_password_hash": password_hash}
    return Write(_HOLD, values, must_match="password")


def delete_user(user_id: int) -> Write:
    """With tokens, sessions and links. Conflict: id (no such user)."""
    return Write(_DELETE, {"key_id": user_id}, must_match="id")


def set_machines(user_id: int, rvm_ids: Collection[int]) -> tuple[Write, ...]:
    """Replace the set of a technician's machines. Conflict: user_id or rvm_id (no such)."""
    added = (Write(_ADD_MACHINE, {"user_id": user_id, "rvm_id": rvm_id}) for rvm_id in sorted(set(rvm_ids)))
    return Write(_CLEAR_MACHINES, {"key_id": user_id}), *added


async def all_users(store: Store) -> list[UserWithMachines]:
    """Every user, by id."""
    owned: dict[int, set[int]] = {}
    for row in await store.fetch_all(_ALL_OWNED):
        owned.setdefault(row["user_id"], set()).add(row["rvm_id"])
    rows = await store.fetch_all(_ALL)
    return [UserWithMachines(**row, machines=frozenset(owned.get(row["id"], ()))) for row in rows]


async def find_user(store: Store, user_id: int) -> UserWithMachines | None:
    return await _one(store, _BY_ID, {"key": user_id})


async def find_user_by_email(store: Store, email: str) -> UserWithMachines | None:
    """By the address in its normal form (lower case, composed); older rows may hold its accents apart."""
    return await _one(store, _BY_EMAIL, {"key": email, "key_apart": unicodedata.normalize("NFD", email)})


async def count_users(store: Store, role: str | None = None) -> int:
    """How many users that are not disabled there are, of one role or of all."""
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
