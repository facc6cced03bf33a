"""Sign-ins that the database could not store: they count in memory until it can, so that a full disk locks nobody out.

What a hub that ends before that forgets is a session more to open, never one that lives on: what ends a session, ends
it here as well. Wrong passwords count here, too, or a full disk would be the time to guess.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from db.errors import Conflict, Rejected
from hub.kernel.announce import Announcer
from hub.kernel.retry import RetryUntilAvailable
from hub.model import changes as c
from hub.people.rules.sign_in import Failures

logger = logging.getLogger("myrvm.sign_in")

MAX_UNSTORED: Final = 200
"""More are refused: nobody has so many administrators who look at once."""
MAX_COUNTED: Final = 1000


@dataclass(eq=False)
class _UnstoredSignIn:
    opened: c.SessionOpened
    changes: list[c.Change]
    is_open: bool = True


class UnstoredSignIns:
    """`run` stores them in one task, in the order in which they came."""

    def __init__(self) -> None:
        # Bound: MAX_UNSTORED, beyond it a sign-in is refused.
        self._waiting: OrderedDict[str, _UnstoredSignIn] = OrderedDict()
        # Bound: MAX_COUNTED, the oldest is dropped.
        self._failures: OrderedDict[str, Failures] = OrderedDict()
        self._some = asyncio.Event()

    def keep(self, changes: Sequence[c.Change]) -> bool:
        """Let the session in these changes count from now on; False when there are too many."""
        opened = next(change for change in changes if isinstance(change, c.SessionOpened))
        if len(self._waiting) >= MAX_UNSTORED:
            return False
        self._waiting[opened.hash] = _UnstoredSignIn(opened, list(changes))
        self._some.set()
        return True

    def find(self, digest: str, now: datetime) -> c.SessionOpened | None:
        """The session of this hash, while it is open."""
        unstored = self._waiting.get(digest)
        if unstored is None or not unstored.is_open or unstored.opened.expires_at <= now:
            return None
        return unstored.opened

    def has_used(self, link: str) -> bool:
        """Whether the one-time link of this hash let somebody in."""
        used = (change for unstored in self._waiting.values() for change in unstored.changes)
        return any(isinstance(change, c.SignInLinkUsed) and change.hash == link for change in used)

    def end(self, ended: c.SessionEnded | c.UserRemoved) -> bool:
        """Let no session that this ends count any more, nor be stored. False: none of it is here."""
        digest = ended.hash if isinstance(ended, c.SessionEnded) else None
        found = [
            unstored
            for unstored in self._waiting.values()
            if unstored.is_open and unstored.opened.user_id == ended.user_id and digest in (None, unstored.opened.hash)
        ]
        for unstored in found:
            unstored.is_open = False
            unstored.changes = [change for change in unstored.changes if change is not unstored.opened]
        return bool(found)

    def failures(self, counted_as: str) -> Failures | None:
        """Wrong passwords that could not be stored."""
        return self._failures.get(counted_as)

    def count(self, change: c.SignInCounted) -> None:
        self._failures[change.email] = Failures(change.failures, change.at, change.locked_until)
        self._failures.move_to_end(change.email)
        if len(self._failures) > MAX_COUNTED:
            self._failures.popitem(last=False)

    def forget_failures(self, counted_as: str) -> None:
        """They were stored, or the password was right."""
        self._failures.pop(counted_as, None)

    async def run(self, announce: Announcer) -> None:
        """Store until cancelled."""
        retry = RetryUntilAvailable("sign-ins")
        while True:
            await self._some.wait()
            digest, unstored = next(iter(self._waiting.items()))
            try:
                await retry(lambda which=unstored: announce(*which.changes))  # type: ignore[misc]
            except (Conflict, Rejected) as refused:  # stored by the try of which nobody knew, or the person is gone
                logger.warning("a sign-in was not recorded: %s", refused)
            del self._waiting[digest]
            if not self._waiting:
                self._some.clear()
