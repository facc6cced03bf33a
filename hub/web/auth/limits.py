"""Rate limits and budgets, all token buckets in bounded tables.

Addresses: tries without a valid credential (only failures are charged), and sockets without a key. People: how much
of the audit log each may fill; in debt nothing more is changed (429), but one's own account and tokens have a
reserve. Reads: milliseconds of the event loop; more waits, too long a wait is 429."""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from hub.model import actors
from hub.model.access import Principal
from hub.model.actors import Actor
from hub.model.budgets import TokenBuckets
from hub.model.changes import Change, EventHappened
from hub.web.http.problems import Problem, Text
from protocol.addresses import parse_address

TRIES_PER_MINUTE: Final = 20.0
TRIES_AT_ONCE: Final = 40.0
MAX_ADDRESSES: Final = 10_000
"""Beyond it the one unseen the longest goes."""


class AddressLimiter:
    """`charge` takes one try: None, or the seconds to wait."""

    def __init__(
        self, per_minute: float = TRIES_PER_MINUTE, burst: float = TRIES_AT_ONCE, clock: Callable[[], float] = monotonic
    ) -> None:
        self._clock = clock
        self._buckets = TokenBuckets[str](per_minute / 60.0, burst, MAX_ADDRESSES)

    def charge(self, address: str) -> float | None:
        return math.ceil(self._buckets.take(network_of(address), self._clock())) or None

    def give_back(self, address: str) -> None:
        self._buckets.give_back(network_of(address), self._clock())

    def wait(self, address: str) -> float | None:
        return math.ceil(self._buckets.wait(network_of(address), self._clock())) or None

    def __len__(self) -> int:
        return len(self._buckets)


def network_of(address: str) -> str:
    """The IPv4 address, or the /64 of IPv6."""
    ip = parse_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(ip), 64), strict=False).network_address)
    return address if ip is None else str(ip)


MAX_PENDING: Final = 20
MAX_OF_ALL: Final = 1000
"""Beyond it only those with a key in the header get in."""


class PendingSocket:
    """`leave`, any number of times, when it has shown its key or is gone."""

    def __init__(self, limit: UnauthenticatedLimit, key: str) -> None:
        self._limit: UnauthenticatedLimit | None = limit
        self._key = key

    def leave(self) -> None:
        if self._limit is not None:
            self._limit.left(self._key)
            self._limit = None


class UnauthenticatedLimit:
    def __init__(self, most: int = MAX_PENDING, of_all: int = MAX_OF_ALL) -> None:
        self._most = most
        self._of_all = of_all
        self._total = 0
        # Bound: `of_all`, which have AUTH_TIMEOUT_S to show a key; `most` of each address.
        self._pending: dict[str, int] = {}

    def admit(self, address: str) -> PendingSocket | None:
        key = network_of(address)
        count = self._pending.get(key, 0)
        if count >= self._most or self._total >= self._of_all:
            return None
        self._total += 1
        self._pending[key] = count + 1
        return PendingSocket(self, key)

    def left(self, key: str) -> None:
        self._total -= 1
        count = self._pending.pop(key) - 1
        if count:
            self._pending[key] = count

    def __len__(self) -> int:
        return self._total


LINES_PER_S: Final = 5.0
LINES_AT_ONCE: Final = 3000.0
"""Three commands to 500 machines each, with their ends."""
LINE_BYTES: Final = 1024
OWN_PER_S: Final = 0.5
OWN_AT_ONCE: Final = 60.0
SIGN_INS_PER_S: Final = 0.5
SIGN_INS_AT_ONCE: Final = 60.0
MOST_REMEMBERED: Final = 10_000
OF_ONE_SELF: Final = frozenset(
    {"account.edit", "account.secure", "account.sign_out", "session.manage_own", "token.manage_own"}
)
_NOT_THEIR_OWN: Final = frozenset({"sign_in.failed", "sign_in.locked", "sign_in.code_missing"})
"""Caused by strangers, in somebody's name."""


class PersonBudget:
    """By id; waits in seconds, 0 for none."""

    def __init__(
        self,
        lines_per_s: float = LINES_PER_S,
        lines_at_once: float = LINES_AT_ONCE,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._clock = clock
        self._lines = TokenBuckets[int](lines_per_s, lines_at_once, MOST_REMEMBERED)
        self._own = TokenBuckets[int](OWN_PER_S, OWN_AT_ONCE, MOST_REMEMBERED)
        self._sign_ins = TokenBuckets[int](SIGN_INS_PER_S, SIGN_INS_AT_ONCE, MOST_REMEMBERED)

    def on_commit(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, EventHappened) and change.code not in _NOT_THEIR_OWN:
                user_id = actors.user_of(change.actor)
                if user_id is not None:
                    self._lines.spend(user_id, self._clock(), _lines_of(change))

    def wait(self, principal: Principal, action: str) -> float:
        if principal.kind != "user":
            return 0.0
        now = self._clock()
        wait = self._lines.wait(principal.id, now)
        if wait and principal.is_signed_in and action in OF_ONE_SELF:
            return self._own.take(principal.id, now)
        return wait

    def sign_in(self, user_id: int) -> float:
        return self._sign_ins.take(user_id, self._clock())


def _lines_of(event: EventHappened) -> float:
    return max(1.0, len(msgspec.json.encode((event.params, event.before, event.after))) / LINE_BYTES)


READS_PER_S: Final = 150.0
"""A seventh of one processor."""
READS_AT_ONCE: Final = 1500.0
"""75 times the Machines page."""
MAX_WAIT_S: Final = 3.0
MAX_READERS: Final = 10_000

OF_PAGE: Final = 10.0
OF_FLEET_PAGE: Final = 20.0
OF_PARTS: Final = 5.0
OF_SNAPSHOT: Final = 10.0
"""Of 2,000 machines, mostly the kernel's."""


class ReadBudget:
    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._buckets = TokenBuckets[Actor](READS_PER_S, READS_AT_ONCE, MAX_READERS)
        # Bound: the requests that are under way.
        self._turns: WeakValueDictionary[Actor, asyncio.Lock] = WeakValueDictionary()
        # Bound: as above.
        self._long_turns: WeakValueDictionary[Actor, asyncio.Lock] = WeakValueDictionary()

    def turn(self, who: Actor) -> asyncio.Lock:
        """Held while something large is written for them."""
        return self._turns.setdefault(who, asyncio.Lock())

    def long_turn(self, who: Actor) -> asyncio.Lock:
        """Held while much is read from the database for them: their other pages need not wait for that."""
        return self._long_turns.setdefault(who, asyncio.Lock())

    async def take(self, who: Actor, cost: float, max_wait_s: float = MAX_WAIT_S) -> None:
        """Return when `cost` is there. Raises Problem (429), after `max_wait_s`, when it would take longer."""
        now = self._clock()
        wait = self._buckets.wait(who, now, cost)
        if wait > max_wait_s:
            await self._sleep(max_wait_s)
            seconds = max(1, math.ceil(wait - max_wait_s))
            raise Problem("too-many-requests", Text("reads_too_much", {"count": seconds}), retry_after=seconds)
        self._buckets.spend(who, now, cost)
        if wait:
            await self._sleep(wait)
