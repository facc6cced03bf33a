"""A real hub process that starts in a moment: forked from one that has imported it all (tests.support.fork_server).

Same as `hub_process` otherwise: its own process, session, log and port; killed with real signals. Its crash points
(tests.support.crash_points) are armed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import fork_server
from tests.support.hub_process import END_WITHIN_S, READY_WITHIN_S, HubProcess, _given, _prepared


@dataclass
class ForkedHub(HubProcess):
    """`child` is its process, 0 when there is none."""

    child: int = 0
    answers: fork_server.Answers | None = None

    @property
    def pid(self) -> int:
        return self.child

    async def start(self) -> None:
        given = _given(self.settings, port=self.port if self.url else 0)
        self.answers = await fork_server.request(self.log_file, given)
        said, pid, self.url = (await self._line(READY_WITHIN_S)).split()
        assert said == "serves", self.log
        self.child = int(pid)

    async def end(self, number: int = signal.SIGTERM) -> int:
        assert self.child, "there is no hub"
        os.kill(self.child, number)
        return await self.ended()

    async def ended(self) -> int:
        """It ends by itself; the exit code."""
        said, pid, code = (await self._line(END_WITHIN_S)).split()
        assert (said, pid) == ("ended", str(self.child))
        assert self.answers is not None
        self.answers[1].close()
        self.child = 0
        return int(code)

    async def _line(self, within: float) -> str:
        assert self.answers is not None
        line = await asyncio.wait_for(self.answers[0].readline(), within)
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
            with contextlib.suppress(ProcessLookupError):
                os.kill(hub.child, signal.SIGCONT)
            await hub.kill()
