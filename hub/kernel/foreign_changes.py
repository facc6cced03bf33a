"""What another process changed in the database while this hub runs: the command line adds, edits and removes machines.

One cheap question a second; only when its answer moved are rows read, and then only the members that people edit. They
become true and shown here, but are not recorded again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from db.engine.store import Store
from db.queries import machines
from db.queries import machines as machine_pulse
from db.queries.machines import Identity, Pulse
from db.records import MachineRow
from hub.kernel.announce import Announcer
from hub.kernel.observer import Observer
from hub.model.changes import Change, Drop, Patch, Put
from hub.model.fleet import Fleet
from hub.model.machine import Machine

ROWS_AT_ONCE: Final = 500
EDITED: Final = ("device_id", "name", "location_description", "api_key", "api_key_prefix")
"""What people edit."""


class ForeignChanges:
    """`look` once a second."""

    def __init__(self, store: Store, fleet: Fleet, announce: Announcer, observer: Observer) -> None:
        self._store = store
        self._fleet = fleet
        self._announce = announce
        self._observer = observer
        self._seen: Pulse | None = None
        self._read_to: datetime | None = None

    async def look(self) -> None:
        """Raises StoreError when the database is away; nothing is missed then."""
        pulse = await machine_pulse.pulse(self._store)
        if pulse == self._seen:
            return
        if pulse.newest is not None:
            await self._read_changed(pulse.newest)
        if pulse.count != len(self._fleet.machines):
            await self._drop_removed()
        self._seen = pulse if self._read_to == pulse.newest else None

    async def _read_changed(self, newest: datetime) -> None:
        since = self._read_to
        if since is None:
            # The first look: whatever differs from what was loaded a moment ago.
            since = max((m.row.updated_at for m in self._fleet.machines.values()), default=newest)
            since = min(since, newest)
        rows = await machine_pulse.changed_since(self._store, since, ROWS_AT_ONCE)
        for row in rows:
            machine = self._fleet.machines.get(row.id)
            if machine is None:
                await self._add(row.id)
            elif (edited := difference(machine, row)) is not None:
                self._announce.observe(edited)
        self._read_to = rows[-1].updated_at if len(rows) == ROWS_AT_ONCE else newest

    async def _add(self, rvm_id: int) -> None:
        row = await machines.find_machine(self._store, rvm_id)
        if row is None or rvm_id in self._fleet.machines:
            return
        self._announce.observe(Put(row))
        self._observer.added(self._fleet.machines[rvm_id])

    async def _drop_removed(self) -> None:
        known = set(self._fleet.machines)
        stored = await machine_pulse.all_ids(self._store)
        gone: list[Change] = [Drop(MachineRow, rvm_id) for rvm_id in known - stored if rvm_id in self._fleet.machines]
        if gone:
            self._announce.observe(*gone)
        for rvm_id in stored - set(self._fleet.machines):
            await self._add(rvm_id)


def difference(machine: Machine, row: Identity) -> Patch | None:
    """The edit that makes the machine what the row says; None when it is that already."""
    values = {name: getattr(row, name) for name in EDITED if getattr(row, name) != getattr(machine.row, name)}
    if "api_key" in values:
        values["quarantined_until"] = None
    return Patch(MachineRow, machine.id, {**values, "updated_at": row.updated_at}) if values else None
