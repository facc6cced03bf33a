"""One HTTP/1.1 request and its answer over one stream to the machine, by h11; neither is held as a whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import h11

from hub.remote.machine_pages.open_pages import SessionTurns
from hub.remote.machine_pages.proxy_request import PageRefused
from hub.remote.tunnel.tunnel import MachineStream

MAX_HEADER_BYTES: Final = 16 * 1024  # As usual for servers; a header is parsed in one go
MAX_HEADER_LINES: Final = 128  # Thousands of short ones would cost too much time
_BLANK: Final = re.compile(rb"\n\r?\n")
MAX_INTERIM: Final = 10  # Answers of the 100 kind before the real one
MAX_STATUS: Final = 599  # A higher one is no status of HTTP (RFC 9110), and cannot be sent

PIECE: Final = 16 * 1024  # Bytes that are parsed at once: those of one frame
MAX_CHUNKS: Final = 64  # Parts of a chunked body that are parsed at once: each byte may be one

Headers = Sequence[tuple[bytes, bytes]]


class Head(NamedTuple):
    status: int
    headers: Headers


class HttpExchange:
    """`begin`, `send_body`, `end` by one task; `head`, then `part` and `receive_more` by another, parsed in `turns`."""

    def __init__(self, stream: MachineStream, turns: SessionTurns) -> None:
        self._stream = stream
        self._turns = turns
        self._unparsed = b""  # Bound: what a stream gives at once
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADER_BYTES)

    async def begin(self, method: str, target: bytes, headers: Headers) -> None:
        try:
            request = h11.Request(method=method, target=target, headers=list(headers))
            data = self._connection.send(request)
        except h11.LocalProtocolError as wrong:
            raise PageRefused("bad_request") from wrong
        await self._stream.send(data or b"")

    async def send_body(self, data: bytes) -> None:
        await self._send(h11.Data(data=data))

    async def end(self) -> None:
        await self._send(h11.EndOfMessage())

    async def head(self) -> Head:
        """Raises PageRefused: no HTTP."""
        for _ in range(MAX_INTERIM):
            event = await self._next()
            if isinstance(event, h11.Response):
                if event.status_code > MAX_STATUS:
                    break
                return Head(event.status_code, [(bytes(n), bytes(v)) for n, v in event.headers])
            if not isinstance(event, h11.InformationalResponse):
                break
        raise PageRefused("not_http")

    def part(self, size: int = PIECE) -> tuple[bytes, bool]:
        """About `size` bytes; whether the body ended. Raises PageRefused when it breaks off. In a turn."""
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

    async def receive_more(self) -> None:
        if not self._unparsed:
            self._unparsed = await self._stream.receive()
            if not self._unparsed:
                self._connection.receive_data(b"")

    async def _send(self, event: h11.Event) -> None:
        if self._connection.our_state is not h11.SEND_BODY:
            return  # the answer came before the request was whole, and ended the exchange
        try:
            data = self._connection.send(event)
        except h11.LocalProtocolError as wrong:  # more or less than was announced
            raise PageRefused("bad_request") from wrong
        if data:
            await self._stream.send(data)

    async def _next(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = await self._turns.run(self._event)
            if event is not None:
                return event
            await self.receive_more()
            self._parse_on()

    def _require_few_lines(self, header: bytes) -> None:
        blank = _BLANK.search(header)
        if header.count(b"\n", 0, blank.start() if blank else len(header)) > MAX_HEADER_LINES:
            raise PageRefused("not_http")

    def _parse_on(self, size: int = PIECE) -> None:
        data, self._unparsed = self._unparsed[:size], self._unparsed[size:]
        if data:
            self._connection.receive_data(data)

    def _event(self) -> h11.Event | type[h11.PAUSED] | None:
        if self._connection.their_state is h11.SEND_RESPONSE:
            self._require_few_lines(self._connection.trailing_data[0])
        try:
            event = self._connection.next_event()
        except h11.RemoteProtocolError as wrong:
            raise PageRefused("not_http") from wrong
        if event is h11.NEED_DATA:
            return None
        if isinstance(event, h11.ConnectionClosed):
            raise PageRefused("not_http")
        return event  # type: ignore[return-value]  # h11 names its sentinels by no type
