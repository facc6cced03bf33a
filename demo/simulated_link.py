"""Moves bytes and time for one simulated machine: connects, speaks, reconnects, until it is told to stop."""

from __future__ import annotations

import contextlib
import random
import time
from typing import Final, Literal

import anyio
from anyio.abc import TaskGroup
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from demo.simulated_machine import SimulatedMachine
from protocol import messages as m
from protocol.errors import CloseCode, RemoteProtocolError
from protocol.limits import MAX_MESSAGE_BYTES
from protocol.session import Session
from protocol.transitions import Role, State
from protocol.version import SUBPROTOCOL

LATE_EVERY_S: Final = 20.0
STAY_S: Final = 4.0
"""How long an `offline` machine stays before it says bye."""
LONGEST_DELAY_S: Final = 60.0
STEADY_S: Final = 30.0
"""A link that lived this long begins again with the shortest delay."""
REBOOT_S: Final = (6.0, 12.0)
"""How long a machine that reboots is away."""
WAKING: Final = (m.Live, m.Config, m.Command, m.Cancel)
"""After these the ticker has to look at its intervals again."""


class Visitor:
    def __init__(self, url: str, machine: SimulatedMachine, stopping: anyio.Event) -> None:
        self.url = url
        self.machine = machine
        self.stopping = stopping
        self._changed = anyio.Event()
        self._away = (0.0, 0.0)

    async def run(self) -> None:
        await self._pause(random.uniform(0, 1.5))
        failures = 0
        while not self.stopping.is_set():
            began = time.monotonic()
            self._away = (0.0, min(LONGEST_DELAY_S, 2.0**failures))
            if not await self._visit():
                return
            failures = 0 if time.monotonic() - began > STEADY_S else min(failures + 1, 10)
            await self._pause(random.uniform(*self._away))
            if self.machine.reboots:
                self.machine.boot(time.time())

    async def _visit(self) -> bool:
        """One link from upgrade to end; False when the machine does not mean to come back."""
        headers = {"Authorization": f"Bearer {self.machine.plan.api_key}"}
        try:
            async with connect(
                self.url, additional_headers=headers, subprotocols=[SUBPROTOCOL], compression=None, proxy=None,  # type: ignore[list-item]
                max_size=MAX_MESSAGE_BYTES, ping_interval=10, ping_timeout=20, close_timeout=3,
            ) as link:  # fmt: skip
                await self._converse(link)
                if link.close_code in (CloseCode.REPLACED, CloseCode.REVOKED):
                    self._away = (LONGEST_DELAY_S / 2, LONGEST_DELAY_S)
        except InvalidStatus as refused:
            if refused.response.status_code in (401, 403, 429):
                self._away = (LONGEST_DELAY_S / 2, LONGEST_DELAY_S)
        except (OSError, TimeoutError, InvalidHandshake):
            pass  # nobody there: come back later
        return self.machine.plan.role != "offline"

    async def _converse(self, link: ClientConnection) -> None:
        session = Session(Role.MACHINE, authenticated=True)
        async with anyio.create_task_group() as both:
            both.start_soon(self._farewell, link, session, both)
            with contextlib.suppress(ConnectionClosed):
                await self._listen(link, session, both)
            both.cancel_scope.cancel()

    async def _listen(self, link: ClientConnection, session: Session, both: TaskGroup) -> None:
        await link.send(session.send(self.machine.hello(time.time())))
        async for frame in link:
            try:
                message = session.receive(frame).message
            except RemoteProtocolError as wrong:
                if wrong.close is not None:
                    await link.close(wrong.close)
                    return
                await link.send(session.send(m.Error(code=wrong.code, message=wrong.detail, ref=wrong.field or None)))
                continue
            if isinstance(message, m.Restarting):
                self._away = message.reconnect_in
            if self.machine.reboots:
                continue  # it hears nothing any more
            answers = self.machine.hear(message, time.time())
            if isinstance(message, m.Welcome):
                answers += self.machine.first_words()
                both.start_soon(self._tick, link, session)
            for answer in answers:
                await link.send(session.send(answer))
            if isinstance(message, WAKING):
                self._changed.set()

    async def _tick(self, link: ClientConnection, session: Session) -> None:
        with contextlib.suppress(ConnectionClosed):  # the listener sees it too, and ends the visit
            await self._measure(link, session)

    async def _measure(self, link: ClientConnection, session: Session) -> None:
        """Kept samples at their interval, live ones while watched, the machine's own doings; each when it is due."""
        machine, sent = self.machine, self.machine.spool.acked
        kept_at = lived_at = time.monotonic()
        while session.state is State.LIVE:
            now = time.monotonic()
            if now - kept_at >= machine.metrics_interval:
                kept_at = now
                machine.keep(time.time())
            while (frame := machine.spool.unsent(sent)) is not None:
                sent = frame.seq
                await link.send(session.send(frame))
            interval = LATE_EVERY_S if machine.plan.role == "late" else machine.live_interval
            if interval and now - lived_at >= interval:
                lived_at = max(lived_at + interval, now - interval)
                await link.send(session.send(machine.live_sample(time.time())))
            for said in machine.act(time.time()):
                await link.send(session.send(said))
            if machine.reboots:
                self._away = REBOOT_S
                await self._leave(link, session, "reboot")
                return
            due = [kept_at + machine.metrics_interval, now + machine.due() - time.time()]
            due += [lived_at + interval] if interval else []
            self._changed = anyio.Event()
            with anyio.move_on_after(max(0.0, min(due) - time.monotonic())):
                await self._changed.wait()

    async def _farewell(self, link: ClientConnection, session: Session, both: TaskGroup) -> None:
        """Wait for the end of the visit, say bye and close."""
        await self._pause(STAY_S if self.machine.plan.role == "offline" else None)
        with contextlib.suppress(ConnectionClosed):
            await self._leave(link, session, "shutdown")
        both.cancel_scope.cancel()

    async def _leave(self, link: ClientConnection, session: Session, reason: Literal["shutdown", "reboot"]) -> None:
        if session.state is State.LIVE:
            await link.send(session.send(m.Bye(reason=reason)))
        await link.close()

    async def _pause(self, seconds: float | None) -> None:
        with anyio.move_on_after(seconds):
            await self.stopping.wait()
