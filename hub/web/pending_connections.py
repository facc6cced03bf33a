"""Connections that have asked nothing yet, from accept to the end of their first header: so many, and no longer.

Counted in all and by network; the oldest makes room for the newest, because whoever means it is done within
milliseconds of what its network needs. Knows no socket: how one is ended it is given.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MAX_PENDING: Final = 800
"""Half a TLS handshake keeps some 70 KiB, what waits for the collector included: 64 MiB in all."""
MAX_OF_NETWORK: Final = 400
"""Of one network (`rate_limit.network_of`): as many of a fleet behind one address are under way when all of it comes
back by links that take a second to answer."""


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
    def __init__(self, most: int = MAX_PENDING, of_network: int = MAX_OF_NETWORK) -> None:
        self._most = most
        self._of_network = of_network
        # Bound: `most`, the oldest is ended.
        self._all: OrderedDict[PendingConnection, None] = OrderedDict()
        # Bound: the same ones, `of_network` of each; the oldest is ended.
        self._by_network: dict[str, OrderedDict[PendingConnection, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, network: str, now: float, abort: Callable[[], None]) -> PendingConnection:
        """`network` is "" for a proxy of ours, which is counted in all only."""
        entered = PendingConnection(self, network, now, abort)
        self._all[entered] = None
        neighbours = self._by_network.setdefault(network, OrderedDict())
        neighbours[entered] = None
        if network and len(neighbours) > self._of_network:
            self._end(next(iter(neighbours)))
        elif len(self._all) > self._most:
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
