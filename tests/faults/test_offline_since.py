"""Since when a machine is offline, over kill -9 of the hub, on both databases: its last contact, in every life."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from protocol import messages as m
from tests.support.forked_hub import forked_hub
from tests.support.hub_people import MachineKey
from tests.support.hub_process import Hub
from tests.support.machine_client import MachineClient
from tests.support.until import until_answered

OFFLINE_WITHIN_S = 20.0
"""After a closed socket; after a start of the hub."""


async def seen(hub: Hub, key: MachineKey) -> dict[str, Any]:
    async with hub.client() as client:
        data: dict[str, Any] = (await client.get(f"/api/v2/rvms/{key.id}")).json()["data"]
        return data


async def offline(hub: Hub, *keys: MachineKey) -> list[dict[str, Any]]:
    async def all_offline() -> bool:
        return all([(await seen(hub, key))["connection"] == "offline" for key in keys])

    await until_answered(all_offline, OFFLINE_WITHIN_S)
    return [await seen(hub, key) for key in keys]


async def moves(hub: Hub, key: MachineKey) -> list[str]:
    async with hub.client() as client:
        found = (await client.get("/api/v2/events", params={"rvm": key.id, "code": "connection.changed"})).json()
        return [event["params"]["connection"] for event in found["data"]]


async def was_recorded(hub: Hub, key: MachineKey, connection: str) -> bool:
    return connection in await moves(hub, key)


@pytest.mark.timeout(120)
async def test_no_clock_of_trouble_begins_anew_with_the_hub(tmp_path: Path, database_url: str) -> None:
    async with forked_hub(tmp_path, database_url=database_url) as hub:
        lost, gone, there = [await hub.add_machine(name) for name in ("Lost", "Shut down", "There at the kill")]
        async with MachineClient.connect(hub.websocket_url, there) as last:
            await last.say_hello()
            async with (
                MachineClient.connect(hub.websocket_url, lost) as first,
                MachineClient.connect(hub.websocket_url, gone) as second,
            ):
                await first.say_hello()
                await second.say_hello()
                await second.say(m.Bye(reason="shutdown"))
            before = await offline(hub, lost, gone)
            live = await seen(hub, there)
            assert live["connection"] == "live"
            for one in before:
                assert one["connection_since"] == one["last_seen_at"]
            # What is stored behind the picture is stored by then.
            await until_answered(lambda: was_recorded(hub, lost, "offline"), OFFLINE_WITHIN_S)
            await until_answered(lambda: was_recorded(hub, gone, "offline"), OFFLINE_WITHIN_S)
            moved = [await moves(hub, key) for key in (lost, gone)]
            await hub.kill()
        killed = datetime.now().astimezone()
        for _ in range(2):
            await hub.start()
            for key, known in zip((lost, gone), before, strict=True):
                again = await seen(hub, key)
                assert again["connection"] == "offline", "at once, and not late first"
                for member in ("connection_since", "connection_reason", "last_seen_at"):
                    assert again[member] == known[member]
            (third,) = await offline(hub, there)
            assert datetime.fromisoformat(third["connection_since"].replace("Z", "+00:00")) <= killed
            assert third["connection_since"] >= live["connection_since"]
            assert [await moves(hub, key) for key in (lost, gone)] == moved, "no event tells it again"
            await hub.kill()
