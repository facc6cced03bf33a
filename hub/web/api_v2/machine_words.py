"""What a machine without a link says by REST: how its commands go, and which settings it runs. The same decisions as on
the link (`hub.flow.heard_commands`, `hub.flow.heard_services`); only the answers differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from db.errors import Conflict
from hub.core import command_life, config_reports, views
from hub.core.changes import Change, Command
from hub.core.fleet import TERMINAL
from hub.core.machine import Machine
from hub.core.machine_budget import UPDATE_LINES, line
from hub.web.api_v2 import command_flow, config_shapes, shapes
from hub.web.api_v2.config import settings_view
from hub.web.api_v2.config_body import VersionSeen
from hub.web.api_v2.operation import Answer, Call, Operation
from hub.web.problems import Problem, Text, not_found, one_wrong
from protocol import free_shape
from protocol.kinds import Name, UpdateState
from protocol.kinds import Text as Sentence
from protocol.limits import MAX_RESULT_BYTES
from protocol.messages import CommandUpdate, Failure, Progress

Errors = Annotated[dict[Name, Sentence], msgspec.Meta(max_length=1000)]


class CommandAnswer(msgspec.Struct):
    """As `command_update` on the link: `progress` with running, `result` with succeeded, `error` with failed and
    rejected."""

    state: UpdateState
    progress: Progress | None = None
    result: dict[str, Any] | None = None
    error: Failure | None = None


class SettingsApplied(msgspec.Struct):
    """As `config_applied` on the link: the version in force, why each key in `errors` is not, and what the machine's
    own file and environment set."""

    version: VersionSeen
    errors: Errors | None = None
    own: dict[Name, Any] | None = None


async def answer_command(call: Call) -> Answer:
    said: CommandAnswer = call.body
    _check_shape("result", said.result)
    if not free_shape.fits(said.result, MAX_RESULT_BYTES):
        raise one_wrong("result", "expect.free_shape_size", most=MAX_RESULT_BYTES)
    command = await command_flow.find(call, call.request.path_params["command_id"])
    update = CommandUpdate(
        id=command.id, state=said.state, progress=said.progress, result=said.result, error=said.error
    )
    machine = call.context.fleet.machines.get(command.rvm_id)
    if machine is None:  # removed a moment ago
        raise not_found()
    if said.state in TERMINAL:
        await _settle(call, machine, update)
    elif command_life.begins_too_late(command, update, call.now):
        raise Problem("conflict", Text("refused.begun_late"))
    else:
        call.context.links.tell_soon(machine, command_life.moved(machine, update, call.now))
    command = await command_flow.find(call, command.id)
    return Answer(views.command_view(command), 200, command_flow.told(command))


async def settings_applied(call: Call) -> Answer:
    said: SettingsApplied = call.body
    _check_shape("own", said.own)
    machine = call.machine
    if not config_reports.was_given(machine, said.version):
        raise one_wrong("version", "expect.version_given", most=machine.in_force.version)
    own, left_out = config_reports.readable(said.own)
    call.context.links.tally["left_out"] += left_out
    changes = config_reports.applied(machine, said.version, said.errors or {}, call.now, own)
    if changes:
        await call.context.announce(*changes)
    return Answer(settings_view(call.context.fleet.settings, machine))


async def _settle(call: Call, machine: Machine, update: CommandUpdate) -> None:
    """Ended by this word; or, when it had ended before, on record as too late."""
    if await _announced(call, command_life.moved(machine, update, call.now)):
        return
    ended: Command = await command_flow.find(call, update.id)
    await _announced(call, command_life.late(ended, update, call.now))


async def _announced(call: Call, changes: Sequence[Change]) -> bool:
    """False when there was nothing to tell, or it was decided or told before (of a machine that was just removed
    nothing is found then)."""
    try:
        if changes:
            await call.context.announce(*changes)
    except Conflict:
        return False
    return bool(changes)


def _check_shape(member: str, value: dict[str, Any] | None) -> None:
    if free_shape.fault_of(value) is not None:
        raise one_wrong(member, "expect.free_shape")


_ANSWER = {"state": "succeeded", "result": {"pong": True}}
_APPLIED = {"version": 7, "errors": {"metrics_interval": "environment: RVM_METRICS_INTERVAL sets it"}}

OPERATIONS = (
    Operation(
        name="answer_command", method="POST", path="/v2/commands/{command_id}/updates", handler=answer_command,
        tag="Commands", summary="A machine tells how its command goes", action="command.answer", body=CommandAnswer,
        answers={200: shapes.Command}, refusals=(404, 409), example=_ANSWER,
        cost=lambda call: line(call.size, UPDATE_LINES),
        description="For machines without a link; with the machine's own key. Say `accepted` before you begin, and "
        "begin only at 200: 409 means that it has ended or its deadline has passed. With `cancel_at` somebody wants it "
        "stopped: if it still can be, end it `rejected` with the error code `cancelled`. A final state that comes too "
        "late changes nothing but is on record; the answer shows the command as it is.",
    ),
    Operation(
        name="settings_applied", method="POST", path="/v2/rvms/{id}/config/applied", handler=settings_applied,
        tag="Settings", summary="A machine tells which settings it runs", action="config.report",
        body=SettingsApplied, answers={200: config_shapes.MachineSettings}, example=_APPLIED,
        description="For machines without a link; with the machine's own key. `version` is one that GET "
        "/rvms/{id}/config has answered.",
    ),
)  # fmt: skip
