"""Simulates any number of machines over real WebSockets, in a process of its own.

    python -m demo.fleet_simulator --config FILE [--exit-with-parent]

FILE is JSON: {"url": "ws://127.0.0.1:8001/ws/device", "machines": [{"device_id", "api_key", "role", "name", "timezone",
"city"}]}. Roles: normal, full, hot (readings above the threshold), late (one frame each 20 s, whatever was asked),
offline (a few samples and a bye), maintenance, and those of `demo.simulated_machine`. Every machine has the capability
"simulated". The load forms are `bench.load`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Final, Literal

import anyio
import msgspec
from anyio.abc import TaskGroup
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from demo.simulated_machine import SimulatedMachine
from demo.simulated_plan import Plan
from protocol import messages as m
from protocol.errors import CloseCode, RemoteProtocolError
from protocol.limits import MAX_MESSAGE_BYTES
from protocol.session import Session
from protocol.transitions import Role, State
from protocol.version import SUBPROTOCOL

LATE_EVERY_S: Final = 20.0
STAY_S: Final = 4.0
"""An `offline` machine stays before its bye."""
LONGEST_DELAY_S: Final = 60.0
STEADY_S: Final = 30.0
"""A link that lived so long resets the delay."""
REBOOT_S: Final = (6.0, 12.0)
WAKING: Final = (m.Live, m.Config, m.Command, m.Cancel)


class SimulatedLink:
    """Connects one machine until `stopping`."""

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
            if not await self._connect():
                return
            failures = 0 if time.monotonic() - began > STEADY_S else min(failures + 1, 10)
            await self._pause(random.uniform(*self._away))
            if self.machine.reboots:
                self.machine.boot(time.time())

    async def _connect(self) -> bool:
        """To the link's end; False: the machine does not come back."""
        headers = {"Authorization": f"Bearer {self.machine.key.in_use}"}
        try:
            async with connect(
                self.url, additional_headers=headers, subprotocols=[SUBPROTOCOL], compression=None, proxy=None,  # type: ignore[list-item]  # Subprotocol is a str
                max_size=MAX_MESSAGE_BYTES, ping_interval=10, ping_timeout=20, close_timeout=3,
            ) as link:  # fmt: skip
                await self._run_link(link)
                if link.close_code in (CloseCode.REPLACED, CloseCode.REVOKED):
                    self._away = (LONGEST_DELAY_S / 2, LONGEST_DELAY_S)
        except InvalidStatus as refused:
            if refused.response.status_code in (401, 403, 429):
                self._away = (LONGEST_DELAY_S / 2, LONGEST_DELAY_S)
            if refused.response.status_code == 401:
                self.machine.key.refused()
        except (OSError, TimeoutError, InvalidHandshake):
            pass  # nobody there: come back later
        return self.machine.plan.role != "offline"

    async def _run_link(self, link: ClientConnection) -> None:
        session = Session(Role.MACHINE, authenticated=True)
        async with anyio.create_task_group() as both:
            both.start_soon(self._end_link, link, session, both)
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
                continue
            answers = self.machine.handle(message, time.time())
            if isinstance(message, m.Welcome):
                answers += self.machine.after_welcome(time.time())
                both.start_soon(self._tick, link, session)
            for answer in answers:
                await link.send(session.send(answer))
            if self.machine.key.wants_link:
                self._away = (0.0, 1.0)
                await link.close()
                return
            if isinstance(message, WAKING):
                self._changed.set()

    async def _tick(self, link: ClientConnection, session: Session) -> None:
        with contextlib.suppress(ConnectionClosed):  # the listener sees it too, and ends the link
            await self._measure(link, session)

    async def _measure(self, link: ClientConnection, session: Session) -> None:
        """Kept samples, live ones while watched, the machine's own doings; each when due."""
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
            for message in machine.act(time.time()):
                await link.send(session.send(message))
            if machine.reboots:
                self._away = REBOOT_S
                await self._leave(link, session, "reboot")
                return
            due = [kept_at + machine.metrics_interval, now + machine.due() - time.time()]
            due += [lived_at + interval] if interval else []
            self._changed = anyio.Event()
            with anyio.move_on_after(max(0.0, min(due) - time.monotonic())):
                await self._changed.wait()

    async def _end_link(self, link: ClientConnection, session: Session, both: TaskGroup) -> None:
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


class SimulatedFleet(msgspec.Struct, frozen=True):
    url: str
    machines: list[Plan]


class FleetFile:
    """The configuration, written again when a machine has a new key: a later start needs it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> SimulatedFleet:
        """Raises OSError or msgspec.DecodeError."""
        return msgspec.json.decode(self._path.read_bytes(), type=SimulatedFleet)

    def keep(self, device_id: str, key: str) -> None:
        with contextlib.suppress(OSError, msgspec.DecodeError):  # else the demo's next start makes a key
            fleet = self.read()
            plans = [
                msgspec.structs.replace(plan, api_key=key) if plan.device_id == device_id else plan
                for plan in fleet.machines
            ]
            beside = self._path.with_suffix(".key")
            beside.unlink(missing_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(SimulatedFleet(fleet.url, plans))))
            beside.replace(self._path)


async def simulate(fleet: SimulatedFleet, file: FleetFile, *, exit_with_parent: bool = False) -> None:
    """Until SIGINT, SIGTERM or, if asked, the end of stdin; then say bye."""
    stopping = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(_obey_signals, stopping)
        if exit_with_parent:
            group.start_soon(_follow_parent, stopping)
        async with anyio.create_task_group() as links:
            for plan in fleet.machines:
                keep = partial(file.keep, plan.device_id)
                machine = SimulatedMachine(plan, time.time(), fleet.url, keep)
                links.start_soon(SimulatedLink(fleet.url, machine, stopping).run)
            await stopping.wait()
        group.cancel_scope.cancel()


async def _obey_signals(stopping: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            stopping.set()


async def _follow_parent(stopping: anyio.Event) -> None:
    standard_input = sys.stdin.fileno()
    with contextlib.suppress(OSError):  # not a pipe: there is nobody to follow
        os.set_blocking(standard_input, False)
        await anyio.wait_readable(standard_input)
        while os.read(standard_input, 4096):
            await anyio.wait_readable(standard_input)
    stopping.set()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="demo.fleet_simulator", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--config", type=Path, required=True, help="the machines to play, as JSON")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when standard input closes")
    options = parser.parse_args(argv)
    try:
        file = FleetFile(options.config)
        fleet = file.read()
    except (OSError, msgspec.DecodeError) as wrong:
        print(f"fleet_simulator: {options.config}: {wrong}", file=sys.stderr)
        return 2
    anyio.run(lambda: simulate(fleet, file, exit_with_parent=options.exit_with_parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
