"""Reads the jetson-stats service; no value when stale. Its client repeats the last values when the service dies, so
the last change is timed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final

from device.system_monitor.reading import SensorReading, absent

STALE_AFTER_S: Final = 2.5
RETRY_AFTER_S: Final = 20.0


def open_client() -> Any:
    """Raises whatever jetson-stats raises."""
    from jtop import jtop

    client = jtop(interval=1.0)
    client.start()
    return client


class JtopAdapter:
    """`now`: monotonic."""

    def __init__(self, now: Callable[[], float], connect: Callable[[], Any] = open_client) -> None:
        self._now = now
        self._connect = connect
        self._client: Any = None
        self._tried_at: float | None = None
        self._stamp: object = None
        self._stamped_at = 0.0
        self._why = "jtop was not asked yet"

    def gpu(self) -> SensorReading:
        return self._read(lambda stats: float(stats["GPU"]), 0.0, 100.0)

    def power(self) -> SensorReading:
        return self._read(lambda stats: float(stats["Power TOT"]) / 1000, 0.0, 1000.0)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close()

    def _read(self, pick: Callable[[dict[str, Any]], float], least: float, most: float) -> SensorReading:
        stats = self._fresh()
        if stats is None:
            return absent(self._why)
        try:
            value = pick(stats)
        except (KeyError, TypeError, ValueError):
            return absent("jtop does not give it")
        return SensorReading(round(value, 3)) if least <= value <= most else absent("jtop gave an impossible value")

    def _fresh(self) -> dict[str, Any] | None:
        """If they moved lately; foreign code may raise anything."""
        now = self._now()
        if self._client is None and not self._reopen(now):
            return None
        try:
            stats = dict(self._client.stats)
        except Exception:  # noqa: BLE001 - foreign client, see above
            self._why = "jtop failed"
            self.close()
            return None
        stamp = stats.get("time")
        if stamp != self._stamp:
            self._stamp, self._stamped_at = stamp, now
        elif now - self._stamped_at > STALE_AFTER_S:
            self._why = "jtop has stopped answering"
            self.close()
            return None
        return stats

    def _reopen(self, now: float) -> bool:
        if self._tried_at is not None and now - self._tried_at < RETRY_AFTER_S:
            return False
        self._tried_at = now
        try:
            self._client = self._connect()
        except ImportError:
            self._why = "jetson-stats is not installed"
        except Exception:  # noqa: BLE001 - foreign client, see _fresh
            self._why = "the jtop service does not answer"
        self._stamped_at = now
        return self._client is not None
