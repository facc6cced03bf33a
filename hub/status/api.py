"""/rvms/{id}/status: a machine declares it; a person asks, and the machine confirms."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from db.queries import statuses
from db.records import StatusRow
from hub.commands import rules as command_rules
from hub.commands import service
from hub.commands.api import CommandView
from hub.commands.rules import Refused
from hub.commands.service import Waiting
from hub.machines.rules import Connection
from hub.model import views
from hub.model.machine import Machine
from hub.status import rules
from hub.status.rules import NamedStatus
from hub.web.api import headers
from hub.web.api.headers import ahead, bound, zone_of
from hub.web.api.operation import Answer, Call, Operation, of_record
from hub.web.http.problems import one_wrong
from hub.web.http.validation import Instant, InstantGiven, Limit, Note, Row
from protocol.commands import SetStatus
from protocol.kinds import Capacity, SpecialStatus, Status


class HealthReasonView(msgspec.Struct):
    code: str
    value: float
    limit: float


class MachineStatus(msgspec.Struct):
    """What the machine is declared to be (status), what the hub observes (connection), what its readings say
    (health). `command`: drafted by this request."""

    id: int
    device_id: str
    name: str
    status: Status
    special_status: SpecialStatus | None
    effective_status: Status
    capacity: int
    status_since: Instant
    status_by: str
    status_reason: str | None
    status_until: Instant | None
    returns_to: Status | None
    connection: Connection
    connection_since: Instant | None
    connection_reason: str | None
    last_seen_at: Instant | None
    health: Literal["ok", "warning", "critical"]
    health_reasons: list[HealthReasonView]
    command: CommandView | msgspec.UnsetType | None = msgspec.UNSET


@of_record(StatusRow, without=("rvm_id",))
class StatusDeclared(msgspec.Struct):
    """Held from `since` until the `since` of the next newer one. `until`: when what was before should return."""

    status: Status
    special_status: SpecialStatus | None
    effective_status: Status


class StatusPatch(msgspec.Struct):
    """Of a person the whole status: without `special_status` there is none, without `capacity` it stays. With the
    machine's own key what is left out stays, and null ends it."""

    status: Status
    special_status: SpecialStatus | UnsetType | None = UNSET
    capacity: Capacity | None = None
    reason: Note | UnsetType | None = UNSET
    until: InstantGiven | UnsetType | None = UNSET


class StatusHistoryQuery(msgspec.Struct, rename={"start": "from", "end": "to"}):
    """Newest first, from what was in force at `from` until `to`; `before`: the last id of the page before. A naive
    time is in the zone of the machine's site (with its own key: of its clock)."""

    start: InstantGiven | None = None
    end: InstantGiven | None = None
    before: Row | None = None
    limit: Limit = 100


async def show_status(call: Call) -> Answer:
    return Answer(_view(call.machine))


async def change_status(call: Call) -> Answer:
    machine, patch = call.machine, call.body
    until = UNSET if isinstance(patch.until, UnsetType) else _until(call, patch.until)
    if call.principal.kind == "machine":
        return await _declared(call, machine, patch, until)
    wanted = SetStatus(
        status=patch.status,
        special_status=patch.special_status or None,
        capacity=patch.capacity,
        reason=patch.reason or None,
        until=until or None,
    )
    args = msgspec.to_builtins(wanted)
    service.require_reason(call, "set_status", args, wanted.reason)
    command = await service.issue(call, "set_status", args)
    command = await service.outcome(call, command, call.query.wait)
    shown = call.context.fleet.find(machine.id) or machine
    return Answer(_view(shown) | {"command": views.command_view(command)}, message=service.state_text(command))


async def status_history(call: Call) -> Answer:
    query: StatusHistoryQuery = call.query
    store, rvm_id = call.context.store, call.machine.id
    mark = None if query.before is None else await statuses.find_status(store, query.before)
    if query.before is not None and (mark is None or mark.rvm_id != rvm_id):
        raise one_wrong("before", "expect.status_id")
    zone = zone_of(call)
    start, end = bound(call, "from", query.start, zone), bound(call, "to", query.end, zone)
    found = await statuses.page_of_statuses(store, rvm_id, query.limit + 1, start=start, end=end, before=mark)
    page = [_declaration(row) for row in found[: query.limit]]
    following = page[-1]["id"] if len(found) > query.limit else None
    return Answer(page, headers=headers.next_page(call.request, before=following))


async def _declared(call: Call, machine: Machine, patch: StatusPatch, until: str | UnsetType | None) -> Answer:
    failure = rules.refused(machine, patch.status, patch.capacity)
    if failure is not None:
        raise Refused(failure.code, 409, failure.message)
    named = NamedStatus(
        status=patch.status,
        special_status=patch.special_status,
        capacity=patch.capacity,
        reason=patch.reason,
        until=UNSET if isinstance(until, UnsetType) else rules.instant(until),
    )
    changes = rules.declared_by_key(machine, named, call.now)
    if changes:
        relayed = rules.for_the_agent(machine, changes)
        if relayed is not None:
            actor, reason = call.principal.actor, patch.reason or None
            changes += command_rules.relay_status(
                machine, relayed.wanted, actor, call.now, reason=reason, reading=relayed.reading
            )
        await call.context.announce(*changes)
    return Answer(_view(call.context.fleet.find(machine.id) or machine))


def _declaration(row: StatusRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "status": row.status,
        "special_status": row.special_status,
        "effective_status": row.special_status or row.status,
        "capacity": row.capacity,
        "since": views.rfc3339(row.since),
        "by": row.by,
        "reason": row.reason,
        "until": None if row.until is None else views.rfc3339(row.until),
    }


def _view(machine: Machine) -> dict[str, Any]:
    return views.machine_delta(machine, _MEMBERS, times="iso")


def _until(call: Call, text: str | None) -> str | None:
    return None if text is None else ahead(call, "until", text, zone_of(call))


_MEMBERS = tuple(name for name in MachineStatus.__struct_fields__ if name not in ("id", "command"))
_EXAMPLE = {"status": "maintenance", "reason": "Ganti sensor berat"}

OPERATIONS = (
    Operation(
        name="show_status", method="GET", path="/v2/rvms/{id}/status", handler=show_status, tag="Status",
        summary="The machine's status, connection and health", action="status.read",
        answers={200: MachineStatus},
    ),
    Operation(
        name="change_status", method="PATCH", path="/v2/rvms/{id}/status", handler=change_status, tag="Status",
        summary="Put a machine into a status", action="status.write", body=StatusPatch, query=Waiting,
        answers={200: MachineStatus}, refusals=(409,), example=_EXAMPLE,
        parameters={"Idempotency-Key": "The same key again answers the command it made the first time."},
        description="With the machine's own key the status changes at once, and what was set for a while stays unless "
        "it is named. Requested by a person it becomes a command "
        "that waits up to 24 h for the machine; the status changes when the machine confirms. `wait` holds the answer "
        "until it has, or the time is up. At `until` the status before comes back.",
    ),
    Operation(
        name="status_history", method="GET", path="/v2/rvms/{id}/status/history", handler=status_history, tag="Status",
        summary="What the machine was declared to be, by whom and why, newest first", action="status.read",
        query=StatusHistoryQuery, answers={200: list[StatusDeclared]}, headers=("Link",),
    ),
)  # fmt: skip
