"""A hub that is restarted with SIGTERM under the real fleet simulator: all come back, spread out, with nothing lost."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.support.forked_hub import forked_hub
from tests.support.hub_people import MachineKey
from tests.support.hub_process import ROOT, HubProcess
from tests.support.ledger import open_ledger
from tests.support.until import until, until_answered

MACHINES = 20
BACK_WITHIN_S = 60.0
SPREAD_LEAST_S = 8.0
"""Twenty machines are asked to come back over 20 s; dice in each machine's own slice, and the time of the restart
itself, take some of it."""
SAMPLES_EACH = 12
"""A simulated machine brings the samples of its last hour, one every five minutes (and perhaps one on the hour)."""


def arrivals(hub: HubProcess) -> list[tuple[int, float]]:
    """Which machine was linked when, in Unix seconds, by the hub's log."""
    found = re.findall(r"^(\S+) INFO \S+ machine (\d+): linked from", hub.log, re.MULTILINE)
    return [
        (int(number), datetime.strptime(at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp())
        for at, number in found
    ]


def config(hub: HubProcess, keys: list[MachineKey]) -> str:
    machines = [{"device_id": key.device_id, "api_key": key.api_key} for key in keys]
    return json.dumps({"url": hub.websocket_url + "/ws/device", "machines": machines})


async def all_stored(hub: HubProcess, within: float) -> Counter[tuple[int, str, int]]:
    """What is stored once every machine's first samples are."""
    async with open_ledger(hub.settings.database_url) as ledger:

        async def has_all() -> bool:
            counts = Counter(rvm_id for rvm_id, _, _ in await ledger.samples())
            return len(counts) == MACHINES and min(counts.values()) >= SAMPLES_EACH

        await until_answered(has_all, within, every=0.2)
        return await ledger.samples()


@pytest.mark.timeout(180)
async def test_a_fleet_comes_back_spread_out_after_a_restart_and_loses_nothing(tmp_path: Path) -> None:
    async with forked_hub(tmp_path) as hub:
        keys = await hub.people.add_machines(MACHINES)
        await hub.end()
        await hub.start()  # one who was there before: the log begins anew for what follows
        (tmp_path / "fleet.json").write_text(config(hub, keys))
        fleet = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "demo.fleet_simulator", "--config", str(tmp_path / "fleet.json"), cwd=ROOT
        )
        try:
            before = await all_stored(hub, 60)
            seen = len(arrivals(hub))
            assert await hub.end() == 0
            await hub.start()
            await until(lambda: len({number for number, _ in arrivals(hub)[seen:]}) == MACHINES, BACK_WITHIN_S)
            back = arrivals(hub)[seen:]
            assert fleet.returncode is None
        finally:
            if fleet.returncode is None:
                fleet.kill()
            await fleet.wait()
        after = await all_stored(hub, 10)
        assert await hub.end() == 0
        assert "Traceback" not in hub.log
    times = sorted(at for _, at in back)
    busiest = max(Counter(times).values())
    print(f"back within {times[-1] - times[0]:.0f} s, at most {busiest} in one second")
    assert times[-1] - times[0] >= SPREAD_LEAST_S
    assert busiest <= MACHINES // 2
    assert max(Counter(number for number, _ in back).values()) == 1, "one attempt each was enough"
    assert set(before) <= set(after)
    assert max(after.values()) == 1
    boots = {rvm_id: boot for rvm_id, boot, _ in after}
    for rvm_id, boot in boots.items():
        numbers = sorted(seq for number, b, seq in after if (number, b) == (rvm_id, boot))
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
