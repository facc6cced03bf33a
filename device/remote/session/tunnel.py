"""The second WebSocket of a session: opened with key and ticket, resumed after every drop.

The streams keep what was not acknowledged, so a drop loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

from device.kernel import tls
from device.kernel.log import Log
from device.kernel.tasks import until_one_ends, within
from device.link.connection import SEND_TIMEOUT_S, open_socket
from device.link.rules import End, Kind, RetryPolicy
from device.remote.session.streams import StreamDispatcher
from protocol import stream_limits as limits
from protocol import tunnel_greeting as greeting
from protocol.errors import CloseCode
from protocol.stream_frames import HEAD_BYTES, StreamProtocolError

BASE_S: Final = 0.5
CAP_S: Final = 5.0
"""A terminal stands still meanwhile."""


@dataclass(frozen=True)
class TunnelAddress:
    url: str
    key: str
    ticket: str
    timeout: float
    tls_context: Callable[[], ssl.SSLContext] = tls.context


class TunnelClient:
    """`run` while there is anything to do; `wake` when there may be something to send."""

    def __init__(self, door: TunnelAddress, session_id: int, log: Log) -> None:
        self._door = door
        self._session_id = session_id
        self._log = log
        self._resume: str | None = None
        self._news = asyncio.Event()
        self._policy = RetryPolicy(BASE_S, random.random, cap_s=CAP_S)

    def wake(self) -> None:
        self._news.set()

    async def run(self, dispatcher: StreamDispatcher) -> str:
        """Why the session is over, when the hub ends it or frames cannot be repeated."""
        while True:
            began = time.monotonic()
            end = await self._once(dispatcher)
            over = self._over(end)
            if over:
                return over
            delay = self._policy.after(end, time.monotonic() - began)
            self._log("tunnel_ended", id=self._session_id, why=end.detail, delay=f"{delay:.1f}")
            await asyncio.sleep(delay)

    def _over(self, end: End) -> str:
        if end.code == CloseCode.PROTOCOL_ERROR:
            return "protocol_error"
        if end.code == CloseCode.REVOKED:
            return "stopped"
        if end.code == CloseCode.NOT_AUTHENTICATED:
            # A ticket is good once and not for long. A hub that does not know the secret has forgotten the session.
            return "start_failed" if self._resume is None else "link_lost"
        return ""

    async def _once(self, dispatcher: StreamDispatcher) -> End:
        door = self._door
        try:
            connection = await open_socket(
                door.url, door.key, door.timeout, limits.TUNNEL_SUBPROTOCOL, HEAD_BYTES + limits.MAX_PAYLOAD,
                door.tls_context,
            )  # fmt: skip
        except InvalidStatus as refused:
            return End(Kind.UPGRADE_FAILED, f"HTTP {refused.response.status_code}")
        except (InvalidHandshake, InvalidMessage, ConnectionClosed, EOFError, OSError, asyncio.TimeoutError) as broken:
            return End(Kind.UNREACHABLE, (str(broken) or type(broken).__name__).splitlines()[0][:200])
        began = time.monotonic()
        try:
            await self._use(connection, dispatcher)
        except StreamProtocolError as wrong:
            await _close(connection, int(CloseCode.PROTOCOL_ERROR), wrong.code)
            return End(Kind.CLOSED, wrong.detail, int(CloseCode.PROTOCOL_ERROR))
        except ConnectionClosed as closed:
            frame = closed.rcvd
            live_s = time.monotonic() - began
            if frame is None:
                return End(Kind.CLOSED, "connection lost", None, live_s)
            return End(Kind.CLOSED, f"{frame.code} {frame.reason}".strip(), frame.code, live_s)
        except (TimeoutError, asyncio.TimeoutError):
            return End(Kind.CLOSED, "the hub does not answer")
        finally:
            connection.transport.abort()
        return End(Kind.CLOSED, "connection lost", None, time.monotonic() - began)

    async def _use(self, connection: ClientConnection, dispatcher: StreamDispatcher) -> None:
        ticket = None if self._resume else self._door.ticket
        opening = greeting.TunnelOpen(
            session_id=self._session_id, ticket=ticket, resume=self._resume, received=dispatcher.streams.taken
        )
        await connection.send(greeting.encode(opening))
        answer = await within(SEND_TIMEOUT_S, connection.recv())
        if not isinstance(answer, str):
            raise StreamProtocolError("greeting", "a text frame was expected")
        opened = greeting.read_opened(answer)
        if opened.session_id != self._session_id:
            raise StreamProtocolError("greeting", "the answer is about another session")
        dispatcher.streams.resume(opened.received)
        self._log("tunnel_open" if self._resume is None else "tunnel_again", id=self._session_id)
        self._resume = opened.resume
        await until_one_ends(self._listen(connection, dispatcher), self._speak(connection, dispatcher))

    async def _listen(self, connection: ClientConnection, dispatcher: StreamDispatcher) -> None:
        while True:
            frame = await connection.recv()
            if isinstance(frame, str):
                raise StreamProtocolError("frame", "a binary frame was expected")
            dispatcher.receive(frame)

    async def _speak(self, connection: ClientConnection, dispatcher: StreamDispatcher) -> None:
        acknowledged_at = time.monotonic()
        while True:
            self._news.clear()
            if time.monotonic() - acknowledged_at >= limits.ACK_S:
                acknowledged_at = time.monotonic()
                dispatcher.streams.acknowledge()
            frames = dispatcher.streams.to_send()
            if frames:
                await within(SEND_TIMEOUT_S, _send_all(connection, frames))
            else:
                await self._wait()

    async def _wait(self) -> None:
        """For something to send or acknowledge; without a task, which every key would pay."""
        timer = asyncio.get_running_loop().call_later(limits.ACK_S, self._news.set)
        try:
            await self._news.wait()
        finally:
            timer.cancel()


async def _send_all(connection: ClientConnection, frames: list[bytes]) -> None:
    for frame in frames:
        await connection.send(frame)


async def _close(connection: ClientConnection, code: int, reason: str) -> None:
    with contextlib.suppress(TimeoutError, asyncio.TimeoutError, ConnectionClosed):
        await within(3.0, connection.close(code, reason[:120]))
