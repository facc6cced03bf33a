"""How often an address may come without a valid credential: one token bucket each, in a bounded table.

Only failures are charged, so a fleet behind one NAT address never pays for a neighbour's guessing. Knows no request.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable
from time import monotonic
from typing import Final

from hub.core.token_bucket import TokenBuckets
from protocol.addresses import parse_address

PER_MINUTE: Final = 20.0
BURST: Final = 40.0
MAX_ADDRESSES: Final = 10_000
"""Beyond it the address seen longest ago is forgotten: 10,000 addresses that each still have their burst are a botnet,
which no table of ours stops; the lock on the account does."""


class AddressLimiter:
    """`charge(address)` takes one try and answers None, or the seconds to wait when there is none left."""

    def __init__(
        self, per_minute: float = PER_MINUTE, burst: float = BURST, clock: Callable[[], float] = monotonic
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
