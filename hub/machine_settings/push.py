"""Settings that became true go to the machines they are for, and count in what the hub expects of them.

A write for the whole fleet is pushed in slices, so that nobody else waits for 5,000 messages; each machine is told what
holds when its turn comes. One that is not connected hears it in its next `welcome`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from hub.kernel.announce import Announcer
from hub.links.links import Links
from hub.model import effective_settings
from hub.model.changes import Change
from hub.model.fleet import Fleet, Touched
from hub.model.machine import Machine
from hub.model.service_changes import ConfigApplied, ConfigWritten
from protocol.messages import Config
from protocol.transitions import State

SLICE: Final = 100
"""Machines told before others get the event loop again."""


class ConfigPush:
    """Listens to the announcer."""

    def __init__(self, fleet: Fleet, links: Links, announce: Announcer) -> None:
        self._fleet = fleet
        self._links = links
        self._announce = announce
        # Bound: once each machine.
        self._due: deque[int] = deque()
        self._turn: asyncio.Handle | None = None

    def became_true(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, ConfigApplied):
                self._expect(change.rvm_id)
            elif isinstance(change, ConfigWritten) and change.rvm_id is not None:
                self._tell(change.rvm_id)
            elif isinstance(change, ConfigWritten):
                self._due = deque(self._fleet.machines)
                self._go_on()

    def _go_on(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        for _ in range(min(SLICE, len(self._due))):
            self._tell(self._due.popleft())
        if self._due:
            self._turn = asyncio.get_running_loop().call_soon(self._go_on)

    def _tell(self, rvm_id: int) -> None:
        machine = self._expect(rvm_id)
        link = self._links.get(rvm_id)
        if machine is not None and link is not None and not link.closing and link.session.state is State.LIVE:
            now_is = effective_settings.wire(machine.effective_settings)
            link.say(Config(version=now_is.version, values=now_is.values))

    def _expect(self, rvm_id: int) -> Machine | None:
        """Hear it at the interval that holds now."""
        machine = self._fleet.machines.get(rvm_id)
        if machine is not None:
            before = machine.interval
            self._links.observer.settled(machine)
            if machine.interval != before:
                self._announce.show(Touched(rvm_id, frozenset({"expected_interval_s"})), lambda: None)
        return machine
