"""What the door remembers between requests: credentials just checked, addresses that guess, and uses to be noted.

One per hub life, at `HubContext.gate`. Holds no secret, only hashes.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio

from hub.model import changes as c
from hub.people.rules.sign_in import MAX_EMAIL
from hub.web.auth.budgets import PersonBudget
from hub.web.auth.credentials import CredentialCache
from hub.web.auth.limits import AddressLimiter, Doorstep, network_of
from hub.web.auth.passwords import Passwords
from hub.web.auth.unstored_sign_ins import UnstoredSignIns

logger = logging.getLogger("myrvm.sign_in")

MAX_USES: Final = 1000
"""Uses of credentials that wait to be written; more are dropped, because the next use is noted just as well."""
MAX_FAMILIAR: Final = 10_000
TOLD_EVERY_S: Final = 60.0
MAX_NETWORKS: Final = 1000
"""Of strangers, counted apart; of more it is only known that there were more."""


class FamiliarPlaces:
    """Networks from which an account was signed in to in this life of the hub: what strangers do elsewhere neither
    locks the account there nor makes it wait."""

    def __init__(self) -> None:
        # Bound: MAX_FAMILIAR, the one used longest ago goes first.
        self._places: OrderedDict[str, None] = OrderedDict()

    def add(self, email: str, address: str) -> None:
        place = self._place(email, address)
        self._places[place] = None
        self._places.move_to_end(place)
        if len(self._places) > MAX_FAMILIAR:
            self._places.popitem(last=False)

    def find(self, email: str, address: str) -> str | None:
        """The name under which tries from there are counted, apart from everybody else's; None: it is not familiar."""
        place = self._place(email, address)
        return place if place in self._places else None

    @staticmethod
    def _place(email: str, address: str) -> str:
        """Begins with a space: nobody's email does, so that nobody can type the name of a place."""
        return f" {network_of(address)} {email}"[:MAX_EMAIL]


class Strangers:
    """Who signs in without an account: counted here and told in one line of the log a minute. The audit log cannot be
    shortened, so what anybody may cause without an account is no line of it."""

    def __init__(self) -> None:
        self._tries = 0
        # Bound: MAX_NETWORKS, and a minute.
        self._networks: set[str] = set()

    def count(self, address: str) -> None:
        """One wrong try for an account that is not there."""
        self._tries += 1
        if len(self._networks) < MAX_NETWORKS:
            self._networks.add(network_of(address))

    def summary(self) -> str | None:
        """What was counted since the last time, in a sentence; None if nothing was."""
        if not self._tries:
            return None
        more = " or more" if len(self._networks) == MAX_NETWORKS else ""
        said = (
            f"{self._tries} tries to sign in to accounts that do not exist, from {len(self._networks)}{more} networks"
        )
        self._tries = 0
        self._networks.clear()
        return said

    async def run(self) -> None:
        while True:
            await anyio.sleep(TOLD_EVERY_S)
            if said := self.summary():
                logger.warning("%s", said)


@dataclass
class Gate:
    known: CredentialCache = field(default_factory=CredentialCache)
    addresses: AddressLimiter = field(default_factory=AddressLimiter)
    """Credentials that are not valid, by address; a request without any is not charged."""
    guesses: AddressLimiter = field(default_factory=AddressLimiter)
    """Passwords and one-time links that were wrong: a bucket of their own, so that nothing else that an address does
    keeps anybody there from signing in."""
    familiar: FamiliarPlaces = field(default_factory=FamiliarPlaces)
    strangers: Strangers = field(default_factory=Strangers)
    doorstep: Doorstep = field(default_factory=Doorstep)
    passwords: Passwords = field(default_factory=Passwords)
    people: PersonBudget = field(default_factory=PersonBudget)
    unstored: UnstoredSignIns = field(default_factory=UnstoredSignIns)
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
                if isinstance(change, c.SessionEnded | c.UserRemoved):
                    self.unstored.end(change)

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
