"""`machine set-status`, `sync-timezone` and `show` beside a real hub and a real agent, on both databases."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.cli.machines import OBSERVED
from hub.cli.output import Exit
from tests.device.agent_process import running_agent
from tests.support.command_line import begun, command_line
from tests.support.hub_process import hub_process
from tests.support.until import until_answered


async def asked(client: httpx.AsyncClient, path: str) -> Any:
    return (await client.get(path)).json()["data"]


@pytest.mark.timeout(180)
async def test_a_machine_does_what_the_command_line_asks_for(tmp_path: Path, database_url: str) -> None:
    async with hub_process(tmp_path / "hub", database_url=database_url) as hub, hub.client() as client:
        key = await hub.add_machine("rvm-1")
        path = f"/api/v2/rvms/{key.id}"
        (tmp_path / "agent").mkdir()
        async with running_agent(tmp_path / "agent", hub.url, api_token=key.api_key, rvm_id=key.device_id):

            async def is_live() -> bool:
                return bool((await asked(client, path))["connection"] == "live")

            await until_answered(is_live, every=0.1)
            words = ("maintenance", "--reason", "New belt", "--wait")
            code, shown = await command_line(hub, "set-status", "rvm-1", *words)
            assert (code, shown["state"]) == (0, "succeeded"), shown
            found = await asked(client, path)
            assert (found["effective_status"], found["status_by"], found["status_reason"]) == (
                "maintenance", "system", "New belt",
            )  # fmt: skip
            command = await asked(client, f"/api/v2/commands/{shown['command']}")
            assert (command["state"], command["issued_by"]) == ("succeeded", "system")
            assert shown["url"] == f"{hub.url}/jobs/{shown['command']}"

            code, shown = await command_line(hub, "show", "rvm-1")
            volatile = OBSERVED | {"close_reason", "last_seen_at", "updated_at", "readings", "lasting", "health"}
            rest = await asked(client, path)
            same = (shown.keys() & rest.keys()) - volatile - {"health_reasons"}
            assert {name: shown[name] for name in same} == {name: rest[name] for name in same}
            assert code == 0
            assert shown["last_seen_at"]

            # system_control is off there: a refusal of the machine is the end of the command line, too.
            code, shown = await command_line(hub, "sync-timezone", "rvm-1", "--timezone", "Asia/Makassar", "--wait")
            assert (code, shown["error"]["code"]) == (Exit.FAILED, "command_failed"), shown
            assert "rvm-1 has not done it: " in shown["error"]["message"]


@pytest.mark.timeout(120)
async def test_ctrl_c_leaves_what_was_asked_for_to_go_on(tmp_path: Path) -> None:
    async with hub_process(tmp_path / "hub") as hub, hub.client() as client:
        await hub.add_machine("rvm-1")
        waiting = await begun(hub, "set-status", "rvm-1", "full", "--capacity", "90", "--wait")
        assert waiting.stderr is not None
        first = (await asyncio.wait_for(waiting.stderr.readline(), 30)).decode()
        assert first.startswith("Recorded. rvm-1 gets it as soon as it is connected")
        waiting.send_signal(signal.SIGINT)
        out, errors = await waiting.communicate()
        assert (waiting.returncode, out) == (Exit.INTERRUPTED, b"")
        assert "It goes on. Follow it: " in errors.decode()

        async def is_known() -> bool:
            return bool((await asked(client, "/api/v2/rvms/1"))["pending"])

        await until_answered(is_known, every=0.1)
        (open_one,) = (await asked(client, "/api/v2/rvms/1"))["pending"]
        assert (open_one["state"], open_one["args"]["status"]) == ("queued", "full")
