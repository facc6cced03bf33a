"""Open pages of machines: which, for whom, and when the hub works on what they send. In memory. A capability is kept
as a hash, and void once its session is over."""

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
REST: Final = 3.0  # Times the working time that the loop then belongs to others: pages take a quarter of it at most
AROUND_S: Final = 0.0002  # Of a piece, beside the work: its frame comes in, the part goes out
REQUEST_S: Final = 0.0015
UNRESTED_S: Final = 0.003
"""Owed rest before it is taken: an event loop counts in ms."""


class PageTurns:
    """Works on one piece at a time and rests after each. One a hub."""

    def __init__(self) -> None:
        self._one = anyio.Lock()
        self._owed = 0.0

    async def run(self, work: Callable[[], T]) -> T:
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
        self._owed += REST * worked_s


class SessionTurns:
    """Sessions alternate; the requests of one share its place."""

    def __init__(self, turns: PageTurns) -> None:
        self._turns = turns
        self._one = anyio.Lock()

    async def run(self, work: Callable[[], T]) -> T:
        async with self._one:
            return await self._turns.run(work)

    async def begin(self) -> None:
        await self.run(lambda: None)
        self.charge(REQUEST_S)

    def charge(self, worked_s: float) -> None:
        self._turns.charge(worked_s)


TICKET_S: Final = 60.0
PAGES_PER_SESSION: Final = 32  # Capabilities, tickets and cookies of one session; the oldest makes room
REQUESTS_AT_ONCE: Final = 24
SOCKETS_AT_ONCE: Final = 16
"""Of one session; below its tunnel's streams, which terminals and files need too."""


class OpenPage(NamedTuple):
    rvm_id: int
    session_id: int
    holder: int
    port: int


@dataclass
class SessionPages:
    """Shared by one session's pages: limits, turns, each port's cookies."""

    turns: SessionTurns
    requests: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(REQUESTS_AT_ONCE))
    sockets: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(SOCKETS_AT_ONCE))
    jars: dict[int, CookieJar] = field(default_factory=dict)  # Bound: one a declared port of the session

    def jar(self, port: int) -> CookieJar:
        return self.jars.setdefault(port, CookieJar())


class OpenPages:
    """A session's pages stay until `purge`."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._capabilities: dict[str, OpenPage] = {}  # Bound: PAGES_PER_SESSION a session, and gone with it
        self._labels: dict[str, OpenPage] = {}  # Bound: one a port of a session, and gone with it
        self._tickets: dict[str, tuple[str, float]] = {}  # Bound: PAGES_PER_SESSION a label, TICKET_S each
        self._cookies: dict[str, str] = {}  # Bound: PAGES_PER_SESSION a label
        self._turns = PageTurns()
        self._of_session: dict[int, SessionPages] = {}  # Bound: one a session with a page

    def capability(self, page: OpenPage) -> str:
        text = secrets.token_urlsafe(32)
        _drop_oldest(self._capabilities, lambda other: other.session_id == page.session_id)
        self._capabilities[_hash(text)] = page
        return text

    def by_capability(self, text: str) -> OpenPage | None:
        return self._capabilities.get(_hash(text))

    def label(self, page: OpenPage) -> str:
        """First part of the page's host name, fixed for the session."""
        known = next((label for label, other in self._labels.items() if other == page), None)
        if known is None:
            known = f"p{secrets.token_hex(16)}"
            self._labels[known] = page
        return known

    def by_label(self, label: str) -> OpenPage | None:
        return self._labels.get(label)

    def ticket(self, label: str) -> str:
        """For that host name: valid once, within a minute."""
        text, now = secrets.token_urlsafe(32), self._now()
        self._tickets = {key: known for key, known in self._tickets.items() if known[1] > now}
        _drop_oldest(self._tickets, lambda known: known[0] == label)
        self._tickets[_hash(text)] = (label, now + TICKET_S)
        return text

    def enter(self, label: str, ticket: str) -> str | None:
        """None: invalid. It is used up in any case."""
        found = self._tickets.pop(_hash(ticket), None)
        if found is None or found[0] != label or found[1] <= self._now():
            return None
        text = secrets.token_urlsafe(32)
        _drop_oldest(self._cookies, lambda other: other == label)
        self._cookies[_hash(text)] = label
        return text

    def entered(self, label: str, cookie: str) -> bool:
        return self._cookies.get(_hash(cookie)) == label

    def of_session(self, page: OpenPage) -> SessionPages:
        known = self._of_session.get(page.session_id)
        if known is None:
            known = self._of_session[page.session_id] = SessionPages(SessionTurns(self._turns))
        return known

    def purge(self, alive: Callable[[OpenPage], bool]) -> None:
        self._capabilities = {key: page for key, page in self._capabilities.items() if alive(page)}
        self._labels = {label: page for label, page in self._labels.items() if alive(page)}
        self._cookies = {key: label for key, label in self._cookies.items() if label in self._labels}
        kept = {page.session_id for page in (*self._capabilities.values(), *self._labels.values())}
        self._of_session = {number: of_session for number, of_session in self._of_session.items() if number in kept}


def _drop_oldest(known: dict[str, T], ours: Callable[[T], bool]) -> None:
    own = [key for key, value in known.items() if ours(value)]
    for oldest in own[: max(0, len(own) - PAGES_PER_SESSION + 1)]:
        del known[oldest]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
