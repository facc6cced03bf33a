"""Records when troubles begin and when they are over, as the list of what needs attention has them.

The rows are the truth for whoever acts on them (`db.queries.troubles`, `Announcer.listen` about TroubleRow): a hub that
was killed goes on with those that stand, and begins none anew."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any, Final

import anyio

from dashboard.trouble import OF_CONNECTED, RESTING, MachineTrouble
from hub.attention import rules
from hub.attention.rules import CauseNow
from hub.kernel.announce import Announcer, announce_each
from hub.kernel.retry import RetryUntilAvailable
from hub.model.changes import Change
from hub.model.fleet import Fleet
from hub.model.machine import Machine
from hub.model.presence import START_QUIET_S
from hub.web.shell.fleet_digest import FleetDigest, in_slices

logger = logging.getLogger("myrvm.attention")

LOOK_S: Final = 0.5
RESTARTED: Final = "hub_restarted"
"""Why a machine is away that was there when the hub's last life ended."""


class TroubleLog:
    def __init__(
        self,
        digest: FleetDigest,
        fleet: Fleet,
        announce: Announcer,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._digest = digest
        self._fleet = fleet
        self._announce = announce
        self._clock = clock
        self._monotonic = monotonic
        self._settled_at = monotonic() + START_QUIET_S

    async def run(self) -> None:
        retry = RetryUntilAvailable("troubles that begin or are over")
        while True:
            await retry(self.look)
            await anyio.sleep(LOOK_S)

    async def look(self) -> None:
        """Raises Unavailable; nothing is missed then."""
        now = self._clock()
        found = (await self._digest.of(None, int(now.timestamp() * 1000))).causes
        due = [
            machine.id
            async for machine in in_slices(list(self._fleet.machines.values()))
            if (machine.id in found or machine.troubles) and self.changes(machine, found.get(machine.id, ()), now)
        ]
        await announce_each(self._announce, due, lambda rvm_id: self._changes_of(rvm_id, found, now))

    def changes(self, machine: Machine, found: Sequence[MachineTrouble], now: datetime) -> list[Change]:
        if machine.connection_reason == RESTARTED and self._monotonic() < self._settled_at:
            return []  # it has had no time to come back
        holding = {one.cause: CauseNow(one.cause, _instant(one.since), one.value) for one in found}
        away = machine.connection == "offline" and machine.effective_status not in RESTING
        return rules.recorded(machine.id, holding, machine.troubles, now, OF_CONNECTED if away else frozenset())

    def _changes_of(self, rvm_id: int, found: dict[int, Any], now: datetime) -> list[Change]:
        machine = self._fleet.machines.get(rvm_id)
        return [] if machine is None else self.changes(machine, found.get(rvm_id, ()), now)


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, timezone.utc)
