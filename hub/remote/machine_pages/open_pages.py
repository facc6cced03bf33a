"""When the hub works on what machines' pages send: one piece at a time, then rest, so that no page, and no twenty of
them, keep the event loop from everybody else. Sessions take turns with each other, and the requests of a session among
themselves: who serves the worst page waits for itself.

Which pages of machines are open for whom: capabilities, host names and their tickets and cookies, in memory.

A capability is all that a sandboxed page can show (it has no cookie), so it is as hard to guess as a key, and it is
worth nothing once its lease is over. Kept as hashes; only host names, which the name service tells anyway, are not.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, thread_time
from typing import Final, NamedTuple, TypeVar

import anyio

from hub.remote.machine_pages.headers import CookieJar

T = TypeVar("T")
REST: Final = 3.0
"""So many times as long as it worked the loop belongs to others: pages take a quarter of it at most."""
AROUND_S: Final = 0.0002
"""What a piece costs beside the work: its frame comes in, the part goes out."""
REQUEST_S: Final = 0.0015
"""What a request costs beside all pieces: its headers, a stream to the machine, an answer of ours for want of one."""
UNRESTED_S: Final = 0.003
"""So much rest may be owed before it is taken: the clocks of an event loop do not count in less than milliseconds."""


class PageTurns:
    """Of the whole hub."""

    def __init__(self) -> None:
        self._one = anyio.Lock()
        self._owed = 0.0

    async def run(self, work: Callable[[], T]) -> T:
        """Its answer. `work` is short: a few kilobytes."""
        async with self._one:
            if self._owed > UNRESTED_S:
                owed, self._owed = self._owed, 0.0
                await anyio.sleep(owed)
            began = thread_time()
            try:
                return work()
            finally:
                self.charge(thread_time() - began + AROUND_S)

    def charge(self, worked_s: float) -> None:
        """For work that had no turn of its own."""
        self._owed += REST * worked_s


class SessionTurns:
    """Of one lease: it has one place among all leases, whatever it has under way."""

    def __init__(self, turns: PageTurns) -> None:
        self._turns = turns
        self._one = anyio.Lock()

    async def run(self, work: Callable[[], T]) -> T:
        async with self._one:
            return await self._turns.run(work)

    async def begin(self) -> None:
        """A request, or a WebSocket: returns when it may be worked on."""
        await self.run(lambda: None)
        self.charge(REQUEST_S)

    def charge(self, worked_s: float) -> None:
        self._turns.charge(worked_s)


TICKET_S: Final = 60.0
PAGES_PER_SESSION: Final = 32
"""Capabilities, tickets and cookies of one lease; the oldest makes room."""
REQUESTS_AT_ONCE: Final = 24
SOCKETS_AT_ONCE: Final = 16
"""Of one lease, together less than the streams of its tunnel: its terminals and files have room beside them."""


class Page(NamedTuple):
    """What may be reached: that port, in that lease, by that person."""

    rvm_id: int
    session_id: int
    holder: int
    port: int


@dataclass
class Grounds:
    """What the pages of one lease share: how much may be under way, whose turn it is, and each port's cookies."""

    turns: SessionTurns
    requests: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(REQUESTS_AT_ONCE))
    sockets: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(SOCKETS_AT_ONCE))
    # Bound: one a declared port of the lease.
    jars: dict[int, CookieJar] = field(default_factory=dict)

    def jar(self, port: int) -> CookieJar:
        return self.jars.setdefault(port, CookieJar())


class OpenPages:
    """`alive` tells whether a page's lease still stands; what is not alive is forgotten when something is added."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        # Bound: PAGES_PER_SESSION a lease, and gone with it.
        self._capabilities: dict[str, Page] = {}
        # Bound: one a port of a lease, and gone with it.
        self._labels: dict[str, Page] = {}
        # Bound: PAGES_PER_SESSION a label, TICKET_S each.
        self._tickets: dict[str, tuple[str, float]] = {}
        # Bound: PAGES_PER_SESSION a label.
        self._cookies: dict[str, str] = {}
        self._turns = PageTurns()
        # Bound: one a lease with a page.
        self._grounds: dict[int, Grounds] = {}

    def capability(self, page: Page) -> str:
        """A new one, shown here and never again."""
        text = secrets.token_urlsafe(32)
        _make_room(self._capabilities, lambda other: other.session_id == page.session_id)
        self._capabilities[_hash(text)] = page
        return text

    def by_capability(self, text: str) -> Page | None:
        return self._capabilities.get(_hash(text))

    def label(self, page: Page) -> str:
        """The first part of the page's host name: the same for as long as the lease lasts, so that what the page keeps
        in the browser is there when it is opened again."""
        known = next((label for label, other in self._labels.items() if other == page), None)
        if known is None:
            known = f"p{secrets.token_hex(16)}"
            self._labels[known] = page
        return known

    def by_label(self, label: str) -> Page | None:
        return self._labels.get(label)

    def ticket(self, label: str) -> str:
        """For the entrance of that host name: once, within a minute."""
        text, now = secrets.token_urlsafe(32), self._now()
        self._tickets = {key: known for key, known in self._tickets.items() if known[1] > now}
        _make_room(self._tickets, lambda known: known[0] == label)
        self._tickets[_hash(text)] = (label, now + TICKET_S)
        return text

    def enter(self, label: str, ticket: str) -> str | None:
        """The cookie for whoever brings that name's ticket; None for everybody else. The ticket is used up anyhow."""
        found = self._tickets.pop(_hash(ticket), None)
        if found is None or found[0] != label or found[1] <= self._now():
            return None
        text = secrets.token_urlsafe(32)
        _make_room(self._cookies, lambda other: other == label)
        self._cookies[_hash(text)] = label
        return text

    def entered(self, label: str, cookie: str) -> bool:
        return self._cookies.get(_hash(cookie)) == label

    def grounds(self, page: Page) -> Grounds:
        known = self._grounds.get(page.session_id)
        if known is None:
            known = self._grounds[page.session_id] = Grounds(SessionTurns(self._turns))
        return known

    def forget(self, alive: Callable[[Page], bool]) -> None:
        """Everything of leases that are over."""
        self._capabilities = {key: page for key, page in self._capabilities.items() if alive(page)}
        self._labels = {label: page for label, page in self._labels.items() if alive(page)}
        self._cookies = {key: label for key, label in self._cookies.items() if label in self._labels}
        kept = {page.session_id for page in (*self._capabilities.values(), *self._labels.values())}
        self._grounds = {number: grounds for number, grounds in self._grounds.items() if number in kept}


def _make_room(known: dict[str, T], ours: Callable[[T], bool]) -> None:
    """For one more: of those that are ours the oldest go."""
    own = [key for key, value in known.items() if ours(value)]
    for oldest in own[: max(0, len(own) - PAGES_PER_SESSION + 1)]:
        del known[oldest]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
