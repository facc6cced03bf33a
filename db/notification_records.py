"""Records of what the hub sends to people outside of the browser: where to, and what became of each message."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from db.table_row import TableRow


class DestinationRow(TableRow, frozen=True, kw_only=True):
    """`address`: its URL, sealed (hub.notifications.service); `place`: what of it may be shown. `kinds` and `causes`,
    `tags` and `sites`: what is in either; all where both are None. `after_s`: how long trouble lasts first;
    `quiet_from`, `quiet_to`: minutes of the day in its zone. `failing_since`: no message reached it since, `fault` says
    why."""

    TABLE: ClassVar[str] = "notification_destinations"
    id: int = 0
    name: str
    place: str
    address: str
    language: str
    timezone: str
    kinds: tuple[str, ...] | None = None
    causes: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    sites: tuple[str, ...] | None = None
    after_s: int
    also_over: bool = True
    remind_h: int | None = None
    quiet_from: int | None = None
    quiet_to: int | None = None
    per_hour: int
    disabled_at: datetime | None = None
    failing_since: datetime | None = None
    fault: dict[str, Any] | None = None
    last_sent_at: datetime | None = None
    created_at: datetime
    updated_at: datetime


class NotificationRow(TableRow, frozen=True, kw_only=True):
    """`key`: what it is about, once a destination. `kind`: began, reminder, over, outage, approval, summary. `state`:
    waiting, sending, sent, dropped (`error` says why it was not wanted any more), given_up. `open`: of a beginning,
    until its end was seen."""

    TABLE: ClassVar[str] = "notifications"
    id: int = 0
    destination_id: int
    key: str
    kind: str
    rvm_id: int | None = None
    params: dict[str, Any]
    open: bool = False
    state: str = "waiting"
    attempts: int = 0
    created_at: datetime
    next_at: datetime
    sent_at: datetime | None = None
    reminded_at: datetime | None = None
    error: dict[str, Any] | None = None
