"""Reads the jetson-stats service; no value when stale. Its client repeats the last values under a new time when the
service dies, and tells of them as of fresh ones, but only after a wait: what comes late is stale."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from device.system_monitor.reading import SensorReading, absent

STALE_AFTER_S: Final = 2.5
RETRY_AFTER_S: Final = 20.0


Connect = Callable[[Callable[[], None]], Any]
"""To be told of each update, in the client's own thread."""


def open_client(on_update: Callable[[], None]) -> Any:
    """Raises whatever jetson-stats raises."""
    from jtop import jtop

    client = jtop(interval=1.0)
    client.attach(lambda _: on_update())
    # In a thread of its own: multiprocessing keeps one connection a thread and address, also when it is dead, and so
    # no second client of a thread would ever reach a service that was started anew.
    with ThreadPoolExecutor(max_workers=1) as once:
        once.submit(client.start).result()
    return client


class JtopAdapter:
    """`now`: monotonic."""

    def __init__(self, now: Callable[[], float], connect: Connect = open_client) -> None:
        self._now = now
        self._connect = connect
        self._client: Any = None
        self._tried_at: float | None = None
        self._updated_at = self._fresh_at = 0.0
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
        if now - self._fresh_at > STALE_AFTER_S:
            self._why = "jtop has stopped answering"
            self.close()
            return None
        return stats

    def _reopen(self, now: float) -> bool:
        if self._tried_at is not None and now - self._tried_at < RETRY_AFTER_S:
            return False
        self._tried_at = now
        try:
            self._client = self._connect(self._updated)
            self._updated_at = self._fresh_at = self._now()
        except ImportError:
            self._why = "jetson-stats is not installed"
        except Exception:  # noqa: BLE001 - foreign client, see _fresh
            self._why = "the jtop service does not answer"
        return self._client is not None

    def _updated(self) -> None:
        now = self._now()
        if now - self._updated_at <= STALE_AFTER_S:
            self._fresh_at = now
        self._updated_at = now
