"""What a simulated machine declares: status, bottles, customers, and what it gives back."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

from demo.simulated_plan import FILLING, Character, moment, rfc3339
from protocol import kinds, status_rules
from protocol import messages as m
from protocol.commands import SetStatus

FILL_EVERY_S: Final = 240.0
"""Between customers, for an average machine."""
SESSION_S: Final = 15.0
BUSY_PAUSE_S: Final = 20.0
BUSY_SESSION_S: Final = 40.0
"""A busy machine has a customer most of the time."""


class _Before(NamedTuple):
    status: kinds.Status
    special_status: kinds.SpecialStatus | None


class Declaration:
    """`now`: Unix seconds."""

    def __init__(self, role: str, character: Character, now: float) -> None:
        self.status: kinds.Status = "active"
        if role in ("full", "maintenance"):
            self.status = "full" if role == "full" else "maintenance"
        self.special_status: kinds.SpecialStatus | None = None
        self.capacity = 100 if role == "full" else int(80 * character.memory)
        self.reason: str | None = None
        self.until: float | None = None
        self.busy = False
        self._before: _Before | None = None
        self._reports: dict[int, m.StatusReport] = {}
        self._seq = 0
        pause = BUSY_PAUSE_S if role == "busy" else FILL_EVERY_S * (0.5 + character.pace)
        self._session_s, self._pause_s = (BUSY_SESSION_S if role == "busy" else SESSION_S), pause
        first = 1.0 if role == "busy" else pause
        self._turn = now + first if role in FILLING else math.inf

    @property
    def in_service(self) -> bool:
        return self.status == "active" and self.special_status is None

    @property
    def unconfirmed(self) -> list[m.StatusReport]:
        return list(self._reports.values())

    def confirm(self, seq: int) -> None:
        self._reports.pop(seq, None)

    def declare(self) -> m.StatusReport:
        """Repeated after a reconnect until received."""
        self._seq += 1
        report = m.StatusReport(
            status=self.status,
            seq=self._seq,
            capacity=self.capacity,
            special_status=self.special_status,
            reason=self.reason,
            until=None if self.until is None else rfc3339(self.until),
            busy=self.busy,
        )
        self._reports = {report.seq: report}  # the newest replaces what was never received
        return report

    def due(self) -> float:
        return min(self._turn, math.inf if self.until is None else self.until)

    def act(self, now: float) -> list[m.MachineMessage]:
        messages: list[m.MachineMessage] = []
        if self.until is not None and now >= self.until:
            self._give_back()
            messages.append(self.declare())
        if now >= self._turn:
            changed = self._session_turns()
            self._turn = now + (self._session_s if self.busy else self._pause_s)
            if changed:
                messages.append(self.declare())
        return messages

    def set_status(self, wanted: SetStatus) -> m.Failure | dict[str, Any]:
        capacity = self.capacity if wanted.capacity is None else wanted.capacity
        refused = status_rules.refusal(wanted.status, capacity)
        if refused is not None:
            return refused
        if wanted.until is None:
            self._before = None
        elif self._before is None:
            self._before = _Before(self.status, self.special_status)
        self.status, self.special_status, self.capacity = wanted.status, wanted.special_status, capacity
        self.reason = wanted.reason
        self.until = None if wanted.until is None else moment(wanted.until)
        return {"status": self.status, "effective_status": self.special_status or self.status, "capacity": capacity}

    def close_session(self) -> None:
        self.busy = False

    def _give_back(self) -> None:
        if self._before is not None:
            self.status, self.special_status = self._before
        self.reason = self.until = self._before = None

    def _session_turns(self) -> bool:
        """A customer comes, or goes and left bottles; it is emptied before it is full."""
        if self.busy:
            self.busy = False
            self.capacity = self.capacity + 2 if self.capacity < 90 else 3
            return True
        self.busy = self.in_service
        return self.busy
