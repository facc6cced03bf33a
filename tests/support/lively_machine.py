"""A machine that lives by itself in a test: sends live samples, does what it is asked for, lets itself be stopped."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from typing import Any, Final

import websockets

from protocol import kinds
from protocol import messages as m
from tests.support.hub_people import MachineKey
from tests.support.hub_process import Hub
from tests.support.machine_client import MachineClient
from tests.support.until import PATIENCE_S

STATES: Final[tuple[kinds.UpdateState, ...]] = ("accepted", "running", "succeeded")

ASKED: Final[Any] = (m.Command, m.Cancel)


class LivelyMachine:
    """`cpu` is what it measures from now on; `asked` the statuses it was told to take and the names of other commands.
    While it does not confirm it holds commands: `tell` says where it is with the newest, a cancel ends them."""

    def __init__(self, hub: Hub, key: MachineKey, **hello: Any) -> None:
        self.hub = hub
        self.key = key
        self.hello = hello
        self.cpu: float | None = 20.0
        self.ahead_s = 0.0
        """How far its clock is ahead."""
        self.members: dict[str, Any] = {}
        self.confirms = True
        self.asked: list[str] = []
        self.commands: list[m.Command] = []
        self.client: MachineClient | None = None
        self.met = asyncio.Event()

    async def live(self) -> None:
        """Until cancelled; comes back when the hub does."""
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError, asyncio.TimeoutError):
                async with MachineClient.connect(self.hub.websocket_url, self.key) as client:
                    now = datetime.now(timezone.utc).isoformat()
                    await client.say_hello(**{"boot_id": f"boot-{time.time_ns()}", "time": now, **self.hello})
                    self.client = client
                    self.met.set()
                    sending = asyncio.ensure_future(self._send(client))
                    try:
                        await self._obey(client)
                    finally:
                        sending.cancel()
                        await asyncio.wait([sending])
            await asyncio.sleep(0.2)  # the pause of an impatient agent

    async def _send(self, client: MachineClient) -> None:
        with contextlib.suppress(websockets.WebSocketException):
            for seq in range(1_000_000):
                sample = m.Sample(
                    timestamp=time.time() + self.ahead_s, cpu_usage=self.cpu, **{"temperature": 50.0, **self.members}
                )
                await client.say(m.Metrics(seq=seq, samples=[sample], live=True))
                await asyncio.sleep(0.2)  # how often it measures

    async def tell(self, state: kinds.UpdateState, **members: Any) -> None:
        """Say how far the newest command is."""
        await self.say(m.CommandUpdate(id=self.commands[-1].id, state=state, **members))

    async def say(self, message: m.MachineMessage) -> None:
        assert self.client is not None
        await self.client.say(message)

    async def _obey(self, client: MachineClient) -> None:
        while True:
            try:
                told: m.Command | m.Cancel = await client.hear(ASKED)
            except (TimeoutError, asyncio.TimeoutError):
                continue
            if isinstance(told, m.Cancel):
                failure = m.Failure(code="cancelled", message="it was cancelled before its effect")
                await client.say(m.CommandUpdate(id=told.id, state="rejected", error=failure))
                continue
            self.commands.append(told)
            self.asked.append(told.args.get("status") or told.name)
            if self.confirms:
                for state in STATES:
                    await client.say(m.CommandUpdate(id=told.id, state=state))


@contextlib.asynccontextmanager
async def lively(hub: Hub, key: MachineKey, **hello: Any) -> AsyncIterator[LivelyMachine]:
    machine = LivelyMachine(hub, key, **hello)
    life = asyncio.ensure_future(machine.live())
    try:
        await asyncio.wait_for(machine.met.wait(), PATIENCE_S)
        yield machine
    finally:
        life.cancel()
        await asyncio.wait([life])
