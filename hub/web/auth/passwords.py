"""Hashes passwords off the event loop, two at once: each takes 64 MiB and a core for 0.1 s. A free place goes to the
next neighbourhood (IPv4 /24, IPv6 /48), in it to the next network. Familiar networks go first."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import anyio
import anyio.to_thread
from argon2 import PasswordHasher

from hub.model import credentials
from hub.web.auth.limits import network_of
from protocol.addresses import parse_address

AT_ONCE: Final = 2
MAX_WAITING: Final = 1000

T = TypeVar("T")
_Waiter = asyncio.Future[None]


class TooBusy(Exception):  # noqa: N818 - a state, not a fault
    """This network asked too often."""


class Passwords:
    """Raises TooBusy. `address`: whose turn it takes."""

    def __init__(self, hasher: PasswordHasher = credentials.SLOW) -> None:
        self._hasher = hasher
        self._turns = FairTurns(AT_ONCE)
        self._limiter: anyio.CapacityLimiter | None = None

    async def hash(self, password: str, address: str = "") -> str:
        async with self._turns.turn(address, familiar=True):
            return await self._in_thread(lambda: credentials.hash_password(password, self._hasher))

    async def matches(self, password: str, stored: str | None, *, address: str, familiar: bool) -> bool:
        async with self._turns.turn(address, familiar=familiar):
            return await self._in_thread(lambda: credentials.password_matches(password, stored, self._hasher))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._limiter is None:  # made at first use: a limiter belongs to the running loop
            self._limiter = anyio.CapacityLimiter(AT_ONCE)
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


class FairTurns:
    def __init__(self, places: int, most: int = MAX_WAITING) -> None:
        self._free = places
        self._most = most
        self._familiar, self._others = _Queue(), _Queue()

    @asynccontextmanager
    async def turn(self, address: str, *, familiar: bool) -> AsyncIterator[None]:
        await self._wait(address, self._familiar if familiar else self._others)
        try:
            yield
        finally:
            self._pass_on()

    def __len__(self) -> int:
        return len(self._familiar) + len(self._others)

    async def _wait(self, address: str, queue: _Queue) -> None:
        if self._free:
            self._free -= 1
            return
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        queue.add(address, waiter)
        if len(self) > self._most:
            (self._others if len(self._others) else self._familiar).send_away_one()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._pass_on()  # its turn came as it was given up
            raise

    def _pass_on(self) -> None:
        for queue in (self._familiar, self._others):
            while (waiter := queue.next()) is not None:
                if not waiter.done():
                    waiter.set_result(None)
                    return
        self._free += 1


class _Queue:
    """Waiters by neighbourhood and network, both in turn."""

    def __init__(self) -> None:
        # Bound: FairTurns._most in all.
        self._waiting: OrderedDict[str, OrderedDict[str, deque[_Waiter]]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, address: str, waiter: _Waiter) -> None:
        networks = self._waiting.setdefault(neighbourhood_of(address), OrderedDict())
        networks.setdefault(network_of(address), deque()).append(waiter)
        self._count += 1

    def next(self) -> _Waiter | None:
        if not self._waiting:
            return None
        neighbourhood, networks = self._waiting.popitem(last=False)
        network, waiters = networks.popitem(last=False)
        waiter = waiters.popleft()
        self._count -= 1
        if waiters:
            networks[network] = waiters
        if networks:
            self._waiting[neighbourhood] = networks
        return waiter

    def send_away_one(self) -> None:
        """The newest of the fullest network of the fullest neighbourhood."""
        neighbourhood = max(self._waiting, key=lambda name: sum(map(len, self._waiting[name].values())))
        networks = self._waiting[neighbourhood]
        network = max(networks, key=lambda name: len(networks[name]))
        waiter = networks[network].pop()
        self._count -= 1
        if not networks[network]:
            del networks[network]
        if not networks:
            del self._waiting[neighbourhood]
        if not waiter.done():
            waiter.set_exception(TooBusy())


def neighbourhood_of(address: str) -> str:
    ip = parse_address(address)
    if ip is None:
        return address
    return str(ipaddress.ip_network((int(ip), 24) if ip.version == 4 else (int(ip), 48), strict=False).network_address)
