"""Terminals: the stream to a machine's shell, its recording, and the output that its browser may still ask for. A
slow or absent browser holds the shell back."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import anyio
from anyio.abc import TaskGroup

from db.errors import StoreError
from db.records import RemoteSessionRow, is_open
from hub.model.access import Principal, may
from hub.model.changes import Change, moved_rows
from hub.model.fleet import Fleet
from hub.remote.recordings.file import RecordingFailedError
from hub.remote.recordings.service import TERM, OpenRecording, Recordings
from hub.remote.rules import life
from hub.remote.tunnel.tunnel import MachineStream, TunnelError

logger = logging.getLogger("myrvm.terminals")

GONE_S: Final = 60.0  # A terminal whose browser is away for longer ends
INPUT_WINDOW: Final = 64 * 1024
"""Typed bytes that wait for the machine; beyond it the page's socket is not read."""
EXIT_CODE_S: Final = 1.0  # For the shell's exit code, once the output has ended
PIECE: Final = 16 * 1024
RING: Final = 256 * 1024  # Bytes of output kept for a browser that comes back
MOST_OF_A_SESSION: Final = 4
_KEPT_ENDED: Final = 64  # Ended terminals: a browser that comes back too late is shown the reason


class Terminal:
    """`over`: set at the end, with `ending` and, if reported, `exit_code`."""

    def __init__(self, terminal_id: str, user_id: int, stream: MachineStream, recording: OpenRecording) -> None:
        self.id = terminal_id
        self.user_id = user_id
        self.stream = stream
        self.recording = recording
        self.ring = OutputRing()
        self.over = anyio.Event()
        self.ending: str | None = None
        self.exit_code: int | None = None
        self._viewer = 0
        self._has_viewer = False
        self._viewer_moved = anyio.Event()
        self._input = bytearray()  # Bound: INPUT_WINDOW bytes; the browser is read no further
        self.typed = 0  # Bytes of input taken from browsers so far; all of them reach the shell, if it lives
        self.passed_on = 0  # Of those, the bytes handed to the machine
        self._typed = anyio.Event()
        self._taken = anyio.Event()
        self._controls_read = anyio.Event()

    @property
    def session_id(self) -> int:
        return self.recording.row.session_id

    @property
    def rvm_id(self) -> int:
        return self.recording.row.rvm_id

    # --- the browser ------------------------------------------------------------------------------------------------

    def attach(self) -> int:
        """This viewer's number; it replaces the one before."""
        self._viewer, self._has_viewer = self._viewer + 1, True
        self._viewer_moved.set()
        self._viewer_moved = anyio.Event()
        self.ring.take(self.ring.taken)  # wakes the one before
        return self._viewer

    def detach(self, viewer: int) -> None:
        if viewer == self._viewer:
            self._has_viewer = False
            self._viewer_moved.set()
            self._viewer_moved = anyio.Event()

    def is_viewer(self, viewer: int) -> bool:
        return viewer == self._viewer

    async def type(self, data: bytes, viewer: int) -> None:
        while len(self._input) >= INPUT_WINDOW and not self.over.is_set():
            await self._taken.wait()
        if viewer == self._viewer:
            self._input += data
            self.typed += len(data)
            self._typed.set()

    async def input_moved(self) -> None:
        await self._taken.wait()

    def resize(self, cols: int, rows: int) -> None:
        with contextlib.suppress(TunnelError):
            self.stream.control({"resize": [cols, rows]})
        self.recording.file.resized(cols, rows)

    def end(self, why: str) -> None:
        if not self.over.is_set():
            self.ending = why
            self.over.set()
            self._move_input()
            self.ring.take(self.ring.taken)

    # --- the machine ------------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Until the shell, session or recording ends, or GONE_S without a viewer."""
        async with anyio.create_task_group() as tasks:
            for part in (self._show, self._pass_on, self._read_controls, self.recording.file.run, self._await_viewer):
                tasks.start_soon(self._part, part)
            await self.over.wait()
            tasks.cancel_scope.cancel()
        with contextlib.suppress(TunnelError):
            if self.ending == "exited":
                await self.stream.finish()
            else:
                self.stream.reset("closed", str(self.ending))

    async def _part(self, part: Callable[[], Any]) -> None:
        try:
            await part()
        except TunnelError as error:
            # The session's own reason says more than that it is over.
            self.end(error.message if error.code == "session_over" and error.message else error.code)
        except RecordingFailedError as failure:
            self.end(failure.code)

    async def _show(self) -> None:
        while True:
            await self.recording.file.room()
            while not self.ring.room:
                await self.ring.moved()
            data = await self.stream.receive()
            if not data:
                with anyio.move_on_after(EXIT_CODE_S):
                    await self._controls_read.wait()
                self.end("exited")
                return
            self.recording.file.output(data)
            self.ring.append(data)

    async def _pass_on(self) -> None:
        while True:
            await self._typed.wait()
            self._typed = anyio.Event()
            while self._input:
                data = bytes(self._input[:PIECE])
                self.recording.typed(data)
                await self.stream.send(data)
                del self._input[: len(data)]
                self.passed_on += len(data)
                self._move_input()

    def _move_input(self) -> None:
        self._taken.set()
        self._taken = anyio.Event()

    async def _read_controls(self) -> None:
        while (values := await self.stream.controls()) is not None:
            code = values.get("exit")
            if isinstance(code, int) and not isinstance(code, bool):
                self.exit_code = code
        self._controls_read.set()

    async def _await_viewer(self) -> None:
        while True:
            if self._has_viewer:
                await self._viewer_moved.wait()
                continue
            with anyio.move_on_after(GONE_S):
                await self._viewer_moved.wait()
                continue
            self.end("browser_gone")
            return


class OutputRing:
    """Positions are bytes ever shown; the writer waits for a reader a whole ring behind."""

    def __init__(self, size: int = RING) -> None:
        self._size = size
        self._kept = bytearray()  # Bound: RING bytes, the oldest go
        self.total = 0
        self.taken = 0  # Received by the reader for sure; the writer may be one ring ahead of it
        self._moved = anyio.Event()

    @property
    def first(self) -> int:
        return self.total - len(self._kept)

    @property
    def room(self) -> int:
        return max(0, self._size - (self.total - self.taken))

    def append(self, data: bytes) -> None:
        self._kept += data
        self.total += len(data)
        if len(self._kept) > self._size:
            del self._kept[: len(self._kept) - self._size]
        self._move()

    def since(self, position: int, most: int) -> bytes:
        """Up to `most` bytes, from there or the oldest kept."""
        start = max(0, position - self.first)
        return bytes(self._kept[start : start + most])

    def take(self, position: int) -> None:
        """The reader has all before; one that lost something goes back."""
        self.taken = min(max(position, self.first), self.total)
        self._move()

    async def moved(self) -> None:
        await self._moved.wait()

    def _move(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()


class StreamSource(Protocol):
    async def open(self, session_id: int, kind: str, args: dict[str, Any]) -> MachineStream: ...


class TerminalRefusedError(Exception):
    """`message`: the machine's sentence, where it sent one."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message


class Terminals:
    """`run` must run."""

    def __init__(self, fleet: Fleet, tunnels: StreamSource, recordings: Recordings) -> None:
        self._fleet = fleet
        self._tunnels = tunnels
        self._recordings = recordings
        self._open: dict[str, Terminal] = {}  # Bound: MOST_OF_A_SESSION an open session
        self._ended: dict[str, Terminal] = {}  # Bound: _KEPT_ENDED, the oldest goes
        self._opening: dict[int, int] = {}  # Bound: the open sessions
        self._tasks: TaskGroup | None = None
        self.sockets: Counter[int] = Counter()  # Browsers' sockets by person. Bound: one a person.

    def __len__(self) -> int:
        return len(self._open)

    async def run(self) -> None:
        async with anyio.create_task_group() as self._tasks:
            try:
                await anyio.sleep_forever()
            finally:
                for terminal in list(self._open.values()):
                    terminal.end("hub_restarting")

    def session_for(self, principal: Principal, session_id: int) -> RemoteSessionRow:
        """Raises TerminalRefusedError: `not_found` also for another's."""
        session = life.find(self._fleet.machines.values(), session_id)
        if session is None or session.admin_id != principal.id or principal.kind != "user":
            raise TerminalRefusedError("not_found")
        if not may(principal, "remote.start", session.rvm_id):
            raise TerminalRefusedError("not_found")
        if session.status != "active":
            raise TerminalRefusedError("not_active")
        if not life.allows(session, "terminal"):
            raise TerminalRefusedError("not_allowed")
        return session

    async def open(self, principal: Principal, session_id: int, cols: int, rows: int, address: str) -> Terminal:
        """Recorded from the first byte. Raises TerminalRefusedError."""
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
        self, principal: Principal, session: RemoteSessionRow, cols: int, rows: int, address: str
    ) -> Terminal:
        args = {"cols": cols, "rows": rows, "term": TERM}
        try:
            stream = await self._tunnels.open(session.id, "terminal", args)
        except TunnelError as error:
            raise TerminalRefusedError(error.code, error.message) from error
        machine = self._fleet.machines.get(session.rvm_id)
        name = machine.row.name if machine else ""
        try:
            recording = await self._recordings.begin(session, name, principal, address, cols, rows)
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
        return self._open.get(terminal_id) or self._ended.get(terminal_id)

    def on_commit(self, changes: Sequence[Change]) -> None:
        for session in moved_rows(changes, RemoteSessionRow):
            for terminal in list(self._open.values()):
                if terminal.session_id == session.id and not is_open(session):
                    terminal.end(session.end_reason or "stopped")

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
