"""One stream of a tunnel at one end: both ends' states, what may be sent, what was received."""

from __future__ import annotations

from protocol import stream_frames as frames
from protocol import stream_limits as limits
from protocol.stream_events import Accepted, Controlled, Data, Ended, StreamEvent, WasReset, Writable
from protocol.stream_frames import FrameType, StreamFrame, StreamProtocolError
from protocol.stream_table import FOLLOWING, OVER, Side


class Stream:
    """Its table and windows; `protocol.streams` orders frames."""

    __slots__ = ("consumed", "controls", "credit", "ended_at", "id", "own_side", "peer_side", "pending", "unread")

    def __init__(self, stream_id: int) -> None:
        self.id = stream_id
        self.own_side = self.peer_side = Side.OPENING
        """Of the application here and of the peer. What changed ours may still wait to be sent."""
        self.ended_at = 0
        """Number of the frame that ended our side; 0: not sent."""
        self.credit = limits.WINDOW
        """The application may still hand over."""
        # Bound: WINDOW bytes; the sender waits before that.
        self.pending = bytearray()
        self.unread = 0
        """Sent by the peer and not granted anew."""
        self.consumed = 0
        self.controls = 0

    @property
    def gone(self) -> bool:
        """END or RESET from both."""
        return self.ended_at > 0 and self.peer_side in OVER

    def take(self, data: bytes) -> int:
        """As many bytes as there is room for."""
        size = min(len(data), self.credit)
        self.credit -= size
        self.pending += data[:size]
        return size

    def next_piece(self) -> bytes:
        piece = bytes(self.pending[: limits.PIECE])
        del self.pending[: limits.PIECE]
        return piece

    def grant(self, size: int) -> int:
        """How many to grant the peer after `size` more were consumed, mostly none."""
        self.consumed += size
        if self.consumed < limits.GRANT_FROM or self.peer_side is not Side.OPEN or self.own_side is Side.RESET:
            return 0
        granted, self.consumed = self.consumed, 0
        self.unread -= granted
        return granted

    def receive(self, frame: StreamFrame) -> StreamEvent:
        """Raises StreamProtocolError."""
        following = FOLLOWING.get((self.peer_side, frame.type))
        if following is None:
            raise StreamProtocolError(
                "stream", f"{frame.type.name} while stream {self.id} is {self.peer_side.value} there"
            )
        self.peer_side = following
        if frame.type is FrameType.DATA:
            return self._data(frame.payload)
        if frame.type is FrameType.WINDOW:
            return self._window(frames.grant_in(frame.payload))
        if frame.type is FrameType.CONTROL:
            return Controlled(self.id, frames.object_in(frame.payload))
        if frame.type is FrameType.ACCEPT:
            return self._accepted(frame.payload)
        if frame.type is FrameType.END:
            return Ended(self.id)
        refused = frames.refusal_in(frame.payload)
        return WasReset(self.id, refused.code, refused.message)

    def _accepted(self, payload: bytes) -> StreamEvent:
        if self.own_side is Side.OPENING:
            self.own_side = Side.OPEN
        return Accepted(self.id, frames.object_in(payload))

    def _data(self, data: bytes) -> StreamEvent:
        self.unread += len(data)
        if self.unread > limits.WINDOW:
            raise StreamProtocolError("window", f"stream {self.id}: more data than the window allows")
        return Data(self.id, data)

    def _window(self, size: int) -> StreamEvent:
        if not size or self.credit + len(self.pending) + size > limits.WINDOW:
            raise StreamProtocolError("window", f"stream {self.id}: {size} more bytes cannot be granted")
        self.credit += size
        return Writable(self.id)
