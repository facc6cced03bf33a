"""A hub killed with -9, on both databases: troubles that stand go on, none begins anew, none is there twice."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from protocol import messages as m
from tests.support.forked_hub import forked_hub
from tests.support.hub_people import MachineKey
from tests.support.hub_process import Hub
from tests.support.machine_client import MachineClient
from tests.support.until import until_answered

OFFLINE_WITHIN_S = 100.0
"""A minute without contact, and the time to see it."""


def clock() -> str:
    return datetime.now(timezone.utc).isoformat()


async def troubles(hub: Hub, key: MachineKey) -> dict[str, dict[str, Any]]:
    async with hub.client() as client:
        found = (await client.get(f"/api/v2/rvms/{key.id}")).json()["data"]["troubles"]
        assert len({one["cause"] for one in found}) == len(found)
        return {one["cause"]: one for one in found}


async def holding(hub: Hub, key: MachineKey, *causes: str) -> dict[str, dict[str, Any]]:
    async def as_expected() -> bool:
        return set(await troubles(hub, key)) == set(causes)

    await until_answered(as_expected, OFFLINE_WITHIN_S)
    return await troubles(hub, key)


@pytest.mark.timeout(300)
async def test_no_trouble_begins_anew_with_the_hub(tmp_path: Path, database_url: str) -> None:
    async with forked_hub(tmp_path, database_url=database_url) as hub:
        full, off = [await hub.add_machine(name) for name in ("Full", "Shut down")]
        never = await hub.people.add_machine("Never there", ago=timedelta(hours=1))
        async with MachineClient.connect(hub.websocket_url, off) as going:
            await going.say_hello()
            await going.say(m.Bye(reason="shutdown"))
        async with MachineClient.connect(hub.websocket_url, full) as machine:
            await machine.say_hello(status="full", capacity=100, time=clock())
            known = await holding(hub, full, "full"), await holding(hub, never, "never")
            await hub.kill()
        await hub.start()
        assert (await troubles(hub, full), await troubles(hub, never)) == known, "at once, with the same rows"
        async with MachineClient.connect(hub.websocket_url, full) as machine:
            await machine.say_hello(status="full", capacity=100, time=clock())
            gone = await holding(hub, off, "shutdown")
            assert (await troubles(hub, full), await troubles(hub, never)) == known
            await hub.kill()
            await hub.start()
            assert await troubles(hub, off) == gone
        async with MachineClient.connect(hub.websocket_url, full) as machine:
            await machine.say_hello(status="active", capacity=0, time=clock())
            assert await holding(hub, full) == {}
            assert (await troubles(hub, off), await troubles(hub, never)) == (gone, known[1])
