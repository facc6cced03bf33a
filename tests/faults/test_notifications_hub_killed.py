"""kill -9 between decision and sending, and between sending and marking: nothing is lost, one repeated at most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.forked_hub import forked_hub
from tests.support.hub_process import Hub
from tests.support.message_sink import http_sink
from tests.support.until import until, until_answered


async def outbox(hub: Hub) -> list[dict[str, Any]]:
    async with hub.client() as client:
        found: list[dict[str, Any]] = (await client.get("/api/v2/notifications")).json()["data"]
    return found


@pytest.mark.timeout(300)
async def test_a_killed_hub_loses_no_message_and_repeats_one_at_most(tmp_path: Path, database_url: str) -> None:
    with http_sink() as sink:
        sink.hang.clear()
        async with forked_hub(tmp_path, database_url=database_url, notify_loopback=True) as hub:
            places = "/api/v2/notification-destinations"
            wanted = {"name": "Operators", "address": sink.address("json"), "after_s": 0, "kinds": ["machine"]}
            async with hub.client() as admin:
                assert (await admin.post(places, json=wanted)).status_code == 201
            one, two = [await hub.add_machine(name) for name in ("One", "Two")]

            async def declare(key: Any) -> None:
                async with hub.client(key.api_key) as machine:
                    answer = await machine.patch(f"/api/v2/rvms/{key.id}/status", json={"status": "full"})
                    assert answer.is_success, answer.text

            await declare(one)
            await until(lambda: sink.received)  # it arrived, and no answer came: sent and not marked
            await declare(two)

            async def both_decided() -> bool:
                return [row["state"] for row in await outbox(hub)] == ["waiting", "sending"]

            await until_answered(both_decided)
            await hub.kill()
            sink.hang.set()
            await hub.start()

            async def all_sent() -> bool:
                return {row["state"] for row in await outbox(hub)} == {"sent"}

            await until_answered(all_sent)
            assert sink.texts.count("One: Full: takes no more containers") == 2
            assert sink.texts.count("Two: Full: takes no more containers") == 1
            await hub.kill()
            await hub.start()
            await declare(two)
            async with hub.client() as admin:
                assert (await admin.post(f"{places}/1/test")).json()["data"]["sent"]
            assert len(sink.texts) == 4, "nothing begins anew with a hub"
