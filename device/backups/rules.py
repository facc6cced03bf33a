"""Decides on backups: full or incremental, how fast, when to yield, when to ask again. Takes monotonic `now`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from protocol import free_shape
from protocol.kinds import BackupType
from protocol.limits import MAX_RESULT_BYTES

MAX_RUN_S: Final = 24 * 3600.0
"""An unfinished backup fails after so long; the hub counts alike."""
PROLONGED_S: Final = 3600.0
"""Progress moves the deadline so far ahead; likewise."""


def wanted_type(asked: BackupType, chain: Sequence[int], chain_most: int) -> BackupType:
    """Full without a good base, or when its chain is full. `chain`: ids from the last good full one on."""
    return "incremental" if asked == "incremental" and 0 < len(chain) < chain_most else "full"


def prolonged_s(began: float, now: float) -> float:
    """How far ahead of `now` progress moves the deadline."""
    return max(0.0, min(PROLONGED_S, began + MAX_RUN_S - now))


PARK_LEAST_S: Final = 1.0
PARK_MOST_S: Final = 60.0


def park_s(failures: int, jitter: float, retry_after_s: float = 0.0) -> float:
    """Before asking the hub again, after so many failures; `jitter` is 0 to 1."""
    delay = min(PARK_MOST_S, PARK_LEAST_S * 2.0 ** min(failures - 1, 10))
    return max(min(retry_after_s, PARK_MOST_S), delay * (0.5 + 0.5 * jitter))


BEHIND_S: Final = 1.5
"""Bulk yields when the control link's oldest unacknowledged frame, or its last ping, took this long."""
CAUGHT_UP_S: Final = 0.75
YIELD_MOST_S: Final = 15.0
"""In a row. A link still slow then is slow by itself (a satellite, a busy hub), and bulk goes on."""
TURN_S: Final = 15.0


class ControlWatch:
    def __init__(self) -> None:
        self._behind_since: float | None = None
        self._turn_until = float("-inf")

    def yields(self, oldest_s: float, now: float) -> bool:
        """`oldest_s`: age of the link's oldest unanswered frame."""
        since = self._behind_since
        if oldest_s < (BEHIND_S if since is None else CAUGHT_UP_S) or now < self._turn_until:
            self._behind_since = None
        elif since is None:
            self._behind_since = now
        elif now - since >= YIELD_MOST_S:
            self._behind_since, self._turn_until = None, now + TURN_S
        return self._behind_since is not None


CHUNK: Final = 32 * 1024
"""Bytes a connection gets at once: the control link's next frame waits for no more."""
TRICKLE: Final = 1024
TRICKLE_EVERY_S: Final = 5.0
"""Of a part in flight while bulk yields, so that its connection does not seem dead."""
LEAST_RATE: Final = 8 * 1024.0
SLOWER: Final = 0.7
FASTER: Final = 1.25
FASTER_EVERY_S: Final = 10.0
FREE_RATE: Final = 256 * 1024 * 1024.0
"""Bytes a second from which what was learned is dropped."""
_MEASURED_S: Final = 0.25


class RateLimit:
    """Of all connections together: the settings' limit (`most`, 0: none), and less where the control link fell
    behind."""

    def __init__(self, most: float, now: float) -> None:
        self._most = most
        self._learned: float | None = None
        self._free_at = now
        self._changed_at = now
        self._since = now
        self._sent = 0

    @property
    def rate(self) -> float:
        """0: no limit."""
        if self._learned is None:
            return self._most
        return min(self._learned, self._most) if self._most else self._learned

    def wait_s(self, now: float) -> float:
        """Until more may be sent."""
        if self._learned is not None and now - self._changed_at >= FASTER_EVERY_S:
            self._learned = None if self._learned * FASTER > FREE_RATE else self._learned * FASTER
            self._changed_at = now
        return max(0.0, self._free_at - now) if self.rate else 0.0

    def was_sent(self, size: int, now: float) -> None:
        self._sent += size
        if self.rate:
            self._free_at = max(now, self._free_at) + size / self.rate

    def fell_behind(self, now: float) -> None:
        """Slow down below the rate since the last call of this or of `resumed`."""
        took = now - self._since
        if took >= _MEASURED_S and self._sent:
            measured = self._sent / took
            before = measured if self._learned is None else min(measured, self._learned)
            self._learned = max(LEAST_RATE, SLOWER * before)
        self._changed_at = now
        self.resumed(now)

    def resumed(self, now: float) -> None:
        self._since, self._sent, self._changed_at = now, 0, now


QUICK_PART_S: Final = 8.0
MOST_IN_FLIGHT: Final = 2
"""With the part being made three are in memory: 24 of the backup's 64 MiB."""


def parts_in_flight(last_took_s: float | None, most: int) -> int:
    """On a narrow uplink one, so that a cut costs no more."""
    return most if last_took_s is not None and last_took_s <= QUICK_PART_S else 1


def fitting_result(result: dict[str, Any]) -> dict[str, Any]:
    """With as much `report` as the wire takes; `report_left_out` counts the rest."""
    report = list(result.get("report", ()))
    kept = len(report)
    made = result
    while not free_shape.fits(made, MAX_RESULT_BYTES) and kept:
        kept = kept * 3 // 4
        made = {**result, "report": report[:kept], "report_left_out": len(report) - kept}
    return made
