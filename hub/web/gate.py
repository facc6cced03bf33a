"""What the door remembers between requests: credentials just checked, addresses that guess, and uses to be noted.

One per hub life, at `HubContext.gate`. Holds no secret, only hashes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio

from hub.core import changes as c
from hub.web.credential_cache import CredentialCache
from hub.web.doorstep import Doorstep
from hub.web.passwords import Passwords
from hub.web.rate_limit import AddressLimiter

MAX_USES: Final = 1000
"""Uses of credentials that wait to be written; more are dropped, because the next use is noted just as well."""


@dataclass
class Gate:
    known: CredentialCache = field(default_factory=CredentialCache)
    addresses: AddressLimiter = field(default_factory=AddressLimiter)
    doorstep: Doorstep = field(default_factory=Doorstep)
    passwords: Passwords = field(default_factory=Passwords)
    # Bound: MAX_USES; what is beyond is noted with the next use.
    uses: dict[str, c.TokenUsed | c.SessionExtended] = field(default_factory=dict)
    users_change: anyio.Lock = field(default_factory=anyio.Lock)
    """One change of a user at a time, so that two administrators cannot remove each other at once."""
    # Bound: one a request under way.
    _trying: dict[str, tuple[anyio.Lock, int]] = field(default_factory=dict)

    def note_use(self, digest: str, use: c.TokenUsed | c.SessionExtended) -> None:
        """To be written behind an answer (`credential_reader.write_uses`)."""
        if len(self.uses) < MAX_USES:
            self.uses[digest] = use

    def became_true(self, changes: Iterable[c.Change]) -> None:
        """Forget at once what a committed Change revoked or altered."""
        for change in changes:
            if isinstance(change, c.TokenRevoked | c.MachineRemoved):
                # By id only: which hash that was is not known here, and these are rare.
                self.known.forget_all()
            elif isinstance(change, c.SessionEnded | c.TokensRevoked | c.UserEdited | c.UserRemoved):
                self.known.forget_user(change.user_id)

    @asynccontextmanager
    async def one_try_at_a_time(self, email: str) -> AsyncIterator[None]:
        """Tries for one account queue up, so that a hundred at once are still counted one by one."""
        lock, waiting = self._trying.get(email, (anyio.Lock(), 0))
        self._trying[email] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._trying[email]
            if waiting == 1:
                del self._trying[email]
            else:
                self._trying[email] = (lock, waiting - 1)
