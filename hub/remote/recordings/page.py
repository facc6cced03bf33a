"""`/recordings/{id}`: one recorded terminal: whose, when and why, a player, the file."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.responses import Response

from db.records import RecordingRow
from hub.machines import tab
from hub.model.machine import Machine
from hub.model.views import epoch_ms
from hub.remote.recordings import api as operations
from hub.web.api.endpoint import permit
from hub.web.http.problems import Problem
from hub.web.shell.page import Visit, go


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
