"""Two real agents with one key: the newest speaks for the machine, one alone is commanded, and they do not fight."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.support.door_agent import door_agent
from tests.support.hub_process import HubProcess, hub_process
from tests.support.until import until

WATCHED_S = 8.0


def links(hub: HubProcess) -> int:
    return len(re.findall(r"machine \d+: linked from", hub.log))


@pytest.mark.timeout(90)
async def test_the_newest_agent_wins_and_alone_is_commanded_without_a_fight(tmp_path: Path) -> None:
    async with hub_process(tmp_path) as hub, hub.client() as admin:
        key = await hub.add_machine("Lobby")
        async with door_agent(tmp_path / "older", hub.url, key) as older:
            await until(lambda: links(hub) == 1, 20)
            async with door_agent(tmp_path / "newer", hub.url, key) as newer:
                await until(lambda: links(hub) == 2, 20)
                began = time.monotonic()
                await until(lambda: "another connection of this machine took over" in older.log)
                asked = []
                for status in ("maintenance", "active", "maintenance"):
                    path = f"/api/v2/rvms/{key.id}/status?wait=10"
                    answer = await admin.patch(path, json={"status": status, "reason": "two agents"})
                    asked.append(answer.json()["data"]["command"])
                assert [command["state"] for command in asked] == ["succeeded"] * 3
                for command in asked:
                    assert newer.log.count(f"({command['id']}): succeeded") == 1
                    assert command["id"] not in older.log
                await until(lambda: time.monotonic() - began > WATCHED_S)
                assert links(hub) <= 2 + WATCHED_S, "more than one takeover a second"
                assert links(hub) == 2, "the loser waits half a minute before it tries again"
                await newer.stop()
        assert "Traceback" not in hub.log
