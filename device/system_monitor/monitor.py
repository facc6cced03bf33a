"""Reads all sensors into one sample. Without /proc (a Mac) processor and memory are psutil's."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Final, NamedTuple

from device.system_monitor import board, network, sensors
from device.system_monitor.jtop import JtopAdapter
from device.system_monitor.reading import SensorReading, percent
from device.system_monitor.sensors import CpuTimes
from protocol.messages import Sample

MIN_SPAN_S: Final = 0.05
"""Rates over less are noise."""


class Look(NamedTuple):
    """Counters at one moment; a rate is a difference."""

    at: float
    ticks: sensors.CpuTimes | None
    network: network.Counters | None


class SystemMonitor:
    """`root`: the machine's files; `disk_path`: its file system is measured. Blocks. Rates cover the time since this
    monitor's last sample, so history and live view have a monitor each."""

    def __init__(
        self,
        root: Path = Path("/"),
        *,
        disk_path: Path | None = None,
        jtop: JtopAdapter | None = None,
        keep: Callable[[Sample], int] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self._root = root
        self._disk_path = disk_path or root
        self._jtop = jtop
        self._keep = keep
        self._monotonic = monotonic
        self._wall = wall
        self._before: Look | None = None

    def prime(self) -> None:
        self._before = self._look()

    def collect_metrics(self) -> Sample:
        """An absent one is None, with its reason in `reasons`."""
        before, after = self._before, self._look()
        span = after.at - before.at if before is not None else 0.0
        if span >= MIN_SPAN_S or before is None:
            self._before = after
        received, sent = network.rates(before and before.network, after.network, span)
        throttled = board.throttled(self._root)
        readings = {
            "cpu_usage": sensors.cpu_usage(before and before.ticks, after.ticks),
            "memory_usage": self._memory(),
            "disk_usage": sensors.disk_usage(self._disk_path),
            "gpu_usage": self._or_jtop(sensors.gpu_usage(self._root), JtopAdapter.gpu),
            "temperature": sensors.temperature(self._root),
            "network_rx_bytes_s": received,
            "network_tx_bytes_s": sent,
            "uptime_s": board.uptime(self._root),
            "power_w": self._or_jtop(board.power(self._root), JtopAdapter.power),
        }
        reasons = {name: reading.reason for name, reading in readings.items() if reading.reason}
        if throttled.reason:
            reasons["throttled"] = throttled.reason
        return Sample(
            timestamp=self._wall().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            throttled=None if throttled.value is None else bool(throttled.value),
            reasons=reasons or None,
            **{name: reading.value for name, reading in readings.items()},
        )

    def upload_metrics(self, sample: Sample | None = None) -> int:
        """Into the spool (a new one by default); its number."""
        if self._keep is None:
            raise RuntimeError("this monitor was made without a place to keep samples in")
        return self._keep(sample or self.collect_metrics())

    def _look(self) -> Look:
        times = sensors.cpu_times(self._root)
        if times is None and self._is_foreign():
            times = foreign_cpu_times()
        return Look(self._monotonic(), times, network.read(self._root))

    def _memory(self) -> SensorReading:
        return foreign_memory() if self._is_foreign() else sensors.memory_usage(self._root)

    def _is_foreign(self) -> bool:
        return self._root == Path("/") and not Path("/proc/stat").exists()

    def _or_jtop(self, reading: SensorReading, ask: Callable[[JtopAdapter], SensorReading]) -> SensorReading:
        if reading.value is not None or self._jtop is None:
            return reading
        return ask(self._jtop)


def foreign_cpu_times() -> CpuTimes:
    """Busy and total, in hundredths of a second."""
    import psutil

    times = psutil.cpu_times()
    total = int(100 * sum(times))
    return CpuTimes(busy=total - int(100 * (times.idle + getattr(times, "iowait", 0.0))), total=total)


def foreign_memory() -> SensorReading:
    import psutil

    figures = psutil.virtual_memory()
    return SensorReading(percent(figures.total - figures.available, figures.total))
