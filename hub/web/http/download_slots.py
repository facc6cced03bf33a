"""Limits how many files are made at a time: one a caller, few in all."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from typing import Final, NamedTuple, TypeVar

import anyio
import anyio.lowlevel
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from hub.web.http.problems import Problem, Text

T = TypeVar("T")

MOST: Final = 16
MOST_OF_MACHINES: Final = 4
"""Of machines' keys, apart from people's."""
TAKEN_WITHIN_S: Final = 20.0
WHOLE_WITHIN_S: Final = 900.0
"""30 MB at 270 kbit/s."""
WAIT_S: Final = 5.0


class DownloadSlots:
    """`begin` before a file, `end` after it. `text`: prefix of the refusals' keys."""

    def __init__(self, text: str = "export") -> None:
        self._text = text
        self._making: set[str] = set()  # Bound: MOST and MOST_OF_MACHINES, beyond it 429

    def begin(self, who: str) -> None:
        """Raises Problem (429): this caller has one, or too many others do."""
        machine = who.startswith("machine:")
        others = sum(other.startswith("machine:") == machine for other in self._making)
        if who in self._making or others >= (MOST_OF_MACHINES if machine else MOST):
            raise self._refused("yours" if who in self._making else "others")
        self._making.add(who)

    def end(self, who: str) -> None:
        self._making.discard(who)

    def _refused(self, why: str) -> Problem:
        return Problem("too-many-requests", Text(f"{self._text}.{why}", {"count": int(WAIT_S)}), retry_after=WAIT_S)


class HistoryReads(DownloadSlots):
    def __init__(self) -> None:
        super().__init__("history")


class _Turn(NamedTuple):
    scope: anyio.CancelScope
    over: anyio.Event


class PreviewReads(DownloadSlots):
    def __init__(self) -> None:
        super().__init__("preview")
        self._newest: dict[str, _Turn] = {}  # Bound: one a person while theirs is made

    async def newest(self, who: str, make: Callable[[], Awaitable[T]]) -> T:
        """For a page, whose form is pressed again while nobody waits for the first answer any more: that ends. Raises
        Problem (429) for the one that ended."""
        before, mine = self._newest.get(who), _Turn(anyio.CancelScope(), anyio.Event())
        self._newest[who] = mine
        try:
            if before is not None:
                before.scope.cancel()
                with anyio.CancelScope(shield=True):
                    await before.over.wait()
            with mine.scope:
                return await make()
        finally:
            mine.over.set()
            if self._newest.get(who) is mine:
                del self._newest[who]
        raise self._refused("yours")


class Playbacks(DownloadSlots):
    def __init__(self) -> None:
        super().__init__("playing")


class EndedStream(StreamingResponse):
    """Calls `ended` after it, also when the reader leaves early."""

    def __init__(
        self, content: AsyncIterable[bytes], headers: Mapping[str, str], media_type: str, ended: Callable[[], None]
    ) -> None:
        super().__init__(content, headers=headers, media_type=media_type)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:

        async def send_in_time(message: Message) -> None:
            with anyio.move_on_after(TAKEN_WITHIN_S) as part:
                await send(message)
            if part.cancelled_caught:
                whole.cancel()
                await anyio.lowlevel.checkpoint()

        try:
            # A reader that does not take it has the connection closed: no other answer is possible any more.
            with anyio.move_on_after(WHOLE_WITHIN_S) as whole:
                await super().__call__(scope, receive, send_in_time)
        finally:
            self._ended()
