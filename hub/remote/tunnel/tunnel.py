"""A session's tunnel and its streams, which outlive the sockets that carry them."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

import anyio
import msgspec

from protocol.errors import CloseCode, LocalProtocolError
from protocol.stream_events import Accepted, Controlled, Data, Ended, StreamEvent, WasReset
from protocol.stream_frames import StreamProtocolError
from protocol.stream_limits import MAX_WAITING_CONTROLS
from protocol.streams import Role, Streams

logger = logging.getLogger("myrvm.tunnel")

SMALL: Final = 1024
"""Bytes; smaller pieces are joined."""
MAX_CONTROLS_BYTES: Final = 16 * 1024
"""JSON of waiting control values; in memory hostile ones take thirty times that."""
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
"""A machine's reason: stored in columns, and sent when a socket closes."""


class TunnelError(Exception):
    """`code`: no_tunnel, timeout, session_over, or of the machine's RESET; `message`: the machine's, foreign text."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message


class MachineStream(Protocol):
    """A stream to a machine: an awaitable pipe with control values beside it."""

    info: dict[str, Any]

    async def send(self, data: bytes) -> None: ...

    async def finish(self) -> None: ...

    async def receive(self) -> bytes: ...

    async def controls(self) -> dict[str, Any] | None: ...

    def control(self, values: dict[str, Any]) -> bool: ...

    def reset(self, code: str, message: str = "") -> None: ...


class SessionStream:
    def __init__(self, stream_id: int, streams: Streams, moved: Callable[[], None]) -> None:
        self.id = stream_id
        self.info: dict[str, Any] = {}  # Sent by the machine with its acceptance. Bound: one frame.
        self._streams = streams
        self._moved = moved
        # Bound: the window: the machine sends no more before it is consumed.
        self._chunks: deque[bytes | bytearray] = deque()
        # Bound: MAX_WAITING_CONTROLS; then the stream is reset.
        self._controls: deque[tuple[dict[str, Any], int]] = deque()
        self._controls_bytes = 0
        self._changed = anyio.Event()
        self._accepted = self._finished = self._ended = False
        self._error: TunnelError | None = None

    # --- the application's side -------------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Waits for room. Raises TunnelError when it is over."""
        rest = memoryview(data)
        while True:
            self._check()
            rest = rest[self._streams.send(self.id, bytes(rest)) :]
            self._moved()
            if not rest:
                return
            await self._change()

    async def receive(self) -> bytes:
        """b"" at the machine's end. Raises TunnelError when reset or over."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            await self._change()
        data = bytes(self._chunks.popleft())
        self._streams.consumed(self.id, len(data))
        self._moved()
        return data

    async def finish(self) -> None:
        self._check()
        if not self._finished:
            self._finished = True
            self._streams.end(self.id)
            self._moved()

    def reset(self, code: str, message: str = "") -> None:
        if self.over:
            return
        self._streams.reset(self.id, code, message)
        self.fail(TunnelError(code, message))
        self._moved()

    def control(self, values: dict[str, Any]) -> bool:
        """False: over, or too many wait."""
        if self.over or not self._accepted:
            return False
        taken = self._streams.control(self.id, values)
        self._moved()
        return taken

    async def controls(self) -> dict[str, Any] | None:
        """The machine's next; None: no more can come."""
        while not self._controls:
            if self._error is not None or self._ended:
                return None
            await self._change()
        values, size = self._controls.popleft()
        self._controls_bytes -= size
        return values

    # --- the tunnel's side ------------------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        return self._error is not None or (self._finished and self._ended)

    async def accepted(self) -> None:
        """Raises TunnelError when the machine refused."""
        while not self._accepted:
            self._check()
            await self._change()

    def handle(self, event: StreamEvent) -> None:
        if isinstance(event, Data):
            self._keep(event.data)
        elif isinstance(event, Controlled):
            size = len(msgspec.json.encode(event.values))
            self._controls_bytes += size
            self._controls.append((event.values, size))
            if len(self._controls) > MAX_WAITING_CONTROLS or self._controls_bytes > MAX_CONTROLS_BYTES:
                self._controls.clear()
                self.reset("too_many_words", "nobody reads so many words")
        elif isinstance(event, Accepted):
            self.info, self._accepted = event.info, True
        elif isinstance(event, Ended):
            self._ended = True
        elif isinstance(event, WasReset):
            self.fail(TunnelError(event.code if _CODE.match(event.code) else "internal", event.message))
        self._wake()

    def _keep(self, data: bytes) -> None:
        if not self._chunks or len(data) >= SMALL or len(self._chunks[-1]) >= 16 * SMALL:
            self._chunks.append(data)
            return
        last = self._chunks[-1]
        if not isinstance(last, bytearray):
            last = self._chunks[-1] = bytearray(last)
        last += data

    def fail(self, error: TunnelError) -> None:
        if self._error is None:
            self._error = error
        self._wake()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        self._changed.set()

    async def _change(self) -> None:
        if self._changed.is_set():
            self._changed = anyio.Event()
        await self._changed.wait()


class Attachment:
    """One socket of the tunnel. `scope` is cancelled when it has to close with `code`."""

    def __init__(self, tunnel: SessionTunnel) -> None:
        self.tunnel = tunnel
        self.scope = anyio.CancelScope()
        self.code: CloseCode | None = None
        self.why = ""
        self.awake = anyio.Event()

    def end(self, code: CloseCode, why: str) -> None:
        """The first reason stays."""
        if self.code is None:
            self.code, self.why = code, why
        self.scope.cancel()

    def receive(self, data: bytes) -> None:
        """A frame that breaks the protocol ends the session, nothing else."""
        if self.tunnel.attached is self:
            self.tunnel.received(data)

    def refuse(self, detail: str) -> None:
        if self.tunnel.attached is self:
            self.tunnel.broken(StreamProtocolError("frame", detail))

    def to_send(self, most: int) -> list[bytes]:
        return self.tunnel.to_send(most) if self.tunnel.attached is self else []


class SessionTunnel:
    """`on_fault(reason)`: called once, when the machine broke the protocol."""

    def __init__(
        self,
        session_id: int,
        rvm_id: int,
        resume_digest: bytes,
        *,
        now: Callable[[], float],
        on_fault: Callable[[str], None],
    ) -> None:
        self.session_id = session_id
        self.rvm_id = rvm_id
        self.resume_digest = resume_digest
        self.attached: Attachment | None = None
        self.down_since: float | None = now()
        self.moved_at = now()  # When a stream last moved a byte
        self._now = now
        self._on_fault = on_fault
        self._over: TunnelError | None = None
        self._streams = Streams(Role.HUB)
        self._handles: dict[int, SessionStream] = {}  # Bound: MAX_STREAMS and those that just ended

    # --- sockets ----------------------------------------------------------------------------------------------------

    @property
    def taken(self) -> int:
        return self._streams.taken

    def attach(self, received: int) -> Attachment | None:
        if self.attached is not None:
            self.attached.end(CloseCode.REPLACED, "replaced by a newer tunnel")
        try:
            self._streams.resume(received)
        except StreamProtocolError as error:
            self.broken(error)
            return None
        self.attached = Attachment(self)
        self.down_since = None
        return self.attached

    def detach(self, attachment: Attachment) -> None:
        if self.attached is attachment:
            self.attached = None
            self.down_since = self._now()

    def received(self, data: bytes) -> None:
        try:
            events = self._streams.receive(data)
        except StreamProtocolError as error:
            self.broken(error)
            return
        for event in events:
            handle = self._handles.get(event.id)
            if isinstance(event, Data):
                self.moved_at = self._now()
            if handle is not None:
                handle.handle(event)
        self.wake()

    def to_send(self, most: int) -> list[bytes]:
        return self._streams.to_send(most)

    def acknowledge(self) -> None:
        self._streams.acknowledge()

    def wake(self) -> None:
        if self.attached is not None:
            self.attached.awake.set()

    # --- streams ----------------------------------------------------------------------------------------------------

    async def open(self, kind: str, args: dict[str, Any]) -> SessionStream:
        if self._over is not None:
            raise self._over
        try:
            stream_id = self._streams.open(kind, args)
        except LocalProtocolError as error:
            raise TunnelError("too_many_streams", str(error)) from error
        self._handles = {number: handle for number, handle in self._handles.items() if not handle.over}
        stream = self._handles[stream_id] = SessionStream(stream_id, self._streams, self._moved)
        self._moved()
        try:
            await stream.accepted()
        except BaseException:
            stream.reset("cancelled")
            raise
        return stream

    def close(self, code: CloseCode, reason: str) -> None:
        if self._over is not None:
            return
        self._over = TunnelError("session_over", reason)
        for handle in self._handles.values():
            handle.fail(self._over)
        self._handles.clear()
        if self.attached is not None:
            self.attached.end(code, reason)
            self.attached = None

    def _moved(self) -> None:
        self.moved_at = self._now()
        self.wake()

    def broken(self, error: StreamProtocolError) -> None:
        logger.warning("machine %d: session %d broke the tunnel: %s", self.rvm_id, self.session_id, error)
        self.close(CloseCode.PROTOCOL_ERROR, "protocol_error")
        self._on_fault("protocol_error")
