"""One WebSocket to the hub, from opening to end; single-use.

No compression: it costs the hub 60 kB a machine. The ping notices a dead hub within 30 s; so does a send that takes
longer than 15 s, as a frozen peer accepts bytes for long."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from device.kernel import tls
from device.kernel.tasks import within
from device.link.rules import End, Kind
from protocol import limits
from protocol.errors import RemoteProtocolError
from protocol.messages import Error, Hello, Message, Welcome
from protocol.session import Session
from protocol.transitions import Role
from protocol.version import PRODUCT_VERSION, SUBPROTOCOL

SEND_TIMEOUT_S: Final = 15.0
WELCOME_TIMEOUT_S: Final = 15.0
CLOSE_TIMEOUT_S: Final = 2.0
MAX_PROBLEM: Final = 4096
MAX_CODE: Final = 40
_MIDDLEBOX: Final = frozenset({200, 400, 404, 405, 426, 501})
"""Not answered by our hub."""

_quiet = logging.getLogger("myrvm.websockets")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False
_quiet.setLevel(logging.CRITICAL)  # its debug lines hold the Authorization header


class LinkClosedError(Exception):
    def __init__(self, end: End) -> None:
        super().__init__(end.detail)
        self.end = end


class _Connect(connect):
    """Follows no redirect: the key goes to our hub only."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class HubLink:
    """After `hello` and `welcome`. Methods raise LinkClosedError when it is over."""

    def __init__(self, connection: ClientConnection, session: Session, monotonic: Callable[[], float]) -> None:
        self._connection = connection
        self._session = session
        self._monotonic = monotonic
        self._since = monotonic()

    @property
    def live_s(self) -> float:
        return self._monotonic() - self._since

    @property
    def delay_s(self) -> float:
        """Of the last ping, and so of any frame; 0 before the first."""
        return float(self._connection.latency)

    async def send(self, message: Message) -> None:
        """Proves nothing about its arrival."""
        try:
            await within(SEND_TIMEOUT_S, self._connection.send(self._session.send(message)))
        except (TimeoutError, asyncio.TimeoutError) as slow:
            self.abort()
            raise LinkClosedError(End(Kind.CLOSED, "the hub does not read", live_s=self.live_s)) from slow
        except ConnectionClosed as closed:
            raise LinkClosedError(_closed(closed, self.live_s)) from closed

    async def receive(self) -> Message:
        while (message := await self._receive_one()) is None:
            pass
        return message

    async def close(self, code: int = 1000, reason: str = "") -> None:
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError, ConnectionClosed):
            await within(3.0, self._connection.close(code, reason.encode()[:120].decode("utf-8", "ignore")))
        self.abort()

    def abort(self) -> None:
        self._connection.transport.abort()

    async def _receive_one(self) -> Message | None:
        try:
            frame = await self._connection.recv()
            message: Message = self._session.receive(frame).message
        except ConnectionClosed as closed:
            raise LinkClosedError(_closed(closed, self.live_s)) from closed
        except RemoteProtocolError as wrong:
            if wrong.close is not None:
                await self.close(int(wrong.close), wrong.detail)
                raise LinkClosedError(End(Kind.CLOSED, wrong.detail, live_s=self.live_s)) from wrong
            await self.send(Error(code=wrong.code, message=wrong.detail[: limits.MAX_ERROR_TEXT]))
            return None
        return message


async def open_link(
    url: str,
    key: str,
    timeout: float,
    hello: Callable[[], Hello],
    monotonic: Callable[[], float] = time.monotonic,
    tls_context: Callable[[], ssl.SSLContext] = tls.context,
) -> tuple[HubLink, Welcome]:
    """Connect, send `hello`, wait for `welcome`. Raises LinkClosedError with the reason."""
    try:
        connection = await open_socket(url, key, timeout, tls_context=tls_context)
    except InvalidStatus as refused:
        raise LinkClosedError(_refused(refused)) from refused
    except (InvalidHandshake, InvalidMessage, ConnectionClosed, EOFError) as broken:
        raise LinkClosedError(End(Kind.UPGRADE_FAILED, _short(broken))) from broken
    except (TimeoutError, asyncio.TimeoutError) as slow:
        raise LinkClosedError(End(Kind.UPGRADE_FAILED, "no answer in time")) from slow
    except OSError as unreachable:
        raise LinkClosedError(End(Kind.UNREACHABLE, _short(unreachable))) from unreachable
    session = Session(Role.MACHINE, authenticated=True)
    link = HubLink(connection, session, monotonic)
    try:
        await link.send(hello())
        welcome = await within(WELCOME_TIMEOUT_S, _welcome(link))
    except LinkClosedError as closed:
        closed.end = End(closed.end.kind, closed.end.detail, closed.end.code)  # it was never live
        raise
    except (TimeoutError, asyncio.TimeoutError) as slow:
        link.abort()
        raise LinkClosedError(End(Kind.CLOSED, "the hub does not welcome")) from slow
    except BaseException:
        link.abort()
        raise
    return HubLink(connection, session, monotonic), welcome


async def probe_upgrade(
    url: str, timeout: float, tls_context: Callable[[], ssl.SSLContext] = tls.context
) -> str | None:
    """Why WebSocket does not reach the hub; None: it does. Sends no key."""
    try:
        connection = await open_socket(url, None, timeout, tls_context=tls_context)
    except InvalidStatus as refused:
        status = refused.response.status_code
        return None if status in (401, 403, 429) else f"HTTP {status}"
    except (InvalidHandshake, InvalidMessage, ConnectionClosed, EOFError, OSError, asyncio.TimeoutError) as broken:
        return _short(broken)
    connection.transport.abort()
    return None


async def open_socket(
    url: str,
    key: str | None,
    timeout: float,
    subprotocol: str = SUBPROTOCOL,
    max_size: int = limits.MAX_MESSAGE_BYTES,
    tls_context: Callable[[], ssl.SSLContext] = tls.context,
) -> ClientConnection:
    connection = await _Connect(
        url,
        additional_headers={"Authorization": f"Bearer {key}"} if key else None,
        user_agent_header=f"myrvm-agent/{PRODUCT_VERSION}",
        subprotocols=[Subprotocol(subprotocol)],
        compression=None,
        ssl=tls_context() if url.startswith("wss:") else None,
        open_timeout=timeout,
        ping_interval=limits.PING_INTERVAL_S,
        ping_timeout=limits.PING_TIMEOUT_S,
        close_timeout=CLOSE_TIMEOUT_S,
        max_size=max_size,
        logger=_quiet,
        proxy=None,
    )
    if connection.subprotocol != subprotocol:
        connection.transport.abort()
        raise InvalidHandshake(f"the other side does not speak {subprotocol}")
    raw = connection.transport.get_extra_info("socket")
    if raw is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limits.PING_TIMEOUT_S * 1000))
    return connection


async def _welcome(link: HubLink) -> Welcome:
    while True:
        message = await link.receive()
        if isinstance(message, Welcome):
            return message
        if isinstance(message, Error):
            raise LinkClosedError(await _reason_behind(link, message))


async def _reason_behind(link: HubLink, error: Error) -> End:
    """The hub sends `error` before it closes; the close code decides."""
    try:
        while True:
            await link.receive()
    except LinkClosedError as closed:
        return End(Kind.CLOSED, f"{error.code}: {error.message}"[:200], closed.end.code)


def _refused(refused: InvalidStatus) -> End:
    status = refused.response.status_code
    after = refused.response.headers.get("Retry-After", "")
    kind = Kind.UPGRADE_FAILED if status in _MIDDLEBOX or 300 <= status < 400 else Kind.REFUSED
    wait_s = float(after) if after.isascii() and after.isdigit() else None
    return End(kind, f"HTTP {status} {_code(refused.response.body)}".strip(), status, wait_s=wait_s)


def _code(body: bytes | bytearray | None) -> str:
    """The hub's own word for a refusal; "": none."""
    try:
        code = json.loads(bytes(body or b"")[:MAX_PROBLEM]).get("code")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return code if isinstance(code, str) and code.isascii() and code.isidentifier() and len(code) <= MAX_CODE else ""


def _closed(closed: ConnectionClosed, live_s: float) -> End:
    frame = closed.rcvd
    if frame is None:
        return End(Kind.CLOSED, "connection lost", None, live_s)
    return End(Kind.CLOSED, f"{frame.code} {frame.reason}".strip(), frame.code, live_s)


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
