"""One request and its answer over one stream to the machine, HTTP/1.1 by h11, neither of them ever held as a whole.

Bounded in the size of the answer's header. Knows nothing of browsers, time and what headers mean: what it is given it
sends, what it gets it hands on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import h11

from hub.web.machine_pages.refusal import Refusal
from hub.web.machine_pages.streams import MachineStream

MAX_HEADER_BYTES: Final = 64 * 1024
MAX_INTERIM: Final = 10
"""Answers of the 100 kind before the real one."""
MAX_STATUS: Final = 599
"""A higher one is no status of HTTP (RFC 9110), and no server of ours can say it."""

Headers = Sequence[tuple[bytes, bytes]]


class Head(NamedTuple):
    """The beginning of an answer."""

    status: int
    headers: Headers


class HttpExchange:
    """`begin`, then `say` the body and `end`, while somebody else calls `head` and `data`."""

    def __init__(self, stream: MachineStream) -> None:
        self._stream = stream
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

    async def data(self) -> bytes | None:
        """The next bytes of the answer, None at its end. Raises Refusal when it breaks off."""
        while True:
            event = await self._next()
            if isinstance(event, h11.Data):
                if event.data:
                    return bytes(event.data)
            else:
                return None

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
            try:
                event = self._connection.next_event()
            except h11.RemoteProtocolError as wrong:
                raise Refusal("not_http") from wrong
            if event is not h11.NEED_DATA:
                if isinstance(event, h11.ConnectionClosed):
                    raise Refusal("not_http")
                return event  # type: ignore[return-value]
            self._connection.receive_data(await self._stream.receive())
