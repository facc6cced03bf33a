"""The machine's own status and the rules of changing it; knows no file and no link."""

from __future__ import annotations

from typing import get_args

import msgspec

from protocol.commands import SetStatus
from protocol.messages import Capacity, Failure, SpecialStatus, Status, StatusReport, Text

STATUSES: frozenset[str] = frozenset(get_args(Status))


class MachineState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the machine declares itself to be. `since` is RFC 3339; `seq` numbers its declarations, growing for ever."""

    status: Status = "active"
    capacity: Capacity | None = None
    special_status: SpecialStatus | None = None
    reason: Text | None = None
    until: str | None = None
    since: str = ""
    seq: int = 0

    @property
    def effective_status(self) -> str:
        """The special status overrides the status while it lasts."""
        return self.special_status or self.status


class IllegalStatusError(ValueError):
    """A status that does not exist; the message names the legal ones."""


class RefusedError(Exception):
    """What is asked is legal and may not be now; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def changed_by_command(state: MachineState, wanted: SetStatus, now: str) -> MachineState:
    """The state after a `set_status` command. A special status that is not repeated ends; a capacity stays."""
    return MachineState(
        status=wanted.status,
        capacity=state.capacity if wanted.capacity is None else wanted.capacity,
        special_status=wanted.special_status,
        reason=wanted.reason,
        until=wanted.until,
        since=state.since if wanted.status == state.status and state.since else now,
        seq=state.seq,
    )


def declared(
    state: MachineState,
    now: str,
    *,
    status: str | None = None,
    capacity: int | None = None,
    special_status: str | None = None,
    reason: str | None = None,
) -> MachineState:
    """The state after the machine's own software said something new; raises IllegalStatusError."""
    members = {
        "status": status or state.status,
        "capacity": state.capacity if capacity is None else capacity,
        "special_status": special_status,
        "reason": reason,
        "since": state.since if (status or state.status) == state.status and state.since else now,
        "seq": state.seq + 1,
    }
    try:
        return msgspec.convert(members, MachineState)
    except msgspec.ValidationError as wrong:
        raise IllegalStatusError(f"{wrong}; a status is one of {', '.join(sorted(STATUSES))}") from wrong


def report(state: MachineState) -> StatusReport:
    """The message that tells the hub about a declaration."""
    return StatusReport(
        status=state.status,
        seq=state.seq,
        capacity=state.capacity,
        special_status=state.special_status,
        reason=state.reason,
    )
