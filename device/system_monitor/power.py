"""How much power the machine takes, from the ina3221 monitors on a Jetson's board."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from device.system_monitor.reading import Reading, absent, listed, number_of, text_of

TOTAL_RAILS: Final = frozenset({"VDD_IN", "POM_5V_IN", "VDD_TOTAL", "SYS5V"})
"""The board's input; where it is measured the other rails are parts of it."""
MOST_W: Final = 10_000.0
_CHANNELS: Final = (1, 2, 3)


def power(root: Path) -> Reading:
    """Watts: of the input rail when it is measured, else of all rails together."""
    rails = list(_rails(root))
    if not rails:
        return absent("no power monitor found")
    total = [watts for label, watts in rails if label in TOTAL_RAILS]
    watts = total[0] if total else sum(watts for _, watts in rails)
    return Reading(round(watts, 3)) if watts <= MOST_W else absent("the power monitor says nonsense")


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
