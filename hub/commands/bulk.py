"""POST /commands: one command for many machines, 100 a transaction. One group id, one answer for each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Annotated, Any, Final, Literal

import msgspec

from db.errors import Conflict, StoreError
from db.queries import commands as rows
from db.records import CommandRow
from hub.commands import rules, service
from hub.commands.api import CommandView
from hub.commands.rules import Refused
from hub.commands.service import CommandName
from hub.machines.rules import Connection, matches
from hub.model import views
from hub.model.changes import Change, moved_rows, put_rows
from hub.model.machine import Machine
from hub.web.api.endpoint import why_not
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.problems import Problem, Text, not_stored, one_wrong, translator
from hub.web.http.validation import Note, Row, validate
from protocol.kinds import Name, Status

MOST: Final = 1000  # Machines of one call
AT_ONCE: Final = 100  # Machines of one transaction
RETRIES: Final = 3


class MachineFilter(msgspec.Struct):
    """As in GET /rvms. `all`: every machine you reach, and no other member."""

    all: Literal[True] | None = None
    status: Status | None = None
    connection: Connection | None = None
    health: Literal["ok", "warning", "critical"] | None = None
    q: Note | None = None


class ManyCommands(msgspec.Struct):
    name: CommandName
    args: dict[str, Any] = {}
    reason: Note | None = None
    rvms: (
        Annotated[list[Row | Name], msgspec.Meta(min_length=1, max_length=MOST, extra={"expect": "expect.rvms"})] | None
    ) = None
    filter: MachineFilter | None = None


class CommandRefusal(msgspec.Struct):
    code: str
    message: str


class BulkResult(msgspec.Struct):
    rvm_id: int | None
    device_id: str | None
    command: CommandView | None
    refused: CommandRefusal | None


class BulkAnswer(msgspec.Struct):
    """The group's commands: GET /commands?group=GROUP_ID."""

    group_id: str
    total: int
    results: list[BulkResult]


class BulkTarget(msgspec.Struct, frozen=True):
    """`machine` None: the caller reaches none of that name."""

    asked: int | str
    machine: Machine | None


async def send_many(call: Call) -> Answer:
    wanted: ManyCommands = call.body
    args = service.read_arguments(call, wanted.name, wanted.args)
    service.require_reason(call, wanted.name, wanted.args, wanted.reason)
    if wanted.name in service.DISRUPTIVE and not (wanted.reason or "").strip():
        raise one_wrong("reason", "bulk_reason_wanted", name=wanted.name)
    chosen, by_ids = targets(call, wanted), wanted.rvms is not None
    data = await issue_many(call, wanted.name, args, chosen, wanted.reason, by_ids=by_ids)
    return Answer(data, 202, Text("bulk_sent"))


async def issue_many(
    call: Call,
    name: str,
    args: dict[str, Any],
    wanted: Sequence[BulkTarget],
    reason: str | None = None,
    *,
    by_ids: bool = True,
) -> dict[str, Any]:
    """A repeated key gives the same group, and does what an interrupted call left out."""
    args, reason = rules.reasoned(name, args, reason)
    key = service.idempotency_key(call)
    group_id, actor = group_of(call, key), call.principal.actor
    own = group_id if key is not None else None

    def draft(machine: Machine) -> list[Change]:
        return rules.draft(machine, name, args, actor, call.now, own, reason=reason, group_id=group_id)

    sending = BulkSending(call, group_id, draft, keyed=key is not None)
    known = await sending.known()
    if any((row.name, row.args, row.reason) != (name, args, reason) for row in known.values()):
        raise Problem("conflict", Text("idempotency_reused"))
    if known:
        machines = call.context.fleet.machines
        if not by_ids:
            reached = (machines[rvm_id] for rvm_id in known if rvm_id in machines and call.principal.reaches(rvm_id))
            wanted = [BulkTarget(machine.id, machine) for machine in reached]
        elif not known.keys() <= {target.machine.id for target in wanted if target.machine is not None}:
            raise Problem("conflict", Text("idempotency_reused"))
    return await sending.send(wanted, known)


def targets(call: Call, wanted: ManyCommands) -> list[BulkTarget]:
    if (wanted.rvms is None) == (wanted.filter is None):
        raise one_wrong("rvms", "rvms_or_filter")
    fleet, reaches = call.context.fleet, call.principal.reaches
    if wanted.rvms is not None:
        found: dict[int | str, BulkTarget] = {}
        for key in wanted.rvms:
            machine = fleet.find(key)
            machine = machine if machine is not None and reaches(machine.id) else None
            found.setdefault(key if machine is None else machine.id, BulkTarget(key, machine))
        return list(found.values())
    members = {name: value for name, value in msgspec.structs.asdict(wanted.filter or MachineFilter()).items() if value}
    everybody = members.pop("all", False)
    if everybody == bool(members):
        # Nothing but a typo may lie between one machine and all of them.
        raise one_wrong("filter", "filter_all_alone" if members else "filter_empty")
    text = members.pop("q", "")
    matching = [m for m in fleet.machines.values() if reaches(m.id) and matches(m, text=text, **members)]
    if len(matching) > MOST:
        raise one_wrong("filter", "filter_matches_too_many", count=len(matching), most=MOST)
    return [BulkTarget(m.id, m) for m in sorted(matching, key=lambda m: m.id)]


def read_body(value: Any) -> ManyCommands:
    """A wrong member of `filter` is an error, too: without it more machines would match."""
    if isinstance(value, dict) and isinstance(value.get("filter"), dict):
        try:
            validate(MachineFilter, value["filter"])
        except Problem as problem:
            raise service.problem_below("filter", problem) from problem
    return validate(ManyCommands, value)


Drafted = list[Change] | CommandRow | str
"""Changes to commit, an existing command, or the code of a refusal."""


class BulkSending:
    """`draft`: of one machine; may raise Refused. `keyed`: a repeat finds the group's commands."""

    def __init__(
        self, call: Call, group_id: str, draft: Callable[[Machine], list[Change] | CommandRow], *, keyed: bool
    ) -> None:
        self.group_id = group_id
        self._call = call
        self._draft_of = draft
        self._keyed = keyed
        self._recorded = False

    async def known(self) -> dict[int, CommandRow]:
        """Drafted before by the same key, by machine."""
        if not self._keyed:
            return {}
        return {row.rvm_id: row for row in await rows.commands_of_group(self._call.context.store, self.group_id)}

    async def send(self, wanted: Sequence[BulkTarget], known: Mapping[int, CommandRow]) -> dict[str, Any]:
        results: list[dict[str, Any]] = []
        for start in range(0, len(wanted), AT_ONCE):
            results += await self._send(wanted[start : start + AT_ONCE], known)
        return {"group_id": self.group_id, "total": len(results), "results": results}

    async def _send(self, chunk: Sequence[BulkTarget], known: Mapping[int, CommandRow]) -> list[dict[str, Any]]:
        """In one transaction; after a Conflict, each machine alone."""
        drafts = [self._draft(target, known) for target in chunk]
        try:
            await self._announce([change for draft in drafts if isinstance(draft, list) for change in draft])
        except Conflict:
            return [await self._alone(target) for target in chunk]
        except StoreError as error:
            if not self._recorded:
                raise
            # What was recorded before is on its way and must be reported; these were not.
            return [self._refused(target, not_stored(error).key) for target in chunk]
        return [self._result(target, draft) for target, draft in zip(chunk, drafts, strict=True)]

    async def _alone(self, target: BulkTarget) -> dict[str, Any]:
        for _ in range(RETRIES):
            draft = self._draft(target, await self.known())
            try:
                await self._announce(draft if isinstance(draft, list) else [])
            except Conflict:
                continue
            except StoreError as error:
                return self._refused(target, not_stored(error).key)
            return self._result(target, draft)
        return self._refused(target, "changed_meanwhile")

    async def _announce(self, changes: list[Change]) -> None:
        if changes:
            await self._call.context.announce(*changes)
            self._recorded = True

    def _draft(self, target: BulkTarget, known: Mapping[int, CommandRow]) -> Drafted:
        machine = target.machine
        if machine is None or self._call.context.fleet.machines.get(machine.id) is not machine:
            return "not_found"
        if machine.id in known:
            return known[machine.id]
        try:
            return self._draft_of(machine)
        except Refused as refused:
            return refused.code

    def _result(self, target: BulkTarget, draft: Drafted) -> dict[str, Any]:
        if isinstance(draft, str):
            return self._refused(target, draft)
        if isinstance(draft, list):
            command = next(chain(put_rows(draft, CommandRow), moved_rows(draft, CommandRow)))
            command = self._call.context.fleet.command(command.id) or command
        else:
            command = draft
        return _row(target) | {"command": views.command_view(command), "refused": None}

    def _refused(self, target: BulkTarget, code: str) -> dict[str, Any]:
        plain = code in ("not_found", "unavailable", "outcome_unknown", "changed_meanwhile", "undo_over")
        message = translator(self._call.language)(Text(code) if plain else why_not(code))
        return _row(target) | {"command": None, "refused": {"code": code, "message": message}}


def _row(target: BulkTarget) -> dict[str, Any]:
    if target.machine is not None:
        return {"rvm_id": target.machine.id, "device_id": target.machine.row.device_id}
    by_number = isinstance(target.asked, int)
    return {"rvm_id": target.asked if by_number else None, "device_id": None if by_number else target.asked}


def group_of(call: Call, key: str | None) -> str:
    """From the key, for the same caller: by one filter a narrow token means other machines than its owner."""
    if key is None:
        return rules.new_id(call.now)
    who = call.principal
    caller = f"{who.actor} {who.credential_id}" if who.is_narrow else who.actor
    return hashlib.sha256(f"{caller}\0{key}".encode()).hexdigest()[:32]


OPERATIONS = (
    Operation(
        name="send_commands", method="POST", path="/v2/commands", handler=send_many, tag="Commands",
        summary="Ask many machines for the same", action="command.send", body=ManyCommands, read_body=read_body,
        answers={202: BulkAnswer}, refusals=(409,),
        example={"name": "set_status", "args": {"status": "inactive"}, "reason": "Libur", "rvms": [1, "rvm-kg-02"]},
        parameters={"Idempotency-Key": "The same key again answers the same group."},
        description="At most 1,000 machines. Each has its own row: the command drafted for it, or why none was. What "
        "was recorded for some is not undone because others refused.",
    ),
)  # fmt: skip
