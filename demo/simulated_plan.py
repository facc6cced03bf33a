"""Reads a simulated machine's plan; computes its readings from name and time.

Nothing is random: a restarted machine has the same past, and a benchmark repeats itself."""

from __future__ import annotations

import hashlib
import math
from datetime import datetime, timezone
from typing import Final, NamedTuple

import msgspec

from protocol.messages import Sample

SERVICES: Final = ("myrvm-vision.service", "myrvm-motor.service")
"""May be restarted; both need that after a new time zone."""
FILLING: Final = frozenset({"normal", "hot", "busy", "guessing", "misconfigured", "slow", "unpermitted"})


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    device_id: str
    api_key: str
    role: str = "normal"
    name: str = ""
    timezone: str = ""
    """Empty: one of Indonesia's three."""
    city: str = ""


def rfc3339(unix_s: float) -> str:
    text = datetime.fromtimestamp(unix_s, timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def moment(text: str) -> float:
    """Unreadable: the far future (nothing expires by a slip)."""
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return math.inf


HOT_C: Final = 86.0
"""Above the default temperature_threshold of 80 C (requirements.md section 4)."""
_TURN: Final = 2 * math.pi


class Character(NamedTuple):
    """What differs between machines; fractions of 0 to 1."""

    load: float
    memory: float
    disk: float
    warmth: float
    phase: float
    pace: float

    @classmethod
    def of(cls, name: str) -> Character:
        digest = hashlib.blake2b(name.encode(), digest_size=6).digest()
        return cls(*(byte / 255 for byte in digest))


def sample_at(character: Character, role: str, unix_s: float, timestamp: str, started_s: float) -> Sample:
    """`timestamp` is `unix_s` as text."""
    busy = _waves(unix_s, character, (7.0, 41.0, 613.0))
    cpu = _within(8 + 40 * character.load + 22 * busy)
    gpu = _within(4 + 55 * character.load * max(0.0, busy))
    heat = HOT_C if role == "hot" else 42 + 14 * character.warmth
    traffic = 2_000 + 60_000 * character.load * (1 + busy)
    return Sample(
        timestamp=timestamp,
        cpu_usage=cpu,
        memory_usage=_within(35 + 30 * character.memory + 3 * _waves(unix_s, character, (97.0, 1801.0))),
        disk_usage=_within(30 + 45 * character.disk + 0.5 * _waves(unix_s, character, (86400.0,))),
        gpu_usage=gpu,
        temperature=round(heat + 2.5 * _waves(unix_s, character, (29.0, 311.0)), 1),
        network_rx_bytes_s=round(traffic, 0),
        network_tx_bytes_s=round(traffic / 3, 0),
        uptime_s=round(max(0.0, unix_s - started_s), 0),
        power_w=round(7 + cpu / 12 + gpu / 15, 2),
        throttled=False,
    )


def _waves(unix_s: float, character: Character, periods_s: tuple[float, ...]) -> float:
    """A smooth wander between -1 and 1, out of step with other machines."""
    stretch = 0.8 + 0.4 * character.pace
    turns = (unix_s / (period * stretch) + character.phase * (3 + i) for i, period in enumerate(periods_s))
    return sum(math.sin(_TURN * turn) for turn in turns) / len(periods_s)


def _within(percent: float) -> float:
    return round(min(100.0, max(0.0, percent)), 1)
