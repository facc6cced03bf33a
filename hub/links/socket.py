"""`/ws/device`: a machine's one connection, from the upgrade to its end. Admits by the header's key before the
upgrade (a refusal is an HTTP answer), else by the first frame. Raw ASGI: the hot path."""

from __future__ import annotations

import json
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NamedTuple

import anyio
from anyio.abc import TaskGroup
from starlette.requests import HTTPConnection

from db.errors import StoreError
from db.records import MachineRow
from hub.kernel.context import HubContext
from hub.links.link import MachineLink
from hub.links.links import Links
from hub.links.rules import check_hello, held_board, last_contact
from hub.links.session import LinkSession, MessageHandlers, refuse
from hub.machines.rules import board_of
from hub.model import effective_settings
from hub.model.budgets import LINK, Cost
from hub.model.changes import Patch
from hub.model.machine import Machine
from hub.model.views import rfc3339
from hub.server.tls import HubTls
from hub.server.websocket_protocol import CONTACT, LastContact
from hub.web.auth.identify import address_of, certificate_fault, machine_by_key, note_certificate_fault
from hub.web.auth.limits import PendingSocket
from hub.web.auth.state import AuthState
from protocol import messages
from protocol.enrolment import key_hash
from protocol.errors import CloseCode, RemoteProtocolError
from protocol.limits import AUTH_TIMEOUT_S, HELLO_TIMEOUT_S
from protocol.session import Session
from protocol.transitions import Role
from protocol.version import PROTOCOL_VERSION, SUBPROTOCOL

logger = logging.getLogger("myrvm.link")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

RETRY_AFTER_RESTART_S: Final = 5
CLOSE_TIMEOUT_S: Final = 5.0  # A closed link waits this long for the socket to be gone


class DeviceSocket:
    """The ASGI application of `/ws/device`; the hub's context is at `scope["app"].state.hub`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: HubContext = scope["app"].state.hub
        await receive()
        connection = HTTPConnection(scope)
        address = address_of(context, connection)
        machine = None
        if "authorization" in connection.headers:
            machine = machine_by_header(context, connection)
            if machine is None:
                await reject(send, context, address)
                return
            if fault := certificate_fault(context, connection, machine):
                await refuse_certificate(send, context, connection, machine, fault)
                return
        elif context[AuthState].wrong_credentials.wait(address) is not None:
            await reject(send, context, address)
            return
        if context[Links].restarting:
            await answer(send, 503, "The hub is restarting.", RETRY_AFTER_RESTART_S)
            return
        if machine is not None and (
            refusal := key_conflict_refusal(context, machine) or budget_refusal(context, machine, LINK)
        ):
            await anyio.sleep(context[Links].budget.refused(machine.id, time.monotonic()))
            await answer(send, 429, refusal.detail, refusal.wait)
            return
        pending = context[AuthState].unauthenticated.admit(address) if machine is None else None
        if machine is None and pending is None:
            await answer(send, 429, "Too many connections without a key.", AUTH_TIMEOUT_S)
            return
        try:
            contact = scope.get("extensions", {}).get(CONTACT)
            link = _LinkSocket(context, receive, send, address, machine, pending, contact, connection)
            await link.run(scope.get("subprotocols", []))
        finally:
            if pending is not None:
                pending.leave()


class _LinkSocket:
    def __init__(
        self,
        context: HubContext,
        receive: Receive,
        send: Send,
        address: str,
        machine: Machine | None,
        pending: PendingSocket | None,
        contact: LastContact | None,
        connection: HTTPConnection,
    ) -> None:
        self._context = context
        self._upgrade = connection
        self._pending = pending
        self._contact = contact
        self._receive = receive
        self._send = send
        self._link = MachineLink(send, Session(Role.HUB, authenticated=machine is not None), address)
        self._link.machine = machine
        if machine is not None:
            self._link.key_hash = key_hash(_bearer(connection) or "")

    async def run(self, offered: list[str]) -> None:
        context, link = self._context, self._link
        accept: Message = {"type": "websocket.accept"}
        if SUBPROTOCOL in offered:
            accept["subprotocol"] = SUBPROTOCOL
        try:
            await self._send(accept)
        except OSError:
            return
        context[Links].opened(link)
        try:
            async with anyio.create_task_group() as tasks:
                link.scope = tasks.cancel_scope
                tasks.start_soon(self._write)
                try:
                    await self._run_session(tasks, offered)
                except RemoteProtocolError as error:
                    refuse(link, error)
                    while (await self._receive())["type"] != "websocket.disconnect":
                        """Messages after the refusal are ignored."""
                tasks.cancel_scope.cancel()
        finally:
            self._end()

    async def _write(self) -> None:
        try:
            await self._link.write()
        except OSError:
            return
        await anyio.sleep(CLOSE_TIMEOUT_S)
        self._link.abort()

    async def _run_session(self, tasks: TaskGroup, offered: list[str]) -> None:
        if offered and SUBPROTOCOL not in offered:
            raise RemoteProtocolError(
                "no_common_version", f"this hub speaks {SUBPROTOCOL}", close=CloseCode.NO_COMMON_VERSION
            )
        if self._link.machine is None and not await self._authenticate():
            return
        hello = await self._first(HELLO_TIMEOUT_S, CloseCode.PROTOCOL_ERROR, "no hello came")
        if not isinstance(hello, messages.Hello):
            return
        await self._record_held_board(hello)
        session = self._welcome(hello, tasks)
        receive = self._receive
        await session.wait()
        while True:
            message = await receive()
            text = message.get("text")
            if text is None:
                if message["type"] == "websocket.disconnect":
                    await self._gone()
                    return
                raise _binary()
            if not session.receive(text):
                await session.wait()

    async def _gone(self) -> None:
        """The link was closed by the peer. A replaced link whose peer still answers our 4409 was alive: two peers have
        this key."""
        link = self._link
        if link.machine is None or link.replaced_by is None:
            return
        last: Message = {}
        with anyio.move_on_after(CLOSE_TIMEOUT_S):
            last = await self._receive()
        links = self._context[Links]
        if last.get("answered") and not await links.hold_copy(link):
            await links.key_conflicts.contested(link.machine, link.address, link.replaced_by)

    async def _authenticate(self) -> bool:
        auth = await self._first(AUTH_TIMEOUT_S, CloseCode.NOT_AUTHENTICATED, "no credential came")
        if not isinstance(auth, messages.Auth):
            return False
        principal = machine_by_key(self._context, auth.token)
        machine = None if principal is None else self._context.fleet.machines.get(principal.id)
        if machine is None or auth.rvm_id not in (None, machine.id, machine.row.device_id, str(machine.id)):
            self._context[AuthState].wrong_credentials.charge(self._link.address)
            raise RemoteProtocolError("not_authenticated", "this key is not valid", close=CloseCode.NOT_AUTHENTICATED)
        if fault := certificate_fault(self._context, self._upgrade, machine):
            await note_certificate_fault(self._context, self._upgrade, machine, fault)
            raise RemoteProtocolError(fault, CERTIFICATE_FAULTS[fault], close=CloseCode.NOT_AUTHENTICATED)
        self._admit(machine, LINK)
        self._link.machine, self._link.key_hash = machine, key_hash(auth.token)
        if self._pending is not None:
            self._pending.leave()
        return True

    def _admit(self, machine: Machine, cost: Cost) -> None:
        refusal = key_conflict_refusal(self._context, machine) or budget_refusal(self._context, machine, cost)
        if refusal is not None:
            raise RemoteProtocolError(refusal.code, refusal.detail, close=CloseCode.OVERLOADED)

    async def _first(self, timeout: float, close: CloseCode, silence: str) -> messages.Message | None:
        message: Message | None = None
        with anyio.move_on_after(timeout):
            message = await self._receive()
        if message is None:
            if close is CloseCode.NOT_AUTHENTICATED:
                self._context[AuthState].wrong_credentials.charge(self._link.address)
            raise RemoteProtocolError("timeout", f"{silence} within {timeout:g} s", close=close)
        if message["type"] == "websocket.disconnect":
            return None
        text = message.get("text")
        if text is None:
            raise _binary()
        first: messages.Message = self._link.session.receive(text).message
        return first

    async def _record_held_board(self, hello: messages.Hello) -> None:
        """Store a board that `check_hello` is about to refuse, so that somebody can decide about it."""
        machine = self._link.machine
        changes = [] if machine is None else held_board(machine, hello, self._context.clock())
        try:
            if changes:
                await self._context.announce(*changes)
        except StoreError as error:
            logger.warning("machine %d: a board that waits cannot be recorded: %s", self._link.rvm_id, error)

    def _welcome(self, hello: messages.Hello, tasks: TaskGroup) -> LinkSession:
        context, link, machine = self._context, self._link, self._link.machine
        if machine is None or context.fleet.machines.get(machine.id) is not machine:
            raise RemoteProtocolError("revoked", "the machine was removed", close=CloseCode.REVOKED)
        check_hello(machine, hello)
        budget = context[Links].budget
        self._admit(machine, budget.of_boot(machine.id, hello.boot_id, machine.boots))
        budget.paid_boot(machine.id, hello.boot_id)
        link.board = board_of(hello.hardware)
        link.epoch = machine.epoch = machine.epoch + 1
        older = context[Links].register(link)
        settings = context.settings
        interval = context.watching.interval(machine.id, time.monotonic()) if settings.live else 0.0
        link.send(
            messages.Welcome(
                session_id=secrets.token_hex(8),
                time=rfc3339(context.clock()),
                protocol=PROTOCOL_VERSION,
                config=effective_settings.wire(machine.effective_settings),
                live_interval=interval,
                authority=context[HubTls].offer(hello.hardware),
            )
        )
        context[Links].observer.linked(machine, interval)
        session = LinkSession(
            link,
            machine,
            hello,
            links=context[Links],
            announce=context.announce,
            handlers=context[MessageHandlers],
            store=context.store,
            tasks=tasks,
            clock=context.clock,
        )
        context[Links].deliver_waiting(link)
        logger.info(
            "machine %d: linked from %s, agent %s%s",
            machine.id, link.address, hello.agent_version, ", instead of an older link" if older else "",
        )  # fmt: skip
        return session

    def _end(self) -> None:
        """Record the end of the link. Only the newest link's end is the machine's."""
        context, link, machine = self._context, self._link, self._link.machine
        context[Links].ended(link)
        if machine is None or not context[Links].unregister(link):
            return
        silent_s = 0.0 if self._contact is None else time.monotonic() - self._contact.at
        seen_at = last_contact(machine, silent_s, context.clock(), link.bye_reason)
        ended = Patch(
            MachineRow,
            machine.id,
            {"last_seen_at": seen_at, "close_reason": link.bye_reason},
            where=(("connection_epoch", "<=", link.epoch),),
        )
        context.announce.write_behind(ended, lambda: machine.epoch == link.epoch)
        context[Links].observer.unlinked(machine, link.bye_reason)
        logger.info("machine %d: link ended%s", machine.id, f", {link.bye_reason}" if link.bye_reason else "")


def _binary() -> RemoteProtocolError:
    return RemoteProtocolError("unsupported", "binary frames are not spoken here", close=CloseCode.UNSUPPORTED_DATA)


class LinkRefusal(NamedTuple):
    """Why a valid key may not open a link now, and for how many seconds."""

    code: str
    detail: str
    wait: float


def key_conflict_refusal(context: HubContext, machine: Machine) -> LinkRefusal | None:
    conflicts = context[Links].key_conflicts
    wait = conflicts.quarantined_for(machine)
    if wait is not None:
        return LinkRefusal("quarantined", "Two machines use this key; both are kept out for a while.", wait)
    wait = conflicts.too_soon(machine) if context[Links].get(machine.id) is not None else None
    return (
        None if wait is None else LinkRefusal("too_soon", "The link of this machine was replaced a moment ago.", wait)
    )


def budget_refusal(context: HubContext, machine: Machine, cost: Cost) -> LinkRefusal | None:
    """Charge the key's budget for a link, or for one in a new boot; returns the refusal when it is used up."""
    wait = context[Links].budget.take(machine.id, time.monotonic(), cost)
    return LinkRefusal("too_often", "This key opens links too often, or in too many new boots.", wait) if wait else None


def _bearer(connection: HTTPConnection) -> str | None:
    headers = connection.headers.getlist("authorization")
    scheme, _, key = headers[0].partition(" ")
    return key.strip() if len(headers) == 1 and scheme.lower() == "bearer" else None


def machine_by_header(context: HubContext, connection: HTTPConnection) -> Machine | None:
    key = _bearer(connection)
    principal = None if key is None else machine_by_key(context, key)
    return None if principal is None else context.fleet.machines.get(principal.id)


async def reject(send: Send, context: HubContext, address: str, *, offered: bool = True) -> None:
    """Answer 401, or 429 to an address that has guessed too often."""
    wait = context[AuthState].wrong_credentials.charge(address) if offered else None
    if wait is None:
        await answer(send, 401, "A valid machine key is needed.", None)
    else:
        await answer(send, 429, "Too many attempts without a valid key.", wait)


CERTIFICATE_FAULTS: Final = {
    "certificate_missing": "This key needs the machine's own certificate beside it.",
    "certificate_other": "The certificate is another machine's than the key.",
}


async def refuse_certificate(
    send: Send, context: HubContext, connection: HTTPConnection, machine: Machine, fault: str
) -> None:
    await note_certificate_fault(context, connection, machine, fault)
    await answer(send, 403, CERTIFICATE_FAULTS[fault], None, fault)


async def answer(send: Send, status: int, detail: str, retry_after: float | None, code: str = "") -> None:
    title = {401: "Unauthorized", 403: "Forbidden", 429: "Too Many Requests", 503: "Service Unavailable"}[status]
    problem = {"success": False, "message": detail, "type": "about:blank", "title": title, "status": status}
    if code:
        problem["code"] = code
    headers = [(b"content-type", b"application/problem+json")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if retry_after is not None:
        headers.append((b"retry-after", str(math.ceil(retry_after)).encode()))
    try:
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": json.dumps(problem | {"detail": detail}).encode()})
    except OSError:
        ...
