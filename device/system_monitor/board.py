"""Power (ina3221 monitors of a Jetson's board), throttling (cooling devices but fans, over-current alarms), fans and
uptime."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from device.system_monitor.reading import SensorReading, absent, listed, number_of, number_or_why, percent, text_of
from protocol.board import IMPOSSIBLE, BoardFan, BoardRail, BoardThrottle
from protocol.limits import MAX_NAME

TOTAL_RAILS: Final = frozenset({"VDD_IN", "POM_5V_IN", "VDD_TOTAL", "SYS5V"})
"""Board input; where measured, other rails are parts of it."""
MOST_W: Final = 10_000.0
UNLIMITED_MA: Final = 32_760
"""The most that an ina3221 can be told; nobody set a limit."""
_CHANNELS: Final = (1, 2, 3)


def power(root: Path) -> SensorReading:
    """Watts: of the input rail, else of all together."""
    measured = [(label, watts) for chip, n, label in _channels(root) if (watts := _watts(chip, n)[0]) is not None]
    if not measured:
        return absent("no power monitor found")
    total = [watts for label, watts in measured if label in TOTAL_RAILS]
    watts = total[0] if total else sum(watts for _, watts in measured)
    return SensorReading(round(watts, 3)) if watts <= MOST_W else absent("the power monitor says nonsense")


def rails(root: Path) -> Iterator[BoardRail]:
    for chip, channel, label in _channels(root):
        watts, reason = _watts(chip, channel)
        if watts is not None and watts > MOST_W:
            watts, reason = None, IMPOSSIBLE
        limit_w = None if watts is None else _limit_w(chip, channel)
        yield BoardRail(
            name=label[:MAX_NAME], watts=None if watts is None else round(watts, 3), limit_w=limit_w, reason=reason
        )


def _channels(root: Path) -> Iterator[tuple[Path, int, str]]:
    """Connected ones; the monitor's own sums (channels 4 to 7) are none."""
    for chip in listed(root / "sys/bus/i2c/devices", "*/hwmon/hwmon*"):
        if "ina3221" not in (text_of(chip / "name") or ""):
            continue
        for channel in _CHANNELS:
            label = text_of(chip / f"in{channel}_label") or ""
            if label not in ("", "NC"):
                yield chip, channel, label


def _watts(chip: Path, channel: int) -> tuple[float | None, str | None]:
    """Or None and why."""
    millivolts, no_volts = number_or_why(chip / f"in{channel}_input")
    milliamperes, no_amperes = number_or_why(chip / f"curr{channel}_input")
    if millivolts is None or milliamperes is None:
        return None, no_volts or no_amperes
    return max(0.0, millivolts * milliamperes / 1_000_000), None


def _limit_w(chip: Path, channel: int) -> float | None:
    limits = (number_of(chip / f"curr{channel}_{kind}") for kind in ("crit", "max"))
    limit = min((most for most in limits if most is not None and 0 < most < UNLIMITED_MA), default=None)
    millivolts = number_of(chip / f"in{channel}_input")
    return None if limit is None or millivolts is None else round(max(0.0, millivolts * limit / 1_000_000), 3)


_SLOWS_DOWN: Final = re.compile(r"throttle|cpufreq|devfreq|hot-surface|oc-event|processor", re.IGNORECASE)


def throttled(root: Path) -> SensorReading:
    """1.0 when a processor or GPU is slowed down, else 0.0."""
    states = [active for _, active in _cooling(root)]
    return SensorReading(float(any(states))) if states else absent("no throttling sensor found")


def throttling(root: Path) -> list[BoardThrottle]:
    """What slows down first, then over-current alarms, then what only could."""
    found = [BoardThrottle(name=name[:MAX_NAME], active=active) for name, active in _cooling(root)]
    return sorted([*found, *_alarms(root)], key=lambda each: (not each.active, each.events is None, each.name))


def _cooling(root: Path) -> Iterator[tuple[str, bool]]:
    for device in listed(root / "sys/class/thermal", "cooling_device*"):
        state, name = number_of(device / "cur_state"), text_of(device / "type") or ""
        if state is not None and _SLOWS_DOWN.search(name):
            yield name, state > 0


def _alarms(root: Path) -> Iterator[BoardThrottle]:
    """Of an Orin's soctherm: since the system's start."""
    for file in listed(root / "sys/class/hwmon", "hwmon*/oc*_event_cnt"):
        count = number_of(file)
        if count is not None and count >= 0:
            yield BoardThrottle(name=file.name.partition("_")[0], events=min(count, 2**32 - 1))


_FULL_PWM: Final = 255
MOST_RPM: Final = 1_000_000


def fans(root: Path) -> list[BoardFan]:
    """A tachometer that is a device of its own belongs to the only fan."""
    driven, turning = {}, {}
    for chip in listed(root / "sys/class/hwmon", "hwmon*"):
        name = (text_of(chip / "name") or chip.name)[:MAX_NAME]
        rpm = next((each for file in ("fan1_input", "rpm") if (each := number_of(chip / file)) is not None), None)
        if (chip / "pwm1").exists():
            driven[name] = (number_or_why(chip / "pwm1"), rpm)
        elif rpm is not None:
            turning[name] = rpm
    alone = len(driven) == len(turning) == 1
    found = []
    for name, ((pwm, reason), own) in driven.items():
        rpm = own if own is not None else next(iter(turning.values())) if alone else None
        share = None if pwm is None else percent(pwm, _FULL_PWM)
        found.append(BoardFan(name=name, percent=share, rpm=_speed(rpm), reason=reason))
    if not driven:
        found += [BoardFan(name=name, rpm=_speed(rpm)) for name, rpm in turning.items()]
    return found


def _speed(rpm: int | None) -> float | None:
    return float(rpm) if rpm is not None and 0 <= rpm <= MOST_RPM else None


LONGEST_S: Final = 1e10
"""Three centuries."""


def uptime(root: Path) -> SensorReading:
    words = (text_of(root / "proc/uptime") or "").split()
    try:
        seconds = float(words[0])
    except (IndexError, ValueError):
        return absent("the kernel does not say")
    return SensorReading(round(seconds, 1)) if 0 <= seconds < LONGEST_S else absent("the kernel says nonsense")
