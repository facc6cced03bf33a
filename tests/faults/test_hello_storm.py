"""Five hundred machines introduce themselves in the same moment: all are welcomed and recorded, no link ends for having
waited."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import anyio
import pytest

from db import schema
from protocol import messages as m
from protocol.version import PROTOCOL_VERSION
from tests.support.forked_hub import forked_hub
from tests.support.hub_people import MachineKey
from tests.support.ledger import open_ledger
from tests.support.machine_client import MachineClient

MACHINES = 500
AT_ONCE = 50
"""Handshakes; what is tried is what follows them."""
RECORDED_WITHIN_S = 60.0


def hello(key: MachineKey) -> m.Hello:
    return m.Hello(
        protocol=PROTOCOL_VERSION, device_id=key.device_id, agent_version="0.0.0-test", boot_id="boot-1",
        capabilities=["ping"], status="active", config_version=0, time="2026-11-23T13:00:00Z",
    )  # fmt: skip


@pytest.mark.timeout(180)
async def test_five_hundred_machines_at_once_are_all_welcomed_and_recorded(tmp_path: Path, database_url: str) -> None:
    async with forked_hub(tmp_path, database_url=database_url) as hub, contextlib.AsyncExitStack() as open_:
        keys = await hub.people.add_machines(MACHINES)
        await hub.end()
        await hub.start()
        handshakes, expected = asyncio.Semaphore(AT_ONCE), {key.id for key in keys}

        async def connected(key: MachineKey) -> MachineClient:
            async with handshakes:
                return await open_.enter_async_context(
                    MachineClient.connect(hub.websocket_url, key, open_timeout=60, ping_interval=None)
                )

        machines = await asyncio.gather(*map(connected, keys))
        with anyio.fail_after(RECORDED_WITHIN_S):
            await asyncio.gather(*(machine.say(hello(machine.key)) for machine in machines))
            for machine in machines:
                while not isinstance(machine.session.receive(str(await machine.socket.recv())).message, m.Welcome):
                    pass
            async with open_ledger(database_url) as ledger:
                recorded: set[int] = set()
                while recorded != expected:
                    recorded = {row["rvm_id"] for row in await ledger.rows(schema.machine_boots.c.rvm_id)}
        assert all(machine.socket.close_code is None for machine in machines), "a link was ended"
        assert hub.log.count("linked from") == MACHINES
        assert "Traceback" not in hub.log
        assert "database" not in hub.log
