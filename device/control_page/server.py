"""Serves the control page on `remote_access_port`.

On loopback while a session is open. Bound to a network it always listens, for `admin_ips` with a ticket made on the
machine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Final

from device.control_page import page
from device.control_page.exchange import PageRequest, PageResponse, serve
from device.control_page.page import Snapshot
from device.control_page.rules import host_is_ours, is_admitted
from device.control_page.tickets import VISIT_S, Visitors, redeem
from device.kernel.log import Log
from protocol.addresses import is_loopback
from texts.languages import DEFAULT, from_accept_language

LOOPBACK: Final = "127.0.0.1"
COOKIE: Final = "rvm_control"
MAX_CONNECTIONS: Final = 32
_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", (f"default-src 'none'; style-src 'sha256-{page.STYLE_HASH}'; form-action 'self'; "
                                "base-uri 'none'")),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)  # fmt: skip
_HTML: Final = ("Content-Type", "text/html; charset=utf-8")


@dataclass(frozen=True)
class PageRules:
    """`networks()`: the present `admin_ips`; `boot`: this run of the machine."""

    bind: str
    port: int
    networks: Callable[[], Sequence[str]]
    state_dir: Path
    boot: str

    @property
    def always(self) -> bool:
        return not is_loopback(self.bind)

    @property
    def addresses(self) -> list[str]:
        """With loopback, where sessions come from."""
        covered = self.bind in (LOOPBACK, "0.0.0.0")  # noqa: S104 - the owner's explicit setting
        return [self.bind] if covered else [LOOPBACK, self.bind]


class ControlPage:
    """`start` and `stop` are counted."""

    def __init__(self, rules: PageRules, facts: Callable[[], Awaitable[Snapshot]], log: Log) -> None:
        self._rules = rules
        self._facts = facts
        self._log = log
        self._visitors = Visitors()
        # Bound: one an address it listens on.
        self._servers: list[asyncio.Server] = []
        self._wanted = 0
        self._connections = 0

    @property
    def sockets(self) -> list[tuple[str, int]]:
        return [found.getsockname()[:2] for server in self._servers for found in server.sockets]

    async def start(self) -> None:
        """A port in use is logged, and no session fails for it."""
        self._wanted += 1
        if self._wanted > 1:
            return
        for address in self._rules.addresses:
            await self._listen(address)

    async def stop(self) -> None:
        self._wanted = max(0, self._wanted - 1)
        if not self._wanted:
            servers, self._servers = self._servers, []
            for server in servers:
                server.close()

    async def _listen(self, address: str) -> None:
        try:
            server = await asyncio.start_server(self._connected, address, self._rules.port, limit=16 * 1024)
        except OSError as error:
            why = error.strerror or repr(error)
            self._log("page_port_taken", address=address, port=self._rules.port, why=why)
        else:
            self._servers.append(server)
            self._log("page_open", address=address, port=server.sockets[0].getsockname()[1])

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._connections += 1
        try:
            await serve(reader, writer, self._respond, lambda: _sentence(400, "page_bad_request", "en"))
        finally:
            self._connections -= 1

    async def _respond(self, request: PageRequest) -> PageResponse:
        language = from_accept_language(request.headers.get("accept-language", "")) or DEFAULT
        if not is_admitted(request.peer, self._rules.networks()):
            return _sentence(403, "page_not_admitted", language)
        if not host_is_ours(request.headers.get("host", ""), [socket.gethostname()]):
            return _sentence(421, "page_wrong_host", language)
        path, _, query = request.target.partition("?")
        if path == "/enter" and request.method == "POST":
            return await self._enter(request, language)
        if request.method not in ("GET", "HEAD"):
            return _sentence(405, "page_wrong_method", language, ("Allow", "GET, HEAD"))
        if not self._is_visitor(request):
            return _html(401, page.ticket_form(language, was_wrong=False))
        if path == "/":
            refreshes = query == "every=5"
            return _html(200, page.machine(await self._facts(), language, refreshes=refreshes))
        if path == "/log.txt":
            lines = "".join(f"{line}\n" for line in (await self._facts()).log)
            return PageResponse(200, lines.encode(), (("Content-Type", "text/plain; charset=utf-8"), *_HEADERS))
        return _sentence(404, "page_not_found", language)

    async def _enter(self, request: PageRequest, language: str) -> PageResponse:
        """Redeem a ticket: the only request that changes something."""
        written = request.body.decode("utf-8", "replace").split("&")
        ticket = next((part[7:].strip() for part in written if part.startswith("ticket=")), "")  # of URL-safe letters
        from_elsewhere = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
        if from_elsewhere or not redeem(self._rules.state_dir, self._rules.boot, ticket):
            return _html(403, page.ticket_form(language, was_wrong=True))
        cookie = f"{COOKIE}={self._visitors.admit()}; HttpOnly; SameSite=Strict; Path=/; Max-Age={VISIT_S:.0f}"
        return PageResponse(303, b"", (("Location", "/"), ("Set-Cookie", cookie), *_HEADERS))

    def _is_visitor(self, request: PageRequest) -> bool:
        """Everybody on the machine itself is one: sessions' streams come from there."""
        if is_loopback(request.peer):
            return True
        with contextlib.suppress(CookieError):
            shown = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
            return shown is not None and self._visitors.knows(shown.value)
        return False


def _html(status: int, content: str, *more: tuple[str, str]) -> PageResponse:
    return PageResponse(status, content.encode(), (_HTML, *more, *_HEADERS))


def _sentence(status: int, code: str, language: str, *more: tuple[str, str]) -> PageResponse:
    return _html(status, page.refusal(code, language), *more)
