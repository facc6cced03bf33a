"""One session's tunnel: its streams outlive the sockets that carry them, one after the other.

A socket is attached, moves frames and is detached; meanwhile the streams wait. Knows no ASGI. Nothing here awaits
but the users of streams.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio

from hub.remote.tunnel.stream import TunnelError, TunnelStream
from protocol.errors import CloseCode, LocalProtocolError
from protocol.stream_events import Data
from protocol.stream_frames import StreamProtocolError
from protocol.streams import Role, Streams

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
