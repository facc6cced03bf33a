"""A page's lease as it is at this moment: may it be reached from there, and how is its machine's port connected.

What this package needs of a stream to a machine: bytes both ways. The tunnel's own are so; so are those of tests.

On what terms one request of a browser goes to a machine's page: which port, under which path, with whose cookies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from starlette.requests import HTTPConnection

from hub.kernel.context import HubContext
from hub.model.machine import Machine
from hub.remote.machine_pages.cookies import CookieJar
from hub.remote.machine_pages.headers import Headers
from hub.remote.machine_pages.open_pages import Page
from hub.remote.machine_pages.refusal import Refusal
from hub.remote.machine_pages.turns import LeaseTurns
from hub.remote.rules import use
from hub.remote.tunnel.registry import Tunnels
from hub.remote.tunnel.stream import TunnelError
from hub.web.auth import identify
from protocol.addresses import is_within


def alive(context: HubContext, page: Page) -> bool:
    """Whether the lease that opened it still stands, for that holder and port."""
    machine = context.fleet.machines.get(page.rvm_id)
    session = None if machine is None else machine.remote_sessions.get(page.session_id)
    return use.opens_port(session, page.holder, page.port, context.clock())


def admit(context: HubContext, connection: HTTPConnection, page: Page | None) -> Page:
    """The page, or a Refusal. One that is over is as unknown as one that never was; and whoever has the address of a
    page still has to come from where the machine's settings let administrators come from."""
    if page is None or not alive(context, page):
        raise Refusal("gone")
    if not address_allowed(context.fleet.machines[page.rvm_id], identify.address_of(context, connection)):
        raise Refusal("not_allowed")
    if "service-worker" in connection.headers:  # it would outlive the page, and the lease
        raise Refusal("service_worker")
    return page


def require_origin(connection: HTTPConnection, origin: str) -> None:
    """Raises Refusal for what another page asked for, or no page at all."""
    if connection.headers.getlist("origin") != [origin]:
        raise Refusal("origin")


def address_allowed(machine: Machine, address: str) -> bool:
    """Whether the address is in one of the machine's `admin_ips`: a link that was passed on avoids no list."""
    networks = machine.in_force.values.get("admin_ips")
    return is_within(address, networks if isinstance(networks, (list, tuple)) else ())


def connect(context: HubContext, page: Page) -> Connect:
    """How a request gets its connection; a machine's refusal becomes ours."""

    async def opened() -> MachineStream:
        try:
            return await context[Tunnels].open(page.session_id, "port", {"port": page.port})
        except TunnelError as refused:
            raise Refusal(refused.code) from refused

    return opened


class MachineStream(Protocol):
    """One connection to a declared port. What waits may raise TunnelError: the lease is over, the machine says no."""

    async def send(self, data: bytes) -> None:
        """Returns when there is room for more."""

    async def receive(self) -> bytes:
        """The next bytes; b"" when the other side has ended."""

    def reset(self, code: str, message: str = "") -> None:
        """Give the connection up at once."""


Connect = Callable[[], Awaitable[MachineStream]]
"""A new connection to the port that a page is about."""


@dataclass(frozen=True)
class Terms:
    """`prefix` is "" on a host name of its own. `ours` stand on every answer. The machine's cookies are in `jar`;
    `authorization` is what it is sent of that. `turns` is when what it sends may be worked on."""

    connect: Connect
    port: int
    target: bytes
    """Path and query as the machine gets them."""
    prefix: str
    ours: Headers
    jar: CookieJar
    turns: LeaseTurns
    secure: bool
    clock: Callable[[], datetime]
    authorization: bytes = b""
