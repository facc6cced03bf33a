"""A page's lease as it is at this moment: may it be reached from there, and how is its machine's port connected."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from hub.core import remote_use
from hub.core.machine import Machine
from hub.flow.tunnel_error import TunnelError
from hub.web import auth
from hub.web.context import HubContext
from hub.web.machine_pages.open_pages import Page
from hub.web.machine_pages.refusal import Refusal
from hub.web.machine_pages.streams import Connect, MachineStream
from protocol.addresses import is_within


def alive(context: HubContext, page: Page) -> bool:
    """Whether the lease that opened it still stands, for that holder and port."""
    machine = context.fleet.machines.get(page.rvm_id)
    session = None if machine is None else machine.remote_sessions.get(page.session_id)
    return remote_use.opens_port(session, page.holder, page.port, context.clock())


def admit(context: HubContext, connection: HTTPConnection, page: Page | None) -> Page:
    """The page, or a Refusal. One that is over is as unknown as one that never was; and whoever has the address of a
    page still has to come from where the machine's settings let administrators come from."""
    if page is None or not alive(context, page):
        raise Refusal("gone")
    if not address_allowed(context.fleet.machines[page.rvm_id], auth.address_of(context, connection)):
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
            return await context.tunnels.open(page.session_id, "port", {"port": page.port})
        except TunnelError as refused:
            raise Refusal(refused.code) from refused

    return opened
