"""The real agent started as a person does: `run_device.py --config FILE`, with a key of a real hub."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.device.agent_process import ROOT, AgentProcess
from tests.support.hub_people import MachineKey


class DoorAgent(AgentProcess):
    """`link_log` are its lines; its state folder is beside its configuration."""

    def __init__(self, folder: Path, url: str, key: MachineKey, **settings: Any) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder, url, **settings)
        values = json.loads(self.config.read_text()) | {"api_token": key.api_key, "rvm_id": key.device_id}
        self.config.write_text(json.dumps(values))

    async def start(self, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL) -> None:
        self.lives += 1
        environ = {name: value for name, value in os.environ.items() if not name.startswith("RVM_")}
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, str(ROOT / "run_device.py"), "--config", str(self.config), *arguments,
                cwd=ROOT, env={**environ, "LANG": "C", "RVM_BOOTSTRAP": "off"}, stdin=stdin, stderr=log,
            )  # fmt: skip


@contextlib.asynccontextmanager
async def door_agent(folder: Path, url: str, key: MachineKey, **settings: Any) -> AsyncIterator[DoorAgent]:
    """Running; gone afterwards."""
    agent = DoorAgent(folder, url, key, **settings)
    await agent.start()
    try:
        yield agent
    finally:
        await agent.kill()
