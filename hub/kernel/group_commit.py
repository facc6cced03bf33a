"""Group commit of Changes: whatever waits goes into one transaction; it becomes true in the order of the commits.

One transaction at a time. When a group is refused each of its callers is tried alone, so that one caller's conflict is
only theirs. Knows no meaning of a Change: `hub.kernel.recorder` turns it into statements.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from db.engine.statements import Step, WriteResult
from db.engine.store import Store
from db.errors import Conflict, Rejected, StoreError
from hub.kernel import recorder
from hub.kernel.recorder import Recipe, recipe_of
from hub.model.changes import Change

logger = logging.getLogger("myrvm.commit")

GROUP: Final = 200
"""Callers in one transaction; a storm of hellos needs some twenty of them for 5,000 machines."""
LATER_S: Final = 0.25
"""What is not urgent waits this long for a commit to ride on."""
MAX_LATER: Final = 10_000
RIDERS: Final = 500
"""Of them in one transaction: when a whole fleet leaves at once, its urgent changes must still get through."""

BecameTrue = Callable[[list[Change]], None]


@dataclass(eq=False)
class _Caller:
    changes: Sequence[Change]
    recipes: list[Recipe]
    on_commit: BecameTrue
    done: asyncio.Future[list[Change]]

    @property
    def steps(self) -> list[Step]:
        return [step for recipe in self.recipes for step in recipe.steps]


async def commit_alone(store: Store, changes: Sequence[Change]) -> list[Change]:
    """Commit in a transaction of their own, where no hub runs (the command line). Returns them as stored, raises a
    StoreError."""
    recipes = [recipe_of(change) for change in changes]
    results = await store.write(*(step for recipe in recipes for step in recipe.steps))
    return recorder.all_stored(zip(changes, recipes, strict=True), results)


class GroupCommit:
    """`commit` from any task; `run` in one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Bound: one a caller that waits: requests, workers of links, turns of the clock.
        self._callers: deque[_Caller] = deque()
        self._later: list[tuple[Change, Callable[[], bool]]] = []  # Bound: MAX_LATER, beyond it forgotten
        self._ready = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._timer: asyncio.TimerHandle | None = None
        self.writing_since: float | None = None
        """When the transaction under way was begun, by the monotonic clock; None between transactions."""

    async def commit(self, changes: Sequence[Change], on_commit: BecameTrue) -> list[Change]:
        """The Changes as stored, after `on_commit` was called with them. Raises a StoreError of theirs alone.

        A caller that is cancelled meanwhile does not undo anything: what is committed becomes true all the same.
        """
        recipes = [recipe_of(change) for change in changes]
        if not any(recipe.steps for recipe in recipes):
            unstored = list(changes)
            on_commit(unstored)
            return unstored
        done: asyncio.Future[list[Change]] = asyncio.get_running_loop().create_future()
        self._callers.append(_Caller(changes, recipes, on_commit, done))
        self._idle.clear()
        self._ready.set()
        return await done

    def later(self, change: Change, still: Callable[[], bool]) -> None:
        """Record with the next commit, at most a quarter of a second from now, unless `still()` is False by then. Full,
        or the database away: forgotten; the machine says it again."""
        if len(self._later) < MAX_LATER:
            self._later.append((change, still))
            self._idle.clear()
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(LATER_S, self._due)

    async def run(self) -> None:
        """Commit until cancelled; then whoever still waits is told so."""
        try:
            while True:
                await self._ready.wait()
                await self._commit_group(*self._take())
                if not self._callers and not self._later:
                    self._idle.set()
        finally:
            for caller in self._callers:
                caller.done.cancel()

    async def flush(self) -> None:
        """Wait until everything handed in so far was tried (shutdown; the caller bounds the time)."""
        self._due()
        await self._idle.wait()

    def _due(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._later:
            self._ready.set()

    def _take(self) -> tuple[list[_Caller], list[Change]]:
        callers = [self._callers.popleft() for _ in range(min(GROUP, len(self._callers)))]
        riders = [change for change, still in self._later[:RIDERS] if still()]
        del self._later[:RIDERS]
        if not self._callers and not self._later:
            self._ready.clear()
        return [caller for caller in callers if not caller.done.cancelled()], riders

    async def _commit_group(self, callers: list[_Caller], riders: list[Change]) -> None:
        recipes = [recipe_of(change) for change in riders]
        ahead = [step for recipe in recipes for step in recipe.steps]
        steps = [step for caller in callers for step in caller.steps]
        if not ahead and not steps:
            return
        self.writing_since = time.monotonic()
        try:
            results = await self._store.write(*ahead, *steps)
        except (Conflict, Rejected) as refused:
            await self._one_by_one(callers, riders, refused)
        except StoreError as away:
            _fail(callers, away)
        else:
            _succeed(callers, iter(results[sum(recipe.results for recipe in recipes) :]))
        finally:
            self.writing_since = None

    async def _one_by_one(self, callers: list[_Caller], riders: list[Change], refused: StoreError) -> None:
        if len(callers) + len(riders) == 1:
            _fail(callers, refused)
            for change in riders:
                logger.warning("not recorded: %s (%s)", type(change).__name__, refused)
            return
        for change in riders:
            await self._commit_group([], [change])
        for caller in callers:
            await self._commit_group([caller], [])


def _fail(callers: Sequence[_Caller], error: StoreError) -> None:
    for caller in callers:
        if not caller.done.done():
            caller.done.set_exception(error)


def _succeed(callers: Sequence[_Caller], results: Iterator[WriteResult]) -> None:
    for caller in callers:
        filled = recorder.all_stored(zip(caller.changes, caller.recipes, strict=True), results)
        try:
            caller.on_commit(filled)
        except Exception as bug:
            logger.exception("a committed change could not be applied")
            if not caller.done.done():
                caller.done.set_exception(bug)
        if not caller.done.done():
            caller.done.set_result(filled)
