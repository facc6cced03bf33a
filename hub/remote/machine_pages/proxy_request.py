"""One browser's request to a machine's page: whether it may pass, with which port, path and cookies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from hub.kernel.context import HubContext
from hub.model.machine import Machine
from hub.remote.machine_pages.headers import CookieJar, Headers
from hub.remote.machine_pages.open_pages import OpenPage, SessionTurns
from hub.remote.rules import life
from hub.remote.tunnel.registry import Tunnels
from hub.remote.tunnel.tunnel import MachineStream, TunnelError
from hub.web.auth import identify
from hub.web.http.problems import Text, language_of, translator
from protocol.addresses import is_within

STATUS_OF: Final[Mapping[str, int]] = {
    "bad_request": 400,
    "entrance": 403,
    "not_allowed": 403,
    "not_declared": 403,
    "gone": 404,
    "service_worker": 403,
    "origin": 403,
    "not_http": 502,
    "not_running": 502,
    "elsewhere": 502,
    "encoded": 502,
    "internal": 502,
    "busy": 503,
    "no_tunnel": 503,
    "timeout": 504,
}  # By code; any other code of a machine counts as `internal`
_SEALED: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; form-action 'none'; sandbox"


class PageRefused(Exception):  # noqa: N818 - an answer, not a fault of ours
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code if code in STATUS_OF else "internal"
        self.status = STATUS_OF[self.code]


def respond(refusal: PageRefused, connection: HTTPConnection) -> Response:
    language = language_of(connection, None)
    say = translator(language)
    title, sentence = say(Text("machine_page.title")), say(Text(f"machine_page.{refusal.code}"))
    html = (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title>"
        '<body style="font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:15vh auto;padding:0 1rem">'
        f"<h1>{escape(title)}</h1><p>{escape(sentence)}</p></body></html>"
    )
    headers = {
        "Content-Security-Policy": _SEALED, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "unsafe-none",  # another one is a network error for a sandboxed page
    }  # fmt: skip
    return Response(html, refusal.status, headers, "text/html; charset=utf-8")


def alive(context: HubContext, page: OpenPage) -> bool:
    machine = context.fleet.machines.get(page.rvm_id)
    session = None if machine is None else machine.remote_sessions.get(page.session_id)
    return life.opens_port(session, page.holder, page.port, context.clock())


def admit(context: HubContext, connection: HTTPConnection, page: OpenPage | None) -> OpenPage:
    """Raises PageRefused: an ended page is as unknown as one that never was."""
    if page is None or not alive(context, page):
        raise PageRefused("gone")
    if not address_allowed(context.fleet.machines[page.rvm_id], identify.address_of(context, connection)):
        raise PageRefused("not_allowed")
    if "service-worker" in connection.headers:  # it would outlive the session
        raise PageRefused("service_worker")
    return page


def require_origin(connection: HTTPConnection, origin: str) -> None:
    if connection.headers.getlist("origin") != [origin]:
        raise PageRefused("origin")


def address_allowed(machine: Machine, address: str) -> bool:
    networks = machine.effective_settings.values.get("admin_ips")
    return is_within(address, networks if isinstance(networks, (list, tuple)) else ())


def connect(context: HubContext, page: OpenPage) -> Connect:
    async def opened() -> MachineStream:
        try:
            return await context[Tunnels].open(page.session_id, "port", {"port": page.port})
        except TunnelError as refused:
            raise PageRefused(refused.code) from refused

    return opened


Connect = Callable[[], Awaitable[MachineStream]]  # A new stream to the page's port


@dataclass(frozen=True)
class ProxyRequest:
    """`prefix`: "" on an own host name; `ours`: headers of every answer; `authorization`: for the machine."""

    connect: Connect
    port: int
    target: bytes  # Path and query for the machine
    prefix: str
    ours: Headers
    jar: CookieJar
    turns: SessionTurns
    secure: bool
    clock: Callable[[], datetime]
    authorization: bytes = b""
