"""Tells systemd that the agent is ready and still well (sd_notify), if systemd asked to be told.

The sign of life comes from the event loop itself and only when the work has moved, so a stalled agent is restarted.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from typing import Final

LONGEST_SILENCE_S: Final = 10.0


class ServiceNotify:
    """`progress` yields a number that changes as long as the agent works."""

    def __init__(self, environ: Mapping[str, str], progress: Callable[[], int]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        microseconds = environ.get("WATCHDOG_USEC", "")
        self._watchdog_s = int(microseconds) / 1e6 if microseconds.isascii() and microseconds.isdigit() else 0.0
        self._progress = progress

    def tell(self, state: str) -> None:
        """Send one state, e.g. READY=1; silent when nobody listens."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.connect(address)
            speaker.sendall(state.encode())

    async def run(self) -> None:
        """Sign life for ever, each third of the time systemd allows, as long as there is progress."""
        pause = (
            min(self._watchdog_s / 3, LONGEST_SILENCE_S) if self._watchdog_s and self._address else LONGEST_SILENCE_S
        )
        seen = -1
        while True:
            now = self._progress()
            if now != seen and self._watchdog_s:
                self.tell("WATCHDOG=1")
            seen = now
            await asyncio.sleep(pause)
