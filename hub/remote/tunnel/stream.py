"""Why a stream to a machine could not be opened or ended early, as a value every reader of a stream may meet.

One stream to a machine as the hub's application sees it: an awaitable pipe with a word beside it.

Waits while the tunnel is down; ends with the session. Made by `hub.remote.tunnel.registry`; knows no socket.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import anyio
import msgspec

from protocol.stream_events import Accepted, Controlled, Data, Ended, StreamEvent, WasReset
from protocol.stream_limits import MAX_WAITING_CONTROLS
from protocol.streams import Streams


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
