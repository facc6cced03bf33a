"""The slow hash off the event loop: two at once, because each takes 64 MiB and a core for a tenth of a second."""

from __future__ import annotations

import anyio
import anyio.to_thread

from hub.core import credentials

AT_ONCE = 2


class Passwords:
    """Made before the loop runs is fine; the limiter is made at first use, inside it."""

    def __init__(self) -> None:
        self._limiter: anyio.CapacityLimiter | None = None

    async def hash(self, password: str) -> str:
        return await anyio.to_thread.run_sync(credentials.hash_password, password, limiter=self._two())

    async def matches(self, password: str, stored: str | None) -> bool:
        return await anyio.to_thread.run_sync(credentials.password_matches, password, stored, limiter=self._two())

    def _two(self) -> anyio.CapacityLimiter:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(AT_ONCE)
        return self._limiter
