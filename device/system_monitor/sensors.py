"""How busy and how hot the machine is: processor, memory, disk, GPU and temperature, each a function of a root folder.

Sources: /proc/stat (two looks), /proc/meminfo, statvfs as `df` counts, devfreq in per mille, thermal zones or else
hwmon."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from device.system_monitor.reading import (
    SensorReading,
    absent,
    listed,
    number_of,
    number_or_why,
    percent,
    text_of,
)
from protocol.board import IMPOSSIBLE, OFFLINE, BoardSensor
from protocol.limits import MAX_NAME, TEMPERATURE_MAX_C, TEMPERATURE_MIN_C


class CpuTimes(NamedTuple):
    busy: int
    total: int


def cpu_times(root: Path) -> CpuTimes | None:
    first_line = (text_of(root / "proc/stat") or "").partition("\n")[0].split()
    if len(first_line) < 5 or first_line[0] != "cpu":
        return None
    try:
        # user nice system idle iowait irq softirq steal; guest time is already counted in user
        ticks = [int(word) for word in first_line[1:9]]
    except ValueError:
        return None
    idle = sum(ticks[3:5])
    return CpuTimes(busy=sum(ticks) - idle, total=sum(ticks))


def cpu_usage(before: CpuTimes | None, after: CpuTimes | None) -> SensorReading:
    """Percent of all cores, between two looks."""
    if after is None:
        return absent("no processor counters")
    if before is None:
        return absent("first look, a rate needs two")
    passed = after.total - before.total
    if passed <= 0:
        return absent("the processor counters did not move")
    return SensorReading(percent(after.busy - before.busy, passed))


def memory_usage(root: Path) -> SensorReading:
    """Percent that programs could not have without pushing something out."""
    sizes = _sizes(root)
    total = sizes.get("MemTotal", 0)
    if total <= 0:
        return absent("no memory figures")
    # Kernels before 3.14 do not say MemAvailable; this is what it replaced.
    guess = sizes.get("MemFree", 0) + sizes.get("Buffers", 0) + sizes.get("Cached", 0)
    return SensorReading(percent(total - sizes.get("MemAvailable", guess), total))


def memory_bytes(root: Path) -> int | None:
    total_kib = _sizes(root).get("MemTotal", 0)
    return total_kib * 1024 if total_kib > 0 else None


def _sizes(root: Path) -> dict[str, int]:
    sizes = {}
    for line in (text_of(root / "proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            sizes[name] = int(words[0])
    return sizes


def disk_usage(path: Path) -> SensorReading:
    """Percent of what an ordinary user may use."""
    try:
        stat = os.statvfs(path)
    except OSError as error:
        return absent(f"no answer from the disk: {error.strerror or 'error'}")
    used = stat.f_blocks - stat.f_bfree
    usable = used + stat.f_bavail
    return SensorReading(percent(used, usable)) if usable > 0 else absent("a file system without size")


NAMES: Final = frozenset({"gv11b", "gp10b", "ga10b", "gb10b", "gpu"})
KNOWN_LINKS: Final = (
    "sys/devices/platform/gpu.0/load",
    "sys/devices/platform/17000000.gpu/load",  # JetPack 6
    "sys/devices/platform/bus@0/17000000.gpu/load",  # later JetPack 6 kernels
    "sys/devices/platform/17000000.ga10b/load",  # JetPack 5
)


def gpu_usage(root: Path) -> SensorReading:
    found = False
    for file in _load_files(root):
        found = found or file.exists()
        load = number_of(file)
        if load is not None and 0 <= load <= 1000:
            return SensorReading(load / 10)
    return absent("the GPU does not answer" if found else "no GPU found")


def _load_files(root: Path) -> Iterator[Path]:
    for device in listed(root / "sys/class/devfreq", "*/device"):
        if text_of(device / "of_node/name") in NAMES:
            yield device / "load"
    for link in KNOWN_LINKS:
        yield root / link


OFFLINE_C: Final = -256.0
"""The Tegra driver's value of a powered-off sensor."""
_CHIP: Final = re.compile(r"cpu|gpu|soc|tj|cv\d|x86_pkg|acpitz|ao-therm|tboard|tdiode", re.IGNORECASE)
_CHIP_HWMON: Final = frozenset({"coretemp", "k10temp", "zenpower", "cpu_thermal", "soc_thermal"})


def temperature(root: Path) -> SensorReading:
    """Degrees C of the hottest chip sensor, else of the hottest other."""
    zones = list(_zones(root))
    sensors = [(bool(_CHIP.search(name)), value) for name, value in zones]
    if not sensors:
        sensors = [(name in _CHIP_HWMON, value) for name, value in _hwmon(root)]
    if not sensors:
        return absent("no temperature sensor found")
    chips = [value for is_chip, value in sensors if is_chip]
    return SensorReading(round(max(chips or [value for _, value in sensors]), 2))


def _zones(root: Path) -> Iterator[tuple[str, float]]:
    for zone in listed(root / "sys/class/thermal", "thermal_zone*"):
        name = text_of(zone / "type") or ""
        value = _plausible(number_of(zone / "temp"))
        # The PMIC zone reports a constant 50 or 100 degrees, whatever the truth.
        if value is not None and "pmic" not in name.lower():
            yield name, value


def each_sensor(root: Path) -> Iterator[BoardSensor]:
    """Every thermal zone, in the kernel's order, the switched-off ones too."""
    for zone in sorted(listed(root / "sys/class/thermal", "thermal_zone*"), key=_number_at_end):
        name = (text_of(zone / "type") or zone.name)[:MAX_NAME]
        milli, reason = number_or_why(zone / "temp")
        if "pmic" in name.lower():
            continue
        value = _plausible(milli)
        if milli is not None and value is None:
            reason = OFFLINE if milli in (OFFLINE_C, OFFLINE_C * 1000) else IMPOSSIBLE
        yield BoardSensor(name=name, celsius=value, reason=reason)


def _number_at_end(path: Path) -> int:
    digits = re.search(r"\d+\Z", path.name)
    return int(digits[0]) if digits else 0


def _hwmon(root: Path) -> Iterator[tuple[str, float]]:
    for chip in listed(root / "sys/class/hwmon", "hwmon*"):
        name = text_of(chip / "name") or ""
        for file in listed(chip, "temp*_input"):
            value = _plausible(number_of(file))
            if value is not None:
                yield name, value


def _plausible(milli_degrees: int | None) -> float | None:
    if milli_degrees is None:
        return None
    value = milli_degrees / 1000
    if value == OFFLINE_C or milli_degrees == OFFLINE_C:
        return None
    return value if TEMPERATURE_MIN_C <= value <= TEMPERATURE_MAX_C else None
