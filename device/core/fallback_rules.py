"""When the HTTP fallback begins and ends; knows no socket and no clock."""

from __future__ import annotations

from typing import Final

from device.core.retry_policy import End, Kind

UPGRADES_BEFORE_FALLBACK: Final = 3
"""One failed upgrade is a restart, three in a row are a middlebox that does not let WebSocket through."""


class FallbackRules:
    """Counts upgrades that failed although something answered HTTP. A link that went live ends the fallback."""

    def __init__(self) -> None:
        self._failed_upgrades = 0

    @property
    def wanted(self) -> bool:
        """Whether samples should travel by HTTP meanwhile (if plain HTTP does answer)."""
        return self._failed_upgrades >= UPGRADES_BEFORE_FALLBACK

    def went_live(self) -> None:
        self._failed_upgrades = 0

    def ended(self, end: End) -> None:
        """One attempt is over. A hub that refuses our key, or that nobody can reach, is no reason for HTTP."""
        cut_short = end.kind is Kind.CLOSED and end.live_s == 0.0 and end.code is None
        if end.kind is Kind.UPGRADE_FAILED or cut_short:
            self._failed_upgrades += 1
        elif end.kind is Kind.REFUSED:
            self._failed_upgrades = 0
