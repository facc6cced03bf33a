"""The leases of a machine as its page shows them: one card for each that is open, one line for each that is over.

Knows sessions and their reader; what may be done with them is asked of the same rules the API obeys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from dashboard import leases
from dashboard.reader import Reader
from db.recordings import RecordingRow
from hub.model.machine import Machine
from hub.model.remote_changes import RemoteSession
from hub.model.views import epoch_ms
from hub.remote.rules import requests
from hub.web.shell.page import Visit, who

Names = Mapping[str, str]


class Card(NamedTuple):
    """One open lease. `s` is the session with instants in epoch milliseconds."""

    s: dict[str, Any]
    mine: bool
    may_end: bool
    may_extend: bool
    may_approve: bool
    mark: str
    left: str
    until: str
    since: str
    allow: str
    approved_by: str
    expires_at: int
    longest: str


class Recording(NamedTuple):
    id: int
    length: str


class Past(NamedTuple):
    """One line of the table of sessions that are over."""

    who: str
    site: bool
    start: str
    from_title: str
    end: str
    to_title: str
    reason: str
    ended: str
    recordings: list[Recording]


def told(session: RemoteSession) -> dict[str, Any]:
    """The session with instants as the feed has them."""
    members = msgspec.structs.asdict(session)
    return {name: epoch_ms(value) if isinstance(value, datetime) else value for name, value in members.items()}


def card(visit: Visit, found: Machine, session: RemoteSession, names: Names, zone: str) -> Card:
    reader, s, most = visit.reader, told(session), requests.longest_s(found)
    mine = session.admin_id == visit.user.id
    ends = visit.may("remote.stop", found.id) and requests.may_move(visit.user, session)
    return Card(
        s=s,
        mine=mine,
        may_end=ends,
        may_extend=ends and leases.may_extend(s, most),
        may_approve=session.status == "requested" and not mine and visit.may("remote.approve", found.id),
        mark=leases.MARKS.get(session.status, "unknown"),
        left=leases.left(reader, s),
        until=reader.day(s["expires_at"], zone),
        since=reader.day(s["start_time"], zone),
        allow=leases.allowed(reader, s),
        approved_by=who(reader, session.approved_by, names) if session.approved_by else "",
        expires_at=s["expires_at"],
        longest=reader.span(most),
    )


def past(
    reader: Reader, sessions: Iterable[RemoteSession], recordings: Iterable[RecordingRow], names: Names, zone: str
) -> list[Past]:
    of: dict[int, list[Recording]] = {}
    for row in sorted(recordings, key=lambda each: each.id):
        words = "…" if row.duration_s is None else reader.span(row.duration_s)
        of.setdefault(row.session_id, []).append(Recording(row.id, words))
    return [_line(reader, session, of.get(session.id, []), names, zone) for session in sessions]


def _line(reader: Reader, session: RemoteSession, recordings: list[Recording], names: Names, zone: str) -> Past:
    s = told(session)
    end = s["end_time"]
    return Past(
        who=session.admin_name,
        site=session.origin == "site",
        start=reader.day(s["start_time"], zone),
        from_title=reader.stamp(s["start_time"], zone),
        end="—" if end is None else reader.day(end, zone),
        to_title="" if end is None else reader.stamp(end, zone),
        reason=session.reason or "",
        ended=leases.ended(reader, s, who(reader, session.ended_by or "", names)),
        recordings=recordings,
    )
