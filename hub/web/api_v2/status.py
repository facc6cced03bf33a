"""/rvms/{id}/status: what the machine is. A machine declares it; a person asks, and the machine confirms."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import msgspec

from hub.core import declarations, views
from hub.core.changes import StatusChanged
from hub.core.dating import UndatableError, date
from hub.core.machine import Machine
from hub.web.api_v2 import command_flow, shapes
from hub.web.api_v2.command_flow import Waiting
from hub.web.api_v2.kinds import InstantGiven, Note
from hub.web.api_v2.operation import Answer, Call, Operation
from hub.web.problems import one_wrong
from protocol.commands import SetStatus
from protocol.messages import Capacity, SpecialStatus, Status

_NEVER_AHEAD = datetime(9999, 1, 1, tzinfo=timezone.utc)
_MEMBERS = tuple(name for name in shapes.MachineStatus.__struct_fields__ if name not in ("id", "command"))


class StatusPatch(msgspec.Struct):
    """Declares the whole status: without `special_status` there is none, without `capacity` it stays as it is."""

    status: Status
    special_status: SpecialStatus | None = None
    capacity: Capacity | None = None
    reason: Note | None = None
    until: InstantGiven | None = None


async def show_status(call: Call) -> Answer:
    return Answer(_view(call.machine))


async def change_status(call: Call) -> Answer:
    machine, patch = call.machine, call.body
    until = _until(call, patch.until)
    if call.principal.kind == "machine":
        return await _declared(call, machine, patch, until)
    wanted = SetStatus(
        status=patch.status,
        special_status=patch.special_status,
        capacity=patch.capacity,
        reason=patch.reason,
        until=until,
    )
    command = await command_flow.issue(call, "set_status", msgspec.to_builtins(wanted))
    command = await command_flow.outcome(call, command, call.query.wait)
    shown = call.context.fleet.find(machine.id) or machine
    return Answer(_view(shown) | {"command": views.command_view(command)}, message=command_flow.told(command))


async def _declared(call: Call, machine: Machine, patch: StatusPatch, until: str | None) -> Answer:
    change = StatusChanged(
        rvm_id=machine.id,
        status=patch.status,
        special_status=patch.special_status,
        capacity=machine.capacity if patch.capacity is None else patch.capacity,
        since=call.now,
        by=call.principal.actor,
        reason=patch.reason,
        until=declarations.instant(until),
    )
    changes = declarations.status_changes(machine, change)
    if changes:
        await call.context.announce(*changes)
    return Answer(_view(call.context.fleet.find(machine.id) or machine))


def _view(machine: Machine) -> dict[str, Any]:
    return views.machine_delta(machine, _MEMBERS, times="iso")


def _until(call: Call, text: str | None) -> str | None:
    """The instant in UTC; it must lie ahead, and a naive one is read in the machine's zone."""
    if text is None:
        return None
    try:
        at = date(text, _NEVER_AHEAD, call.machine.timezone, call.machine.in_force.default_zone).at
    except UndatableError as wrong:
        raise one_wrong("until", "expect.time") from wrong
    if at <= call.now:
        raise one_wrong("until", "until_past")
    return views.rfc3339(at)


_EXAMPLE = {"status": "maintenance", "reason": "Ganti sensor berat"}

OPERATIONS = (
    Operation(
        name="show_status", method="GET", path="/v2/rvms/{id}/status", handler=show_status, tag="Status",
        summary="The machine's status, connection and health", action="status.read",
        answers={200: shapes.MachineStatus},
    ),
    Operation(
        name="change_status", method="PATCH", path="/v2/rvms/{id}/status", handler=change_status, tag="Status",
        summary="Put a machine into a status", action="status.write", body=StatusPatch, query=Waiting,
        answers={200: shapes.MachineStatus}, refusals=(409,), example=_EXAMPLE,
        parameters={"Idempotency-Key": "The same key again answers the command it made the first time."},
        description="With the machine's own key the status changes at once. Asked for by a person it becomes a command "
        "that waits up to 24 h for the machine; the status changes when the machine confirms. `wait` holds the answer "
        "until it has, or the time is up.",
    ),
)  # fmt: skip
