"""A real hub process that starts in a moment, for tests that kill it often: forked from one that has imported it all.

Same as `hub_process` otherwise: its own process, session, log and port; killed with real signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.hub_process import END_WITHIN_S, READY_WITHIN_S, ROOT, HubProcess, _given, _prepared


@dataclass
class ForkedHub(HubProcess):
    """`process` is the parent that forks; `child` the hub itself, 0 when there is none."""

    child: int = 0

    @property
    def pid(self) -> int:
        return self.child

    async def start(self) -> None:
        if self.process is None:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.support.forked_hub",
                cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        assert self.process.stdin is not None
        given = _given(self.settings, port=self.port if self.url else 0)
        self.process.stdin.write(json.dumps([str(self.log_file), given]).encode() + b"\n")
        said, pid, self.url = (await self._line(READY_WITHIN_S)).split()
        assert said == "serves", self.log
        self.child = int(pid)

    async def end(self, number: int = signal.SIGTERM) -> int:
        os.kill(self.child, number)
        return await self.ended()

    async def ended(self) -> int:
        """It ends by itself; the exit code."""
        said, pid, code = (await self._line(END_WITHIN_S)).split()
        assert (said, pid) == ("ended", str(self.child))
        self.child = 0
        return int(code)

    async def _line(self, within: float) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), within)
        assert line, f"the hub is gone:\n{self.log}"
        return line.decode().strip()


@contextlib.asynccontextmanager
async def forked_hub(folder: Path, **given: Any) -> AsyncIterator[ForkedHub]:
    """`given` are settings."""
    hub = ForkedHub(*await _prepared(folder, given))
    try:
        await hub.start()
        yield hub
    finally:
        if hub.child:
            await hub.kill()
        if hub.process is not None:
            hub.process.kill()
            await hub.process.wait()


def _fork_for_ever() -> None:
    """The parent: one hub for each line on standard input; says when one serves and when one ended."""
    from hub import app, server  # noqa: F401 - imported once, for every child
    from hub.settings import Settings
    from tests.support.crash_points import arm_hub
    from tests.support.hub_probe import watch

    signal.signal(signal.SIGCHLD, lambda *_: _reap())
    for line in sys.stdin:
        log, given = json.loads(line)
        if os.fork():
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
        watch(Path(given["data_dir"]))
        arm_hub(Path(given["data_dir"]))
        os._exit(server.serve(Settings.load(given, {}), lambda url: _say(f"serves {os.getpid()} {url}")))


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _say(f"ended {ended[0]} {os.waitstatus_to_exitcode(ended[1])}")


def _say(text: str) -> None:
    os.write(1, text.encode() + b"\n")


if __name__ == "__main__":
    _fork_for_ever()
