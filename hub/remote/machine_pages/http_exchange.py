"""One request and its answer over one stream to the machine, HTTP/1.1 by h11, neither of them ever held as a whole.

Bounded in the size of the answer's header. Knows nothing of browsers, time and what headers mean: what it is given it
sends, what it gets it hands on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import h11

from hub.remote.machine_pages.open_pages import SessionTurns
from hub.remote.machine_pages.proxy_request import Refusal
from hub.remote.tunnel.tunnel import MachineStream

MAX_HEADER_BYTES: Final = 16 * 1024
"""As many as other servers take; a header is parsed at once, line by line."""
MAX_HEADER_LINES: Final = 128
"""Thousands of short ones would be dear to read, and dearer to pass on."""
_BLANK: Final = re.compile(rb"\n\r?\n")
MAX_INTERIM: Final = 10
"""Answers of the 100 kind before the real one."""
MAX_STATUS: Final = 599
"""A higher one is no status of HTTP (RFC 9110), and no server of ours can say it."""

PIECE: Final = 16 * 1024
"""Bytes that are parsed at once: what comes in one frame."""
MAX_CHUNKS: Final = 64
"""And parts of a chunked body: a page may send each byte as one, which costs as much as kilobytes."""

Headers = Sequence[tuple[bytes, bytes]]


class Head(NamedTuple):
    """The beginning of an answer."""

    status: int
    headers: Headers


class HttpExchange:
    """`begin`, then `say` the body and `end`, while somebody else calls `head`, and `part` and `listen` in turn. What
    is parsed is parsed in `turns`, a little at a time."""

    def __init__(self, stream: MachineStream, turns: SessionTurns) -> None:
        self._stream = stream
        self._turns = turns
        # Bound: what a stream gives at once.
        self._unparsed = b""
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADER_BYTES)

    async def begin(self, method: str, target: bytes, headers: Headers) -> None:
        """Raises Refusal for what cannot be said in HTTP/1.1."""
        try:
            request = h11.Request(method=method, target=target, headers=list(headers))
            said = self._connection.send(request)
        except h11.LocalProtocolError as wrong:
            raise Refusal("bad_request") from wrong
        await self._stream.send(said or b"")

    async def say(self, data: bytes) -> None:
        """A part of the body, as many bytes in all as were announced."""
        await self._send(h11.Data(data=data))

    async def end(self) -> None:
        """The body is complete."""
        await self._send(h11.EndOfMessage())

    async def head(self) -> Head:
        """Raises Refusal when what comes is no HTTP."""
        for _ in range(MAX_INTERIM):
            event = await self._next()
            if isinstance(event, h11.Response):
                if event.status_code > MAX_STATUS:
                    break
                return Head(event.status_code, [(bytes(n), bytes(v)) for n, v in event.headers])
            if not isinstance(event, h11.InformationalResponse):
                break
        raise Refusal("not_http")

    def part(self, size: int = PIECE) -> tuple[bytes, bool]:
        """What is there of the answer's body, about `size` bytes at most, and whether that was its end. Raises Refusal
        when it breaks off. Work: to be done in a turn."""
        found = []
        for _ in range(MAX_CHUNKS):
            event = self._event()
            if isinstance(event, h11.Data):
                found.append(bytes(event.data))
            elif event is not None:
                return b"".join(found), True
            elif not self._unparsed or found:
                break
            else:
                self._parse_on(size)
        return b"".join(found), False

    async def listen(self) -> None:
        """Returns when there may be more of the body."""
        if not self._unparsed:
            self._unparsed = await self._stream.receive()
            if not self._unparsed:
                self._connection.receive_data(b"")

    async def _send(self, event: h11.Event) -> None:
        if self._connection.our_state is not h11.SEND_BODY:
            return  # the answer came before the request was whole, and ended the exchange
        try:
            said = self._connection.send(event)
        except h11.LocalProtocolError as wrong:  # more or less than was announced
            raise Refusal("bad_request") from wrong
        if said:
            await self._stream.send(said)

    async def _next(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = await self._turns.run(self._event)
            if event is not None:
                return event
            await self.listen()
            self._parse_on()

    def _require_few_lines(self, header: bytes) -> None:
        blank = _BLANK.search(header)
        if header.count(b"\n", 0, blank.start() if blank else len(header)) > MAX_HEADER_LINES:
            raise Refusal("not_http")

    def _parse_on(self, size: int = PIECE) -> None:
        data, self._unparsed = self._unparsed[:size], self._unparsed[size:]
        if data:
            self._connection.receive_data(data)

    def _event(self) -> h11.Event | type[h11.PAUSED] | None:
        """The next one in what was parsed on, None when that is not enough for one."""
        if self._connection.their_state is h11.SEND_RESPONSE:
            self._require_few_lines(self._connection.trailing_data[0])
        try:
            event = self._connection.next_event()
        except h11.RemoteProtocolError as wrong:
            raise Refusal("not_http") from wrong
        if event is h11.NEED_DATA:
            return None
        if isinstance(event, h11.ConnectionClosed):
            raise Refusal("not_http")
        return event  # type: ignore[return-value]
