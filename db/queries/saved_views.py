"""Queries on `saved_views`."""

from __future__ import annotations

import sqlalchemy as sa

from db.engine.store import Store
from db.records import SavedViewRow, in_members, record
from db.schema import saved_views, users

_KEY: sa.BindParameter[int] = sa.bindparam("key")
_WITH_OWNER = sa.select(saved_views, users.c.name.label("owner")).join(users, users.c.id == saved_views.c.user_id)
_BY_ID = _WITH_OWNER.where(saved_views.c.id == _KEY)
_SEEN = _WITH_OWNER.where((saved_views.c.user_id == _KEY) | saved_views.c.shared).order_by(saved_views.c.id)
_OF_USER = sa.select(saved_views).where(saved_views.c.user_id == _KEY).order_by(saved_views.c.id)


class SavedViewOfPerson(SavedViewRow, frozen=True, kw_only=True):
    """`owner`: the name of who keeps it."""

    owner: str


async def seen_by(store: Store, user_id: int) -> list[SavedViewOfPerson]:
    """A person's own, and all that are shared, by name."""
    rows = await store.fetch_all(_SEEN, {"key": user_id})
    found = [SavedViewOfPerson(**in_members(SavedViewRow, row)) for row in rows]
    return sorted(found, key=lambda view: (view.name.casefold(), view.id))


async def of_user(store: Store, user_id: int) -> list[SavedViewRow]:
    return [record(SavedViewRow, row) for row in await store.fetch_all(_OF_USER, {"key": user_id})]


async def find(store: Store, view_id: int) -> SavedViewOfPerson | None:
    row = await store.fetch_one(_BY_ID, {"key": view_id})
    return None if row is None else SavedViewOfPerson(**in_members(SavedViewRow, row))
