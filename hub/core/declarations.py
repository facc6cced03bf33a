"""What a machine is declared to be, as decisions: a declaration, its event with before and after, and its end.

Whoever declares (the machine, a command that succeeded, the clock) comes through here. Knows no command's life.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from hub.core.changes import Change, Command, EventHappened, StatusChanged
from hub.core.machine import Machine
from protocol.commands import SetStatus


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
    )
    return status_changes(machine, change)


def status_changes(machine: Machine, change: StatusChanged, *, boot_id: str | None = None) -> list[Change]:
    """A declaration and its event with before and after; [] when it declares what is declared already."""
    before, after = declaration(machine), declaration(change)
    if before == after:
        return []
    event = EventHappened(
        at=change.since,
        code="status.changed",
        actor=change.by,
        rvm_id=machine.id,
        params={} if change.reason is None else {"reason": change.reason},
        before=before,
        after=after,
    )
    return [change, event]


def declaration(of: Machine | StatusChanged) -> dict[str, Any]:
    reason = of.status_reason if isinstance(of, Machine) else of.reason
    until = of.status_until if isinstance(of, Machine) else of.until
    return {
        "status": of.status,
        "special_status": of.special_status,
        "capacity": of.capacity,
        "reason": reason,
        "until": None if until is None else until.isoformat(),
    }


def instant(text: str | None) -> datetime | None:
    """An aware RFC 3339 instant, or None."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError:
        return None
    return None if found.tzinfo is None else found
