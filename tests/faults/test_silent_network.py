"""A network that goes silent, breaks or damages bytes between agent and hub: noticed in time, and healed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.support.browser_client import BrowserClient
from tests.support.chaos_proxy import chaos_proxy
from tests.support.door_agent import door_agent
from tests.support.forked_hub import forked_hub
from tests.support.ledger import open_ledger
from tests.support.streaming_machine import StreamingMachine, streaming
from tests.support.until import until, until_answered

HUB_NOTICES_WITHIN_S = 45.0
AGENT_NOTICES_WITHIN_S = 40.0
BACK_WITHIN_S = 30.0


@pytest.mark.timeout(180)
async def test_a_link_that_goes_silent_is_noticed_by_both_ends_and_the_gap_is_filled(tmp_path: Path) -> None:
    async with forked_hub(tmp_path) as hub, chaos_proxy(hub.port) as network:
        key = await hub.add_machine("Lobby")
        settings = {"metrics_interval": 0.5, "connection_timeout": 3}
        async with (
            door_agent(tmp_path / "agent", network.url, key, **settings) as agent,
            BrowserClient.open(hub) as page,
        ):
            machine = page.machines[key.id]
            await page.shows(lambda: machine["connection"] == "live" and machine["readings"], 30)
            network.stall()
            silent_since, wall = time.monotonic(), time.time()

            async def agent_notices() -> float:
                told = agent.log.count("not connected")
                await until(lambda: agent.log.count("not connected") > told, AGENT_NOTICES_WITHIN_S)
                return time.monotonic() - silent_since

            noticing = asyncio.ensure_future(agent_notices())
            await page.shows(lambda: machine["connection"] == "offline", HUB_NOTICES_WITHIN_S)
            hub_noticed = time.monotonic() - silent_since
            agent_noticed = await noticing
            print(f"silent: the hub said offline after {hub_noticed:.1f} s, the agent after {agent_noticed:.1f} s")
            assert hub_noticed >= 5, "a moment of silence is no end"
            network.flow()
            await page.shows(lambda: machine["connection"] == "live", BACK_WITHIN_S)
            back = time.time()
            assert agent.process is not None
            assert agent.process.returncode is None
            await samples_without_a_gap(hub.settings.database_url, key.id, wall - 1, back)
        assert "Traceback" not in hub.log


async def samples_without_a_gap(database_url: str, rvm_id: int, since: float, until_: float) -> None:
    """Every sample that was taken while nothing could be said is stored, in unbroken numbers."""
    async with open_ledger(database_url) as ledger:

        async def are_there() -> bool:
            numbers = sorted(seq for seq, at in (await ledger.taken(rvm_id)).items() if since <= at <= until_)
            enough = len(numbers) >= (until_ - since) / 0.5 * 0.9
            return enough and numbers == list(range(numbers[0], numbers[-1] + 1))

        await until_answered(are_there, BACK_WITHIN_S, every=0.2)


def all_have(machines: Sequence[StreamingMachine], wanted: list[int]) -> bool:
    """So many acknowledgements each."""
    return all(len(machine.acks) >= number for machine, number in zip(machines, wanted, strict=True))


@pytest.mark.timeout(120)
async def test_a_rough_network_loses_nothing_and_upsets_nobody(tmp_path: Path) -> None:
    """Resets, half-closed connections, latency and damaged bytes, one after the other, under load."""
    dice = random.Random(4)
    async with (
        forked_hub(tmp_path, device_frames_per_second=0) as hub,
        chaos_proxy(hub.port) as network,
    ):
        keys = [await hub.add_machine(f"Machine {number}") for number in range(3)]
        rough = [StreamingMachine(network.websocket_url, key, every_s=0.01, reports=True) for key in keys[:2]]
        steady = StreamingMachine(hub.websocket_url, keys[2], every_s=0.02)
        async with streaming(*rough, steady):
            for _ in range(4):
                for fault in (network.reset, network.half_close, network.corrupt):
                    network.latency_s = dice.choice([0.0, 0.005, 0.02])
                    wanted = [len(machine.acks) + dice.randrange(3, 20) for machine in (*rough, steady)]
                    await until(partial(all_have, (*rough, steady), wanted), 30)
                    fault()
            for machine in (*rough, steady):
                machine.stop_producing()
            await until(lambda: all(machine.drained for machine in (*rough, steady)), 30)
        assert steady.links == 1
        assert min(machine.links for machine in rough) >= 8
        assert await hub.end() == 0
        assert "Traceback" not in hub.log
    async with open_ledger(hub.settings.database_url) as ledger:
        stored, history = await ledger.samples(), await ledger.reasons()
    everything = {(x.key.id, x.boot, seq) for x in (*rough, steady) for seq in range(x.made + 1)}
    assert set(stored) == everything
    assert max(stored.values()) == 1
    for machine in rough:
        assert {reason: history[reason] for reason in machine.confirmed} == dict.fromkeys(machine.confirmed, 1)


@pytest.mark.timeout(60)
async def test_a_connection_that_only_half_opens_keeps_the_agent_waiting_for_its_time_out_only(tmp_path: Path) -> None:
    """The network is silent from the first byte: the agent gives up an attempt, and tries again."""
    async with forked_hub(tmp_path) as hub, chaos_proxy(hub.port) as network:
        key = await hub.add_machine("Lobby")
        network.stall()
        async with door_agent(tmp_path / "agent", network.url, key, connection_timeout=1) as agent:
            await until(lambda: network.accepted >= 3, 30)
            network.flow()
            async with BrowserClient.open(hub) as page:
                with contextlib.suppress(asyncio.TimeoutError):
                    if page.machines[key.id]["connection"] != "live":
                        await page.shows(lambda: page.machines[key.id]["connection"] == "live", 30)
                assert page.machines[key.id]["connection"] == "live", agent.log
