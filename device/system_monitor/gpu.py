"""How busy the Jetson's integrated GPU is, from devfreq, in per mille (stack.md, Jetson readings)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from device.system_monitor.reading import Reading, absent, listed, number_of, text_of

NAMES: Final = frozenset({"gv11b", "gp10b", "ga10b", "gb10b", "gpu"})
KNOWN_LINKS: Final = (
    "sys/devices/platform/gpu.0/load",
    "sys/devices/platform/17000000.gpu/load",  # JetPack 6
    "sys/devices/platform/bus@0/17000000.gpu/load",  # later JetPack 6 kernels
    "sys/devices/platform/17000000.ga10b/load",  # JetPack 5
)


def gpu_usage(root: Path) -> Reading:
    """Percent of time the GPU was busy."""
    found = False
    for file in _load_files(root):
        found = found or file.exists()
        load = number_of(file)
        if load is not None and 0 <= load <= 1000:
            return Reading(load / 10)
    return absent("the GPU does not answer" if found else "no GPU found")


def _load_files(root: Path) -> Iterator[Path]:
    for device in listed(root / "sys/class/devfreq", "*/device"):
        if text_of(device / "of_node/name") in NAMES:
            yield device / "load"
    for link in KNOWN_LINKS:
        yield root / link
