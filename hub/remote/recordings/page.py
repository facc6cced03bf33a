"""`/recordings/{id}`: one recorded terminal: whose, when and why, a player, the file; and past sessions with theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from starlette.responses import Response

from dashboard import remote_sessions as session_texts
from dashboard.reader import Reader
from db.queries import recordings as recording_rows
from db.queries import remote_sessions
from db.records import RecordingRow, RemoteSessionRow
from hub.machines import tab
from hub.model import actors
from hub.model.access import role_needed
from hub.model.actors import row_id
from hub.model.machine import Machine
from hub.model.views import epoch_ms, machine_view
from hub.remote.recordings import api as operations
from hub.web.api.endpoint import permit
from hub.web.http.problems import Problem
from hub.web.shell.page import Visit, go, who


async def show_recording(visit: Visit) -> Response:
    return _page(visit, await _named(visit))


async def to_recording(visit: Visit) -> Response:
    return go(f"/recordings/{(await _named(visit)).id}")


async def download(visit: Visit) -> Response:
    row = await _named(visit)
    try:
        answer = (await operations.download_recording(visit.call())).data
    except Problem as refused:
        return _page(visit, row, visit.sentence(refused), refused.status)
    if not isinstance(answer, Response):
        raise TypeError("a download answers the file")
    return answer


async def delete(visit: Visit) -> Response:
    row = await _named(visit)
    permit(visit.user, "recording.delete", row.rvm_id)
    if visit.form.get("confirm", "").strip() != row.machine_name:
        return _page(visit, row, visit.reader.t("recording.type", name=row.machine_name), 422)
    try:
        await operations.delete_recording(visit.call())
    except Problem as refused:
        return _page(visit, row, visit.sentence(refused), refused.status)
    gone = row.rvm_id not in visit.context.fleet.machines
    return go("/" if gone else f"/machines/{row.rvm_id}/remote")


async def _named(visit: Visit) -> RecordingRow:
    row = await operations.find(visit.call())
    permit(visit.user, "recording.read", row.rvm_id)
    return row


def _page(visit: Visit, row: RecordingRow, fault: str = "", status: int = 200) -> Response:
    found = visit.context.fleet.machines.get(row.rvm_id)
    gone = visit.reader.t("recording.gone", name=row.machine_name)
    shown: dict[str, Any] = {
        "id": row.id,
        "machine": gone if found is None else found.row.name,
        "confirm": row.machine_name,
        "rvm_id": None if found is None else found.id,
        "facts": _facts(visit, row, None if found is None else tab.zone_of(visit.reader, found), found),
    }
    return visit.render(
        "recording.html", status, rec=shown, fault=fault, may_delete=visit.may("recording.delete", row.rvm_id)
    )


def _facts(visit: Visit, row: RecordingRow, zone: str | None, found: Machine | None) -> list[tuple[str, str]]:
    r, kept = visit.reader, timedelta(days=visit.context.settings.recording_retention_days)
    until = "…" if row.ended_at is None else r.day(epoch_ms(row.ended_at + kept), zone)
    length = "…" if row.duration_s is None else r.span(row.duration_s)
    size = "…" if row.size is None else f"{r.number(row.size / 1000, 1)} kB"
    return [
        ("who", row.user_name),
        ("machine", row.machine_name if found is None else found.row.name),
        ("from", row.ip_address or "—"),
        ("began", r.stamp(epoch_ms(row.started_at), zone)),
        ("length", length),
        ("reason", row.reason or "—"),
        ("size", size),
        ("until", until),
        ("input", r.t("yes") if row.input_recorded else r.t("no")),
    ]


Names = Mapping[str, str]
PAGE: Final = 20
MOST_RECORDINGS: Final = 200  # Recordings looked through for one page of sessions


class RecordingLink(NamedTuple):
    id: int
    length: str


class PastSession(NamedTuple):
    who: str
    site: bool
    start: str
    from_title: str
    end: str
    to_title: str
    reason: str
    ended: str
    recordings: list[RecordingLink]


def with_epoch_ms(session: RemoteSessionRow) -> dict[str, Any]:
    """As in the feed."""
    members = msgspec.structs.asdict(session)
    return {name: epoch_ms(value) if isinstance(value, datetime) else value for name, value in members.items()}


def past(
    reader: Reader, sessions: Iterable[RemoteSessionRow], recordings: Iterable[RecordingRow], names: Names, zone: str
) -> list[PastSession]:
    of: dict[int, list[RecordingLink]] = {}
    for row in sorted(recordings, key=lambda each: each.id):
        words = "…" if row.duration_s is None else reader.span(row.duration_s)
        of.setdefault(row.session_id, []).append(RecordingLink(row.id, words))
    return [_line(reader, session, of.get(session.id, []), names, zone) for session in sessions]


def _line(
    reader: Reader, session: RemoteSessionRow, recordings: list[RecordingLink], names: Names, zone: str
) -> PastSession:
    s = with_epoch_ms(session)
    end = s["end_time"]
    return PastSession(
        who=session.admin_name or "",
        site=session.origin == "site",
        start=reader.when(s["start_time"], zone),
        from_title=reader.stamp(s["start_time"], zone),
        end="—" if end is None else reader.when(end, zone),
        to_title="" if end is None else reader.stamp(end, zone),
        reason=session.reason or "",
        ended=session_texts.ended(reader, s, who(reader, session.ended_by or "", names)),
        recordings=recordings,
    )


async def part_past(visit: Visit) -> dict[str, Any]:
    found = visit.machine()
    before = row_id(visit.request.query_params.get("before", ""))
    rows = await remote_sessions.history(visit.context.store, found.id, PAGE + 1, before, over=True)
    shown = rows[:PAGE]
    names = await tab.people(visit, found, actors_of(shown))
    recorded, zone = await _recordings(visit, found, shown), tab.zone_of(visit.reader, found)
    may_play = visit.may("recording.read", found.id)
    needs = visit.reader.t("role." + role_needed("recording.read"))
    return {
        "locked": "" if may_play else visit.reader.t("needs_role", role=needs),
        "m": machine_view(found, times="ms"),
        "past": past(visit.reader, shown, recorded, names, zone),
        "zone": zone,
        "older": shown[-1].id if len(rows) > PAGE else None,
        "before": before,
    }


async def _recordings(visit: Visit, found: Machine, shown: list[RemoteSessionRow]) -> list[RecordingRow]:
    if not shown:
        return []
    wanted = {session.id for session in shown}
    rows = await recording_rows.of_machine(visit.context.store, found.id, MOST_RECORDINGS)
    return [row for row in rows if row.session_id in wanted]


def actors_of(sessions: list[RemoteSessionRow]) -> list[str]:
    named = [who for session in sessions for who in (session.ended_by, session.approved_by) if who]
    return [*named, *(actors.user(session.admin_id) for session in sessions if session.admin_id is not None)]
