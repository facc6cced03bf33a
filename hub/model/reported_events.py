"""How many events a machine may add to the record: a burst after it was away, and so many a minute all in all.

What is beyond that is counted, and the count becomes one line of the record a minute. Values only; `at` is monotonic
seconds, `now` an aware instant.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from hub.model import actors
from hub.model.changes import EventHappened
from hub.model.token_bucket import TokenBucket

AT_ONCE: Final = 300
"""A machine that was away for hours may tell this much when it is back."""
PER_MINUTE: Final = 60
WINDOW_S: Final = 60.0
MAX_PARAMS_BYTES: Final = 2048
"""Of the parameters of one event, as JSON."""

_encode = msgspec.json.Encoder().encode


def too_large(params: dict[str, Any]) -> bool:
    return len(_encode(params)) > MAX_PARAMS_BYTES


@dataclass(slots=True)
class _Budget:
    bucket: TokenBucket
    dropped: int = 0
    since: datetime | None = None
    until: datetime | None = None
    tell_at: float = 0.0


class ReportedEvents:
    """The budgets of the machines that reported something lately: at most one a machine, forgotten when full again."""

    def __init__(self) -> None:
        # Bound: one a machine that reported lately; a full one is dropped.
        self._budgets: dict[int, _Budget] = {}

    def __len__(self) -> int:
        return len(self._budgets)

    def take(self, rvm_id: int, at: float, now: datetime) -> bool:
        """Whether this event is recorded; False: it was counted."""
        budget = self._budgets.get(rvm_id)
        if budget is None:
            budget = self._budgets[rvm_id] = _Budget(TokenBucket(PER_MINUTE / 60, AT_ONCE, at))
        if budget.bucket.take(at):
            return True
        if not budget.dropped:
            budget.since, budget.tell_at = now, at + WINDOW_S
        budget.dropped += 1
        budget.until = now
        return False

    def due(self, at: float, now: datetime) -> list[EventHappened]:
        """A line for every machine whose count has to be told now; it is forgotten here."""
        lines = []
        for rvm_id, budget in list(self._budgets.items()):
            if budget.dropped and budget.tell_at <= at:
                lines.append(_line(rvm_id, budget, now))
                budget.dropped = 0
            if not budget.dropped and budget.bucket.is_full(at):
                del self._budgets[rvm_id]
        return lines


def _line(rvm_id: int, budget: _Budget, now: datetime) -> EventHappened:
    since, until = budget.since or now, budget.until or now
    return EventHappened(
        at=now,
        code="machine.events_dropped",
        actor=actors.machine(rvm_id),
        rvm_id=rvm_id,
        params={"count": budget.dropped, "since": since.isoformat(), "until": until.isoformat()},
    )
