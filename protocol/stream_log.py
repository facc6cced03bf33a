"""Frames one side has sent in a session: numbered, kept until taken, repeated after a drop.

Numbers are implicit: the first frame is 1. Both ends count what they took, and report it in ACK frames and when a
tunnel is resumed."""

from __future__ import annotations

from collections import deque

from protocol.stream_frames import StreamProtocolError
from protocol.stream_limits import FRAME_COST, MAX_KEPT_BYTES


class StreamLog:
    """`add` what goes out; `due`: to write to the socket now; `acknowledged` frees."""

    def __init__(self) -> None:
        self.sent = 0
        """Of the newest frame."""
        self.taken = 0
        """Up to which the peer has ours."""
        # Bound: MAX_KEPT_BYTES not acknowledged; then nothing more is sent.
        self._kept: deque[bytes] = deque()
        self._cost = 0
        self._repeat: int = 0
        """At the end of `_kept`, to be written again before anything new."""

    @property
    def full(self) -> bool:
        return self._cost >= MAX_KEPT_BYTES

    @property
    def repeating(self) -> bool:
        return self._repeat > 0

    def add(self, frame: bytes) -> int:
        """Its number; it is written now."""
        self._kept.append(frame)
        self._cost += len(frame) + FRAME_COST
        self.sent += 1
        return self.sent

    def next_repeat(self) -> bytes:
        """Oldest first."""
        frame = self._kept[len(self._kept) - self._repeat]
        self._repeat -= 1
        return frame

    def acknowledged(self, count: int) -> None:
        """Raises StreamProtocolError when that cannot be."""
        if count < self.taken or count > self.sent:
            raise StreamProtocolError("ack", f"{count} frames taken, of {self.taken} to {self.sent} that can be")
        for _ in range(count - self.taken):
            self._cost -= len(self._kept.popleft()) + FRAME_COST
        self.taken = count
        self._repeat = min(self._repeat, len(self._kept))

    def repeat_from(self, count: int) -> None:
        """A new tunnel: the peer took `count` frames of the old one, the rest goes out again. Raises
        StreamProtocolError when one it lacks is not kept."""
        self.acknowledged(count)
        self._repeat = len(self._kept)
