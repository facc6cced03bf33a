"""Power (ina3221 monitors of a Jetson's board), throttling (cooling devices but fans) and uptime."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from device.system_monitor.reading import SensorReading, absent, listed, number_of, text_of

TOTAL_RAILS: Final = frozenset({"VDD_IN", "POM_5V_IN", "VDD_TOTAL", "SYS5V"})
"""Board input; where measured, other rails are parts of it."""
MOST_W: Final = 10_000.0
_CHANNELS: Final = (1, 2, 3)


def power(root: Path) -> SensorReading:
    """Watts: of the input rail, else of all together."""
    rails = list(_rails(root))
    if not rails:
        return absent("no power monitor found")
    total = [watts for label, watts in rails if label in TOTAL_RAILS]
    watts = total[0] if total else sum(watts for _, watts in rails)
    return SensorReading(round(watts, 3)) if watts <= MOST_W else absent("the power monitor says nonsense")


def _rails(root: Path) -> Iterator[tuple[str, float]]:
    for chip in listed(root / "sys/bus/i2c/devices", "*/hwmon/hwmon*"):
        if "ina3221" not in (text_of(chip / "name") or ""):
            continue
        for channel in _CHANNELS:
            label = text_of(chip / f"in{channel}_label") or ""
            millivolts = number_of(chip / f"in{channel}_input")
            milliamperes = number_of(chip / f"curr{channel}_input")
            if label not in ("", "NC") and millivolts is not None and milliamperes is not None:
                yield label, max(0.0, millivolts * milliamperes / 1_000_000)


_SLOWS_DOWN: Final = re.compile(r"throttle|cpufreq|devfreq|hot-surface|oc-event|processor", re.IGNORECASE)


def throttled(root: Path) -> SensorReading:
    """1.0 when a processor or GPU is slowed down, else 0.0."""
    states = []
    for device in listed(root / "sys/class/thermal", "cooling_device*"):
        state = number_of(device / "cur_state")
        if state is not None and _SLOWS_DOWN.search(text_of(device / "type") or ""):
            states.append(state)
    return SensorReading(float(any(state > 0 for state in states))) if states else absent("no throttling sensor found")


LONGEST_S: Final = 1e10
"""Three centuries."""


def uptime(root: Path) -> SensorReading:
    words = (text_of(root / "proc/uptime") or "").split()
    try:
        seconds = float(words[0])
    except (IndexError, ValueError):
        return absent("the kernel does not say")
    return SensorReading(round(seconds, 1)) if 0 <= seconds < LONGEST_S else absent("the kernel says nonsense")
