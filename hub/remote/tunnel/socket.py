"""`/ws/tunnel`: a machine's second socket, for one session's bytes. The key is checked before the upgrade; the first
frame (a ticket, or a dropped tunnel's secret) names the session. Raw ASGI."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Final

import anyio
from starlette.requests import HTTPConnection

from hub.kernel.context import HubContext
from hub.links.links import Links
from hub.links.socket import (
    Message,
    Receive,
    Scope,
    Send,
    answer,
    budget_refusal,
    machine_by_header,
    refuse_certificate,
    reject,
)
from hub.model.budgets import FRAME
from hub.model.machine import Machine
from hub.remote.tunnel.registry import Admission, Tunnels
from hub.remote.tunnel.tunnel import Attachment
from hub.web.auth.identify import address_of, certificate_fault
from hub.web.auth.limits import UnauthenticatedLimit
from protocol import tunnel_greeting
from protocol.errors import CloseCode
from protocol.stream_frames import StreamProtocolError
from protocol.stream_limits import ACK_S, IDLE_S, OPEN_TIMEOUT_S, TUNNEL_SUBPROTOCOL

logger = logging.getLogger("myrvm.tunnel")

RETRY_AFTER_RESTART_S: Final = 5
CLOSE_S: Final = 5.0  # For the socket of a closed tunnel to be gone
AT_ONCE: Final = 32 * 1024  # Bytes handed to the socket before the next look at what is more urgent
MOST_UNOPENED: Final = 4  # Sockets of one machine that have not named their session yet


class TunnelSocket:
    """The hub's context is at `scope["app"].state.hub`."""

    def __init__(self) -> None:
        self._unopened = UnauthenticatedLimit(MOST_UNOPENED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: HubContext = scope["app"].state.hub
        await receive()
        connection = HTTPConnection(scope)
        offered = "authorization" in connection.headers
        machine = machine_by_header(context, connection) if offered else None
        if machine is None:
            await reject(send, context, address_of(context, connection), offered=offered)
            return
        if fault := certificate_fault(context, connection, machine):
            await refuse_certificate(send, context, connection, machine, fault)
            return
        if context[Links].restarting:
            await answer(send, 503, "The hub is restarting.", RETRY_AFTER_RESTART_S)
            return
        if refusal := budget_refusal(context, machine, FRAME):
            await anyio.sleep(context[Links].budget.refused(machine.id, monotonic()))
            await answer(send, 429, refusal.detail, refusal.wait)
            return
        held = context[Links].key_conflicts.quarantined_for(machine)
        pending = None if held is not None else self._unopened.admit(f"machine {machine.id}")
        if pending is None:
            await answer(send, 429, "Too many tunnels of this machine are waiting.", held or OPEN_TIMEOUT_S)
            return
        try:
            accept: Message = {"type": "websocket.accept"}
            if TUNNEL_SUBPROTOCOL in scope.get("subprotocols", []):
                accept["subprotocol"] = TUNNEL_SUBPROTOCOL
            await send(accept)
            admission = await _admission(context, machine, receive)
        except OSError:
            return
        finally:
            pending.leave()
        if isinstance(admission, Admission):
            await _TunnelConnection(context, receive, send, admission).run()
        elif admission is not None:
            await _close(receive, send, admission, "")


async def _admission(context: HubContext, machine: Machine, receive: Receive) -> Admission | CloseCode | None:
    message: Message = {"type": "silence"}
    with anyio.move_on_after(OPEN_TIMEOUT_S):
        message = await receive()
    if message["type"] == "websocket.disconnect":
        return None
    if message["type"] == "silence":
        return CloseCode.NOT_AUTHENTICATED
    try:
        greeting = tunnel_greeting.read_open(message.get("text") or "")
    except StreamProtocolError:
        return CloseCode.PROTOCOL_ERROR
    if context.fleet.machines.get(machine.id) is not machine:
        return CloseCode.REVOKED
    admission = context[Tunnels].admit(greeting, machine.id)
    if not isinstance(admission, Admission):
        logger.info("machine %d: no tunnel for session %d: %d", machine.id, greeting.session_id, admission)
    return admission


class _TunnelConnection:
    def __init__(self, context: HubContext, receive: Receive, send: Send, admission: Admission) -> None:
        self._context = context
        self._receive = receive
        self._send = send
        self._admission = admission
        self._attachment: Attachment = admission.attachment
        self._gone = False

    async def run(self) -> None:
        attachment = self._attachment
        try:
            with attachment.scope:
                await self._opened()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._write)
                    await self._read()
                    tasks.cancel_scope.cancel()
        except OSError:
            self._gone = True
        finally:
            attachment.tunnel.detach(attachment)
        if not self._gone:
            await _close(self._receive, self._send, attachment.code or CloseCode.NORMAL, attachment.why)

    async def _opened(self) -> None:
        admission, tunnel = self._admission, self._attachment.tunnel
        opened = tunnel_greeting.TunnelOpened(
            session_id=tunnel.session_id, resume=admission.resume, received=admission.received, idle=int(IDLE_S)
        )
        await self._send({"type": "websocket.send", "text": tunnel_greeting.encode(opened)})
        logger.info("machine %d: tunnel of session %d", tunnel.rvm_id, tunnel.session_id)

    async def _read(self) -> None:
        receive, attachment = self._receive, self._attachment
        while True:
            message = await receive()
            data: bytes | None = message.get("bytes")
            if data is not None:
                attachment.receive(data)
            elif message["type"] == "websocket.disconnect":
                self._gone = True
                return
            else:
                attachment.refuse("only binary frames travel on a tunnel")

    async def _write(self) -> None:
        attachment = self._attachment
        while True:
            awake = attachment.awake = anyio.Event()
            frames = attachment.to_send(AT_ONCE)
            try:
                for data in frames:
                    await self._send({"type": "websocket.send", "bytes": data})
            except OSError:  # the reader may not know yet; unacknowledged frames are sent again
                self._gone = True
                attachment.scope.cancel()
                return
            if not frames:
                with anyio.move_on_after(ACK_S) as late:
                    await awake.wait()
                if late.cancelled_caught:
                    attachment.tunnel.acknowledge()


async def _close(receive: Receive, send: Send, code: CloseCode, why: str) -> None:
    with anyio.move_on_after(CLOSE_S):
        try:
            await send({"type": "websocket.close", "code": int(code), "reason": why})
            while (await receive())["type"] != "websocket.disconnect":
                ...
        except OSError:
            ...
