"""Credentials that were checked a moment ago, so that a request costs no look-up; bounded in number and in age.

The age bounds how long a revocation made elsewhere (another hub, the command line) can go unnoticed; what this hub
revokes is removed at once. Keys are hashes of secrets, never the secrets.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime
from time import monotonic
from typing import Final

from db.errors import StoreError
from hub.model.access import Principal

CREDENTIAL_TTL_S: Final = 3.0
MAX_CREDENTIALS: Final = 10_000


class CredentialCache:
    """hash -> (principal, instant its credential expires)."""

    def __init__(self, ttl_s: float = CREDENTIAL_TTL_S, clock: Callable[[], float] = monotonic) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        # Bound: MAX_CREDENTIALS, and CREDENTIAL_TTL_S.
        self._entries: OrderedDict[str, tuple[float, datetime | None, Principal]] = OrderedDict()
        self._generation = 0
        # Bound: look-ups that are under way, one a credential and generation.
        self._under_way: dict[tuple[str, int], asyncio.Future[Principal | None]] = {}

    async def share(self, digest: str, look_up: Callable[[], Awaitable[Principal | None]]) -> Principal | None:
        """What `look_up` gives, asked once by however many requests of one credential come meanwhile: they must not
        fill the database's queue whenever the credential is due. Raises StoreError."""
        key = (digest, self._generation)
        while (earlier := self._under_way.get(key)) is not None:
            await asyncio.wait((earlier,))
            if not earlier.cancelled():
                return earlier.result()
        own: asyncio.Future[Principal | None] = asyncio.get_running_loop().create_future()
        self._under_way[key] = own
        try:
            own.set_result(await look_up())
        except StoreError as error:
            own.set_exception(error)
        finally:
            del self._under_way[key]
            own.cancel()  # where nothing was learnt, each who waited looks for itself
        return own.result()

    @property
    def generation(self) -> int:
        """Grows with every `forget`: a look-up that began before one must not put its stale answer in after it."""
        return self._generation

    def find(self, digest: str, now: datetime) -> Principal | None:
        entry = self._entries.get(digest)
        if entry is None:
            return None
        stale_at, expires_at, principal = entry
        if self._clock() >= stale_at or (expires_at is not None and expires_at <= now):
            del self._entries[digest]
            return None
        return principal

    def keep(self, digest: str, principal: Principal, expires_at: datetime | None, generation: int) -> None:
        if generation != self._generation:
            return
        self._entries[digest] = (self._clock() + self._ttl_s, expires_at, principal)
        if len(self._entries) > MAX_CREDENTIALS:
            self._entries.popitem(last=False)

    def forget(self, digest: str) -> None:
        self._generation += 1
        self._entries.pop(digest, None)

    def forget_user(self, user_id: int) -> None:
        self._generation += 1
        for digest in [d for d, (_, _, p) in self._entries.items() if p.kind == "user" and p.id == user_id]:
            del self._entries[digest]

    def forget_all(self) -> None:
        self._generation += 1
        self._entries.clear()
