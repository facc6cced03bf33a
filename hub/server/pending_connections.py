"""Connections that have asked nothing yet, from accept to the end of their first header: so many, and no longer.

Counted in all and by network; the oldest makes room for the newest, because whoever means it is done within
milliseconds of what its network needs. Knows no socket: how one is ended it is given.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple


class ConnectionLimits(NamedTuple):
    """In all, and of one network (`rate_limit.network_of`): a fleet behind one address comes back all at once, too."""

    of_all: int
    of_network: int


PLAIN: Final = ConnectionLimits(2000, 1000)
TLS: Final = ConnectionLimits(800, 400)
"""Half a handshake keeps some 70 KiB, what waits for the collector included: 64 MiB in all."""


class PendingConnection:
    """One of them; `abort` ends it, whatever it is at; `leave` when it has asked or is gone, as often as one likes."""

    __slots__ = ("_among", "abort", "accepted_at", "network")

    def __init__(self, among: PendingConnections, network: str, now: float, abort: Callable[[], None]) -> None:
        self._among = among
        self.network = network
        self.accepted_at = now
        self.abort = abort

    def leave(self) -> None:
        self._among.left(self)


class PendingConnections:
    def __init__(self, limits: ConnectionLimits = PLAIN) -> None:
        self._limits = limits
        # Bound: `limits`, the oldest is ended.
        self._all: OrderedDict[PendingConnection, None] = OrderedDict()
        # Bound: the same ones.
        self._by_network: dict[str, OrderedDict[PendingConnection, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, network: str, now: float, abort: Callable[[], None]) -> PendingConnection:
        """`network` is "" for a proxy of ours, which is counted in all only."""
        entered = PendingConnection(self, network, now, abort)
        self._all[entered] = None
        neighbours = self._by_network.setdefault(network, OrderedDict())
        neighbours[entered] = None
        if network and len(neighbours) > self._limits.of_network:
            self._end(next(iter(neighbours)))
        elif len(self._all) > self._limits.of_all:
            self._end(next(iter(self._all)))
        return entered

    def left(self, pending: PendingConnection) -> None:
        if pending not in self._all:
            return
        del self._all[pending]
        neighbours = self._by_network[pending.network]
        del neighbours[pending]
        if not neighbours:
            del self._by_network[pending.network]

    def _end(self, oldest: PendingConnection) -> None:
        self.left(oldest)
        oldest.abort()
