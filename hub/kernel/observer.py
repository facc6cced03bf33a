"""Watches connections: asks `hub.model.presence` at the right moments, publishes and reports its verdict. Knows no
socket.

A machine is judged when something happens to it, and at the one instant at which time alone could change the verdict
(a heap of those). Events wait for the database in order; of too many the newest stay."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from db.errors import StoreError
from db.records import MachineRow
from hub.kernel.announce import Announcer
from hub.model import actors, presence
from hub.model.changes import EventHappened, Observed, Patch
from hub.model.fleet import Fleet
from hub.model.machine import Machine

UNKNOWN_S: Final = 300.0
"""Of a machine that refused the interval."""


class Observer:
    """Judges each machine's connection when something happens, and when time alone may have changed it. A machine is
    expected as often as its settings have it, or as often as live samples were asked for."""

    def __init__(
        self,
        fleet: Fleet,
        announce: Announcer,
        clock: Callable[[], datetime],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fleet = fleet
        self._announce = announce
        self._clock = clock
        self._monotonic = monotonic
        # Bound: a machine has one, and those that an earlier look replaced, until their time.
        self._due: list[tuple[float, int]] = []
        self._looks: dict[int, float] = {}  # Bound: one a machine
        self._to_tell: dict[int, float] = {}  # Bound: one a machine
        self._pending = PendingEvents()

    def start(self, was_live: Callable[[int], bool]) -> None:
        now = self._monotonic()
        for machine in self._fleet.machines.values():
            presence.after_start(machine, was_live(machine.id), machine.effective_settings.metrics_interval, now)
            self._note(machine, presence.judge(machine, now), now)

    def added(self, machine: Machine) -> None:
        presence.after_start(machine, False, machine.effective_settings.metrics_interval, self._monotonic())

    def linked(self, machine: Machine, live_interval: float) -> None:
        machine.live_interval = live_interval
        presence.linked(machine, _expected(machine), self._monotonic())
        self.look(machine)

    def unlinked(self, machine: Machine, close_reason: str | None) -> None:
        presence.unlinked(machine, close_reason, self._monotonic())
        self.look(machine)

    def uploaded(self, machine: Machine) -> None:
        seen_at = self._clock()
        seen = Patch(MachineRow, machine.id, {"last_seen_at": seen_at})
        self._announce.write_behind(seen, lambda: machine.last_seen_at == seen_at)
        presence.uploaded(machine, machine.effective_settings.upload_interval, self._monotonic())
        self.look(machine)

    def expect(self, machine: Machine, live_interval: float) -> None:
        """Expect live samples at this interval (0: kept ones only) from now on."""
        machine.live_interval = live_interval
        self.settled(machine)

    def settled(self, machine: Machine) -> None:
        presence.expect(machine, _expected(machine), self._monotonic())
        self.look(machine)

    def look(self, machine: Machine) -> None:
        """Judge the machine's connection now; apply and publish a new verdict at once."""
        now = self._monotonic()
        verdict = presence.judge(machine, now)
        if (verdict.connection, verdict.reason) != (machine.connection, machine.connection_reason):
            same = verdict.connection == machine.connection
            began = presence.began(machine, verdict.connection, self._clock())
            since = machine.connection_since if same and machine.connection_since is not None else began
            self._announce.observe(
                Observed(
                    machine.id,
                    {"connection": verdict.connection, "connection_since": since, "connection_reason": verdict.reason},
                )
            )
            self._store(machine)
        self._note(machine, verdict, now)

    def tick(self) -> None:
        """Judge every machine whose time has come, and queue the events that are due."""
        now = self._monotonic()
        while self._due and self._due[0][0] <= now:
            when, rvm_id = heapq.heappop(self._due)
            if self._looks.get(rvm_id) != when:
                continue  # an earlier look took its place
            del self._looks[rvm_id]
            machine = self._fleet.machines.get(rvm_id)
            if machine is not None:
                self.look(machine)
        for rvm_id in [rvm_id for rvm_id, when in self._to_tell.items() if when <= now]:
            del self._to_tell[rvm_id]
            machine = self._fleet.machines.get(rvm_id)
            if machine is not None and machine.connection != machine.event_connection:
                self._record_connection(machine)

    async def record(self) -> None:
        """Store the queued events. Raises StoreError; what is left waits for the next call."""
        await self._pending.record(self._announce)

    def _note(self, machine: Machine, verdict: presence.Verdict, now: float) -> None:
        if verdict.due < presence.FOREVER:
            # A hair later than the rule's own instant, which still counts as in time.
            due = verdict.due + 0.001
            if due < self._looks.get(machine.id, presence.FOREVER):
                self._looks[machine.id] = due
                heapq.heappush(self._due, (due, machine.id))
        when = presence.event_due(machine, machine.connection, now)
        if when is None:
            self._to_tell.pop(machine.id, None)
        elif when <= now:
            self._to_tell.pop(machine.id, None)
            self._record_connection(machine)
        else:
            self._to_tell.setdefault(machine.id, when)

    def _store(self, machine: Machine) -> None:
        if values := presence.unstored(machine):
            fence = (("connection_epoch", "<=", machine.epoch),)
            connection = machine.connection
            change = Patch(MachineRow, machine.id, values, where=fence)
            self._announce.write_behind(change, lambda: machine.connection == connection)

    def _record_connection(self, machine: Machine) -> None:
        params = {"connection": machine.connection, "was": machine.event_connection}
        if machine.connection == "offline" and machine.connection_since is not None:
            params["since"] = machine.connection_since.isoformat()
        if machine.connection_reason is not None:
            params["reason"] = machine.connection_reason
        machine.event_connection = machine.connection
        change = EventHappened(
            at=self._clock(), code="connection.changed", actor=actors.CLOCK, rvm_id=machine.id, params=params
        )
        self._pending.add([change])


def _expected(machine: Machine) -> float:
    if machine.uploads and not machine.linked:
        return machine.effective_settings.upload_interval
    if machine.live_interval > 0:
        return machine.live_interval
    wanted = machine.effective_settings.metrics_interval
    # A machine that could not take it over keeps its own, which it may not have reported.
    is_told = (
        "metrics_interval" not in (machine.row.config_errors or ())
        or "metrics_interval" in machine.reported_settings.above
    )
    return wanted if is_told else max(wanted, UNKNOWN_S)


MAX_PENDING_EVENTS: Final = 10_000
AT_ONCE: Final = 200


class PendingEvents:
    def __init__(self) -> None:
        self._events: deque[EventHappened] = deque(maxlen=MAX_PENDING_EVENTS)

    def add(self, events: Iterable[EventHappened]) -> None:
        self._events.extend(events)

    async def record(self, announce: Announcer) -> None:
        while self._events:
            events = [self._events.popleft() for _ in range(min(AT_ONCE, len(self._events)))]
            try:
                await announce(*events)
            except StoreError:
                self._events = deque([*events, *self._events], maxlen=MAX_PENDING_EVENTS)
                raise
