"""A machine that lives by itself in a test: sends live samples, confirms every status it is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import websockets

from protocol import messages as m
from tests.support.hub_people import MachineKey
from tests.support.hub_process import Hub
from tests.support.machine_client import MachineClient


class LivelyMachine:
    """`cpu` is what it measures from now on; `asked` the statuses it was told to take."""

    def __init__(self, hub: Hub, key: MachineKey, **hello: Any) -> None:
        self.hub = hub
        self.key = key
        self.hello = hello
        self.cpu: float | None = 20.0
        self.members: dict[str, Any] = {}
        self.confirms = True
        self.asked: list[str] = []
        self.met = asyncio.Event()

    async def live(self) -> None:
        """Until cancelled; comes back when the hub does."""
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError, asyncio.TimeoutError):
                async with MachineClient.connect(self.hub.websocket_url, self.key) as client:
                    await client.say_hello(boot_id=f"boot-{time.time_ns()}", **self.hello)
                    self.met.set()
                    sending = asyncio.ensure_future(self._send(client))
                    try:
                        await self._obey(client)
                    finally:
                        sending.cancel()
                        await asyncio.wait([sending])
            await asyncio.sleep(0.2)

    async def _send(self, client: MachineClient) -> None:
        with contextlib.suppress(websockets.WebSocketException):
            for seq in range(1_000_000):
                sample = m.Sample(timestamp=time.time(), cpu_usage=self.cpu, temperature=50.0, **self.members)
                await client.say(m.Metrics(seq=seq, samples=[sample], live=True))
                await asyncio.sleep(0.2)

    async def _obey(self, client: MachineClient) -> None:
        while True:
            try:
                command = await client.hear(m.Command)
            except (TimeoutError, asyncio.TimeoutError):
                continue
            self.asked.append(command.args["status"])
            if self.confirms:
                for state in ("accepted", "running", "succeeded"):
                    await client.say(m.CommandUpdate(id=command.id, state=state))


@contextlib.asynccontextmanager
async def lively(hub: Hub, key: MachineKey, **hello: Any) -> AsyncIterator[LivelyMachine]:
    machine = LivelyMachine(hub, key, **hello)
    life = asyncio.ensure_future(machine.live())
    try:
        await asyncio.wait_for(machine.met.wait(), 15)
        yield machine
    finally:
        life.cancel()
        await asyncio.wait([life])
