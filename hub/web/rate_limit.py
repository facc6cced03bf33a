"""How often an address may come without a valid credential: one token bucket each, in a bounded table.

Only failures are charged, so a fleet behind one NAT address never pays for a neighbour's guessing. Knows no request.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

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
        self.per_second = per_minute / 60.0
        self.burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def charge(self, address: str) -> float | None:
        tries, now, key = self._tries(address)
        if tries < 1.0:
            self._keep(key, tries, now)
            return math.ceil((1.0 - tries) / self.per_second)
        self._keep(key, tries - 1.0, now)
        return None

    def wait(self, address: str) -> float | None:
        """Like `charge`, without taking a try."""
        tries, _, _ = self._tries(address)
        return None if tries >= 1.0 else math.ceil((1.0 - tries) / self.per_second)

    def __len__(self) -> int:
        return len(self._buckets)

    def _tries(self, address: str) -> tuple[float, float, str]:
        key, now = network_of(address), self._clock()
        left, at = self._buckets.get(key, (self.burst, now))
        return min(self.burst, left + (now - at) * self.per_second), now, key

    def _keep(self, key: str, tries: float, now: float) -> None:
        self._buckets[key] = (tries, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)


def network_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that an IPv6 subscriber is given."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((int(ip), 64), strict=False).network_address)
    return str(ip)
