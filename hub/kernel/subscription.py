"""One browser's place in the feed: what waits for it, bounded, and why it was cut off."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, NamedTuple

from hub.model.access import Principal, may
from protocol.errors import CloseCode

MAX_WAITING_BYTES: Final = 512 * 1024
"""With the socket's buffer below the 1 MB that a frozen browser may cost."""
MAX_WAITING_FRAMES: Final = 1000


class ViewerClass(NamedTuple):
    """What a viewer may see; viewers of one class are sent the same. `machines` None: all; `everything`: also what
    belongs to no machine."""

    machines: frozenset[int] | None
    everything: bool

    @staticmethod
    def of(principal: Principal) -> ViewerClass:
        return ViewerClass(principal.machines, may(principal, "event.read_all"))

    def sees(self, rvm_id: int | None) -> bool:
        if rvm_id is None:
            return self.everything
        return self.machines is None or rvm_id in self.machines


class Frame:
    """JSON for many browsers. `numbered`: a delta to which each browser's `seq` is added. `wire`, `packed`: the
    sender's forms of `body`, plain and compressed, each made once."""

    __slots__ = ("body", "numbered", "packed", "wire")

    def __init__(self, body: bytes, *, numbered: bool) -> None:
        self.body = body
        self.numbered = numbered
        self.wire: bytes | None = None
        self.packed: bytes | None = None


class Outgoing(NamedTuple):
    head: bytes
    frame: Frame

    @property
    def text(self) -> str:
        return (self.head + self.frame.body).decode()


class CutOffError(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Subscription:
    """The queue of one browser: filled by the feed, emptied by one writer (`next`). A reader that is too slow is cut
    off with 1013."""

    def __init__(self, number: int, principal: Principal, of: int | None = None) -> None:
        self.number = number
        self.principal = principal
        self.viewer_class = ViewerClass.of(principal)
        self.of = of
        """Of which machine all is sent; 0: of none, None: of every one."""
        self.hidden = False
        self.seq = 0
        self.recheck = asyncio.Event()
        """Set when this user's rights or credentials changed."""
        self.wants_snapshot = True
        self.held = False
        """Nothing is sent while the rights are looked up again."""
        self._waiting: deque[Frame] = deque()  # Bound: MAX_WAITING_FRAMES; the browser is cut off
        self._waiting_bytes = 0
        self._ready = asyncio.Event()
        self._ready.set()
        self._cut: CutOffError | None = None
        self._ended = asyncio.Event()
        self._goodbye: Frame | None = None

    @property
    def waiting_bytes(self) -> int:
        return self._waiting_bytes

    def offer(self, frame: Frame) -> None:
        """Queue a frame; never waits. A delta is dropped while the browser still needs a snapshot."""
        if self._cut is not None or self._goodbye is not None or self.held or (frame.numbered and self.wants_snapshot):
            return
        self._waiting.append(frame)
        self._waiting_bytes += len(frame.body)
        if self._waiting_bytes > MAX_WAITING_BYTES or len(self._waiting) > MAX_WAITING_FRAMES:
            self.cut_off(CloseCode.OVERLOADED, "too slow")
        self._ready.set()

    def ask_snapshot(self) -> None:
        """Have the next frame be a snapshot; deltas that wait until then are dropped."""
        self.wants_snapshot = True
        self._ready.set()

    def hold(self) -> None:
        """Send nothing until `release`: this viewer's rights are looked up again."""
        self.held = True
        self.drop_all()
        self.recheck.set()

    def release(self, principal: Principal) -> None:
        self.principal = principal
        self.viewer_class = ViewerClass.of(principal)
        self.held = False
        self.drop_all()
        self.ask_snapshot()

    def cut_off(self, code: int, reason: str) -> None:
        if self._cut is None:
            self._cut = CutOffError(code, reason)
            self.drop_all()
        self._ended.set()
        self._ready.set()

    def send_goodbye(self, frame: Frame) -> None:
        """Send one last frame after what waits, then close with 1012."""
        self._goodbye = self._goodbye or frame
        self._ready.set()

    def drop_deltas(self) -> None:
        """Drop the deltas that wait: a snapshot is about to be taken, which they would undo."""
        self._waiting = deque(frame for frame in self._waiting if not frame.numbered)
        self._waiting_bytes = sum(len(frame.body) for frame in self._waiting)

    def drop_all(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0

    async def next(self) -> Outgoing | None:
        """Wait for the next frame. None: a snapshot is due first (`Feed.snapshot`). Raises CutOffError at the end."""
        while True:
            if self._cut is not None:
                raise self._cut
            if self.wants_snapshot and self._goodbye is None and not self.held:
                return None
            if self._waiting:
                return self._take()
            if self._goodbye is not None:
                self._cut = CutOffError(CloseCode.HUB_RESTARTING, "restarting")
                return Outgoing(b"", self._goodbye)
            self._ready.clear()
            await self._ready.wait()

    async def cut(self) -> CutOffError:
        await self._ended.wait()
        return self._cut or CutOffError(CloseCode.NORMAL, "ended")

    def _take(self) -> Outgoing:
        frame = self._waiting.popleft()
        self._waiting_bytes -= len(frame.body)
        if not frame.numbered:
            return Outgoing(b"", frame)
        self.seq += 1
        return Outgoing(b'{"type":"delta","seq":%d,' % self.seq, frame)
