"""Decides who may change a machine's status and what then holds. Values in, Changes out. A machine's own report is
never refused."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from db.records import CommandRow, MachineRow, StatusRow
from hub.model import actors
from hub.model.changes import Change, EventHappened, Observed, Patch, Put, put_rows
from hub.model.fleet import TERMINAL
from hub.model.machine import Machine, has_left, is_relayed
from hub.model.views import rfc3339
from protocol import messages
from protocol.commands import SetStatus
from protocol.instants import parse
from protocol.kinds import SpecialStatus, Status
from protocol.messages import Failure
from protocol.status_rules import lawful, refusal

NEEDS_REASON: Final = frozenset({"error", "inactive", "maintenance"})
"""A machine serves nobody: a person at the dashboard gives a reason."""
UNDO: Final = timedelta(minutes=10)
"""A person may take a status back for so long, unless another was declared."""


class DeclaredStatus(NamedTuple):
    """A status as it is declared `since` then `by` somebody. `before`: what returns at `until`."""

    status: str
    special_status: str | None
    capacity: int
    since: datetime
    by: actors.Actor
    reason: str | None = None
    until: datetime | None = None
    before: dict[str, Any] | None = None


def set_by_command(machine: Machine, command: CommandRow, now: datetime) -> list[Change]:
    """The Changes of a succeeded `set_status`, declared by its issuer."""
    wanted = msgspec.convert(command.args, SetStatus)
    # `until` was checked when the command was drafted; one that cannot be read any more is left out.
    until = instant(wanted.until)
    change = DeclaredStatus(
        status=wanted.status,
        special_status=wanted.special_status,
        capacity=machine.row.capacity if wanted.capacity is None else wanted.capacity,
        since=now,
        by=command.issued_by,
        reason=wanted.reason,
        until=until,
        before=None if until is None else before_of(machine),
    )
    return status_changes(machine, change)


def before_of(machine: Machine) -> dict[str, Any]:
    """What returns after a status with an end: never one that itself holds only for a while."""
    before = machine.row.status_before
    if machine.row.status_until is not None and before is not None:
        return {"status": before["status"], "special_status": before.get("special_status"),
                "reason": before.get("reason")}  # fmt: skip
    return {
        "status": machine.row.status,
        "special_status": machine.row.special_status,
        "reason": machine.row.status_reason,
    }


def status_changes(machine: Machine, declared: DeclaredStatus, params: dict[str, Any] | None = None) -> list[Change]:
    """The Changes of a declaration; [] when nothing changes. A new capacity alone, or a new status under a special one,
    keeps since and by."""
    before, after = declaration(machine), declaration(declared)
    if before == after:
        return []
    covered = declared.special_status is not None and declared.special_status == machine.row.special_status
    same = covered or (declared.status, declared.special_status) == (machine.row.status, machine.row.special_status)
    unexplained = {**before, "capacity": after["capacity"], **({"status": after["status"]} if covered else {})}
    values = {
        "status": declared.status,
        "special_status": declared.special_status,
        "capacity": declared.capacity,
        "status_since": machine.row.status_since if same else declared.since,
        "status_by": machine.row.status_by if unexplained == after else declared.by,
        "status_reason": declared.reason,
        "status_until": declared.until,
        "status_before": declared.before,
        "error_since": _error_since(machine, declared),
        "updated_at": declared.since,
    }
    history = StatusRow(
        rvm_id=machine.id,
        status=declared.status,
        special_status=declared.special_status,
        capacity=declared.capacity,
        since=declared.since,
        by=declared.by,
        reason=declared.reason,
        until=declared.until,
    )
    event = EventHappened(
        at=declared.since,
        code="status.changed",
        actor=declared.by,
        rvm_id=machine.id,
        params=({} if _is_kept_reason(machine, declared) else {"reason": declared.reason}) | (params or {}),
        before=before,
        after=after,
    )
    return [Patch(MachineRow, machine.id, values, must="id"), Put(history), event]


def _error_since(machine: Machine, declared: DeclaredStatus) -> datetime | None:
    """Since when the machine has an error, which is not over because somebody took it out of service."""
    status, since = declared.special_status or declared.status, machine.row.error_since
    if status == "error":
        return since or (machine.row.status_since if machine.effective_status == "error" else declared.since)
    return since if status in RESTING else None


def _is_kept_reason(machine: Machine, declared: DeclaredStatus) -> bool:
    """Whether the declaration brings no reason of its own."""
    if declared.reason is None:
        return True
    stands = (
        declared.special_status or declared.status
    ) == machine.effective_status and declared.reason == machine.row.status_reason
    return stands and declared.by == actors.machine(machine.id)


def declaration(of: Machine | DeclaredStatus) -> dict[str, Any]:
    if isinstance(of, Machine):
        row = of.row
        return _declared(row, row.status_reason, row.status_until)
    return _declared(of, of.reason, of.until)


def _declared(of: MachineRow | DeclaredStatus, reason: str | None, until: datetime | None) -> dict[str, Any]:
    return {
        "status": of.status,
        "special_status": of.special_status,
        "capacity": of.capacity,
        "reason": reason,
        "until": None if until is None else rfc3339(until),
    }


def instant(text: str | None) -> datetime | None:
    """An RFC 3339 text with a zone as UTC; None where it is none, or no database can hold it (at the calendar's
    edge)."""
    if text is None:
        return None
    try:
        found = parse(text)
        found = found if found.tzinfo is None else found.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None and 1970 <= found.year <= 9998 else None


def undone(machine: Machine, command: CommandRow, held: StatusRow | None, now: datetime) -> SetStatus | None:
    """The declaration that a person's `set_status` replaced; None when the command ended without effect, something
    newer was declared, or it is too late."""
    if command.name != "set_status" or now - command.issued_at > UNDO:
        return None
    if command.state in TERMINAL:
        wanted, row = msgspec.convert(command.args, SetStatus), machine.row
        stands = (row.status, row.special_status, row.status_by, row.status_reason)
        if command.state != "succeeded" or stands != (
            wanted.status, wanted.special_status, command.issued_by, wanted.reason,
        ):  # fmt: skip
            return None
    if held is None:
        return None
    until = held.until if held.until is not None and held.until > now else None
    status: Any = held.status
    special: Any = held.special_status
    return SetStatus(
        status=status,
        special_status=special,
        reason=held.reason,
        until=None if until is None else rfc3339(until),
    )


def may_be_undone(command: CommandRow, by: str, now: datetime) -> bool:
    """Whether a status that somebody asked for may still be taken back, as far as its command tells."""
    return command.name == "set_status" and command.issued_by == by and now - command.issued_at <= UNDO


RESTING: Final = frozenset({"maintenance", "inactive"})
"""Statuses by which people take a machine out of service."""
GIVES_BACK = "until"  # The capability of a machine that ends a status with `until` by itself
KEPT_HERE = "kept_here"  # A member of `status_before`: this hub ends the status, whatever the machine can
EARLY_RETURN = timedelta(seconds=5)  # A machine's clock may be this much ahead of ours when it ends a status


class NamedStatus(NamedTuple):
    """What a machine's own software declares; UNSET stays as it is, None ends it."""

    status: Status | UnsetType = UNSET
    special_status: SpecialStatus | UnsetType | None = UNSET
    capacity: int | None = None
    reason: str | UnsetType | None = UNSET
    until: datetime | UnsetType | None = UNSET


def refused(machine: Machine, status: Status, capacity: int | None) -> Failure | None:
    """Why the machine may not be asked for that status; None: it may. A capacity never reported is 0 here, and no
    reason to refuse."""
    return refusal(status, capacity if capacity is not None else machine.row.capacity or None)


def reported_by_machine(
    machine: Machine, report: messages.Hello | messages.StatusReport, now: datetime, capabilities: tuple[str, ...]
) -> list[Change]:
    """The Changes of a machine's report; [] when nothing changes. For a machine that cannot end statuses, a timed one
    stays until it declares another."""
    covered = report.special_status is not None and report.special_status == machine.row.special_status
    same = covered or (report.status, report.special_status) == (machine.row.status, machine.row.special_status)
    reason, until = (machine.row.status_reason, machine.row.status_until) if same else (None, None)
    changes: list[Change] = []
    if isinstance(report, messages.StatusReport):
        whole = GIVES_BACK in capabilities
        reason = report.reason if whole else report.reason or reason
        until = instant(report.until) if whole else until
        if report.busy is not None and report.busy != machine.busy:
            changes.append(Observed(machine.id, {"busy": report.busy}))
    change = DeclaredStatus(
        status=report.status,
        special_status=report.special_status,
        capacity=machine.row.capacity if report.capacity is None else report.capacity,
        since=now,
        by=actors.machine(machine.id),
        reason=reason,
        until=until,
        before=_before(machine, report.status, until),
    )
    return [*changes, *status_changes(machine, change, _returned(machine, change, now))]


def declared_by_key(machine: Machine, named: NamedStatus, now: datetime) -> list[Change]:
    """The Changes of a declaration by REST with the machine's key; [] when nothing changes."""
    status: Any = machine.row.status if isinstance(named.status, UnsetType) else named.status
    special: Any = machine.row.special_status if isinstance(named.special_status, UnsetType) else named.special_status
    reason, until = named.reason, named.until
    if isinstance(reason, UnsetType):
        reason = machine.row.status_reason if (special or status) == machine.effective_status else None
    if isinstance(until, UnsetType):
        until = machine.row.status_until
        before = None if until is None else _named_since(machine, named)
        if before is not None and (before["status"], before["special_status"]) == (status, special):
            until = before = None
    else:
        before = None if until is None else before_of(machine)
    if before is not None:
        before[KEPT_HERE] = True
    change = DeclaredStatus(
        status=status,
        special_status=special,
        capacity=machine.row.capacity if named.capacity is None else named.capacity,
        since=now,
        by=actors.machine(machine.id),
        reason=reason,
        until=until,
        before=before,
    )
    return status_changes(machine, change)


class ForTheAgent(NamedTuple):
    """A status to relay to the machine's agent. `reading`: only the capacity is new."""

    wanted: SetStatus
    reading: bool


def for_the_agent(machine: Machine, changes: list[Change]) -> ForTheAgent | None:
    """What of these Changes is to be relayed to the agent of `machine` (as it was before them); None: nothing was
    declared."""
    change = next(put_rows(changes, StatusRow), None)
    event = next((change for change in changes if isinstance(change, EventHappened)), None)
    if change is None or event is None:
        return None
    before = event.before or {}
    status: Any = change.status
    special: Any = change.special_status
    wanted = SetStatus(
        status=status,
        special_status=special,
        # An old reading must not come back as news.
        capacity=None if change.capacity == before.get("capacity") else change.capacity,
        reason=change.reason,
        until=None if change.until is None else rfc3339(change.until),
    )
    reading = {**before, "capacity": change.capacity} == event.after
    return ForTheAgent(_after_commands(machine, wanted) if reading else wanted, reading)


def _after_commands(machine: Machine, reading: SetStatus) -> SetStatus:
    """The reading with the status of a command that is under way: a relayed capacity must not undo it."""
    under_way = [
        command
        for command in machine.pending.values()
        if command.name == "set_status" and not is_relayed(command) and command.cancel_at is None
        and has_left(machine, command)
    ]  # fmt: skip
    if not under_way:
        return reading
    newest = max(under_way, key=lambda command: (command.issued_at, command.id))
    return msgspec.structs.replace(msgspec.convert(newest.args, SetStatus), capacity=reading.capacity)


def not_stale(machine: Machine, hello: messages.Hello, now: datetime) -> messages.Hello:
    relayed = [
        command
        for command in machine.pending.values()
        if is_relayed(command) and command.cancel_at is None and now < command.expires_at
    ]
    if not relayed or "set_status" not in hello.capabilities:
        return hello
    newest = max(relayed, key=lambda command: (command.issued_at, command.id))
    wanted, until = msgspec.convert(newest.args, SetStatus), instant(newest.args.get("until"))
    capacity = hello.capacity if wanted.capacity is None else wanted.capacity
    if refusal(wanted.status, capacity) is not None or (until is not None and until <= now):
        return hello
    names_capacity = any("capacity" in command.args for command in relayed)
    return msgspec.structs.replace(
        hello,
        status=machine.row.status,
        special_status=machine.row.special_status,
        capacity=None if names_capacity else hello.capacity,
    )


def is_due(machine: Machine, now: datetime) -> bool:
    """Whether the hub has to end the status now. Not where the machine does so itself, unless it was declared by REST,
    unknown to its agent."""
    if machine.row.status_until is None or now < machine.row.status_until:
        return False
    return GIVES_BACK not in machine.capabilities or (machine.row.status_before or {}).get(KEPT_HERE, False)


def to_give_back(machine: Machine) -> SetStatus:
    """What returns at `until`, as far as the capacity allows."""
    before = before_of(machine)
    return SetStatus(
        status=lawful(before["status"], machine.row.capacity or None),
        special_status=before["special_status"],
        reason=before["reason"],
    )


def given_back(machine: Machine, now: datetime) -> list[Change]:
    wanted = to_give_back(machine)
    change = DeclaredStatus(
        status=wanted.status,
        special_status=wanted.special_status,
        capacity=machine.row.capacity,
        since=now,
        by=actors.CLOCK,
        reason=wanted.reason,
    )
    return status_changes(machine, change, {"returned": True})


def _before(machine: Machine, status: Status, until: datetime | None) -> dict[str, Any] | None:
    """What returns at `until`: unchanged while the same `until` holds, but for what was declared meanwhile."""
    if until is None:
        return None
    if until != machine.row.status_until or machine.row.status_before is None:
        return before_of(machine)
    new = {} if status == machine.row.status else {"status": status, "reason": None}
    return {**machine.row.status_before, **new}


def _named_since(machine: Machine, named: NamedStatus) -> dict[str, Any]:
    new: dict[str, Any] = {}
    if not isinstance(named.status, UnsetType):
        new |= {"status": named.status, "reason": None}
    if not isinstance(named.special_status, UnsetType):
        new["special_status"] = named.special_status
    return {**before_of(machine), **new}


def _returned(machine: Machine, change: DeclaredStatus, now: datetime) -> dict[str, Any] | None:
    before = machine.row.status_before
    if machine.row.status_until is None or before is None or change.until is not None:
        return None
    if now < machine.row.status_until - EARLY_RETURN:
        return None
    was = (lawful(before["status"], change.capacity or None), before.get("special_status"))
    return {"returned": True} if was == (change.status, change.special_status) else None
