"""The terminals that are open: begun by a browser, found again by another socket of the same person, ended with the
lease. Decides who may have which; knows no socket.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Protocol

import anyio
from anyio.abc import TaskGroup

from db.errors import StoreError
from hub.model.access import Principal, may
from hub.model.changes import Change
from hub.model.fleet import Fleet
from hub.model.remote_changes import RemoteSession, SessionMoved
from hub.remote.recordings.file import RecordingFailedError
from hub.remote.recordings.service import TERM, Recordings, Scene
from hub.remote.terminal.terminal import Stream, Terminal
from hub.remote.tunnel.stream import TunnelError

logger = logging.getLogger("myrvm.terminals")

MOST_OF_A_SESSION: Final = 4
_KEPT_ENDED: Final = 64
"""Ended terminals whose id still says how they ended, to a browser that comes back too late."""


class Tunnels(Protocol):
    """Where streams come from (hub.remote.tunnel.registry)."""

    async def open(self, session_id: int, kind: str, args: dict[str, Any]) -> Stream: ...


class TerminalRefusedError(Exception):
    """No terminal; `code` says why, `message` is the machine's own sentence where it gave one."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message


class Terminals:
    """All of this hub. `run` must run."""

    def __init__(self, fleet: Fleet, tunnels: Tunnels, recordings: Recordings) -> None:
        self._fleet = fleet
        self._tunnels = tunnels
        self._recordings = recordings
        # Bound: MOST_OF_A_SESSION an open session.
        self._open: dict[str, Terminal] = {}
        # Bound: _KEPT_ENDED, the oldest goes.
        self._ended: dict[str, Terminal] = {}
        # Bound: the open sessions.
        self._opening: dict[int, int] = {}
        self._tasks: TaskGroup | None = None
        self.sockets: Counter[int] = Counter()
        """Browsers' sockets by person. Bound: one a person."""

    def __len__(self) -> int:
        return len(self._open)

    async def run(self) -> None:
        """For ever. At the end every terminal ends, and its recording is finished."""
        async with anyio.create_task_group() as self._tasks:
            try:
                await anyio.sleep_forever()
            finally:
                for terminal in list(self._open.values()):
                    terminal.end("hub_restarting")

    def session_for(self, principal: Principal, session_id: int) -> RemoteSession:
        """The session in which this person may have a terminal now. Raises TerminalRefusedError: `not_found` also for
        somebody else's."""
        session = self._session(session_id)
        if session is None or session.admin_id != principal.id or principal.kind != "user":
            raise TerminalRefusedError("not_found")
        if not may(principal, "remote.start", session.rvm_id):
            raise TerminalRefusedError("not_found")
        if session.status != "active":
            raise TerminalRefusedError("not_active")
        if "terminal" not in session.allow:
            raise TerminalRefusedError("not_allowed")
        return session

    async def open(self, principal: Principal, session_id: int, cols: int, rows: int, address: str) -> Terminal:
        """A shell on the session's machine, recorded from its first byte. Raises TerminalRefusedError."""
        session = self.session_for(principal, session_id)
        opening = self._opening.get(session_id, 0)
        if opening + sum(t.session_id == session_id for t in self._open.values()) >= MOST_OF_A_SESSION:
            raise TerminalRefusedError("too_many")
        self._opening[session_id] = opening + 1
        try:
            return await self._begin(principal, session, cols, rows, address)
        finally:
            self._opening[session_id] -= 1
            if not self._opening[session_id]:
                del self._opening[session_id]

    async def _begin(
        self, principal: Principal, session: RemoteSession, cols: int, rows: int, address: str
    ) -> Terminal:
        args = {"cols": cols, "rows": rows, "term": TERM}
        try:
            stream = await self._tunnels.open(session.id, "terminal", args)
        except TunnelError as error:
            raise TerminalRefusedError(error.code, error.message) from error
        machine = self._fleet.machines.get(session.rvm_id)
        scene = Scene(
            session.id, session.rvm_id, machine.name if machine else "", principal.id, principal.name, address,
            session.reason,
        )  # fmt: skip
        try:
            recording = await self._recordings.begin(scene, cols, rows)
        except BaseException as error:
            stream.reset("not_recorded")
            if isinstance(error, StoreError | RecordingFailedError):
                logger.warning("no terminal without a recording: %s", error)
                raise TerminalRefusedError(getattr(error, "code", "recording_failed")) from error
            raise
        terminal = Terminal(secrets.token_urlsafe(32), principal.id, stream, recording)
        if self._tasks is None:
            raise RuntimeError("Terminals.run does not run")
        self._open[terminal.id] = terminal
        self._tasks.start_soon(self._live, terminal)
        return terminal

    def find(self, terminal_id: str) -> Terminal | None:
        """Open, or ended a while ago."""
        return self._open.get(terminal_id) or self._ended.get(terminal_id)

    def became_true(self, changes: Sequence[Change]) -> None:
        """A listener of the announcer: what ends a lease ends its terminals, with the lease's own reason."""
        for change in changes:
            if isinstance(change, SessionMoved) and not change.session.is_open:
                for terminal in list(self._open.values()):
                    if terminal.session_id == change.session.id:
                        terminal.end(change.session.end_reason or "stopped")

    async def _live(self, terminal: Terminal) -> None:
        try:
            await terminal.live()
        finally:
            terminal.end("hub_restarting")
            with anyio.CancelScope(shield=True):
                await self._recordings.finish(terminal.recording, str(terminal.ending))
            del self._open[terminal.id]
            self._ended[terminal.id] = terminal
            while len(self._ended) > _KEPT_ENDED:
                del self._ended[next(iter(self._ended))]

    def _session(self, session_id: int) -> RemoteSession | None:
        for machine in self._fleet.machines.values():
            if session_id in machine.remote_sessions:
                return machine.remote_sessions[session_id]
        return None
