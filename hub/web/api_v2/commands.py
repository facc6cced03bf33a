"""/commands and /rvms/{id}/commands: what was asked of machines and what became of it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from db import commands as rows
from hub.core import views
from hub.core.fleet import TERMINAL
from hub.web.api_v2 import command_flow, paging, shapes
from hub.web.api_v2.command_flow import Waiting
from hub.web.api_v2.kinds import Limit
from hub.web.api_v2.operation import Answer, Call, Operation
from hub.web.problems import one_wrong
from protocol.messages import Name


class CommandsQuery(msgspec.Struct):
    """Newest first; `before` is the id of the last command of the page before."""

    limit: Limit = 50
    before: Name | None = None


class NewCommand(msgspec.Struct):
    """`ping` asks the machine for a sign of life, now: an offline machine is answered 409."""

    name: Literal["ping"]
    args: dict[str, Any] = {}


async def list_commands(call: Call) -> Answer:
    query: CommandsQuery = call.query
    mark = None
    if query.before is not None:
        last = await rows.find_command(call.context.store, query.before)
        if last is None or last.rvm_id != call.machine.id:
            raise one_wrong("before", "expect.command_id")
        mark = (last.issued_at, last.id)
    found = await rows.recent_commands(call.context.store, call.machine.id, query.limit + 1, mark)
    page = [views.command_view(command_flow.from_row(row)) for row in found[: query.limit]]
    following = page[-1]["id"] if len(found) > query.limit else None
    return Answer(page, headers=paging.headers(call.request, before=following))


async def show_command(call: Call) -> Answer:
    command = await command_flow.find(call, call.request.path_params["command_id"])
    return Answer(views.command_view(await command_flow.outcome(call, command, call.query.wait)))


async def send_command(call: Call) -> Answer:
    wanted: NewCommand = call.body
    command = await command_flow.issue(call, wanted.name, wanted.args)
    command = await command_flow.outcome(call, command, call.query.wait)
    headers = {"Location": f"/api/v2/commands/{command.id}"}
    status = 200 if command.state in TERMINAL else 202
    return Answer(views.command_view(command), status, command_flow.told(command), headers)


OPERATIONS = (
    Operation(
        name="list_commands", method="GET", path="/v2/rvms/{id}/commands", handler=list_commands, tag="Commands",
        summary="What was asked of a machine, newest first", action="command.read", query=CommandsQuery,
        answers={200: list[shapes.Command]}, headers=("Link",),
    ),
    Operation(
        name="send_command", method="POST", path="/v2/rvms/{id}/commands", handler=send_command, tag="Commands",
        summary="Ask a machine for something, now", action="command.send", body=NewCommand, query=Waiting,
        answers={202: shapes.Command, 200: shapes.Command}, refusals=(409,), example={"name": "ping"},
        parameters={"Idempotency-Key": "The same key again answers the command it made the first time."},
        description="202: it is on its way. 200: it ended while the answer waited.",
    ),
    Operation(
        name="show_command", method="GET", path="/v2/commands/{command_id}", handler=show_command, tag="Commands",
        summary="One command and what became of it", action="command.read", query=Waiting,
        answers={200: shapes.Command}, refusals=(404,),
    ),
)  # fmt: skip
