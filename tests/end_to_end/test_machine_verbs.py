"""`machine set-status`, `sync-timezone`, `backup` and `show` beside a real hub and a real agent, on both databases."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.cli.machines import OBSERVED
from hub.cli.output import Exit
from tests.device.agent_process import running_agent
from tests.support.backed_up_machine import backed_up_machine
from tests.support.command_line import begun, command_line
from tests.support.forked_hub import forked_hub
from tests.support.hub_process import hub_process
from tests.support.until import PATIENCE_S, until_answered

SIZE = 2_000_000


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


@pytest.mark.timeout(300)
async def test_a_backup_asked_for_at_a_shell_is_made_by_the_running_hub(tmp_path: Path, database_url: str) -> None:
    async with (
        forked_hub(tmp_path, database_url=database_url) as hub,
        backed_up_machine(tmp_path / "site", hub, SIZE) as machine,
    ):
        name = machine.key.device_id
        waiting = await begun(hub, "backup", name, "--wait")
        out, errors = await waiting.communicate()
        assert waiting.returncode == 0, errors.decode()
        assert "has made backup 1: " in out.decode()
        status = await machine.ended()
        await machine.check(1, status)
        assert (status["backup_id"], status["command"]["issued_by"]) == (1, "system")
        second = await machine.ask("incremental")
        assert second == 2, "the hub goes on behind the number that the command line took"
        await machine.ended()
        code, shown = await command_line(hub, "backup", name, "--type", "incremental", "--wait")
        assert (code, shown["backup"], shown["state"]) == (0, 3, "succeeded"), shown
        assert shown["upload_status"] in ("completed", "verified")
        assert shown["file_size"] > 0
        assert "Traceback" not in hub.log + machine.agent.log


@pytest.mark.timeout(120)
async def test_ctrl_c_leaves_what_was_asked_for_to_go_on(tmp_path: Path) -> None:
    async with hub_process(tmp_path / "hub") as hub, hub.client() as client:
        await hub.add_machine("rvm-1")
        waiting = await begun(hub, "set-status", "rvm-1", "full", "--capacity", "90", "--wait")
        assert waiting.stderr is not None
        first = (await asyncio.wait_for(waiting.stderr.readline(), PATIENCE_S)).decode()
        assert first.startswith("Recorded. rvm-1 gets it as soon as it is connected")
        waiting.send_signal(signal.SIGINT)
        out, errors = await waiting.communicate()
        assert (waiting.returncode, out) == (Exit.INTERRUPTED, b"")
        assert "It goes on. Follow it: " in errors.decode()

        async def is_known() -> bool:
            return len((await asked(client, "/api/v2/rvms/1"))["pending"]) == 2

        waiting = await begun(hub, "backup", "rvm-1", "--wait", "--json")
        await until_answered(is_known, every=0.1)
        waiting.send_signal(signal.SIGINT)
        out, errors = await waiting.communicate()
        assert (waiting.returncode, out) == (Exit.INTERRUPTED, b"")
        error = json.loads(errors)["error"]
        assert (error["code"], "/jobs/" in error["hint"]) == ("interrupted", True)
        found = {one["name"]: one for one in (await asked(client, "/api/v2/rvms/1"))["pending"]}
        assert {one["state"] for one in found.values()} == {"queued"}
        assert (found["set_status"]["args"]["status"], found["start_backup"]["args"]["backup_id"]) == ("full", 1)
