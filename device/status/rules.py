"""Decides the machine's own status and its changes."""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec
from msgspec import UNSET, UnsetType

from protocol.commands import SetStatus
from protocol.kinds import Capacity, SpecialStatus, Status, Text, Timestamp
from protocol.messages import Failure, StatusReport
from protocol.status_rules import lawful, refusal

STATUSES: frozenset[str] = frozenset(get_args(Status))
SPECIAL_STATUSES: frozenset[str] = frozenset(get_args(SpecialStatus))
_LEGAL: Final = {
    "status": f"one of {', '.join(sorted(STATUSES))}",
    "special_status": f"one of {', '.join(sorted(SPECIAL_STATUSES))}, or None to end it",
    "capacity": "0 to 100",
    "reason": "at most 500 characters",
    "until": "an RFC 3339 time with a zone",
}
KEEP: Final = UNSET
"""The member stays, where None would end it."""
Kept = UnsetType


class Before(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    status: Status
    special_status: SpecialStatus | None = None
    reason: Text | None = None


class MachineState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`since`: RFC 3339; `seq` numbers declarations. `until`: by the hub's clock, then `before` holds again. `busy`:
    a return session is open."""

    status: Status = "active"
    capacity: Capacity | None = None
    special_status: SpecialStatus | None = None
    reason: Text | None = None
    until: Timestamp | None = None
    before: Before | None = None
    busy: bool = False
    since: str = ""
    seq: int = 0

    @property
    def effective_status(self) -> str:
        """The special status overrides while it lasts."""
        return self.special_status or self.status


class IllegalStatusError(ValueError):
    """The message names the member and the fix, `code` is for programs and translations."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RefusedError(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def changed_by_command(state: MachineState, wanted: SetStatus, now: str) -> MachineState:
    """A special status that is not repeated ends; a capacity stays. Raises RefusedError."""
    capacity = state.capacity if wanted.capacity is None else wanted.capacity
    refused = refusal(wanted.status, capacity)
    if refused is not None:
        raise RefusedError(refused)
    return MachineState(
        status=wanted.status,
        capacity=capacity,
        special_status=wanted.special_status,
        reason=wanted.reason,
        until=wanted.until,
        before=None if wanted.until is None else _before(state),
        busy=state.busy,
        since=_since(state, wanted.status, now),
        seq=state.seq,
    )


def declared(
    state: MachineState,
    now: str,
    *,
    status: str | None = None,
    capacity: int | None = None,
    special_status: str | Kept | None = KEEP,
    reason: str | Kept | None = KEEP,
    until: str | Kept | None = KEEP,
) -> MachineState:
    """What is not named stays; a reason stays as long as its status. Raises IllegalStatusError."""
    following = status or state.status
    special = state.special_status if isinstance(special_status, Kept) else special_status
    if isinstance(reason, Kept):
        reason = state.reason if (special or following) == state.effective_status else None
    ends, before = _ends(state, status, special_status, until)
    members: dict[str, Any] = {
        "status": following,
        "capacity": state.capacity if capacity is None else capacity,
        "special_status": special,
        "reason": reason,
        "until": ends,
        "before": before,
        "busy": state.busy,
        "since": _since(state, following, now),
        "seq": state.seq + 1,
    }
    found = _checked(members)
    refused = None if status is None else refusal(found.status, found.capacity)
    if refused is not None:
        raise IllegalStatusError(refused.code, refused.message)
    return found


def _checked(members: dict[str, Any]) -> MachineState:
    try:
        return msgspec.convert(members, MachineState)
    except msgspec.ValidationError as wrong:
        member = str(wrong).rpartition("`$.")[2].rstrip("`")
        # The other members are the state's own.
        raise IllegalStatusError(f"illegal_{member}", f"{member}: {_LEGAL[member]}") from wrong


def given_back(state: MachineState, now: str) -> MachineState:
    """What was before `until`, as far as the capacity allows."""
    before = state.before or Before(status=state.status)
    status = lawful(before.status, state.capacity)
    return MachineState(
        status=status,
        capacity=state.capacity,
        special_status=before.special_status,
        reason=before.reason,
        busy=state.busy,
        since=_since(state, status, now),
        seq=state.seq + 1,
    )


def now_busy(state: MachineState, busy: bool) -> MachineState:
    return msgspec.structs.replace(state, busy=busy, seq=state.seq + 1)


def report(state: MachineState) -> StatusReport:
    return StatusReport(
        status=state.status,
        seq=state.seq,
        capacity=state.capacity,
        special_status=state.special_status,
        reason=state.reason,
        until=state.until,
        busy=state.busy,
    )


def _since(state: MachineState, status: str, now: str) -> str:
    return state.since if status == state.status and state.since else now


def _before(state: MachineState) -> Before:
    """Never a status that itself had an `until`."""
    if state.until is not None and state.before is not None:
        return state.before
    return Before(status=state.status, special_status=state.special_status, reason=state.reason)


def _ends(
    state: MachineState, status: str | None, special_status: str | Kept | None, until: str | Kept | None
) -> tuple[str | None, Any]:
    """`until` and `before` after a declaration; when nothing would return, nothing ends."""
    if not isinstance(until, Kept):
        return until, None if until is None else _before(state)
    if state.until is None or state.before is None:
        return None, None
    named = {
        **({} if status is None else {"status": status, "reason": None}),
        **({} if isinstance(special_status, Kept) else {"special_status": special_status}),
    }
    before = {**msgspec.structs.asdict(state.before), **named}
    special = state.special_status if isinstance(special_status, Kept) else special_status
    if (before["status"], before["special_status"]) == (status or state.status, special):
        return None, None
    return state.until, before
