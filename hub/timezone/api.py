"""/timezone: what machines report of their zone, what is known of it, and a sync on request."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from dashboard.formats import zone_label
from db.queries import timezones as rows
from hub.commands import service
from hub.commands.api import CommandView
from hub.commands.service import Waiting
from hub.model import views
from hub.model.machine import Machine
from hub.timezone import rules
from hub.timezone.rules import MAX_ADDRESS
from hub.web.api import endpoint
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.problems import one_wrong
from hub.web.http.validation import Instant, InstantGiven
from protocol.kinds import Name, SyncMethod, ZoneSource
from protocol.limits import MAX_CLOCK_OFFSET_S, MAX_INTEGER
from protocol.messages import Failure, TimezoneReport
from protocol.zones import is_zone


class ZoneStatus(msgspec.Struct):
    """`current_timezone`: in which the machine's naive timestamps are read. `guess`: a look-up's answer that differs
    from a pinned zone. `in_step`: the operating system has the zone it should have; null: unknown. `restart`:
    services that still run with the old zone. `pending`: a sync that has not ended. `last_sync` is empty before the
    first report."""

    device_id: str
    current_timezone: str | None
    abbreviation: str | None
    country: str | None
    city: str | None
    last_sync: Instant | None
    sync_status: Literal["active", "failed"] | None
    sync_method: SyncMethod | None
    source: ZoneSource | None
    pinned_timezone: str | None
    guess: str | None
    system_timezone: str | None
    in_step: bool | None
    clock_offset_s: float | None
    ntp: bool | None
    error: dict[str, str] | None
    restart: list[str]
    counts: rows.Counts
    pending: CommandView | None


_ZONE: Final = "expect.zone"
MachineNamed = (
    Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
)
ZoneGiven = Annotated[str, msgspec.Meta(min_length=1, max_length=100, extra={"expect": _ZONE})]
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ADDRESS, pattern=r"^[!-~]*$(?!\n)")]
Offset = Annotated[float, msgspec.Meta(ge=-MAX_CLOCK_OFFSET_S, le=MAX_CLOCK_OFFSET_S)]


class ZoneSync(msgspec.Struct):
    """`device_id`: the machine's, or its integer id. A naive `timestamp` is in the machine's zone; without one it is
    now."""

    device_id: MachineNamed
    timezone: ZoneGiven
    country: Name | None = None
    city: Name | None = None
    ip: Address | None = None
    timestamp: InstantGiven | None = None
    sync_method: SyncMethod = "automatic"
    source: ZoneSource | None = None
    guess: ZoneGiven | None = None
    system_timezone: Name | None = None
    applied: bool | None = None
    error: Failure | None = None
    restart: Annotated[list[Name], msgspec.Meta(max_length=20)] | None = None
    clock_offset: Offset | None = None
    ntp: bool | None = None


class ZoneSyncNow(msgspec.Struct):
    """`timezone`: set that zone instead of a look-up's."""

    device_id: MachineNamed
    trigger: Name = "dashboard_button"
    timezone: ZoneGiven | None = None


async def report_timezone(call: Call) -> Answer:
    body: ZoneSync = call.body
    machine = _machine(call, body.device_id)
    members = {name: value for name, value in msgspec.structs.asdict(body).items() if name != "device_id"}
    members["timestamp"] = body.timestamp or views.rfc3339(call.now)
    report = TimezoneReport(**members)
    try:
        changes = rules.reported(
            machine, report, call.principal.actor, call.now, machine.effective_settings.default_zone
        )
    except rules.ReportRefused as refused:
        raise one_wrong(refused.field, "expect.time" if refused.field == "timestamp" else _ZONE) from refused
    if changes:
        await call.context.announce(*changes)
    return Answer(await status_view(call, machine))


async def show_timezone(call: Call) -> Answer:
    return Answer(await status_view(call, _machine(call, call.request.path_params["device_id"])))


async def sync_timezone(call: Call) -> Answer:
    body: ZoneSyncNow = call.body
    call.machine_or_none = _machine(call, body.device_id)
    if body.timezone is not None and not is_zone(body.timezone):
        raise one_wrong("timezone", _ZONE)
    args: dict[str, Any] = {"trigger": body.trigger}
    if body.timezone is not None:
        args["timezone"] = body.timezone
    command = await service.issue(call, "sync_timezone", args)
    command = await service.outcome(call, command, call.query.wait)
    headers = {"Location": f"/api/v2/commands/{command.id}"}
    return Answer(views.command_view(command), 202, service.state_text(command), headers)


async def status_view(call: Call, machine: Machine) -> dict[str, Any]:
    view = rules.zone_view(machine)
    current, last = view["current_timezone"], view["last_sync"]
    open_ones = [command for command in machine.pending.values() if command.name == "sync_timezone"]
    return view | {
        "abbreviation": None if current is None else zone_label(current, call.now),
        "last_sync": None if last is None else views.rfc3339(last),
        "counts": msgspec.structs.asdict(await rows.counts(call.context.store, machine.row.device_id)),
        "pending": views.command_view(open_ones[-1]) if open_ones else None,
    }


def _machine(call: Call, named: str | int) -> Machine:
    """404 for unknown and out of reach alike."""
    return endpoint.machine_named(call.context, call.principal, str(named))


_REPORT = {
    "device_id": "rvm-kg-02", "timezone": "Asia/Makassar", "country": "Indonesia", "city": "Denpasar",
    "ip": "203.0.113.7", "timestamp": "2026-11-23T13:05:09+08:00", "sync_method": "automatic",
}  # fmt: skip

OPERATIONS = (
    Operation(
        name="report_timezone", method="POST", path="/v2/timezone/sync", handler=report_timezone, tag="Time zone",
        summary="Report the zone a machine has found", action="timezone.report", body=ZoneSync,
        answers={200: ZoneStatus}, refusals=(404,), example=_REPORT,
        description="The same instant and method again is the same report. A zone an operator has pinned stays; a "
        "report that differs is kept as `guess`. A report older than the newest is recorded and changes nothing.",
    ),
    Operation(
        name="show_timezone", method="GET", path="/v2/timezone/status/{device_id}", handler=show_timezone,
        tag="Time zone", summary="A machine's zone and clock", action="timezone.read",
        answers={200: ZoneStatus}, refusals=(404,),
    ),
    Operation(
        name="sync_timezone", method="POST", path="/v2/timezone/sync/manual", handler=sync_timezone, tag="Time zone",
        summary="Ask a machine to look up its zone now", action="timezone.sync", body=ZoneSyncNow, query=Waiting,
        answers={202: CommandView}, refusals=(404, 409), example={"device_id": "1", "trigger": "dashboard_button"},
        parameters={"Idempotency-Key": "The same key again answers the command it made the first time."},
        description="Waits up to 24 h for an offline machine. 409 when the machine's `manual_sync_enabled` is off.",
    ),
)  # fmt: skip
