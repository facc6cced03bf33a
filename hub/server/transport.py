"""A transport that gives up on a peer that stopped reading or keeps a closed connection open.

asyncio's `close()` resets a connection whose peer still sends. Here it sends end of file, lets the peer finish for a
moment, and gives up when nothing moves."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

STALLED_S: Final = 20.0
"""A peer that takes no byte for so long is gone (bar: 30 s)."""
CLOSING_STALLED_S: Final = 5.0
LINGER_S: Final = 2.0
"""After our last byte."""
MAX_DISCARDED: Final = 1024 * 1024
"""From a peer that goes on after we closed."""
TICK_S: Final = 1.0


class BoundedTransport:
    __slots__ = ("_closing", "_discarded", "_inner", "_left", "_loop", "_moved_at", "_paused", "_timer")

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._loop = loop
        self._paused = False
        self._closing = False
        self._discarded = 0
        self._left = 0
        self._moved_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # --- what a protocol uses of a transport ------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if not self._closing:
            self._inner.write(data)

    def is_closing(self) -> bool:
        return self._closing or self._inner.is_closing()

    def close(self) -> None:
        """Returns at once. The socket goes when the peer has closed too, or nothing moves."""
        if self.is_closing():
            return
        self._closing = True
        if self._inner.can_write_eof():
            self._inner.write_eof()
            self._inner.resume_reading()
        else:
            self._inner.close()
        self._watch()

    def abort(self) -> None:
        self._closing = True
        self._inner.abort()

    def pause_reading(self) -> None:
        if not self.is_closing():
            self._inner.pause_reading()

    def resume_reading(self) -> None:
        if not self.is_closing():
            self._inner.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        return self._inner.get_write_buffer_size()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._inner.set_protocol(protocol)

    # --- what the protocol reports ----------------------------------------------------------------------------------

    def writing_paused(self) -> None:
        self._paused = True
        self._watch()

    def writing_resumed(self) -> None:
        self._paused = False

    def discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > MAX_DISCARDED:
            self.abort()

    def lost(self) -> None:
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- time limits ------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        self._left = self._inner.get_write_buffer_size()
        self._moved_at = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if not (self._paused or self._closing):
            return
        left, now = self._inner.get_write_buffer_size(), self._loop.time()
        if left < self._left:
            self._moved_at = now
        # While paused nobody adds to the buffer but keepalive, so that a peer who reads makes it shrink.
        self._left = left
        if now - self._moved_at >= self._time_limit(left):
            self.abort()
            return
        self._timer = self._loop.call_later(TICK_S, self._tick)

    def _time_limit(self, left: int) -> float:
        if not self._closing:
            return STALLED_S
        return CLOSING_STALLED_S if left else LINGER_S


class BoundedProtocol(asyncio.Protocol):
    """Mixin, first of the bases: puts a BoundedTransport before uvicorn's."""

    loop: asyncio.AbstractEventLoop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        given: object = transport
        if not isinstance(given, BoundedTransport):
            given = BoundedTransport(cast(asyncio.Transport, transport), self.loop)
        self._bounded = given
        super().connection_made(cast(asyncio.Transport, given))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._bounded.lost()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._bounded.writing_paused()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._bounded.writing_resumed()
