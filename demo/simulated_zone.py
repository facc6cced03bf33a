"""The time zone of a simulated machine: what its look-up answers, what its system has, what it reports.

Roles: `guessing` has a provider elsewhere, `unpermitted` may not set the system's zone."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from demo.simulated_plan import SERVICES, Character, Plan, rfc3339
from protocol import kinds
from protocol import messages as m
from protocol.zones import is_zone

ZONES: Final = ("Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura")
SYNC_INTERVAL_S: Final = 3600.0
NOT_PERMITTED: Final = m.Failure(code="not_permitted", message="not permitted: install the helper")


class Zone:
    """`report`: the newest attempt's, repeated after every hello."""

    def __init__(self, plan: Plan, character: Character, now: float) -> None:
        self._role, self._city = plan.role, plan.city or None
        self.site = plan.timezone or ZONES[int(character.phase * 2.99)]
        self.system = "Etc/UTC" if plan.role == "unpermitted" else self.site
        self.set_here = {"pinned_timezone": self.site} if plan.role == "guessing" else {}
        self.pinned = self.set_here.get("pinned_timezone", "")
        self.interval = SYNC_INTERVAL_S
        self.automatic = True
        self.restart: list[str] = []
        self._ip = f"203.0.113.{1 + int(character.disk * 250)}"
        self._offset = round((character.warmth - 0.5) / 5, 3)
        self._next = now + self.interval
        self.report = self.sync("automatic", now)

    def configure(self, values: dict[str, Any]) -> None:
        """The hub's settings; a new pin is tried at once."""
        pinned = values.get("pinned_timezone", self.set_here.get("pinned_timezone", ""))
        if isinstance(pinned, str) and pinned != self.pinned and (is_zone(pinned) or not pinned):
            self.pinned, self._next = pinned, 0.0
        interval, automatic = values.get("sync_interval", SYNC_INTERVAL_S), values.get("auto_sync_enabled", True)
        if isinstance(interval, (int, float)) and interval >= 60:
            self.interval = float(interval)
        if isinstance(automatic, bool):
            self.automatic = automatic

    def due(self) -> float:
        return self._next if self.automatic else math.inf

    def act(self, now: float) -> list[m.MachineMessage]:
        return [self.sync("automatic", now)] if now >= self.due() else []

    def sync(self, method: kinds.SyncMethod, now: float, wanted: str = "") -> m.TimezoneReport:
        """`wanted` or the pin before the look-up; then the system's zone, if it may be set."""
        found = self._looked_up()
        pin = wanted or self.pinned
        target = pin or found
        error = NOT_PERMITTED if self._role == "unpermitted" and target != self.system else None
        if error is None and target != self.system:
            self.system, self.restart = target, list(SERVICES)
        self._next = now + self.interval
        self.report = m.TimezoneReport(
            timezone=target,
            timestamp=rfc3339(now),
            sync_method=method,
            country="Indonesia",
            city=self._city,
            ip=self._ip,
            clock_offset=self._offset,
            ntp=True,
            source="pinned" if pin else "lookup",
            guess=found if pin and found != pin else None,
            system_timezone=self.system,
            applied=self.system == target,
            error=error,
            restart=self.restart or None,
        )
        return self.report

    def restarted(self, service: str) -> bool:
        """In the present zone; True when it had needed that."""
        if service not in self.restart:
            return False
        self._restart_wanted([one for one in self.restart if one != service])
        return True

    def booted(self) -> None:
        self._restart_wanted([])

    def _restart_wanted(self, services: list[str]) -> None:
        self.restart = services
        self.report = msgspec.structs.replace(self.report, restart=services or None)

    def _looked_up(self) -> str:
        """Its site's zone, or Jakarta's behind such a provider."""
        if self._role != "guessing":
            return self.site
        return "Asia/Jakarta" if self.site != "Asia/Jakarta" else "Asia/Makassar"
