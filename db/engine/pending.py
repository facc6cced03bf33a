"""A write somebody waits for: its steps, its future and the moment it gives up. Knows no database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Generic, TypeVar

from db.errors import StoreError, Unavailable

LONGEST_CALL_S = 4.9
"""After this a caller gets Unavailable, whatever the database is doing."""

MOST_PENDING = 20_000
"""Bound of each writer's queue; beyond it a call is refused at once (the callers hold back long before)."""

Work = TypeVar("Work")
Result = TypeVar("Result")


class Pending(Generic[Work, Result]):
    """One call. Made and settled on the event loop; a writer's thread only reads `work` and `given_up`."""

    __slots__ = ("_future", "_timer", "begun", "work")

    def __init__(self, work: Work) -> None:
        loop = asyncio.get_running_loop()
        self.work = work
        self.begun = False
        self._future: asyncio.Future[Result] = loop.create_future()
        self._timer = loop.call_later(LONGEST_CALL_S, self._expire)

    @property
    def given_up(self) -> bool:
        """Nobody waits any more: not to be begun."""
        return self._future.done()

    async def outcome(self) -> Result:
        try:
            return await self._future
        finally:
            self._timer.cancel()

    def settle(self, outcome: Result | Exception) -> None:
        if self._future.done():
            return
        if isinstance(outcome, Exception):
            self._future.set_exception(outcome)
        else:
            self._future.set_result(outcome)

    def _expire(self) -> None:
        self.settle(Unavailable("the database took too long", outcome_unknown=self.begun))


def settle_all(outcomes: Sequence[tuple[Pending[Work, Result], Result | Exception]]) -> None:
    for pending, outcome in outcomes:
        pending.settle(outcome)


def refuse_all(calls: Sequence[Pending[Work, Result]], error: StoreError) -> None:
    """The same fate for all, each with an exception of its own (a traceback must not be shared)."""
    for pending in calls:
        if isinstance(error, Unavailable):
            pending.settle(Unavailable(str(error), outcome_unknown=error.outcome_unknown))
        else:
            pending.settle(StoreError(str(error)))
