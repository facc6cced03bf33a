"""What a machine is declared to be, as decisions: a declaration, its event with before and after, and its end.

Whoever declares (the machine, a command that succeeded, the clock) comes through here. Knows no command's life.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import msgspec

from hub.model import actors
from hub.model.changes import Change, Command, EventHappened, StatusChanged
from hub.model.machine import Machine
from hub.model.views import rfc3339
from protocol.commands import SetStatus
from protocol.instants import parse


def set_by_command(machine: Machine, command: Command, now: datetime) -> list[Change]:
    """The status that a succeeded `set_status` set, declared by who issued it."""
    wanted = msgspec.convert(command.args, SetStatus)
    # `until` was checked when the command was drafted; one that cannot be read any more is left out.
    until = instant(wanted.until)
    change = StatusChanged(
        rvm_id=machine.id,
        status=wanted.status,
        special_status=wanted.special_status,
        capacity=machine.capacity if wanted.capacity is None else wanted.capacity,
        since=now,
        by=command.issued_by,
        reason=wanted.reason,
        until=until,
        before=None if until is None else before_of(machine),
    )
    return status_changes(machine, change)


def before_of(machine: Machine) -> dict[str, Any]:
    """What is given back after a status that begins now: not what itself holds only for a while."""
    before = machine.status_before
    if machine.status_until is not None and before is not None:
        return {"status": before["status"], "special_status": before.get("special_status"),
                "reason": before.get("reason")}  # fmt: skip
    return {"status": machine.status, "special_status": machine.special_status, "reason": machine.status_reason}


def status_changes(machine: Machine, said: StatusChanged, params: dict[str, Any] | None = None) -> list[Change]:
    """A declaration, `said` now by somebody, and its event with before and after; [] when it declares what is declared
    already. What only tells a new capacity changes neither since when the status holds nor who set it; nor does a new
    status under a special one, which is what the machine is until it ends."""
    before, after = declaration(machine), declaration(said)
    if before == after:
        return []
    covered = said.special_status is not None and said.special_status == machine.special_status
    same = covered or (said.status, said.special_status) == (machine.status, machine.special_status)
    unexplained = {**before, "capacity": after["capacity"], **({"status": after["status"]} if covered else {})}
    change = msgspec.structs.replace(
        said,
        since=machine.status_since if same else said.since,
        by=machine.status_by if unexplained == after else said.by,
        at=said.since,
        actor=said.by,
    )
    event = EventHappened(
        at=said.since,
        code="status.changed",
        actor=said.by,
        rvm_id=machine.id,
        params=({} if _is_kept_reason(machine, said) else {"reason": said.reason}) | (params or {}),
        before=before,
        after=after,
    )
    return [change, event]


def _is_kept_reason(machine: Machine, said: StatusChanged) -> bool:
    """Whether who declares gave no reason: there is none, or the machine lets the one stand that somebody gave for
    what it still is."""
    if said.reason is None:
        return True
    stands = (said.special_status or said.status) == machine.effective_status and said.reason == machine.status_reason
    return stands and said.by == actors.machine(machine.id)


def declaration(of: Machine | StatusChanged) -> dict[str, Any]:
    reason = of.status_reason if isinstance(of, Machine) else of.reason
    until = of.status_until if isinstance(of, Machine) else of.until
    return {
        "status": of.status,
        "special_status": of.special_status,
        "capacity": of.capacity,
        "reason": reason,
        "until": None if until is None else rfc3339(until),
    }


def instant(text: str | None) -> datetime | None:
    """An aware RFC 3339 instant in UTC, or None; also for one at the edge of the calendar, which no database and no
    zone of a reader could hold."""
    if text is None:
        return None
    try:
        found = parse(text)
        found = found if found.tzinfo is None else found.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None and 1970 <= found.year <= 9998 else None
