"""Commits Changes: each call is one transaction, published in commit order. What is not urgent is written behind: ahead
of the next transaction, or within BEHIND_S. Does not know what a Change means."""

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

BEHIND_S: Final = 0.25
MAX_BEHIND: Final = 10_000
BEHIND_AT_ONCE: Final = 200

OnCommit = Callable[[list[Change]], None]


async def commit_alone(store: Store, changes: Sequence[Change]) -> list[Change]:
    """Commit where no hub is to be told (command line); returns them as stored. Raises a StoreError."""
    return await _submit(store, changes, lambda _: None)


class Commits:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[tuple[Change, Callable[[], bool]]] = deque()  # Bound: MAX_BEHIND, beyond it dropped
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
        """Commit in one transaction, call `on_commit`, return the Changes as stored. Raises the StoreError of these
        Changes alone. A cancelled caller does not keep `on_commit` from being called. `on_end` is called after a
        refusal, too."""
        self._hand_in()
        future = self._kept(_submit(self._store, changes, on_commit))
        if on_end is not None:
            future.add_done_callback(lambda _: on_end())
        return await future

    def write_behind(self, change: Change, still: Callable[[], bool]) -> None:
        """Store it ahead of the next commit, within BEHIND_S, unless `still()` is False by then. Dropped when
        MAX_BEHIND wait or the database is away: the machine reports it again."""
        if len(self._waiting) < MAX_BEHIND:
            self._waiting.append((change, still))
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(BEHIND_S, self._due)

    async def flush(self) -> None:
        """Wait until everything handed in was tried; the caller bounds the time."""
        self._hand_in()
        while self._under_way:
            await asyncio.wait(self._under_way)
            self._hand_in()

    def _due(self) -> None:
        self._timer = None
        self._hand_in()

    def _hand_in(self) -> None:
        while self._waiting and self._behind < BEHIND_AT_ONCE:
            change, still = self._waiting.popleft()
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
