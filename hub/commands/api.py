"""/commands and /rvms/{id}/commands: commands issued, listed, cancelled, and answered by machines without a link."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from db.errors import Conflict
from db.queries import commands
from db.queries.commands import CommandFilters, CommandMark
from db.records import PENDING_STATES, CommandRow
from hub.commands import rules, service
from hub.commands.service import CommandName, Waiting
from hub.links.links import Links
from hub.model import views
from hub.model.budgets import UPDATE_LINES, line
from hub.model.changes import Change
from hub.model.fleet import TERMINAL
from hub.model.machine import Machine
from hub.remote.rules import life as remote_life
from hub.web.api import headers as paging
from hub.web.api.endpoint import machine_named
from hub.web.api.operation import Answer, Call, Operation, of_record
from hub.web.http.problems import Problem, Text, not_found, one_wrong
from hub.web.http.validation import Limit, Note, check_free_shape
from protocol import free_shape
from protocol.kinds import Name, UpdateState
from protocol.limits import MAX_RESULT_BYTES
from protocol.messages import CommandUpdate, Failure, Progress

OPEN = frozenset(PENDING_STATES)


CommandState = Literal[
    "queued", "sent", "accepted", "running", "succeeded", "failed", "rejected", "expired", "cancelled"
]


@of_record(CommandRow, without=("idempotency_key",))
class CommandView(msgspec.Struct):
    """A terminal `state` never changes."""

    state: CommandState


class CommandsQuery(msgspec.Struct):
    """Newest first; `state`: one state, `open` or `ended`; `before`: the last id of the page before."""

    state: Literal["open", "ended"] | CommandState | None = None
    limit: Limit = 50
    before: Name | None = None


class FleetCommandsQuery(msgspec.Struct):
    """`state`: one state, `open` or `ended`; `rvm`: an id or device_id; `group`: a group_id; `issued_by`: an actor
    like `user:2`; `before`: the last id of the page before."""

    state: Literal["open", "ended"] | CommandState | None = None
    name: Name | None = None
    rvm: Name | None = None
    group: Name | None = None
    issued_by: Name | None = None
    limit: Limit = 50
    before: Name | None = None


class NewCommand(msgspec.Struct):
    """`args` by name: ping {}, set_status {status, special_status?, capacity?, reason?, until?}, sync_timezone
    {timezone?}, restart_service {service}, reboot {delay?, force?}."""

    name: CommandName
    args: dict[str, Any] = {}
    reason: Note | None = None


async def list_commands(call: Call) -> Answer:
    query: CommandsQuery = call.query
    mark = await _mark(call, query.before, call.machine.id, "expect.command_id")
    return await _page(call, CommandFilters((call.machine.id,), _states(query.state)), query.limit, mark)


async def list_all_commands(call: Call) -> Answer:
    query: FleetCommandsQuery = call.query
    machines = call.principal.machines
    if query.rvm is not None:
        machines = frozenset({machine_named(call.context, call.principal, query.rvm).id})
    filters = CommandFilters(machines, _states(query.state), query.name, query.group, query.issued_by)
    mark = await _mark(call, query.before, None, "expect.command_known")
    return await _page(call, filters, query.limit, mark)


async def show_command(call: Call) -> Answer:
    command = await service.find(call, call.request.path_params["command_id"])
    return Answer(views.command_view(await service.outcome(call, command, call.query.wait)))


async def send_command(call: Call) -> Answer:
    wanted: NewCommand = call.body
    args = service.read_arguments(call, wanted.name, wanted.args, paging.zone_of(call))
    service.require_reason(call, wanted.name, args, wanted.reason)
    command = await service.issue(call, wanted.name, args, wanted.reason)
    command = await service.outcome(call, command, call.query.wait)
    headers = {"Location": f"/api/v2/commands/{command.id}"}
    status = 200 if command.state in TERMINAL else 202
    return Answer(views.command_view(command), status, service.state_text(command), headers)


async def cancel_command(call: Call) -> Answer:
    """Also behind the pages' form."""
    return await cancel(call, await service.find(call, call.request.path_params["command_id"]))


async def cancel(call: Call, command: CommandRow) -> Answer:
    machine = call.context.fleet.machines.get(command.rvm_id)
    if machine is not None and command.state not in TERMINAL:
        try:
            await call.context.announce(*rules.cancel(machine, command, call.principal.actor, call.now))
        except Conflict as ended:
            if ended.column != "state":
                raise
        command = await service.find(call, command.id)
        command = await service.outcome(call, command, 0.0 if call.query is None else call.query.wait)
    if command.state not in TERMINAL:
        return Answer(views.command_view(command), 202, Text("cancel_asked"))
    if command.state != "cancelled" and command.cancel_at is None:
        raise Problem("conflict", Text("refused.ended"))
    return Answer(views.command_view(command), 200, service.state_text(command))


async def _page(call: Call, filters: CommandFilters, limit: int, mark: CommandMark | None) -> Answer:
    found = await commands.search(call.context.store, filters, limit + 1, mark)
    page = [views.command_view(row) for row in found[:limit]]
    following = page[-1]["id"] if len(found) > limit else None
    return Answer(page, headers=paging.next_page(call.request, before=following))


async def _mark(call: Call, before: str | None, rvm_id: int | None, expected: str) -> CommandMark | None:
    if before is None:
        return None
    last = await commands.find_command(call.context.store, before)
    # A command that may not be seen is no place to read on from, like one that does not exist.
    if last is None or not call.principal.reaches(last.rvm_id) or rvm_id not in (None, last.rvm_id):
        raise one_wrong("before", expected)
    return CommandMark(last.issued_at, last.id)


def _states(wanted: str | None) -> frozenset[str] | None:
    if wanted is None:
        return None
    return {"open": OPEN, "ended": TERMINAL}.get(wanted, frozenset({wanted}))


class CommandAnswer(msgspec.Struct):
    """As `command_update` on the link: `progress` with running, `result` with succeeded, `error` with failed and
    rejected."""

    state: UpdateState
    progress: Progress | None = None
    result: dict[str, Any] | None = None
    error: Failure | None = None


async def answer_command(call: Call) -> Answer:
    answer: CommandAnswer = call.body
    check_free_shape("result", answer.result)
    if not free_shape.fits(answer.result, MAX_RESULT_BYTES):
        raise one_wrong("result", "expect.free_shape_size", most=MAX_RESULT_BYTES)
    command = await service.find(call, call.request.path_params["command_id"])
    update = CommandUpdate(
        id=command.id, state=answer.state, progress=answer.progress, result=answer.result, error=answer.error
    )
    machine = call.context.fleet.machines.get(command.rvm_id)
    if machine is None:  # removed a moment ago
        raise not_found()
    if answer.state in TERMINAL:
        await _settle_command(call, machine, update)
    elif rules.begins_too_late(command, update, call.now):
        raise Problem("conflict", Text("refused.begun_late"))
    else:
        call.context[Links].show_progress(machine, remote_life.command_moved(machine, update, call.now))
    command = await service.find(call, command.id)
    return Answer(views.command_view(command), 200, service.state_text(command))


async def _settle_command(call: Call, machine: Machine, update: CommandUpdate) -> None:
    """An end after the end leaves a `command.late` event."""
    if await _announce(call, remote_life.command_moved(machine, update, call.now)):
        return
    ended: CommandRow = await service.find(call, update.id)
    await _announce(call, rules.late(ended, update, call.now))


async def _announce(call: Call, changes: Sequence[Change]) -> bool:
    try:
        if changes:
            await call.context.announce(*changes)
    except Conflict:
        return False
    return bool(changes)


_ANSWER_EXAMPLE = {"state": "succeeded", "result": {"pong": True}}
_ONCE = {"Idempotency-Key": "The same key again answers the command it made the first time."}

OPERATIONS = (
    Operation(
        name="list_commands", method="GET", path="/v2/rvms/{id}/commands", handler=list_commands, tag="Commands",
        reads=2, summary="Commands of a machine, newest first", action="command.read", query=CommandsQuery,
        answers={200: list[CommandView]}, headers=("Link",),
    ),
    Operation(
        name="list_all_commands", method="GET", path="/v2/commands", handler=list_all_commands, tag="Commands",
        reads=2, summary="Commands of all machines you reach, newest first", action="command.read",
        query=FleetCommandsQuery, answers={200: list[CommandView]}, refusals=(404,), headers=("Link",),
    ),
    Operation(
        name="send_command", method="POST", path="/v2/rvms/{id}/commands", handler=send_command, tag="Commands",
        summary="Ask a machine for something", action="command.send", body=NewCommand, query=Waiting,
        answers={202: CommandView, 200: CommandView}, refusals=(409,), parameters=_ONCE,
        example={"name": "restart_service", "args": {"service": "rvm-camera.service"}, "reason": "Kamera macet"},
        description="202: it is on its way. 200: it ended while the answer waited. `set_status` and `sync_timezone` "
        "wait up to 24 h for a machine that is offline; the others are answered 409 then, and expire after 60 s.",
    ),
    Operation(
        name="show_command", method="GET", path="/v2/commands/{command_id}", handler=show_command, tag="Commands",
        summary="One command and its result", action="command.read", query=Waiting,
        answers={200: CommandView}, refusals=(404,),
    ),
    Operation(
        name="cancel_command", method="POST", path="/v2/commands/{command_id}/cancel", handler=cancel_command,
        tag="Commands", summary="Stop a command if that is still possible", action="command.send", query=Waiting,
        answers={200: CommandView, 202: CommandView}, refusals=(404, 409),
        description="200: it has ended, see `state`; what never left the hub is cancelled at once. 202: the machine is "
        "asked, and answers whether it still could. 409: it had ended before.",
    ),
    Operation(
        name="answer_command", method="POST", path="/v2/commands/{command_id}/updates", handler=answer_command,
        tag="Commands", summary="A machine tells how its command goes", action="command.answer", body=CommandAnswer,
        answers={200: CommandView}, refusals=(404, 409), example=_ANSWER_EXAMPLE,
        cost=lambda call: line(call.size, UPDATE_LINES),
        description="For machines without a link; with the machine's own key. Say `accepted` before you begin, and "
        "begin only at 200: 409 means that it has ended or its deadline has passed. With `cancel_at` somebody wants it "
        "stopped: if it still can be, end it `rejected` with the error code `cancelled`. A final state that comes too "
        "late changes nothing but is recorded; the answer shows the command as it is.",
    ),
)  # fmt: skip
