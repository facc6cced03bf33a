"""How often an address may come without a valid credential: one token bucket each, in a bounded table.

Only failures are charged, so a fleet behind one NAT address never pays for a neighbour's guessing. Knows no request.

Who stands at the door without having said who they are: so many of one address, and no more.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable
from time import monotonic
from typing import Final

from hub.model.budgets import TokenBuckets
from protocol.addresses import parse_address

TRIES_PER_MINUTE: Final = 20.0
TRIES_AT_ONCE: Final = 40.0
MAX_ADDRESSES: Final = 10_000
"""Beyond it the address seen longest ago is forgotten: 10,000 addresses that each still have their burst are a botnet,
which no table of ours stops; the lock on the account does."""


class AddressLimiter:
    """`charge(address)` takes one try and answers None, or the seconds to wait when there is none left."""

    def __init__(
        self, per_minute: float = TRIES_PER_MINUTE, burst: float = TRIES_AT_ONCE, clock: Callable[[], float] = monotonic
    ) -> None:
        self._clock = clock
        self._buckets = TokenBuckets[str](per_minute / 60.0, burst, MAX_ADDRESSES)

    def charge(self, address: str) -> float | None:
        return math.ceil(self._buckets.take(network_of(address), self._clock())) or None

    def give_back(self, address: str) -> None:
        """The try that was charged was no guess."""
        self._buckets.give_back(network_of(address), self._clock())

    def wait(self, address: str) -> float | None:
        """Like `charge`, without taking a try."""
        return math.ceil(self._buckets.wait(network_of(address), self._clock())) or None

    def __len__(self) -> int:
        return len(self._buckets)


def network_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that an IPv6 subscriber is given."""
    ip = parse_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(ip), 64), strict=False).network_address)
    return address if ip is None else str(ip)


MAX_STANDING: Final = 20
"""Sockets of one address that were let in to show a key in their first frame, and have not yet (bar 43)."""
MAX_OF_ALL: Final = 1000
"""Beyond it only those get in that show their key in the header, as our agents do."""


class Standing:
    """One socket at the door; `leave` when it is known or gone, as often as one likes."""

    def __init__(self, doorstep: Doorstep, key: str) -> None:
        self._doorstep: Doorstep | None = doorstep
        self._key = key

    def leave(self) -> None:
        if self._doorstep is not None:
            self._doorstep.left(self._key)
            self._doorstep = None


class Doorstep:
    """Counts by address; an address nobody of which stands there costs nothing."""

    def __init__(self, most: int = MAX_STANDING, of_all: int = MAX_OF_ALL) -> None:
        self._most = most
        self._of_all = of_all
        self._total = 0
        # Bound: `of_all`, which have AUTH_TIMEOUT_S to say who they are; `most` of each address.
        self._standing: dict[str, int] = {}

    def enter(self, address: str) -> Standing | None:
        """None when so many of this address, or of all, stand there already."""
        key = network_of(address)
        count = self._standing.get(key, 0)
        if count >= self._most or self._total >= self._of_all:
            return None
        self._total += 1
        self._standing[key] = count + 1
        return Standing(self, key)

    def left(self, key: str) -> None:
        self._total -= 1
        count = self._standing.pop(key) - 1
        if count:
            self._standing[key] = count

    def __len__(self) -> int:
        return self._total
