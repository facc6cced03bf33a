"""A write that waits for the database: steps, future, what follows its commit, when it gives up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from db.errors import StoreError, Unavailable

logger = logging.getLogger("myrvm.commit")

LONGEST_CALL_S = 4.9
"""A silent database gives Unavailable after so long; while it answers others, a call waits."""

MOST_PENDING = 20_000
"""Of each writer's queue; beyond it calls are refused."""

Work = TypeVar("Work")
Result = TypeVar("Result")


class Answers:
    __slots__ = ("_at", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self._at = 0.0

    @property
    def silent_s(self) -> float:
        """0 when nothing waits."""
        return time.monotonic() - self._at if self.waiting else 0.0

    def asked(self) -> None:
        if not self.waiting:
            self.answered()
        self.waiting += 1

    def answered(self) -> None:
        self._at = time.monotonic()


class Pending(Generic[Work, Result]):
    """One call, made and settled on the event loop; a writer's thread only reads `work` and `given_up`.

    `then` gets the results once durable, in commit order, whether or not anyone waits; the future gets what it
    returns."""

    __slots__ = ("_answers", "_then", "_timer", "begun", "future", "work")

    def __init__(self, work: Work, answers: Answers, then: Callable[[Any], Result]) -> None:
        loop = asyncio.get_running_loop()
        self.work = work
        self.begun = False
        self._then = then
        self._answers = answers
        answers.asked()
        self._timer = loop.call_later(LONGEST_CALL_S, self._expire)
        self.future: asyncio.Future[Result] = loop.create_future()
        self.future.add_done_callback(self._ended)

    @property
    def given_up(self) -> bool:
        return self.future.done()

    def settle(self, outcome: Any) -> None:
        if not isinstance(outcome, Exception):
            outcome = self._followed(outcome)
        if self.future.done():
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)

    def _followed(self, results: Any) -> Any:
        try:
            return self._then(results)
        except Exception as bug:
            logger.exception("a committed change could not be applied")
            return bug

    def _expire(self) -> None:
        left = LONGEST_CALL_S - self._answers.silent_s
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._expire)
        else:
            self.settle(Unavailable("the database took too long", outcome_unknown=self.begun))

    def _ended(self, _: asyncio.Future[Result]) -> None:
        self._timer.cancel()
        self._answers.waiting -= 1


def unchanged(results: Any) -> Any:
    return results


def settle_all(outcomes: Sequence[tuple[Pending[Work, Result], Any]]) -> None:
    for pending, outcome in outcomes:
        pending.settle(outcome)


def refuse_all(calls: Sequence[Pending[Work, Result]], error: StoreError) -> None:
    """Each with its own exception (a traceback must not be shared)."""
    for pending in calls:
        if isinstance(error, Unavailable):
            pending.settle(Unavailable(str(error), outcome_unknown=error.outcome_unknown))
        else:
            pending.settle(StoreError(str(error)))
