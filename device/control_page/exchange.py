"""Answers one HTTP request a connection, bounded in size and time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import h11

from device.kernel.tasks import within

MAX_HEAD: Final = 16 * 1024
MAX_BODY: Final = 4 * 1024
MAX_TARGET: Final = 2048
EXCHANGE_S: Final = 20.0


@dataclass(frozen=True)
class PageRequest:
    """`peer`: the socket's address; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    peer: str


@dataclass(frozen=True)
class PageResponse:
    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class BadRequestError(Exception): ...


Respond = Callable[[PageRequest], Awaitable[PageResponse]]


async def serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, respond: Respond, refused: Callable[[], PageResponse]
) -> None:
    """A client that breaks off or takes too long gets nothing."""
    try:
        with contextlib.suppress(OSError, TimeoutError, asyncio.TimeoutError):
            await within(EXCHANGE_S, _exchange(reader, writer, respond, refused))
    finally:
        writer.close()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, respond: Respond, refused: Callable[[], PageResponse]
) -> None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    peer = writer.get_extra_info("peername")
    try:
        request = await _request(connection, reader, peer[0] if peer else "")
    except (h11.RemoteProtocolError, BadRequestError):
        answer, is_head = refused(), False
    else:
        if request is None:
            return
        answer, is_head = await respond(request), request.method == "HEAD"
    with contextlib.suppress(h11.LocalProtocolError):
        writer.write(_encoded(connection, answer, is_head=is_head))
        await writer.drain()


async def _request(connection: h11.Connection, reader: asyncio.StreamReader, peer: str) -> PageRequest | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(8192)
            if not data and head is None and not connection.trailing_data[0]:
                return None
            connection.receive_data(data)
        elif isinstance(event, h11.Request):
            head = event
            if len(event.target) > MAX_TARGET:
                raise BadRequestError
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise BadRequestError
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
            return PageRequest(head.method.decode("ascii"), head.target.decode("latin-1"), headers, bytes(body), peer)
        else:
            return None


def _encoded(connection: h11.Connection, answer: PageResponse, *, is_head: bool) -> bytes:
    headers = [*answer.headers, ("Content-Length", str(len(answer.body))), ("Connection", "close")]
    head = h11.Response(status_code=answer.status, headers=[(n.encode(), v.encode("latin-1")) for n, v in headers])
    parts = [connection.send(head)]
    if not is_head:
        parts.append(connection.send(h11.Data(data=answer.body)))
    parts.append(connection.send(h11.EndOfMessage()))
    return b"".join(part or b"" for part in parts)
