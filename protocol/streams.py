"""One end of a tunnel without a socket: streams with flow control in binary frames, nothing lost by a drop.

The caller feeds every received frame to `receive`, writes what `to_send` returns whenever there may be something, and
calls `acknowledge` twice a second. After a drop it exchanges `taken` with the peer and calls `resume` with the peer's
number: what the peer lacks goes out first.

Our own mistakes are LocalProtocolError, the peer's StreamProtocolError, after which the object is of no use. RESET
is answered with RESET by a side that has not ended; a side receives nothing of a stream that it has reset."""

from __future__ import annotations

from collections import deque
from typing import Any

from protocol import stream_frames as frames
from protocol import stream_limits as limits
from protocol.errors import LocalProtocolError
from protocol.stream import Stream
from protocol.stream_events import Accepted, Controlled, Data, Ended, Opened, StreamEvent, WasReset, Writable
from protocol.stream_frames import FrameType, StreamFrame, StreamProtocolError
from protocol.stream_log import StreamLog
from protocol.stream_table import FOLLOWING, ONLY, Side
from protocol.transitions import Role

__all__ = [
    "Accepted", "Controlled", "Data", "Ended", "Opened", "Role", "StreamEvent", "StreamProtocolError", "Streams",
    "WasReset", "Writable",
]  # fmt: skip


class Streams:
    """Of one session, at one end. `role` is ours."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.taken = 0
        """Frames of the peer, without ACKs: sent to it when a tunnel is resumed."""
        self._log = StreamLog()
        # Bound: MAX_STREAMS.
        self._streams: dict[int, Stream] = {}
        # Bound: those that ended in what is not acknowledged, which the log bounds.
        self._lingering: dict[int, Stream] = {}
        """Ended here, but the peer may not know yet: what it sent before is no mistake."""
        self._last = 0
        # Bound: a few frames a stream and MAX_WAITING_CONTROLS words; gone with the stream.
        self._urgent: deque[StreamFrame] = deque()
        self._turns: deque[int] = deque()
        """Streams with something to send, in turn. Bound: once each open stream."""
        self._acked = self._unacked_bytes = self._confirmed = 0
        self._ack_due = False

    # --- what the application says ----------------------------------------------------------------------------------

    @property
    def open_count(self) -> int:
        return len(self._streams)

    def open(self, kind: str, args: dict[str, Any]) -> int:
        """Its id."""
        if self.role is not Role.HUB:
            raise LocalProtocolError("only the hub opens streams")
        if len(self._streams) >= limits.MAX_STREAMS or self._last >= frames.MAX_STREAM_ID:
            raise LocalProtocolError(f"no more than {limits.MAX_STREAMS} streams at once")
        payload = frames.pack({"kind": kind, "args": args})
        self._last += 1
        self._streams[self._last] = Stream(self._last)
        self._urgent.append(StreamFrame(FrameType.OPEN, self._last, payload))
        return self._last

    def accept(self, stream_id: int, info: dict[str, Any]) -> None:
        payload = frames.pack(info)
        self._ours(stream_id, FrameType.ACCEPT).peer_side = Side.OPEN
        self._urgent.append(StreamFrame(FrameType.ACCEPT, stream_id, payload))

    def send(self, stream_id: int, data: bytes) -> int:
        """How many bytes there was room for. When not all: go on after `Writable`."""
        stream = self._ours(stream_id, FrameType.DATA)
        size = stream.take(data)
        if size:
            self._take_turn(stream_id)
        return size

    def end(self, stream_id: int) -> None:
        """What was handed over still goes out."""
        self._ours(stream_id, FrameType.END)
        self._take_turn(stream_id)

    def reset(self, stream_id: int, code: str, message: str = "") -> None:
        """What was handed over and not sent is dropped."""
        payload = frames.pack({"code": code, "message": message})
        self._send_reset(self._ours(stream_id, FrameType.RESET), payload)

    def control(self, stream_id: int, values: dict[str, Any]) -> bool:
        """Beside the data; False: too many wait."""
        stream = self._ours(stream_id, FrameType.CONTROL)
        if stream.controls >= limits.MAX_WAITING_CONTROLS:
            return False
        self._urgent.append(StreamFrame(FrameType.CONTROL, stream_id, frames.pack(values)))
        stream.controls += 1
        return True

    def consumed(self, stream_id: int, size: int) -> None:
        """The peer may send as many again."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if stream.consumed + size > stream.unread:
            raise LocalProtocolError(f"stream {stream_id}: more bytes consumed than received")
        granted = stream.grant(size)
        if granted:
            self._urgent.append(StreamFrame(FrameType.WINDOW, stream_id, frames.pack_grant(granted)))

    # --- what goes out ----------------------------------------------------------------------------------------------

    def acknowledge(self) -> None:
        """Report what was taken, if the peer does not know."""
        self._ack_due = self._ack_due or self.taken > self._acked

    def resume(self, peer_taken: int) -> None:
        """A new tunnel: the peer has taken so many of our frames. Raises StreamProtocolError when what it lacks
        cannot be repeated."""
        self._log.repeat_from(peer_taken)
        self._ack_due = True

    def to_send(self, most: int = 64 * 1024) -> list[bytes]:
        """About `most` bytes; none when there is nothing to say or the peer has too much to acknowledge. They count
        as sent."""
        out: list[bytes] = []
        size = 0
        while size < most:
            frame = self._next()
            if frame is None:
                break
            out.append(frame)
            size += len(frame)
        return out

    def _next(self) -> bytes | None:
        if self._log.repeating:  # first of all: an ACK before these would vouch for what the peer has not received
            return self._log.next_repeat()
        if self._ack_due:
            self._ack_due = False
            self._acked, self._unacked_bytes = self.taken, 0
            return frames.encode(StreamFrame(FrameType.ACK, 0, frames.pack_count(self.taken)))
        if self._log.full:
            return None
        frame = self._urgent.popleft() if self._urgent else self._next_of_a_stream()
        return None if frame is None else self._written(frame)

    def _next_of_a_stream(self) -> StreamFrame | None:
        if not self._turns:
            return None
        stream_id = self._turns.popleft()
        stream = self._streams[stream_id]
        if not stream.pending:
            return StreamFrame(FrameType.END, stream_id)
        piece = stream.next_piece()
        if stream.pending or stream.own_side is Side.ENDED:
            self._turns.append(stream_id)
        return StreamFrame(FrameType.DATA, stream_id, piece)

    def _written(self, frame: StreamFrame) -> bytes:
        data = frames.encode(frame)
        number = self._log.add(data)
        stream = self._streams[frame.stream]
        if frame.type is FrameType.CONTROL:
            stream.controls -= 1
        elif frame.type in (FrameType.END, FrameType.RESET):
            stream.ended_at = number
            self._drop_if_gone(stream)
        return data

    def _take_turn(self, stream_id: int) -> None:
        if stream_id not in self._turns:
            self._turns.append(stream_id)

    # --- what the peer says -----------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[StreamEvent]:
        """What it means for the application. Raises StreamProtocolError."""
        frame = frames.decode(data)
        if frame.type is FrameType.ACK:
            self._acknowledged(frames.count_in(frame.payload))
            return []
        self.taken += 1
        self._unacked_bytes += len(data)
        if self.taken - self._acked >= limits.ACK_FRAMES or self._unacked_bytes >= limits.ACK_BYTES:
            self._ack_due = True
        if ONLY.get(frame.type) is self.role:
            raise StreamProtocolError("direction", f"{frame.type.name} is ours to say")
        return self._opened(frame) if frame.type is FrameType.OPEN else self._received(frame)

    def _opened(self, frame: StreamFrame) -> list[StreamEvent]:
        if frame.stream != self._last + 1:
            raise StreamProtocolError("stream", f"OPEN of stream {frame.stream} after {self._last}")
        if len(self._streams) >= limits.MAX_STREAMS:
            raise StreamProtocolError("streams", f"more than {limits.MAX_STREAMS} streams at once")
        asked = frames.request_in(frame.payload)
        self._last = frame.stream
        self._streams[frame.stream] = Stream(frame.stream)
        return [Opened(frame.stream, asked.kind, asked.args)]

    def _received(self, frame: StreamFrame) -> list[StreamEvent]:
        stream = self._streams.get(frame.stream) or self._lingering.get(frame.stream)
        if stream is None:
            raise StreamProtocolError("stream", f"{frame.type.name} for stream {frame.stream}, which is not open")
        ignored = stream.own_side is Side.RESET or frame.stream in self._lingering
        event = stream.receive(frame)
        if stream.peer_side is Side.RESET and stream.own_side is not Side.RESET and not stream.ended_at:
            stream.own_side = Side.RESET
            self._send_reset(stream, frames.pack({"code": "reset", "message": ""}))
        self._drop_if_gone(stream)
        return [] if ignored else [event]

    def _acknowledged(self, count: int) -> None:
        self._log.acknowledged(count)
        if count > self._confirmed:
            self._confirmed = count
            for stream_id in [i for i, stream in self._lingering.items() if stream.ended_at <= count]:
                del self._lingering[stream_id]

    # --- the life of a stream ---------------------------------------------------------------------------------------

    def _ours(self, stream_id: int, kind: FrameType) -> Stream:
        """Of a frame about to be sent; final, though it may have to wait."""
        stream = self._streams.get(stream_id)
        following = None if stream is None else FOLLOWING.get((stream.own_side, kind))
        if stream is None or following is None or ONLY.get(kind, self.role) is not self.role:
            state = "gone" if stream is None else stream.own_side.value
            raise LocalProtocolError(f"{self.role.value} may not say {kind.name}: stream {stream_id} is {state}")
        stream.own_side = following
        return stream

    def _send_reset(self, stream: Stream, payload: bytes) -> None:
        stream.pending.clear()
        if stream.id in self._turns:
            self._turns.remove(stream.id)
        self._urgent.append(StreamFrame(FrameType.RESET, stream.id, payload))

    def _drop_if_gone(self, stream: Stream) -> None:
        if not stream.gone:
            return
        if self._streams.pop(stream.id, None) is not None:
            self._urgent = deque(frame for frame in self._urgent if frame.stream != stream.id)
            if stream.peer_side is Side.ENDED and stream.ended_at > self._confirmed:
                self._lingering[stream.id] = stream
        elif stream.peer_side is Side.RESET:
            del self._lingering[stream.id]  # its last possible word
