"""Which pages of machines are open for whom: capabilities, host names and their tickets and cookies, in memory.

A capability is all that a sandboxed page can show (it has no cookie), so it is as hard to guess as a key, and it is
worth nothing once its lease is over. Kept as hashes; only host names, which the name service tells anyway, are not.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, NamedTuple, TypeVar

import anyio

from hub.remote.machine_pages.cookies import CookieJar
from hub.remote.machine_pages.turns import LeaseTurns, PageTurns

T = TypeVar("T")
TICKET_S: Final = 60.0
MOST_OF_A_LEASE: Final = 32
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

    turns: LeaseTurns
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
        # Bound: MOST_OF_A_LEASE a lease, and gone with it.
        self._capabilities: dict[str, Page] = {}
        # Bound: one a port of a lease, and gone with it.
        self._labels: dict[str, Page] = {}
        # Bound: MOST_OF_A_LEASE a label, TICKET_S each.
        self._tickets: dict[str, tuple[str, float]] = {}
        # Bound: MOST_OF_A_LEASE a label.
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
            known = self._grounds[page.session_id] = Grounds(LeaseTurns(self._turns))
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
    for oldest in own[: max(0, len(own) - MOST_OF_A_LEASE + 1)]:
        del known[oldest]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
