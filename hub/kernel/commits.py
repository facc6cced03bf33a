"""Commits Changes: each call is one transaction, published in commit order. Write-behind: what is not urgent goes
ahead of the next one. Knows no meaning of a Change."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from db.engine.statements import WriteResult
from db.engine.store import Store
from db.errors import Conflict, Rejected, StoreError
from hub.kernel import recorder
from hub.kernel.recorder import Recipe, recipe_of
from hub.model.changes import Change

logger = logging.getLogger("myrvm.commit")

LATER_S: Final = 0.25
MAX_LATER: Final = 10_000
LATER_AT_ONCE: Final = 200

OnCommit = Callable[[list[Change]], None]


async def commit_alone(store: Store, changes: Sequence[Change]) -> list[Change]:
    """Without a hub (command line). As stored; raises a StoreError."""
    return await _submit(store, changes, lambda _: None)


class Commits:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._later: deque[tuple[Change, Callable[[], bool]]] = deque()  # Bound: MAX_LATER, beyond it dropped
        self._behind = 0
        self._timer: asyncio.TimerHandle | None = None
        # Bound: the store's own, beyond it a call is refused.
        self._under_way: set[asyncio.Future[Any]] = set()

    @property
    def stalled_s(self) -> float:
        return self._store.silent_s

    async def commit(
        self, changes: Sequence[Change], on_commit: OnCommit, on_end: Callable[[], None] | None = None
    ) -> list[Change]:
        """As stored, after `on_commit`. Raises only their own StoreError. What is committed is applied although its
        caller is cancelled. `on_end`: also of what was refused."""
        self._hand_in()
        future = self._kept(_submit(self._store, changes, on_commit))
        if on_end is not None:
            future.add_done_callback(lambda _: on_end())
        return await future

    def later(self, change: Change, still: Callable[[], bool]) -> None:
        """Ahead of the next commit, within LATER_S, unless `still()` is False by then. Dropped when full or the
        database is away; the machine reports it again."""
        if len(self._later) < MAX_LATER:
            self._later.append((change, still))
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(LATER_S, self._due)

    async def flush(self) -> None:
        """Until all handed in was tried; the caller bounds the time."""
        self._hand_in()
        while self._under_way:
            await asyncio.wait(self._under_way)
            self._hand_in()

    def _due(self) -> None:
        self._timer = None
        self._hand_in()

    def _hand_in(self) -> None:
        while self._later and self._behind < LATER_AT_ONCE:
            change, still = self._later.popleft()
            if still():
                self._behind += 1
                recorded = self._kept(_submit(self._store, [change], lambda _: None))
                recorded.add_done_callback(partial(self._recorded, change))

    def _recorded(self, change: Change, outcome: asyncio.Future[list[Change]]) -> None:
        self._behind -= 1
        refused = None if outcome.cancelled() else outcome.exception()
        if isinstance(refused, (Conflict, Rejected)):
            logger.warning("not recorded: %s (%s)", type(change).__name__, refused)
        if not self._behind and self._timer is None:
            self._hand_in()

    def _kept(self, future: asyncio.Future[list[Change]]) -> asyncio.Future[list[Change]]:
        if not future.done():
            self._under_way.add(future)
            future.add_done_callback(self._under_way.discard)
        return future


def _submit(store: Store, changes: Sequence[Change], on_commit: OnCommit) -> asyncio.Future[list[Change]]:
    recipes = [recipe_of(change) for change in changes]
    follow = partial(_follow, changes, recipes, on_commit)
    steps = [step for recipe in recipes for step in recipe.steps]
    if steps:
        try:
            return store.submit(steps, follow)
        except StoreError as refused:
            done = asyncio.get_running_loop().create_future()
            done.set_exception(refused)
            return done
    unstored = asyncio.get_running_loop().create_future()
    unstored.set_result(follow([]))
    return unstored


def _follow(
    changes: Sequence[Change], recipes: Sequence[Recipe], on_commit: OnCommit, results: list[WriteResult]
) -> list[Change]:
    stored = recorder.all_stored(zip(changes, recipes, strict=True), results)
    on_commit(stored)
    return stored
