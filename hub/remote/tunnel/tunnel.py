"""Why a stream to a machine could not be opened or ended early, as a value every reader of a stream may meet.

One stream to a machine as the hub's application sees it: an awaitable pipe with a word beside it.

Waits while the tunnel is down; ends with the session. Made by `hub.remote.tunnel.registry`; knows no socket.

One session's tunnel: its streams outlive the sockets that carry them, one after the other.

A socket is attached, moves frames and is detached; meanwhile the streams wait. Knows no ASGI. Nothing here awaits
but the users of streams.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import anyio
import msgspec

from protocol.errors import CloseCode, LocalProtocolError
from protocol.stream_events import Accepted, Controlled, Data, Ended, StreamEvent, WasReset
from protocol.stream_frames import StreamProtocolError
from protocol.stream_limits import MAX_WAITING_CONTROLS
from protocol.streams import Role, Streams


class TunnelError(Exception):
    """`code` is one of the tunnel's own (no_tunnel, timeout, session_over) or what the machine said in its RESET;
    `message` is the machine's sentence, which is foreign text."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message


SMALL: Final = 1024
"""Bytes: what came in smaller pieces is kept in one, as a window full of pieces of one byte has many times its size."""
MAX_WAITING_WORDS_BYTES: Final = 16 * 1024
"""JSON of words that wait to be read; in memory a hostile one has thirty times its size."""
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
"""What a machine's reason must be like: it is kept in columns and said as the reason of a closed socket."""


class TunnelStream:
    """`send` and `receive` may be awaited by two tasks at once, each of them by one."""

    def __init__(self, stream_id: int, streams: Streams, moved: Callable[[], None]) -> None:
        self.id = stream_id
        self.info: dict[str, Any] = {}
        """What the machine said when it accepted. Bound: one frame."""
        self._streams = streams
        self._moved = moved
        # Bound: the window: the machine sends no more before it is consumed.
        self._chunks: deque[bytes | bytearray] = deque()
        # Bound: MAX_WAITING_CONTROLS; then the stream is reset.
        self._words: deque[tuple[dict[str, Any], int]] = deque()
        self._words_bytes = 0
        self._changed = anyio.Event()
        self._accepted = self._finished = self._ended = False
        self._error: TunnelError | None = None

    # --- the application's side -------------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Returns when all was handed over; waits for room. Raises TunnelError when the stream is over."""
        rest = memoryview(data)
        while True:
            self._check()
            rest = rest[self._streams.send(self.id, bytes(rest)) :]
            self._moved()
            if not rest:
                return
            await self._change()

    async def receive(self) -> bytes:
        """The next bytes; b"" when the machine has ended. Raises TunnelError when the stream was reset or is over."""
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
        """No more data from here; what was handed over still goes out."""
        self._check()
        if not self._finished:
            self._finished = True
            self._streams.end(self.id)
            self._moved()

    def reset(self, code: str, message: str = "") -> None:
        """Over at once; nothing happens to a stream that is over already."""
        if self.over:
            return
        self._streams.reset(self.id, code, message)
        self.fail(TunnelError(code, message))
        self._moved()

    def control(self, values: dict[str, Any]) -> bool:
        """A word beside the data; False when it cannot be said (any more, or too many wait)."""
        if self.over or not self._accepted:
            return False
        said = self._streams.control(self.id, values)
        self._moved()
        return said

    async def controls(self) -> dict[str, Any] | None:
        """The machine's next word; None when no more can come."""
        while not self._words:
            if self._error is not None or self._ended:
                return None
            await self._change()
        word, size = self._words.popleft()
        self._words_bytes -= size
        return word

    # --- the tunnel's side ------------------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Nothing more will be said or heard of it."""
        return self._error is not None or (self._finished and self._ended)

    async def accepted(self) -> None:
        """Returns when the machine has accepted; raises TunnelError when it refused."""
        while not self._accepted:
            self._check()
            await self._change()

    def heard(self, event: StreamEvent) -> None:
        """What the machine said of this stream."""
        if isinstance(event, Data):
            self._keep(event.data)
        elif isinstance(event, Controlled):
            size = len(msgspec.json.encode(event.values))
            self._words_bytes += size
            self._words.append((event.values, size))
            if len(self._words) > MAX_WAITING_CONTROLS or self._words_bytes > MAX_WAITING_WORDS_BYTES:
                self._words.clear()
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
        """The stream is over; the first reason stays."""
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


logger = logging.getLogger("myrvm.tunnel")


class Attachment:
    """One socket of the tunnel. `scope` is cancelled when the socket has to close with `code`."""

    def __init__(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        self.scope = anyio.CancelScope()
        self.code: CloseCode | None = None
        self.why = ""
        self.awake = anyio.Event()

    def end(self, code: CloseCode, why: str) -> None:
        """Close the socket; the first reason stays."""
        if self.code is None:
            self.code, self.why = code, why
        self.scope.cancel()

    def receive(self, data: bytes) -> None:
        """A frame came. One that breaks the rules ends the session, and nothing else."""
        if self.tunnel.attached is self:
            self.tunnel.received(data)

    def refuse(self, detail: str) -> None:
        """Something came that is no frame."""
        if self.tunnel.attached is self:
            self.tunnel.broken(StreamProtocolError("frame", detail))

    def to_send(self, most: int) -> list[bytes]:
        return self.tunnel.to_send(most) if self.tunnel.attached is self else []


class Tunnel:
    """`on_fault(reason)` is called once, when the machine broke the protocol."""

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
        self.moved_at = now()
        """When a stream last moved a byte."""
        self._now = now
        self._on_fault = on_fault
        self._over: TunnelError | None = None
        self._streams = Streams(Role.HUB)
        # Bound: MAX_STREAMS and those that just ended.
        self._handles: dict[int, TunnelStream] = {}

    # --- sockets ----------------------------------------------------------------------------------------------------

    @property
    def taken(self) -> int:
        return self._streams.taken

    def attach(self, received: int) -> Attachment | None:
        """A new socket carries the tunnel from here on; the machine has taken `received` of our frames. None when what
        it lacks cannot be said again: the session is over."""
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
        """The socket is gone; unless a newer one is there, the tunnel is down."""
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
                handle.heard(event)
        self.wake()

    def to_send(self, most: int) -> list[bytes]:
        return self._streams.to_send(most)

    def acknowledge(self) -> None:
        """Time has passed."""
        self._streams.acknowledge()

    def wake(self) -> None:
        """There may be something to write."""
        if self.attached is not None:
            self.attached.awake.set()

    # --- streams ----------------------------------------------------------------------------------------------------

    async def open(self, kind: str, args: dict[str, Any]) -> TunnelStream:
        """A stream that the machine has accepted; raises TunnelError when it refused or the session is over."""
        if self._over is not None:
            raise self._over
        try:
            stream_id = self._streams.open(kind, args)
        except LocalProtocolError as error:
            raise TunnelError("too_many_streams", str(error)) from error
        self._handles = {number: handle for number, handle in self._handles.items() if not handle.over}
        stream = self._handles[stream_id] = TunnelStream(stream_id, self._streams, self._moved)
        self._moved()
        try:
            await stream.accepted()
        except BaseException:
            stream.reset("cancelled")
            raise
        return stream

    def close(self, code: CloseCode, reason: str) -> None:
        """The session is over: every stream ends, and the socket closes."""
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
