"""Quarantines a key that two machines use. Takeovers are in memory; a quarantine is a column."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from db.errors import StoreError
from db.records import MachineRow
from hub.kernel.announce import Announcer
from hub.links import rules
from hub.links.rules import Takeovers
from hub.machines.rules import is_renewal
from hub.model import actors
from hub.model.changes import Change, Patch, drops, patches
from hub.model.fleet import Fleet
from hub.model.machine import Machine
from protocol.limits import TAKEOVER_WINDOW_S

logger = logging.getLogger("myrvm.links")

MOST_REMEMBERED = 1000  # Machines with remembered takeovers, before stale ones are dropped


class KeyConflicts:
    """Counts takeovers of each machine's link. Call `too_soon` before a link opens, `replaced` when it took over, and
    `contested` when the older one was still alive."""

    def __init__(
        self,
        fleet: Fleet,
        announce: Announcer,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fleet = fleet
        self._announce = announce
        self._clock = clock
        self._monotonic = monotonic
        self._seen: dict[int, Takeovers] = {}  # Bound: one a machine; the stale ones go from MOST_REMEMBERED on
        # Bound: one a machine.
        self._quarantined: set[int] = {m.id for m in fleet.machines.values() if m.row.quarantined_until is not None}

    def quarantined_for(self, machine: Machine) -> float | None:
        return rules.held_for(machine, self._clock())

    def too_soon(self, machine: Machine) -> float | None:
        """Seconds until the machine's link may be replaced; None: it may be now."""
        seen = self._seen.get(machine.id)
        return None if seen is None else rules.too_soon(seen, self._monotonic())

    def replaced(self, machine: Machine) -> None:
        now = self._monotonic()
        if len(self._seen) >= MOST_REMEMBERED:
            self._seen = {rvm_id: seen for rvm_id, seen in self._seen.items() if not rules.stale(seen, now)}
        self._seen.setdefault(machine.id, Takeovers()).last = now

    async def contested(self, machine: Machine, older: str, newer: str) -> None:
        """Count a takeover in which the replaced link (`older`, an address) was alive to its end; quarantine the key
        when there were enough."""
        seen = self._seen.setdefault(machine.id, Takeovers())
        if rules.contested(seen, older, newer, self._monotonic()) and self.quarantined_for(machine) is None:
            changes = rules.quarantine(machine, seen, self._clock())
            try:
                await self._announce(*changes)
            except StoreError as error:
                logger.warning("machine %d: no quarantine, it cannot be recorded: %s", machine.id, error)

    async def end_due(self) -> None:
        """End quarantines whose time is over. After one, a single contested takeover suffices for the next."""
        now = self._clock()
        for rvm_id in list(self._quarantined):
            machine = self._fleet.machines.get(rvm_id)
            if machine is None:
                self._quarantined.discard(rvm_id)
            elif rules.held_for(machine, now) is None:
                await self._announce(*rules.release(machine, actors.CLOCK, now))
                self._seen[rvm_id] = Takeovers(suspect_until=self._monotonic() + TAKEOVER_WINDOW_S)
            elif nearer := rules.too_far(machine, now):
                await self._announce(*nearer)

    def on_commit(self, changes: Sequence[Change]) -> None:
        """Begin to count anew after a new key, or after a person ended the quarantine."""
        for patch in patches(changes, MachineRow):
            if patch.values.get("quarantined_until") is not None:
                self._quarantined.add(patch.key)
            elif "quarantined_until" in patch.values or replaces_key(patch):
                self._drop(patch.key)
        for drop in drops(changes, MachineRow):
            self._drop(drop.key)

    def _drop(self, rvm_id: int) -> None:
        self._quarantined.discard(rvm_id)
        self._seen.pop(rvm_id, None)


def replaces_key(patch: Patch) -> bool:
    """Whether the Patch gives the machine a key that it does not have yet (no renewal over its link)."""
    return patch.of is MachineRow and "api_key" in patch.values and not is_renewal(patch)
