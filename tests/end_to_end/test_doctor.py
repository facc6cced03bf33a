"""The agent's `doctor` against a real hub: what the hub says of the key and the board, and another hub."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from db.records import MachineRow
from device.cli.main import main
from hub.model.changes import Drop, Patch
from hub.model.views import rfc3339
from tests.support.hub_process import Hub, hub_here


async def examined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], hub: Hub, **members: Any
) -> dict[str, dict[str, Any]]:
    """Checks by name, of a machine with this file."""
    file = tmp_path / "machine.json"
    file.write_text(json.dumps({"myrvm_base_url": hub.url, "system_control": False, **members}))
    file.chmod(0o600)
    await asyncio.to_thread(main, ["doctor", "--json", "--config", str(file)], {})
    return {check["check"]: check for check in json.loads(capsys.readouterr().out)["checks"]}


async def test_what_a_hub_says_of_a_machine_that_does_not_connect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with hub_here(tmp_path / "one") as hub, hub_here(tmp_path / "two") as other:
        key = await hub.add_machine("Lobby")
        given = {"api_token": key.api_key, "rvm_id": key.device_id}
        checks = await examined(tmp_path, capsys, hub, **given)
        steps = ("name", "port", "hub", "clock", "key", "socket")
        assert {name: checks[name]["result"] for name in steps} == dict.fromkeys(steps, "ok")
        assert "board" not in checks
        announce, now = hub.context.announce, hub.context.clock()
        await announce(Patch(MachineRow, key.id, {"board_other_at": now}))
        assert (await examined(tmp_path, capsys, hub, **given))["board"]["result"] == "warn"
        until = now + timedelta(minutes=5)
        await announce(Patch(MachineRow, key.id, {"quarantined_until": until}))
        board = (await examined(tmp_path, capsys, hub, **given))["board"]
        assert (board["result"], rfc3339(until)[:10] in board["what"]) == ("fail", True)
        # The same file with the address of another hub.
        refused = (await examined(tmp_path, capsys, other, **given))["key"]
        assert (refused["result"], f"{other.url} does not know this key" in refused["what"]) == ("fail", True)
        assert "this is another hub" in refused["fix"]
        wrong = (await examined(tmp_path, capsys, hub, **given | {"rvm_id": "not-this-one"}))["key"]
        assert (wrong["result"], "rvm_id" in wrong["fix"]) == ("fail", True)
        await announce(Drop(MachineRow, key.id))
        assert (await examined(tmp_path, capsys, hub, **given))["key"]["result"] == "fail"
