"""Bar 28: 256 kbit/s from the machine while a backup runs: acknowledgements within 5 s, no link lost, all is sent."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bench.link_tap import link_tap
from tests.faults.test_lease_bulk import p99
from tests.support.backed_up_machine import backed_up_machine
from tests.support.chaos_proxy import chaos_proxy
from tests.support.forked_hub import forked_hub

BYTES_S = 256_000 / 8
ACK_S = 5.0
SIZE = 480_000


@pytest.mark.timeout(240)
async def test_a_backup_over_a_narrow_uplink_starves_neither_metrics_nor_the_link(tmp_path: Path) -> None:
    async with forked_hub(tmp_path) as hub, chaos_proxy(hub.port) as network, AsyncExitStack() as stack:
        tap = await stack.enter_async_context(link_tap(network.port))
        machine = await stack.enter_async_context(
            backed_up_machine(tmp_path / "site", hub, SIZE, url=tap.url, metrics_interval=0.1)
        )
        network.uplink_bytes_s = BYTES_S
        backup_id = await machine.ask()
        tap.begin()
        status = await machine.ended()
        assert status["upload_status"] in ("completed", "verified"), status
        print(f"{len(tap.acks_s)} acknowledgements, p99 {p99(tap.acks_s) * 1000:.0f} ms")
        assert len(tap.acks_s) >= 50
        assert p99(tap.acks_s) < ACK_S
        assert max(tap.gaps_s) < ACK_S, "the agent itself was held up"
        assert machine.agent.log.count("not connected") == 0
        assert tap.links == 1, "one link from beginning to end"
        network.uplink_bytes_s = 0.0
        await machine.check(backup_id, status)
        assert "Traceback" not in hub.log + machine.agent.log
