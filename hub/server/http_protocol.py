"""The HTTP connection: uvicorn's h11 protocol with our deadlines and bounds.

A header must be complete in time. Connections without a complete request are bounded in all and by network: the
oldest makes room for the newest. A peer that does not read its answer is torn down."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from hub.server.tls import client_machine
from hub.server.transport import BoundedProtocol
from hub.web.auth.identify import CLIENT_MACHINE


class ConnectionLimits(NamedTuple):
    """A fleet behind one address is one network, and comes back at once."""

    of_all: int
    of_network: int


PLAIN: Final = ConnectionLimits(2000, 1000)
TLS: Final = ConnectionLimits(800, 400)
"""Half a handshake keeps some 70 KiB: 64 MiB in all."""


class PendingConnection:
    """`abort` ends it; `leave` when it has asked or is gone."""

    __slots__ = ("_among", "abort", "accepted_at", "network")

    def __init__(self, among: PendingConnections, network: str, now: float, abort: Callable[[], None]) -> None:
        self._among = among
        self.network = network
        self.accepted_at = now
        self.abort = abort

    def leave(self) -> None:
        self._among.left(self)


class PendingConnections:
    def __init__(self, limits: ConnectionLimits = PLAIN) -> None:
        self._limits = limits
        self._all: OrderedDict[PendingConnection, None] = OrderedDict()  # Bound: `limits`, the oldest is ended
        self._by_network: dict[str, OrderedDict[PendingConnection, None]] = {}  # Bound: the same ones

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, network: str, now: float, abort: Callable[[], None]) -> PendingConnection:
        """`network` "": a proxy of ours, counted in all only."""
        entered = PendingConnection(self, network, now, abort)
        self._all[entered] = None
        neighbours = self._by_network.setdefault(network, OrderedDict())
        neighbours[entered] = None
        if network and len(neighbours) > self._limits.of_network:
            self._end(next(iter(neighbours)))
        elif len(self._all) > self._limits.of_all:
            self._end(next(iter(self._all)))
        return entered

    def left(self, pending: PendingConnection) -> None:
        if pending not in self._all:
            return
        del self._all[pending]
        neighbours = self._by_network[pending.network]
        del neighbours[pending]
        if not neighbours:
            del self._by_network[pending.network]

    def _end(self, oldest: PendingConnection) -> None:
        self.left(oldest)
        oldest.abort()


HEADER_TIMEOUT_S: Final = 8.0
"""From accept (TLS included) or the first byte of a further request to the end of its header."""
MAX_HEADER_BYTES: Final = 64 * 1024
_COOKIES: Final = re.compile(rb"\ncookie[ \t]*:", re.IGNORECASE)
_HOST: Final = re.compile(rb"\nhost[ \t]*:[ \t]*([^\s:]+)", re.IGNORECASE)
_TOO_LARGE: Final = """<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">\
<title>431</title><h1>431</h1><p lang="en">Your browser sent more cookies or a longer address than the hub takes.
{en}<p lang="id">Peramban Anda mengirim cookie lebih banyak atau alamat lebih panjang daripada yang diterima hub.
{id}"""
_OF_THE_SITE: Final = _TOO_LARGE.format(
    en="""The cookies of this site are cleared now: <a href="?">open it again</a>.
Should this page come back, clear them by hand.
""",
    id="""Cookie situs ini sudah dihapus: <a href="?">buka lagi</a>.
Bila halaman ini muncul lagi, hapus cookie itu sendiri.
""",
)
_OF_THE_HUB: Final = _TOO_LARGE.format(
    en="""The hub's own cookies are cleared now: <a href="?">open it again</a>.
Should this page come back, other pages of this site have set too many: clear the cookies of the whole site by hand.
""",
    id="""Cookie milik hub sudah dihapus: <a href="?">buka lagi</a>.
Bila halaman ini muncul lagi, halaman lain di situs ini memasang terlalu banyak cookie:
hapus sendiri cookie seluruh situs.
""",
)
_TOO_LARGE_HEADERS: Final = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"x-content-type-options", b"nosniff"), (b"x-frame-options", b"DENY"), (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"), (b"connection", b"close"),
)  # fmt: skip


class HubConfig(uvicorn.Config):
    """`own_cookies`: headers that clear the hub's cookies alone, where it shares its site with others; empty: it is
    the hub's. Names below `pages_name`, of machines' pages, are the hub's in any case."""

    own_cookies: tuple[tuple[bytes, bytes], ...] = ()
    pages_name: bytes = b""


class HubServerState(ServerState):
    def __init__(self, limits: ConnectionLimits = PLAIN) -> None:
        super().__init__()
        self.pending = PendingConnections(limits)


class HttpProtocol(BoundedProtocol, H11Protocol):
    """After an upgrade a WebSocketProtocol takes the transport over."""

    server_state: HubServerState

    def __init__(self, pending: PendingConnection, config: HubConfig, *args: Any) -> None:
        super().__init__(config, *args)
        self._own_cookies, self._pages_name = config.own_cookies, config.pages_name
        self._pending = pending
        self._header_timer: asyncio.TimerHandle | None = None
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._pending.abort = self.transport.abort
        machine = client_machine(transport)
        if machine is not None:
            self.app_state = {**self.app_state, CLIENT_MACHINE: machine}
        self._expect_header(self._pending.accepted_at)

    def connection_lost(self, exc: Exception | None) -> None:
        self._header_complete()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            self._bounded.discard(len(data))
            return
        super().data_received(data)
        if self._upgraded or self.conn.their_state is not h11.IDLE:
            self._header_complete()
        else:
            self._expect_header(self.loop.time())

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._upgraded = True
        self._header_complete()
        super().handle_websocket_upgrade(event)

    def shutdown(self) -> None:
        try:
            super().shutdown()
        except h11.LocalProtocolError:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            wrong = sys.exc_info()[1]
            if isinstance(wrong, h11.RemoteProtocolError) and wrong.error_status_hint == 431:
                self._send_431()
                return
            super().send_400_response(msg)
        else:
            # An answer is already on its way: no other can begin in the middle of it.
            self.transport.close()

    def _send_431(self) -> None:
        """Another page of our site may have set too many cookies, which only a browser can clear."""
        head = self.conn.trailing_data[0]
        own_cookies = () if self._is_of_pages(head) else self._own_cookies
        clearing = own_cookies or ((b"clear-site-data", b'"cookies"'),)
        with_cookies = _COOKIES.search(head) is not None
        body = (_OF_THE_HUB if own_cookies else _OF_THE_SITE).encode()
        headers = [
            *_TOO_LARGE_HEADERS, (b"content-length", str(len(body)).encode()), *(clearing if with_cookies else ()),
        ]  # fmt: skip
        for event in (
            h11.Response(status_code=431, headers=headers, reason=b"Request Header Fields Too Large"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _is_of_pages(self, head: bytes) -> bool:
        host = _HOST.search(head)
        return bool(self._pages_name and host and host[1].lower().endswith(b"." + self._pages_name))

    def _expect_header(self, since: float) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_at(since + HEADER_TIMEOUT_S, self._header_too_slow)

    def _header_complete(self) -> None:
        self._pending.leave()
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _header_too_slow(self) -> None:
        self._header_timer = None
        self._pending.leave()
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )  # fmt: skip
            self.transport.close()
