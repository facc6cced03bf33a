"""Issues tickets: secrets that let one machine into one session for one purpose, once, within a minute. Only hashes are
kept, in memory. Knows no session."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from protocol.stream_limits import TICKET_S

MAX_TICKETS: Final = 10_000  # Outstanding at once; beyond it the oldest is void. A full fleet needs two a machine.


class SessionTicket(NamedTuple):
    session_id: int
    rvm_id: int
    purpose: str
    until: float


class Tickets:
    """`issue`, then `redeem` once. A ticket shown wrongly is spent: somebody else has it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._outstanding: dict[bytes, SessionTicket] = {}  # Bound: MAX_TICKETS, the oldest goes

    def issue(self, session_id: int, rvm_id: int, purpose: str = "tunnel") -> str:
        """A new ticket; earlier ones of the session and purpose are void."""
        now = self._monotonic()
        self._keep(lambda t: t.until > now and (t.session_id, t.purpose) != (session_id, purpose))
        if len(self._outstanding) >= MAX_TICKETS:
            del self._outstanding[next(iter(self._outstanding))]
        text = secrets.token_urlsafe(32)
        self._outstanding[digest(text)] = SessionTicket(session_id, rvm_id, purpose, now + TICKET_S)
        return text

    def redeem(self, text: str, rvm_id: int, purpose: str = "tunnel") -> SessionTicket | None:
        """The ticket, if valid for these; spent either way. Found by hash, so timing shows nothing of others."""
        ticket = self._outstanding.pop(digest(text), None)
        if ticket is None or ticket.until <= self._monotonic():
            return None
        return ticket if (ticket.rvm_id, ticket.purpose) == (rvm_id, purpose) else None

    def awaited(self, session_id: int, purpose: str = "tunnel") -> bool:
        now = self._monotonic()
        return any(
            ticket.until > now
            for ticket in self._outstanding.values()
            if (ticket.session_id, ticket.purpose) == (session_id, purpose)
        )

    def void(self, session_id: int) -> None:
        self._keep(lambda ticket: ticket.session_id != session_id)

    def _keep(self, good: Callable[[SessionTicket], bool]) -> None:
        self._outstanding = {digest: ticket for digest, ticket in self._outstanding.items() if good(ticket)}


def digest(text: str) -> bytes:
    """The hash that is kept of a secret, and compared instead of it."""
    return hashlib.sha256(text.encode(errors="replace")).digest()
