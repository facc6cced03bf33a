"""The tunnels by session: admits machines' sockets, opens streams, ends sessions that are idle or lost."""

from __future__ import annotations

import hmac
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import anyio

from db.errors import StoreError
from db.records import MachineRow, RemoteSessionRow, is_open
from hub.kernel.retry import RetryUntilAvailable
from hub.links.key_conflicts import replaces_key
from hub.links.links import Tickets, digest
from hub.model.changes import Change, drops, moved_rows, patches
from hub.remote.tunnel.tunnel import Attachment, SessionStream, SessionTunnel, TunnelError
from protocol.errors import CloseCode
from protocol.stream_limits import GRACE_S, IDLE_S
from protocol.tunnel_greeting import TunnelOpen

logger = logging.getLogger("myrvm.tunnel")

OPEN_LIMIT_S: Final = 10.0  # For a machine to accept a stream, the tunnel's own coming up included
FAULTS_EVERY_S: Final = 1.0

OnFault = Callable[[int, str], Awaitable[None]]


class Admission(NamedTuple):
    """`resume`: the secret with which the machine comes back."""

    attachment: Attachment
    resume: str
    received: int


async def _unhandled(session_id: int, reason: str) -> None:
    logger.warning("session %d: %s, and no handler ends it", session_id, reason)


class Tunnels:
    """`run` must run. `on_fault(session_id, reason)` is set by the owner of sessions."""

    def __init__(self, tickets: Tickets | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.tickets = tickets if tickets is not None else Tickets(monotonic)
        self.on_fault: OnFault = _unhandled
        self._monotonic = monotonic
        self._tunnels: dict[int, SessionTunnel] = {}  # Bound: the open sessions
        self._arrivals: dict[int, anyio.Event] = {}  # Bound: the open sessions
        self._faults: deque[tuple[int, str]] = deque()  # Bound: one an open session
        self._fault_found = anyio.Event()
        self._retry = RetryUntilAvailable("ends of remote sessions", StoreError)

    # --- for what uses a machine ------------------------------------------------------------------------------------

    async def open(self, session_id: int, kind: str, args: dict[str, Any]) -> SessionStream:
        """Raises TunnelError: no_tunnel, timeout, session_over, too_many_streams, or the machine's code."""
        with anyio.move_on_after(OPEN_LIMIT_S):
            tunnel = await self._arrived(session_id)
            return await tunnel.open(kind, args)
        raise TunnelError("timeout" if session_id in self._tunnels else "no_tunnel", "the machine did not answer")

    def ends(self, session_id: int, reason: str, code: CloseCode = CloseCode.REVOKED) -> None:
        """Tickets are void, streams end, the tunnel closes."""
        self.tickets.void(session_id)
        tunnel = self._tunnels.pop(session_id, None)
        if tunnel is not None:
            tunnel.close(code, reason)
        self._announce_arrival(session_id)

    def end_all(self) -> int:
        sessions = list(self._tunnels)
        for session_id in sessions:
            self.ends(session_id, "hub_restarted", CloseCode.HUB_RESTARTING)
        return len(sessions)

    async def _arrived(self, session_id: int) -> SessionTunnel:
        while session_id not in self._tunnels:
            if not self.tickets.awaited(session_id):
                raise TunnelError("no_tunnel", "the machine has no tunnel for this session")
            await self._arrivals.setdefault(session_id, anyio.Event()).wait()
        return self._tunnels[session_id]

    def _announce_arrival(self, session_id: int) -> None:
        waiting = self._arrivals.pop(session_id, None)
        if waiting is not None:
            waiting.set()

    # --- for the socket ---------------------------------------------------------------------------------------------

    def admit(self, greeting: TunnelOpen, rvm_id: int) -> Admission | CloseCode:
        """The tunnel, or the code that closes the socket; another's, ended or unknown sessions look the same."""
        if greeting.ticket is not None:
            return self._begin(greeting.ticket, greeting.session_id, rvm_id)
        tunnel, secret = self._tunnels.get(greeting.session_id), greeting.resume or ""
        known = tunnel.resume_digest if tunnel is not None and tunnel.rvm_id == rvm_id else b""
        if tunnel is None or not hmac.compare_digest(known, digest(secret)):
            return CloseCode.REVOKED
        taken = tunnel.taken
        attachment = tunnel.attach(greeting.received)
        return CloseCode.PROTOCOL_ERROR if attachment is None else Admission(attachment, secret, taken)

    def _begin(self, text: str, session_id: int, rvm_id: int) -> Admission | CloseCode:
        ticket = self.tickets.redeem(text, rvm_id)
        if ticket is None or ticket.session_id != session_id:
            return CloseCode.NOT_AUTHENTICATED
        older = self._tunnels.pop(session_id, None)
        if older is not None:  # an agent that lost its memory: the old streams cannot be resumed
            older.close(CloseCode.REPLACED, "replaced")
        secret = secrets.token_urlsafe(32)
        tunnel = SessionTunnel(
            session_id,
            rvm_id,
            digest(secret),
            now=self._monotonic,
            on_fault=lambda reason: self._fault(session_id, reason),
        )
        attachment = tunnel.attach(0)
        if attachment is None:
            return CloseCode.PROTOCOL_ERROR
        self._tunnels[session_id] = tunnel
        self._announce_arrival(session_id)
        return Admission(attachment, secret, 0)

    # --- time and Changes -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Two loops: an unavailable database must keep no tunnel open."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._find_loop)
            tasks.start_soon(self._report_loop)

    async def _find_loop(self) -> None:
        while True:
            await anyio.sleep(FAULTS_EVERY_S)
            self.find_faults()

    async def _report_loop(self) -> None:
        while True:
            await self._fault_found.wait()
            self._fault_found = anyio.Event()
            await self.report_faults()

    def find_faults(self) -> None:
        """End sessions idle, or without a tunnel, for too long."""
        now = self._monotonic()
        for tunnel in list(self._tunnels.values()):
            if tunnel.down_since is not None and now - tunnel.down_since > GRACE_S:
                self._fault(tunnel.session_id, "link_lost")
            elif now - tunnel.moved_at > IDLE_S:
                self._fault(tunnel.session_id, "idle")

    async def report_faults(self) -> None:
        while self._faults:
            await self._retry(partial(self.on_fault, *self._faults[0]))
            self._faults.popleft()

    def on_commit(self, changes: Sequence[Change]) -> None:
        for session in moved_rows(changes, RemoteSessionRow):
            if not is_open(session):
                self.ends(session.id, session.end_reason or session.status)
        revoked = {drop.key for drop in drops(changes, MachineRow)}
        revoked |= {patch.key for patch in patches(changes, MachineRow) if replaces_key(patch)}
        for tunnel in [tunnel for tunnel in self._tunnels.values() if tunnel.rvm_id in revoked]:
            self._fault(tunnel.session_id, "revoked")

    def _fault(self, session_id: int, reason: str) -> None:
        """Over here at once, recorded when the database is there."""
        self._faults.append((session_id, reason))
        self._fault_found.set()
        code = CloseCode.PROTOCOL_ERROR if reason == "protocol_error" else CloseCode.REVOKED
        self.ends(session_id, reason, code)
