"""kill -9 of the hub twenty times under load, on both databases: what it confirmed is there, once, and all drains."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.forked_hub import forked_hub
from tests.support.hub_process import HubProcess
from tests.support.ledger import Ledger, open_ledger
from tests.support.streaming_machine import StreamingMachine, streaming
from tests.support.until import until

KILLS = 20
DRAINED_WITHIN_S = 30.0
LONGEST_BLOCK_S = 0.1
"""Of the last life: the bar itself, although hub, database and machines share two processors here."""


@contextlib.asynccontextmanager
async def commanding(hub: HubProcess, machines: list[StreamingMachine]) -> AsyncIterator[set[str]]:
    """A person who asks all the time, whether the hub is there or not. Yields the ids of what the hub accepted."""
    accepted: set[str] = set()

    async def ask() -> None:
        dice = random.Random(7)
        async with httpx.AsyncClient(
            headers={"Authorization": f"Bearer {hub.admin.token}"}, trust_env=False, timeout=5
        ) as client:
            while True:
                path = f"{hub.url}/api/v2/rvms/{dice.choice(machines).key.id}"
                with contextlib.suppress(httpx.HTTPError):
                    if dice.random() < 0.3:
                        answer = await client.post(f"{path}/commands", json={"name": "ping"})
                    else:
                        wanted = {"status": dice.choice(["maintenance", "active"]), "reason": "asked"}
                        answer = await client.patch(f"{path}/status", json=wanted)
                    assert answer.status_code in (200, 202, 409, 503), answer.text
                    if answer.status_code < 300:
                        data = answer.json()["data"]
                        accepted.add(data.get("command", data)["id"])
                await asyncio.sleep(0.05)  # how often a person asks

    asking = asyncio.ensure_future(ask())
    try:
        yield accepted
    finally:
        asking.cancel()
        (failed,) = await asyncio.gather(asking, return_exceptions=True)
        if isinstance(failed, Exception):
            raise failed


async def kill_at_a_random_moment(hub: HubProcess, machines: list[StreamingMachine], dice: random.Random) -> None:
    """After some more acknowledgements, and then at any moment."""
    wanted = sum(len(machine.acks) for machine in machines) + dice.randrange(1, 60)
    await until(lambda: sum(len(machine.acks) for machine in machines) >= wanted, 20)
    await asyncio.sleep(dice.uniform(0, 0.05))  # the dice of the test, not a wait
    await hub.kill()


@pytest.mark.timeout(300)
async def test_twenty_kills_lose_nothing_confirmed_and_repeat_nothing(tmp_path: Path, database_url: str) -> None:
    dice = random.Random(11)
    async with forked_hub(tmp_path, database_url=database_url, device_frames_per_second=0) as hub:
        keys = [await hub.add_machine(f"Machine {number}") for number in range(3)]
        machines = [
            StreamingMachine(hub.websocket_url, keys[0], every_s=0.004, samples=5),
            StreamingMachine(hub.websocket_url, keys[1], every_s=0.01, reports=True),
            StreamingMachine(hub.websocket_url, keys[2], every_s=0.01, reports=True, reboots_every=6),
        ]
        async with streaming(*machines):
            async with commanding(hub, machines) as accepted:
                for _ in range(KILLS):
                    await kill_at_a_random_moment(hub, machines, dice)
                    await hub.start()
            for machine in machines:
                machine.stop_producing()
            await until(lambda: all(machine.drained for machine in machines), DRAINED_WITHIN_S)
            async with open_ledger(database_url) as ledger:
                await ledger.all_commands_ended(DRAINED_WITHIN_S)
        assert hub.longest_block_s <= LONGEST_BLOCK_S
        assert await hub.end() == 0
        assert "Traceback" not in hub.log
    async with open_ledger(database_url) as ledger:
        await samples_are_as_promised(ledger, machines)
        await statuses_are_as_promised(ledger, machines)
        await commands_are_as_promised(ledger, machines, accepted)


async def samples_are_as_promised(ledger: Ledger, machines: list[StreamingMachine]) -> None:
    stored = await ledger.samples()
    promised = set().union(*(machine.promised() for machine in machines))
    assert len(promised) > 500
    assert promised <= set(stored)
    assert max(stored.values()) == 1
    drained = {(x.key.id, x.boot, seq) for x in machines for seq in range(x.made + 1)}
    assert drained <= set(stored)


async def statuses_are_as_promised(ledger: Ledger, machines: list[StreamingMachine]) -> None:
    confirmed = set().union(*(machine.confirmed for machine in machines))
    history = await ledger.reasons()
    assert len(confirmed) > 20
    assert {reason: history[reason] for reason in confirmed} == dict.fromkeys(confirmed, 1)


async def commands_are_as_promised(ledger: Ledger, machines: list[StreamingMachine], accepted: set[str]) -> None:
    states, ends = await ledger.commands(), await ledger.ends()
    done = sum((machine.done for machine in machines), start=type(machines[0].done)())
    settled = set().union(*(machine.settled for machine in machines))
    assert len(accepted) > 10
    assert accepted <= set(states)
    assert dict(ends) == dict.fromkeys(states, 1), "each command ends once"
    assert set(done) <= set(states)
    assert {states[command] for command in settled} <= {"succeeded", "expired"}
    assert max(done.values()) == 1
    assert [machine.said_again for machine in machines] == [[], [], []]
