"""Looks at the board once a minute and reports what has changed since the last report.

Figures that never stand still (watts, degrees, turns) are news every minute while somebody watches, else seldom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from device.kernel.tasks import wait_at_most
from device.kernel.worker_thread import WorkerThread
from device.privileged import disk_health
from device.system_monitor import board, disks, jetson, sensors
from protocol.board import Board
from protocol.limits import BOARD_INTERVAL_S, MAX_BOARD_PARTS
from protocol.messages import BoardReport

SELDOM_S: Final = 600.0


def look(root: Path, ask: disks.Ask = disk_health.health_log) -> Board:
    """Blocks."""
    jetpack, mode, memory = jetson.jetpack(root), jetson.power_mode(root), jetson.gpu_memory(root)
    whys = {"jetpack": jetpack.reason, "power_mode": mode.reason, "gpu_memory_bytes": memory.reason}
    return Board(
        jetpack=jetpack.value,
        l4t=jetson.l4t(root),
        power_mode=mode.value,
        unified_memory=True if jetson.is_jetson(root) else None,
        gpu_memory_bytes=memory.size,
        rails=list(board.rails(root))[:MAX_BOARD_PARTS],
        sensors=list(sensors.each_sensor(root))[:MAX_BOARD_PARTS],
        throttling=board.throttling(root)[:MAX_BOARD_PARTS],
        fans=board.fans(root)[:MAX_BOARD_PARTS],
        disks=list(disks.disks(root, ask))[:MAX_BOARD_PARTS],
        reasons={name: why for name, why in whys.items() if why},
    )


def is_news(reported: Board | None, seen: Board, since_s: float, *, watched: bool) -> bool:
    """`since_s`: since the last report."""
    if reported is None:
        return True
    if since_s < BOARD_INTERVAL_S or seen == reported:
        return False
    return since_s >= SELDOM_S or watched or _lasting(seen) != _lasting(reported)


def _lasting(seen: Board) -> Board:
    """Without the figures that never stand still."""
    replace = msgspec.structs.replace
    return replace(
        seen,
        gpu_memory_bytes=None,
        rails=[replace(rail, watts=None, limit_w=None) for rail in seen.rails],
        sensors=[replace(sensor, celsius=None) for sensor in seen.sensors],
        fans=[replace(fan, percent=None, rpm=None) for fan in seen.fans],
        disks=[replace(disk, celsius=None) for disk in seen.disks],
    )


class BoardWatch:
    """`report`: sends on the present link, if there is one."""

    def __init__(
        self, root: Path, report: Callable[[BoardReport], None], is_watched: Callable[[], bool], thread: WorkerThread
    ) -> None:
        self._root = root
        self._report = report
        self._is_watched = is_watched
        self._thread = thread
        self._reported: Board | None = None
        self._reported_at = 0.0
        self._wake = asyncio.Event()
        self._linked = False
        self._enabled = True

    def link_is_up(self) -> None:
        """Whatever was reported before, this hub is told anew."""
        self._linked, self._reported = True, None
        self._wake.set()

    def link_is_lost(self) -> None:
        """Also of a hub that does not know the message."""
        self._linked = False

    def set_enabled(self, enabled: bool) -> None:
        self._enabled = enabled
        self._wake.set()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            if self._linked and self._enabled:
                await self._look()
            await wait_at_most(self._wake, BOARD_INTERVAL_S)

    async def _look(self) -> None:
        seen = await self._thread.call(look, self._root)
        now = time.monotonic()
        if self._linked and is_news(self._reported, seen, now - self._reported_at, watched=self._is_watched()):
            self._reported, self._reported_at = seen, now
            self._report(BoardReport(board=seen))
