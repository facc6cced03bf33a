"""Writes settings, sends them to their machines, and commits what these report.

A request without a version means only its own keys, so it is drafted anew on what came in between. A fleet's write
is sent in slices."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from db.errors import Conflict
from db.records import FleetSettingsRow, MachineRow, MachineSettingsRow
from hub.kernel.announce import Announcer
from hub.links.links import Links
from hub.links.session import MessageContext
from hub.machine_settings import rules
from hub.machine_settings.rules import SettingsRequest, StaleError, write_fleet, write_machine
from hub.model import effective_settings
from hub.model.actors import Actor
from hub.model.changes import Change, patches, put_rows
from hub.model.fleet import Fleet, Touched
from hub.model.machine import Machine
from protocol import messages as m
from protocol.messages import Config
from protocol.transitions import State

TRIES: Final = 5
SLICE: Final = 100


async def write(
    announce: Announcer, machine: Machine | None, request: SettingsRequest, actor: Actor, now: datetime
) -> bool:
    """Of one machine, or the fleet (None). False: nothing changed. Raises StaleError, WrongSettingsError, and a
    StoreError."""
    fleet = announce.fleet
    for _ in range(TRIES):
        if machine is None:
            owns = (other.desired_settings for other in fleet.machines.values())
            changes = write_fleet(fleet.settings, owns, request, actor, now)
        else:
            own, local = machine.desired_settings, machine.reported_settings
            changes = write_machine(fleet.settings, machine.id, own, request, actor, now, local)
        if not changes:
            return False
        try:
            await announce(*changes)
        except Conflict as late:
            if late.column != "version":
                raise
        else:
            return True
    raise StaleError(fleet.settings.written.version if machine is None else machine.effective_settings.version)


class SettingsPush:
    def __init__(self, fleet: Fleet, links: Links, announce: Announcer) -> None:
        self._fleet = fleet
        self._links = links
        self._announce = announce
        self._due: deque[int] = deque()  # Bound: once each machine
        self._turn: asyncio.Handle | None = None

    def on_commit(self, changes: Sequence[Change]) -> None:
        for patch in patches(changes, MachineRow):
            if "config_applied_at" in patch.values:
                self._expect(patch.key)
        for row in put_rows(changes, MachineSettingsRow):
            self._send(row.rvm_id)
        for patch in patches(changes, MachineSettingsRow):
            self._send(patch.key)
        if any(put_rows(changes, FleetSettingsRow)) or any(patches(changes, FleetSettingsRow)):
            self._due = deque(self._fleet.machines)
            self._go_on()

    def _go_on(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        for _ in range(min(SLICE, len(self._due))):
            self._send(self._due.popleft())
        if self._due:
            self._turn = asyncio.get_running_loop().call_soon(self._go_on)

    def _send(self, rvm_id: int) -> None:
        machine = self._expect(rvm_id)
        link = self._links.get(rvm_id)
        if machine is not None and link is not None and not link.closing and link.session.state is State.LIVE:
            now_is = effective_settings.wire(machine.effective_settings)
            link.send(Config(version=now_is.version, values=now_is.values))

    def _expect(self, rvm_id: int) -> Machine | None:
        machine = self._fleet.machines.get(rvm_id)
        if machine is not None:
            before = machine.interval
            self._links.observer.settled(machine)
            if machine.interval != before:
                self._announce.publish_members(Touched(rvm_id, frozenset({"expected_interval_s"})))
        return machine


async def config_applied(context: MessageContext, report: m.ConfigApplied) -> None:
    own, left_out = rules.readable(report.own)
    context.links.tally["left_out"] += left_out
    if not rules.was_given(context.machine, report.version):
        context.links.tally["refused"] += 1
        context.link.send(
            m.Error(code="invalid", message="version: the hub never gave this one", ref=m.type_of(report))
        )
        return
    changes = rules.applied(context.machine, report.version, report.errors or {}, context.clock(), own)
    await context.commit(changes, m.type_of(report))
    context.link.reported.set()
