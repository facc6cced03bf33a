"""The hottest part that matters, from thermal zones, else from hwmon (ordinary computers)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from device.system_monitor.reading import Reading, absent, listed, number_of, text_of
from protocol.limits import TEMPERATURE_MAX_C, TEMPERATURE_MIN_C

OFFLINE_C: Final = -256.0
"""What the Tegra driver says for a sensor that is powered off."""
_CHIP: Final = re.compile(r"cpu|gpu|soc|tj|cv\d|x86_pkg|acpitz|ao-therm|tboard|tdiode", re.IGNORECASE)
_CHIP_HWMON: Final = frozenset({"coretemp", "k10temp", "zenpower", "cpu_thermal", "soc_thermal"})


def temperature(root: Path) -> Reading:
    """Degrees C of the hottest chip sensor; of the hottest other one when there is no chip sensor."""
    zones = list(_zones(root))
    sensors = [(bool(_CHIP.search(name)), value) for name, value in zones]
    if not sensors:
        sensors = [(name in _CHIP_HWMON, value) for name, value in _hwmon(root)]
    if not sensors:
        return absent("no temperature sensor found")
    chips = [value for is_chip, value in sensors if is_chip]
    return Reading(round(max(chips or [value for _, value in sensors]), 2))


def _zones(root: Path) -> Iterator[tuple[str, float]]:
    for zone in listed(root / "sys/class/thermal", "thermal_zone*"):
        name = text_of(zone / "type") or ""
        value = _plausible(number_of(zone / "temp"))
        # The PMIC zone reports a constant 50 or 100 degrees, whatever the truth.
        if value is not None and "pmic" not in name.lower():
            yield name, value


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
