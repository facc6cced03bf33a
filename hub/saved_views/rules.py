"""Decides what is kept of a view of the Machines page, and who may change it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from db.records import SavedViewRow
from hub.model.actors import Actor
from hub.model.changes import Change, Drop, EventHappened, Patch, Put

MAX_NAME: Final = 40
"""Characters."""
MAX_VIEWS: Final = 20
"""Of one person."""


def composed(name: str) -> str:
    """Accents in one code point, spaces single."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def refusal(own: Iterable[SavedViewRow], name: str | None, own_id: int | None = None) -> str | None:
    """`taken`: another view of the same person has that name; `many`: one more (`own_id` None) is too many."""
    others = [view for view in own if view.id != own_id]
    if name is not None and any(view.name.casefold() == name.casefold() for view in others):
        return "taken"
    return "many" if own_id is None and len(others) >= MAX_VIEWS else None


def may_change(view: SavedViewRow, user_id: int, *, is_admin: bool) -> bool:
    """One's own; administrators also what is shared with everybody."""
    return view.user_id == user_id or (view.shared and is_admin)


def saved(user_id: int, name: str, query: Mapping[str, str], now: datetime, by: Actor, *, shared: bool) -> list[Change]:
    row = SavedViewRow(user_id=user_id, name=name, query=dict(query), shared=shared, created_at=now, updated_at=now)
    after = {"name": name, "query": dict(query), "shared": shared}
    return [Put(row), EventHappened(at=now, code="view.saved", actor=by, params={"name": name}, after=after)]


def edited(view: SavedViewRow, values: Mapping[str, Any], now: datetime, by: Actor) -> list[Change]:
    """[] when nothing changes."""
    after = {member: value for member, value in values.items() if value != getattr(view, member)}
    if not after:
        return []
    before = {member: getattr(view, member) for member in after}
    params = {"view_id": view.id, "name": view.name}
    event = EventHappened(at=now, code="view.edited", actor=by, params=params, before=before, after=after)
    return [Patch(SavedViewRow, view.id, {**after, "updated_at": now}, must="id"), event]


def removed(view: SavedViewRow, now: datetime, by: Actor) -> list[Change]:
    before = {"name": view.name, "query": dict(view.query), "shared": view.shared}
    params = {"view_id": view.id, "name": view.name}
    event = EventHappened(at=now, code="view.removed", actor=by, params=params, before=before)
    return [Drop(SavedViewRow, view.id, must="id"), event]
