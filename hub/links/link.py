"""Sends to one machine: messages, acknowledgements, the close. One writer task empties the outbox; a full one closes
the link."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import anyio

from hub.model.machine import Machine
from protocol import messages
from protocol.errors import CloseCode, LocalProtocolError
from protocol.session import Session

logger = logging.getLogger("myrvm.link")

OUTBOX: Final = 128  # Messages for one machine. Answers wait at half of it (`room`); commands are never so many.

SETTINGS_WITHIN_S: Final = 3.0  # A machine reports its own settings right after the welcome, or never

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class MachineLink:
    """What is sent over one connection of one machine; single-use. `rvm_id` is 0 until the machine is known; `epoch`
    fences what it writes."""

    __slots__ = (
        "_ack", "_ack_due", "_closing", "_drained", "_outbox", "_send", "_wake", "address", "answered", "board",
        "bye_reason", "delivered", "epoch", "key_hash", "machine", "replaced_by", "reported", "scope", "sending_since",
        "session", "since", "stopped", "unchecked", "waiting",
    )  # fmt: skip

    def __init__(self, send: Send, session: Session, address: str) -> None:
        self.session = session
        self.address = address
        self.machine: Machine | None = None
        self.board: dict[str, str] | None = None  # As its hello names it
        self.since = time.monotonic()
        self.reported = asyncio.Event()  # Set when the machine has reported its own settings
        self.epoch = 0
        self.key_hash = ""
        """Of the key that opened it."""
        self.bye_reason: str | None = None
        self.answered: set[str] = set()  # Bound: INBOX. Commands whose end the machine has said and nobody recorded yet
        # Bound: the open commands of the machine.
        self.delivered: set[str] = set()  # Commands sent on this link, or asked to stop; in `stopped` the latter
        self.stopped: set[str] = set()  # Bound: a part of the delivered
        # Bound: a part of what was open at the hello.
        self.unchecked: set[str] = set()  # Commands that wait until it is known that who issued them still may
        self.replaced_by: str | None = None  # The newer link's address
        self.waiting = 0
        self.sending_since = 0.0
        self.scope: anyio.CancelScope | None = None
        self._send = send
        self._outbox: deque[str] = deque()  # Bound: OUTBOX; then the link is closed
        self._ack = -1
        self._ack_due = False
        self._closing: tuple[int, str] | None = None
        self._wake: asyncio.Future[None] | None = None
        self._drained = asyncio.Event()

    @property
    def rvm_id(self) -> int:
        return 0 if self.machine is None else self.machine.id

    @property
    def closing(self) -> bool:
        return self._closing is not None

    @property
    def is_crowded(self) -> bool:
        return 2 * len(self._outbox) >= OUTBOX and self._closing is None

    async def room(self) -> None:
        while self.is_crowded:
            self._drained.clear()
            await self._drained.wait()

    async def settings_known(self) -> bool:
        with anyio.move_on_after(max(0.0, self.since + SETTINGS_WITHIN_S - time.monotonic())):
            await self.reported.wait()
        return self.reported.is_set()

    def send(self, message: messages.HubMessage) -> None:
        """Queue a message; never waits. What the table of the protocol forbids is a bug here, logged and not sent."""
        if self._closing is not None:
            return
        try:
            self._outbox.append(self.session.send(message))
        except LocalProtocolError:
            logger.exception("machine %d: not sent: the link's state forbids it", self.rvm_id)
            return
        if len(self._outbox) > OUTBOX:
            self.close(CloseCode.OVERLOADED, "too slow", at_once=True)
        else:
            self._signal()

    def acknowledge(self, seq: int) -> None:
        """Report that every sample up to `seq` is committed; several commits share one message."""
        self._ack = max(self._ack, seq)
        self._ack_due = True
        self._signal()

    def close(self, code: int, reason: str, *, at_once: bool = False) -> None:
        if self._closing is None:
            self._closing = (code, reason)
            if at_once:
                self._outbox.clear()
            self._signal()

    def abort(self) -> None:
        if self._closing is None:
            self._closing = (CloseCode.OVERLOADED, "stopped reading")
        if self.scope is not None:
            self.scope.cancel()

    async def write(self) -> None:
        outbox = self._outbox
        while True:
            if outbox:
                text = outbox.popleft()
            elif self._ack_due and self._closing is None:
                self._ack_due = False
                text = self.session.send(messages.MetricsAck(seq=self._ack))
            elif self._closing is not None:
                break
            else:
                self._drained.set()
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
                self._wake = None
                continue
            self.sending_since = time.monotonic()
            await self._send({"type": "websocket.send", "text": text})
            self.sending_since = 0.0
        self._drained.set()
        code, reason = self._closing
        self.sending_since = time.monotonic()
        await self._send({"type": "websocket.close", "code": int(code), "reason": reason})
        self.sending_since = 0.0
        self.session.closed()

    def _signal(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
