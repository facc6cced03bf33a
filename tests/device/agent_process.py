"""The real agent as a real process, for tests that restart and kill it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.support.fake_hub import KEY
from tests.support.fork_server import Forked

ROOT = Path(__file__).parents[2]


class AgentProcess:
    """`folder` keeps configuration and state from one life to the next; `log` is what it said on standard error."""

    def __init__(self, folder: Path, url: str, **settings: Any) -> None:
        self.folder = folder
        self.config = folder / "machine.json"
        # No test may start the computer anew that it runs on: system_control is for those with a bus of their own.
        # And none asks the world where it is: look-ups are for those with a server of their own.
        harmless = {"retry_delay": 0.2, "system_control": False, "auto_sync_enabled": False}
        values = {"myrvm_base_url": url, "api_token": KEY, "rvm_id": "rvm-1", **harmless, **settings}
        self.config.write_text(json.dumps(values))
        self.config.chmod(0o600)
        self.process: asyncio.subprocess.Process | Forked | None = None
        self.environ: dict[str, str] = {}
        self.lives = 0

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL) -> None:
        self.lives += 1
        environ = {k: v for k, v in os.environ.items() if not k.startswith("RVM_")}
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "device", "--config", str(self.config), *arguments,
                cwd=ROOT, env={**environ, "LANG": "C", **self.environ}, stdin=stdin, stderr=log,
            )  # fmt: skip

    async def kill(self) -> None:
        """kill -9."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = 5.0) -> int:
        """Ask it to end; fails when it takes longer than `seconds`."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), seconds)


@contextlib.asynccontextmanager
async def running_agent(folder: Path, url: str, **settings: Any) -> AsyncIterator[AgentProcess]:
    agent = AgentProcess(folder, url, **settings)
    await agent.start()
    try:
        yield agent
    finally:
        await agent.kill()
