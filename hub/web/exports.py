"""How many files are being made (of the record, of recordings): one for each caller and few in all, for each may cost
seconds or a place on the disk.

Remembers who is at it and nothing else; what goes into a file is `hub.web.api_v2.events_csv`'s business.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Mapping
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from hub.web.problems import Problem, Text

MOST: Final = 4
"""Files that one hub makes at the same time."""
WAIT_S: Final = 5.0


class Exports:
    """`begin` before a file, `end` after it, however that came."""

    def __init__(self, text: str = "export") -> None:
        self._text = text
        """Begins the keys of what is said to those who have to wait."""
        # Bound: MOST, beyond it 429.
        self._making: set[str] = set()

    def begin(self, who: str) -> None:
        """Raises Problem (429) when this caller already has one under way, or too many others do."""
        if who in self._making or len(self._making) >= MOST:
            why = f"{self._text}.yours" if who in self._making else f"{self._text}.others"
            raise Problem("too-many-requests", Text(why, {"count": int(WAIT_S)}), retry_after=WAIT_S)
        self._making.add(who)

    def end(self, who: str) -> None:
        self._making.discard(who)


class EndedStream(StreamingResponse):
    """A stream after which something is done, also when the reader went away in the middle or before the beginning."""

    def __init__(
        self, content: AsyncIterable[bytes], headers: Mapping[str, str], media_type: str, ended: Callable[[], None]
    ) -> None:
        super().__init__(content, headers=headers, media_type=media_type)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()
