"""Issues a command once for each Idempotency-Key, waits for its end, reads its arguments. Machines ignore unknown
members (a newer hub may send them); a person's typing error is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from db.errors import Conflict
from db.queries import commands
from db.records import CommandRow
from hub.commands import rules
from hub.links.links import Links
from hub.model.actors import Actor
from hub.model.changes import put_rows
from hub.model.fleet import TERMINAL
from hub.status.rules import NEEDS_REASON
from hub.web.api.headers import ahead
from hub.web.api.operation import Call
from hub.web.http.problems import Problem, Text, invalid, not_found, one_wrong
from hub.web.http.validation import Wait, validate
from protocol.commands import ARGUMENTS
from protocol.zones import is_zone

HEADER: Final = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,100}\Z")


class Waiting(msgspec.Struct):
    """`wait`: seconds the answer may wait for the machine."""

    wait: Wait = 0.0


def require_reason(call: Call, name: str, args: Mapping[str, Any], reason: str | None) -> None:
    """Require a reason of a person at the dashboard for what takes a machine out of service; programs and machines may
    leave it out. Raises Problem 422 at `reason`."""
    takes_out = args.get("special_status") or args.get("status")
    needed = takes_out in NEEDS_REASON if name == "set_status" else name in DISRUPTIVE
    if needed and call.principal.via == "session" and not (reason or args.get("reason") or "").strip():
        raise one_wrong("reason", "reason_wanted")


async def issue(
    call: Call, name: str, args: dict[str, Any], reason: str | None = None, *, signed_in: bool = False
) -> CommandRow:
    """Commit a new command, or return the one of the same Idempotency-Key. `signed_in`: only while the caller's session
    lasts, else the 401. Raises Refused."""
    announce = call.announce if signed_in else call.context.announce
    args, reason = rules.reasoned(name, args, reason)
    key = idempotency_key(call)
    tries = 3
    while True:
        if key is not None:
            before = await commands.find_by_idempotency_key(call.context.store, call.machine.id, key)
            if before is not None:
                return _same(before, name, args, call.principal.actor)
        changes = rules.draft(call.machine, name, args, call.principal.actor, call.now, key, reason=reason)
        try:
            stored = await announce(*changes)
        except Conflict as late:
            # Between our look and our write somebody else used the key, or an older request that this one stands for
            # ended otherwise: look again.
            tries -= 1
            if not tries or late.column not in ("idempotency_key", "state"):
                raise
            continue
        return next(put_rows(stored, CommandRow))


async def outcome(call: Call, command: CommandRow, wait: float) -> CommandRow:
    if wait <= 0 or command.state in TERMINAL:
        return command
    ended = await call.context[Links].wait_for(command.id, wait)
    if ended is None:
        ended = await commands.find_command(call.context.store, command.id) or command
    return ended


def state_text(command: CommandRow) -> Text:
    return Text(f"command.{command.state}")


async def find(call: Call, command_id: str) -> CommandRow:
    """The command, of a machine that the caller reaches; otherwise 404."""
    command = call.context.fleet.command(command_id)
    if command is None and len(command_id) <= 100 and "\x00" not in command_id:
        command = await commands.find_command(call.context.store, command_id)
    if command is None or not call.principal.reaches(command.rvm_id):
        raise not_found()
    return command


def _same(row: CommandRow, name: str, args: dict[str, Any], actor: Actor) -> CommandRow:
    """The command of a repeated key; 409 where it is another command, or another caller's."""
    if (row.name, row.args, row.issued_by) != (name, args, actor):
        raise Problem("conflict", Text("idempotency_reused"))
    return row


def idempotency_key(call: Call) -> str | None:
    key = call.request.headers.get(HEADER)
    if key is not None and not _KEY.match(key):
        raise one_wrong(HEADER, "expect.idempotency_key")
    return key


CommandName = Literal["ping", "set_status", "sync_timezone", "restart_service", "reboot"]
"""Issued by people; backups and remote access have routes of their own."""

DISRUPTIVE: Final = frozenset({"restart_service", "reboot"})
_EXPECTED: Final[Mapping[str, str]] = {"until": "expect.time", "timezone": "expect.zone", "service": "expect.service"}
_CLEAR_ALREADY: Final = ("missing", "unknown", "wrong_character")


def read_arguments(call: Call, name: CommandName, given: Mapping[str, Any], zone: str | None = None) -> dict[str, Any]:
    """The arguments as they are stored. `zone` reads a naive time. Raises the 422 that names each wrong member."""
    args = {"trigger": "manual", **given} if name == "sync_timezone" else dict(given)
    try:
        wanted = validate(ARGUMENTS[name], args)
    except Problem as problem:
        raise problem_below("args", problem) from problem
    found: dict[str, Any] = msgspec.to_builtins(wanted)
    if found.get("until") is not None:
        found["until"] = ahead(call, "args.until", found["until"], zone)
    if found.get("timezone") is not None and not is_zone(found["timezone"]):
        raise one_wrong("args.timezone", "expect.zone")
    return found


def problem_below(place: str, problem: Problem) -> Problem:
    if not problem.errors:
        return problem
    return invalid({f"{place}.{name}": _clearer(name, whys) for name, whys in problem.errors.items()})


def _clearer(name: str, whys: Any) -> Any:
    known = _EXPECTED.get(name)
    return whys if known is None or whys[0].key.startswith(_CLEAR_ALREADY) else [Text(known)]
