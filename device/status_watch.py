"""What the machine's status follows besides commands: requests of other programs, return sessions, the end of a time.

One look a quarter of a second, so that a change made on the machine is at the hub well within a second.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

import msgspec

from device.core.hub_clock import HubClock, parse_time
from device.core.machine_state import IllegalStatusError
from device.log import Log
from device.return_session import ReturnSession
from device.status_checker import RVMStatusChecker
from device.status_mailbox import StatusMailbox, StatusRequest
from device.worker_thread import WorkerThread

POLL_S: Final = 0.25


class StatusWatch:
    """`run` for ever; `look` is one turn."""

    def __init__(
        self,
        checker: RVMStatusChecker,
        mailbox: StatusMailbox,
        session: ReturnSession,
        clock: HubClock,
        disk: WorkerThread,
        log: Log,
    ) -> None:
        self._checker = checker
        self._mailbox = mailbox
        self._session = session
        self._clock = clock
        self._disk = disk
        self._log = log

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(POLL_S)

    async def look(self) -> None:
        """Raises OSError when the disk does not take what is new; the next turn finds it again."""
        requests, is_open = await self._disk.call(self._read)
        for path, request in requests:
            await self._take(path, request)
        await self._checker.note_session(is_open)
        await self._give_back()

    def _read(self) -> tuple[list[tuple[Path, StatusRequest]], bool]:
        return list(self._mailbox.waiting()), self._session.is_open()

    async def _take(self, path: Path, request: StatusRequest) -> None:
        try:
            state = await self._checker.update_status(**msgspec.structs.asdict(request))
        except IllegalStatusError as refused:
            self._log("status_refused", why=refused)
        else:
            self._log("status_now", status=state.effective_status)
        await self._disk.call(self._mailbox.done, path)

    async def _give_back(self) -> None:
        until = self._checker.check_status().until
        if until is None:
            return
        moment = parse_time(until)
        # One that cannot be read ends at once: nothing may hold for ever that was to hold for a while.
        if moment is None or self._clock.now(time.monotonic(), datetime.now(timezone.utc)) >= moment:
            await self._checker.give_back(until)
            self._log("status_now", status=self._checker.check_status().effective_status)
