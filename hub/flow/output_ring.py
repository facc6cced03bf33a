"""What a terminal has shown lately, counted from its beginning, and how far its reader has come.

Keeps the newest bytes for a reader that comes back. Who fills it waits while the reader is a whole ring behind, so that
nothing is lost that was not read. Knows no socket.
"""

from __future__ import annotations

from typing import Final

import anyio

SIZE: Final = 256 * 1024


class OutputRing:
    """`total` counts all bytes ever shown; positions are counts like it."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        # Bound: SIZE bytes, the oldest go.
        self._kept = bytearray()
        self.total = 0
        self.taken = 0
        """What the reader has for sure: the filler may run ahead of it by one ring."""
        self._moved = anyio.Event()

    @property
    def first(self) -> int:
        """The position of the oldest byte that is kept."""
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
        """Up to `most` bytes from there on; a position that is kept no more begins at the oldest byte."""
        start = max(0, position - self.first)
        return bytes(self._kept[start : start + most])

    def take(self, position: int) -> None:
        """The reader has everything up to there. Going back is what a reader that lost something does."""
        self.taken = min(max(position, self.first), self.total)
        self._move()

    async def moved(self) -> None:
        """Until something was appended or taken."""
        await self._moved.wait()

    def _move(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()
