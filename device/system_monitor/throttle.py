"""Whether heat or current slows the machine down now, from the kernel's cooling devices (fans do not count)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from device.system_monitor.reading import Reading, absent, listed, number_of, text_of

_SLOWS_DOWN: Final = re.compile(r"throttle|cpufreq|devfreq|hot-surface|oc-event|processor", re.IGNORECASE)


def throttled(root: Path) -> Reading:
    """1.0 when any processor or GPU is being slowed down, 0.0 when none is."""
    states = []
    for device in listed(root / "sys/class/thermal", "cooling_device*"):
        state = number_of(device / "cur_state")
        if state is not None and _SLOWS_DOWN.search(text_of(device / "type") or ""):
            states.append(state)
    return Reading(float(any(state > 0 for state in states))) if states else absent("no throttling sensor found")
