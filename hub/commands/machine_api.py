"""Takes what a machine without a link reports of its commands by REST, with the decisions of a link's handlers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from db.errors import Conflict
from hub.commands import service
from hub.commands.rules import life
from hub.links.links import Links
from hub.model import views
from hub.model.budgets import UPDATE_LINES, line
from hub.model.changes import Change, Command
from hub.model.fleet import TERMINAL
from hub.model.machine import Machine
from hub.remote.rules import life as remote_life
from hub.web.api import shapes
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.problems import Problem, Text, not_found, one_wrong
from hub.web.http.validation import check_free_shape
from protocol import free_shape
from protocol.kinds import UpdateState
from protocol.limits import MAX_RESULT_BYTES
from protocol.messages import CommandUpdate, Failure, Progress


class CommandAnswer(msgspec.Struct):
    """As `command_update` on the link: `progress` with running, `result` with succeeded, `error` with failed and
    rejected."""

    state: UpdateState
    progress: Progress | None = None
    result: dict[str, Any] | None = None
    error: Failure | None = None


async def answer_command(call: Call) -> Answer:
    said: CommandAnswer = call.body
    check_free_shape("result", said.result)
    if not free_shape.fits(said.result, MAX_RESULT_BYTES):
        raise one_wrong("result", "expect.free_shape_size", most=MAX_RESULT_BYTES)
    command = await service.find(call, call.request.path_params["command_id"])
    update = CommandUpdate(
        id=command.id, state=said.state, progress=said.progress, result=said.result, error=said.error
    )
    machine = call.context.fleet.machines.get(command.rvm_id)
    if machine is None:  # removed a moment ago
        raise not_found()
    if said.state in TERMINAL:
        await _settle_command(call, machine, update)
    elif life.begins_too_late(command, update, call.now):
        raise Problem("conflict", Text("refused.begun_late"))
    else:
        call.context[Links].tell_soon(machine, remote_life.command_moved(machine, update, call.now))
    command = await service.find(call, command.id)
    return Answer(views.command_view(command), 200, service.told(command))


async def _settle_command(call: Call, machine: Machine, update: CommandUpdate) -> None:
    """Ended by this word; or, when it had ended before, on record as too late."""
    if await _announce(call, remote_life.command_moved(machine, update, call.now)):
        return
    ended: Command = await service.find(call, update.id)
    await _announce(call, life.late(ended, update, call.now))


async def _announce(call: Call, changes: Sequence[Change]) -> bool:
    """False when there was nothing to tell, or it was decided or told before (of a machine that was just removed
    nothing is found then)."""
    try:
        if changes:
            await call.context.announce(*changes)
    except Conflict:
        return False
    return bool(changes)


_ANSWER_EXAMPLE = {"state": "succeeded", "result": {"pong": True}}

MACHINE_OPERATIONS = (
    Operation(
        name="answer_command", method="POST", path="/v2/commands/{command_id}/updates", handler=answer_command,
        tag="Commands", summary="A machine tells how its command goes", action="command.answer", body=CommandAnswer,
        answers={200: shapes.Command}, refusals=(404, 409), example=_ANSWER_EXAMPLE,
        cost=lambda call: line(call.size, UPDATE_LINES),
        description="For machines without a link; with the machine's own key. Say `accepted` before you begin, and "
        "begin only at 200: 409 means that it has ended or its deadline has passed. With `cancel_at` somebody wants it "
        "stopped: if it still can be, end it `rejected` with the error code `cancelled`. A final state that comes too "
        "late changes nothing but is on record; the answer shows the command as it is.",
    ),
)  # fmt: skip
