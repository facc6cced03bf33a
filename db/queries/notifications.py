"""Queries on `notification_destinations` and `notifications`."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from db.engine.statements import Write
from db.engine.store import Store
from db.notification_records import DestinationRow, NotificationRow
from db.records import record
from db.schema import notification_destinations as destinations
from db.schema import notifications

_WAITS = (notifications.c.state == "waiting") | (notifications.c.state == "sending")
_ALL = sa.select(destinations).order_by(destinations.c.id)
_LIVE = sa.select(notifications).where(notifications.c.open | _WAITS).order_by(notifications.c.id)
_SENT = sa.select(notifications.c.destination_id, notifications.c.kind, notifications.c.sent_at).where(
    notifications.c.sent_at > sa.bindparam("key_after")
)
_LISTED = (
    sa.select(notifications)
    .where(notifications.c.id < sa.bindparam("key_before"))
    .order_by(notifications.c.id.desc())
    .limit(sa.bindparam("key_limit"))
)
_LISTED_OF = _LISTED.where(notifications.c.destination_id == sa.bindparam("key"))
_OLD = sa.select(notifications.c.id).where(
    notifications.c.created_at < sa.bindparam("key_before"),
    notifications.c.open == sa.false(),
    notifications.c.state != "waiting",
    notifications.c.state != "sending",
)
_DELETE_OLD = sa.delete(notifications).where(notifications.c.id.in_(_OLD.limit(sa.bindparam("key_limit"))))


def delete_notifications_before(before: datetime, limit: int) -> Write:
    """Some that were made earlier and are over; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_OLD, {"key_before": before, "key_limit": limit})


async def all_destinations(store: Store) -> list[DestinationRow]:
    return [record(DestinationRow, row) for row in await store.fetch_all(_ALL, {})]


async def live(store: Store) -> list[NotificationRow]:
    """What waits, and what began and is not over, in the order in which it was made."""
    return [record(NotificationRow, row) for row in await store.fetch_all(_LIVE, {})]


async def sent_after(store: Store, after: datetime) -> list[tuple[int, str, datetime]]:
    """Destination, kind and time of each."""
    rows = await store.fetch_all(_SENT, {"key_after": after})
    return [(row["destination_id"], row["kind"], row["sent_at"]) for row in rows]


async def listed(store: Store, destination_id: int | None, before: int, limit: int) -> list[NotificationRow]:
    """Newest first, of one destination or of all, with ids below `before`."""
    values = {"key_before": before, "key_limit": limit}
    if destination_id is None:
        rows = await store.fetch_all(_LISTED, values)
    else:
        rows = await store.fetch_all(_LISTED_OF, {**values, "key": destination_id})
    return [record(NotificationRow, row) for row in rows]
