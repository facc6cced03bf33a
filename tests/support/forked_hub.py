"""A real hub process that starts in a moment: forked from one that has imported it all (tests.support.fork_server).

Same as `hub_process` otherwise: its own process, session, log and port; killed with real signals. Its crash points
(tests.support.crash_points) are armed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.fork_server import fork
from tests.support.hub_process import END_WITHIN_S, READY_WITHIN_S, HubProcess, _given, _prepared, running


class ForkedHub(HubProcess):
    async def start(self) -> None:
        forked = await fork("hub", self.log_file, _given(self.settings, port=self.port if self.url else 0))
        ready = {forked.url, forked.code}
        await asyncio.wait(ready, timeout=READY_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        assert forked.url.done(), f"the hub did not start:\n{self.log}"
        self.process, self.url = forked, forked.url.result()

    async def ended(self) -> int:
        """It ends by itself; the exit code."""
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), END_WITHIN_S)


@asynccontextmanager
async def forked_hub(folder: Path, **given: Any) -> AsyncIterator[ForkedHub]:
    """`given` are settings."""
    hub = ForkedHub(*await _prepared(folder, given))
    async with running(hub):
        yield hub
