"""The slow hash off the event loop: two at once, because each takes 64 MiB and a core for a tenth of a second."""

from __future__ import annotations

from typing import Final

import anyio
import anyio.to_thread
from argon2 import PasswordHasher

from hub.core import credentials

AT_ONCE: Final = 2
MAX_WAITING: Final = 50
"""About three seconds of work; whoever comes then is told to come later instead of being kept waiting."""


class TooBusy(Exception):  # noqa: N818 - a state, not a fault
    """More passwords to check than can be checked soon."""


class Passwords:
    def __init__(self, hasher: PasswordHasher = credentials.SLOW) -> None:
        self._hasher = hasher
        self._limiter: anyio.CapacityLimiter | None = None

    async def hash(self, password: str) -> str:
        return await anyio.to_thread.run_sync(credentials.hash_password, password, self._hasher, limiter=self._two())

    async def matches(self, password: str, stored: str | None) -> bool:
        return await anyio.to_thread.run_sync(
            credentials.password_matches, password, stored, self._hasher, limiter=self._two()
        )

    def _two(self) -> anyio.CapacityLimiter:
        """Made at first use: a limiter belongs to the running loop."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(AT_ONCE)
        if self._limiter.statistics().tasks_waiting >= MAX_WAITING:
            raise TooBusy
        return self._limiter
