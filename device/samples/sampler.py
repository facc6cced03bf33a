"""Takes samples when due: kept ones into the spool, live ones to the link; syncs the disk each second.

Sensors are read in their own thread within a time limit."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from device.kernel.log import Log
from device.kernel.tasks import until_one_ends, wait_at_most, within
from device.kernel.worker_thread import WorkerThread
from device.samples.rules import SamplingPlan
from device.samples.spool import SampleSpool
from device.system.clock import utc_now
from device.system_monitor import SystemMonitor
from protocol.messages import Sample

SYNC_INTERVAL_S: Final = 0.8
"""A power cut may cost one second of samples; a sync takes a moment itself."""
SENSOR_TIMEOUT_S: Final = 5.0
MAX_TO_KEEP: Final = 1000
"""While the disk is slow; the oldest give way."""

SETTLE_S: Final = 0.2
"""Between changes of the plan, however often the hub asks."""


class Sampler:
    """`on_kept`: after a sample went into the spool; `offer_live`: each live sample."""

    def __init__(
        self,
        plan: SamplingPlan,
        monitors: tuple[SystemMonitor, SystemMonitor],
        sensors: WorkerThread,
        disk: WorkerThread,
        spool: SampleSpool,
        log: Log,
        on_kept: Callable[[], None],
        offer_live: Callable[[Sample], None],
    ) -> None:
        self._plan = plan
        self._history, self._present = monitors
        self._sensors = sensors
        self._disk = disk
        self._spool = spool
        self._log = log
        self._on_kept = on_kept
        self._offer_live = offer_live
        self._replan = asyncio.Event()
        self._fresh_watch = False
        self._fresh_history = True
        self._monitors = True
        self._requested = 0.0
        self._to_keep: deque[bytes] = deque(maxlen=MAX_TO_KEEP)
        self._has_some = asyncio.Event()
        self._stuck = False
        self._logged_dropped = self._logged_refused = 0
        self._logged_watched = 0.0
        self._replanned_at = float("-inf")
        self.latest: Sample | None = None
        self.beats = 0
        """Grows while this works; for the watchdog."""

    def watch(self, interval: float) -> None:
        self._requested = interval
        self._watch(interval if self._monitors else 0.0)

    @property
    def is_watched(self) -> bool:
        return self._requested > 0

    def set_monitoring(self, enabled: bool, interval: float) -> None:
        """Disabled: reads no sensor, also not live."""
        if enabled and not self._monitors:
            self._fresh_history = True
        self._monitors = enabled
        self._plan.keep(interval if enabled else float("inf"), time.monotonic())
        self._watch(self._requested if enabled else 0.0)
        self._replan.set()

    def _watch(self, interval: float) -> None:
        before = self._plan.live_interval
        self._fresh_watch = self._plan.watch(interval, time.monotonic()) or self._fresh_watch
        if self._plan.live_interval != before:
            self._replan.set()

    def _log_watched(self) -> None:
        interval = self._plan.live_interval
        if interval != self._logged_watched:
            self._logged_watched = interval
            self._log("watched" if interval else "unwatched", **({"interval": f"{interval:g}"} if interval else {}))

    async def run(self) -> None:
        await until_one_ends(self._sample(), self._keep(), self._sync())

    async def _sample(self) -> None:
        while True:
            if self._fresh_history and self._monitors:
                self._fresh_history = False
                await self._guarded(self._history.prime)
            await wait_at_most(self._replan, self._plan.next_at() - time.monotonic())
            if self._replan.is_set():
                # A hub that changes its mind a thousand times a second costs no more than one that does so once.
                await asyncio.sleep(self._replanned_at + SETTLE_S - time.monotonic())
                self._replanned_at = time.monotonic()
                self._replan.clear()
                self._log_watched()
            if self._fresh_watch:
                self._fresh_watch = False
                await self._guarded(self._present.prime)
            due = self._plan.take(time.monotonic())
            if due.kept:
                self._to_keep.append(msgspec.json.encode(await self._read(self._history)))
                self._has_some.set()
            if due.live:
                self._offer_live(await self._read(self._present))

    async def _keep(self) -> None:
        while True:
            await self._has_some.wait()
            self._has_some.clear()
            while self._to_keep:
                await self._disk.call(self._spool.append, self._to_keep.popleft())
                self._on_kept()

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(SYNC_INTERVAL_S)
            if not self._spool.idle:
                await self._disk.call(self._spool.sync)
                self._report()
            self.beats += 1

    async def _read(self, monitor: SystemMonitor) -> Sample:
        sample = await self._guarded(monitor.collect_metrics)
        if sample is None:
            why = self._log.why("sensors_stuck")
            sample = Sample(timestamp=utc_now(), reasons={"cpu_usage": why, "memory_usage": why, "disk_usage": why})
        self.latest = sample
        return sample

    async def _guarded(self, read: Callable[[], Sample | None]) -> Sample | None:
        """None: they fail or are late; one call at a time."""
        if self._sensors.busy_s() > 0 and self._stuck:
            return None
        try:
            sample = await within(SENSOR_TIMEOUT_S, self._sensors.call(read))
        except (TimeoutError, asyncio.TimeoutError):
            self._stuck = True
            self._log("sensors_stuck")
        except Exception as error:  # noqa: BLE001 - the named boundary: sensors; hardware files hold anything
            self._log("handler_failed", where="sensors", error=repr(error))
        else:
            self._stuck = False
            return sample
        return None

    def _report(self) -> None:
        counters = self._spool.counters
        if counters.dropped != self._logged_dropped:
            self._logged_dropped = counters.dropped
            self._log("dropped", count=counters.dropped)
        refuses = counters.write_errors != self._logged_refused
        if refuses:
            self._log("disk_refuses")
        elif self._logged_refused and self._spool.idle:
            self._log("disk_again")
            counters.write_errors = 0
        self._logged_refused = counters.write_errors
