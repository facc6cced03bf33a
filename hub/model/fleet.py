"""Keeps every machine and its open commands in memory by applying Changes.

What only the hub observes of a machine (its link, its last frame, its counters) is also written by the few modules
that a test of the architecture names. Loaded at start, never asks the database. `apply` returns what the feed sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from db import records
from db.conditions import holds
from db.records import BootRow, CommandRow, FleetSettingsRow, MachineRow, MachineSettingsRow, TableRow, is_open
from hub.model import changes as c
from hub.model import service_appliers
from hub.model.effective_settings import CommonSettings, DesiredSettings, desired_of, desired_of_patch
from hub.model.machine import BOOTS_KEPT, RECENT_SECONDS, Boot, Machine
from hub.model.row_id import row_id
from protocol.messages import Sample

TERMINAL = frozenset(records.TERMINAL_STATES)

STATUS_MEMBERS = frozenset(
    {"status", "special_status", "effective_status", "capacity", "status_since", "status_by", "status_reason",
     "status_until", "returns_to", "updated_at"}
)  # fmt: skip
CONNECTION_MEMBERS = frozenset(
    {"connection", "connection_since", "connection_reason", "last_seen_at", "expected_interval_s"}
)
READING_MEMBERS = frozenset({"readings", "health", "health_reasons", "last_seen_at"})
INTRODUCED_MEMBERS = frozenset(
    {"agent_version", "boot_id", "commands", "model", "timezone", "config_version", "clock_offset_s", "last_ip",
     "last_seen_at", "simulated", "ntp", "busy"}
)  # fmt: skip
EDITED_MEMBERS = frozenset(
    {"name", "device_id", "location_description", "api_key_prefix", "quarantined_until", "updated_at"}
)
PENDING_MEMBERS = frozenset({"pending"})
ALL_MEMBERS = frozenset({"*"})
MOST_OF_A_REASON: Final = 200
"""Characters of why a reading is absent."""
_READINGS: Final = frozenset(Sample.__struct_fields__) - {"timestamp", "reasons"}


INDEXED: Final = frozenset({"device_id", "api_key_prefix"})
LOCAL: Final = frozenset({"config_own", "config_errors"})
"""What the settings in force also depend on."""
DERIVED: Final[Mapping[str, tuple[str, ...]]] = {
    "status": ("status", "effective_status"),
    "special_status": ("special_status", "effective_status"),
    "status_before": ("returns_to",),
    "api_key": (),
    "capabilities": ("commands",),
    "hardware": ("model",),
    "config_errors": ("config_refused",),
    "config_own": (),
    "farewell": (),
    "connection_epoch": (),
    "connection": ("connection", "last_seen_at", "expected_interval_s"),
}
"""`member`: the members of the view that differ when it does, where that is not itself alone."""


def view_members(changed: Iterable[str]) -> frozenset[str]:
    """The members of a machine's view that may differ when these of its row, or of what is observed, do."""
    return frozenset(name for member in changed for name in DERIVED.get(member, (member,)))


class Touched(NamedTuple):
    """What a Change did to the picture: the members of `hub.model.views.machine_view` that may differ now.

    `members` is `ALL_MEMBERS` for a machine that is new; `removed` tells that it is gone.
    """

    rvm_id: int
    members: frozenset[str]
    removed: bool = False


class Fleet:
    """All machines by id, device_id and key prefix."""

    def __init__(self, machines: Iterable[Machine] = (), settings: CommonSettings | None = None) -> None:
        self.settings = settings or CommonSettings()
        # Bound: the rows that administrators made.
        self.machines: dict[int, Machine] = {}
        self.open: dict[str, CommandRow] = {}
        """Every command that has not ended, of every machine. Bound: MAX_PENDING a machine, each to its deadline."""
        # Bound: one a machine.
        self._by_device_id: dict[str, Machine] = {}
        # Bound: one a machine.
        self._by_key_prefix: dict[str, Machine] = {}
        self._appliers: dict[type, Callable[[Any], Touched | None]] = {
            c.Put: self._row_changed,
            c.Patch: self._patched,
            c.Move: self._row_changed,
            c.Drop: self._dropped,
            c.Observed: self._observed,
            c.StatusChanged: self._status_changed,
            c.MachineIntroduced: self._introduced,
            c.BootOpened: self._boot_opened,
            c.LinkEnded: self._link_ended,
            c.ConnectionChanged: self._connection_changed,
            c.SampleSeen: self._sample_seen,
            c.MachineAdded: self._added,
            c.MachineEdited: self._edited,
            c.MachineRemoved: self._removed,
        }
        self._of_row: dict[type[TableRow], Callable[[Any], Touched | None]] = {
            BootRow: self._boot_is,
            CommandRow: self._command_is,
            FleetSettingsRow: lambda row: self._fleet_desires(desired_of(row)),
            MachineSettingsRow: lambda row: self._is_desired(row.rvm_id, desired_of(row)),
            records.RemoteSessionRow: partial(self._of_one, service_appliers.session_is),
        }
        """What a row that was put or moved does here, and what a patch or the end of such a row does."""
        self._of_patch: dict[type[TableRow], Callable[[c.Patch], Touched | None]] = {
            MachineRow: self._machine_patched,
            CommandRow: self._command_patched,
            FleetSettingsRow: lambda change: self._fleet_desires(desired_of_patch(change.values)),
            MachineSettingsRow: lambda change: self._is_desired(change.key, desired_of_patch(change.values)),
        }
        self._of_drop: dict[type[TableRow], Callable[[c.Drop], Touched | None]] = {MachineRow: self._machine_dropped}
        for kind, does in service_appliers.OF_ONE_MACHINE.items():
            self._appliers[kind] = partial(self._of_one, does)
        for machine in machines:
            self.put(machine)

    def find(self, key: int | str) -> Machine | None:
        """By id, by device_id, or by the id written in decimal (a path segment). A device_id wins over a number."""
        if isinstance(key, int):
            return self.machines.get(key)
        found = self._by_device_id.get(key)
        rvm_id = row_id(key) if found is None else None
        return found if rvm_id is None else self.machines.get(rvm_id)

    def by_key_prefix(self, prefix: str) -> Machine | None:
        return self._by_key_prefix.get(prefix)

    def command(self, command_id: str) -> CommandRow | None:
        """An open command of any machine."""
        return self.open.get(command_id)

    def apply(self, change: c.Change) -> Touched | None:
        """Make a committed Change true here; None when it concerns no machine's picture."""
        applier = self._appliers.get(type(change))
        return applier(change) if applier is not None else None

    def apply_all(self, changes: Sequence[c.Change]) -> list[Touched]:
        """Make them true here, in order. Other settings for the whole fleet touch every machine."""
        found: list[Touched] = []
        for change in changes:
            touched = self.apply(change)
            if touched is not None:
                found.append(touched)
            elif any(c.put_rows([change], FleetSettingsRow)) or any(c.patches([change], FleetSettingsRow)):
                found += [Touched(rvm_id, service_appliers.CONFIG_MEMBERS) for rvm_id in self.machines]
        return found

    def put(self, machine: Machine) -> None:
        """Index a machine that was loaded or added, replacing what had its id."""
        self.drop(machine.id)
        self.machines[machine.id] = machine
        self._settle(machine)
        self._by_device_id[machine.device_id] = machine
        if machine.api_key_prefix is not None:
            self._by_key_prefix[machine.api_key_prefix] = machine
        self.open.update(machine.pending)

    def drop(self, rvm_id: int) -> Machine | None:
        machine = self.machines.pop(rvm_id, None)
        if machine is not None:
            self._by_device_id.pop(machine.device_id, None)
            if machine.api_key_prefix is not None:
                self._by_key_prefix.pop(machine.api_key_prefix, None)
            for command_id in machine.pending:
                self.open.pop(command_id, None)
        return machine

    def _row_changed(self, change: c.Put[Any] | c.Move[Any]) -> Touched | None:
        does = self._of_row.get(type(change.row))
        return None if does is None else does(change.row)

    def _patched(self, change: c.Patch) -> Touched | None:
        does = self._of_patch.get(change.of)
        return None if does is None else does(change)

    def _dropped(self, change: c.Drop) -> Touched | None:
        does = self._of_drop.get(change.of)
        return None if does is None else does(change)

    def _observed(self, change: c.Observed) -> Touched | None:
        machine = self.machines.get(change.rvm_id)
        if machine is None:
            return None
        news = {member: value for member, value in change.values.items() if getattr(machine, member) != value}
        for member, value in news.items():
            setattr(machine, member, value)
        return Touched(machine.id, view_members(news)) if news else None

    def _machine_patched(self, change: c.Patch) -> Touched | None:
        machine = self.machines.get(change.key)
        if machine is None or not holds(machine, change.where):
            return None
        indexed = not INDEXED.isdisjoint(change.values)
        if indexed:
            self.drop(machine.id)
        for member, value in change.values.items():
            setattr(machine, "api_key_hash" if member == "api_key" else member, value)
        members = view_members(change.values)
        if indexed:
            self.put(machine)
        elif not LOCAL.isdisjoint(change.values):
            members |= self._settle(machine)
        return Touched(machine.id, members)

    def _machine_dropped(self, change: c.Drop) -> Touched | None:
        machine = self.drop(change.key)
        return None if machine is None else Touched(machine.id, frozenset(), removed=True)

    def _boot_is(self, row: BootRow) -> None:
        machine = self.machines.get(row.rvm_id)
        if machine is not None:
            _use_boot(machine, row.boot_id, row.id, row.last_seq)

    def _status_changed(self, change: c.StatusChanged) -> Touched | None:
        machine = self.machines.get(change.rvm_id)
        if machine is None:
            return None
        machine.status = change.status
        machine.special_status = change.special_status
        machine.capacity = change.capacity
        machine.status_since = change.since
        machine.status_by = change.by
        machine.status_reason = change.reason
        machine.status_until = change.until
        machine.status_before = change.before
        machine.updated_at = max(machine.updated_at, change.at or change.since)
        return Touched(machine.id, STATUS_MEMBERS)

    def _introduced(self, change: c.MachineIntroduced) -> Touched | None:
        machine = self.machines.get(change.rvm_id)
        if machine is None or change.epoch < machine.connection_epoch:
            return None
        machine.connection_epoch = change.epoch
        machine.agent_version = change.agent_version
        machine.boot_id = change.boot_id
        machine.capabilities = change.capabilities
        machine.hardware = change.hardware
        machine.timezone = change.timezone or machine.timezone
        machine.config_version = change.config_version
        machine.clock_offset_s = change.clock_offset_s
        machine.last_ip = change.ip
        machine.last_seen_at = change.at
        machine.simulated = change.simulated
        machine.ntp = change.ntp
        machine.busy = change.busy
        machine.farewell = None
        _use_boot(machine, change.boot_id, change.boot, change.last_seq)
        return Touched(machine.id, INTRODUCED_MEMBERS)

    def _boot_opened(self, change: c.BootOpened) -> None:
        machine = self.machines.get(change.rvm_id)
        if machine is not None:
            _use_boot(machine, change.boot_id, change.id, change.last_seq)

    def _link_ended(self, change: c.LinkEnded) -> Touched | None:
        machine = self.machines.get(change.rvm_id)
        if machine is None or change.epoch != machine.connection_epoch:
            return None
        machine.farewell = change.farewell
        machine.last_seen_at = change.at
        return Touched(machine.id, CONNECTION_MEMBERS)

    def _connection_changed(self, change: c.ConnectionChanged) -> Touched | None:
        machine = self.machines.get(change.rvm_id)
        if machine is None:
            return None
        machine.connection = change.connection
        machine.connection_since = change.since
        machine.connection_reason = change.reason
        return Touched(machine.id, CONNECTION_MEMBERS)

    def _sample_seen(self, change: c.SampleSeen) -> Touched | None:
        machine = self.machines.get(change.rvm_id)
        if machine is None:
            return None
        machine.readings = sample = _with_short_reasons(change.sample)
        machine.readings_at = change.taken_at
        machine.readings_of = (change.boot_id, change.seq)
        stamp = int(change.taken_at.timestamp() * 1000)
        recent = machine.recent
        while recent and recent[-1][0] > stamp:
            recent.pop()  # dated by a clock that was ahead and has been put right
        recent.append((stamp, msgspec.structs.replace(sample, reasons=None) if sample.reasons else sample))
        while recent[0][0] < stamp - RECENT_SECONDS * 1000:
            recent.popleft()
        return Touched(machine.id, READING_MEMBERS)

    def _command_is(self, command: CommandRow) -> Touched | None:
        machine = self.machines.get(command.rvm_id)
        if machine is None:
            return None
        if command.state != "queued":
            machine.maybe_sent.discard(command.id)
        if is_open(command):
            machine.pending[command.id] = self.open[command.id] = command
        else:
            machine.pending.pop(command.id, None)
            self.open.pop(command.id, None)
        return Touched(machine.id, PENDING_MEMBERS)

    def _command_patched(self, change: c.Patch) -> Touched | None:
        command = self.open.get(change.key)
        return None if command is None else self._command_is(msgspec.structs.replace(command, **change.values))

    def _of_one(self, does: Callable[[Machine, Any], frozenset[str]], change: Any) -> Touched | None:
        machine = self.machines.get(change.rvm_id)
        if machine is None:
            return None
        before = machine.reported_settings
        members = does(machine, change)
        return Touched(machine.id, members if machine.reported_settings == before else members | self._settle(machine))

    def _fleet_desires(self, desired: DesiredSettings) -> None:
        self.settings.write(desired)
        for machine in self.machines.values():
            self._settle(machine)

    def _is_desired(self, rvm_id: int, desired: DesiredSettings) -> Touched | None:
        machine = self.machines.get(rvm_id)
        if machine is None:
            return None
        machine.desired_settings = desired
        return Touched(machine.id, self._settle(machine))

    def _settle(self, machine: Machine) -> frozenset[str]:
        return service_appliers.settle(machine, self.settings.of(machine.desired_settings, machine.reported_settings))

    def _added(self, change: c.MachineAdded) -> Touched | None:
        if change.id is None:
            raise ValueError("a machine is applied after it was stored, with its id")
        self.put(
            Machine(
                id=change.id,
                device_id=change.device_id,
                name=change.name,
                location_description=change.location_description,
                api_key_hash=change.api_key_hash,
                api_key_prefix=change.api_key_prefix,
                simulated=change.simulated,
                status_since=change.at,
                status_by=change.by,
                created_at=change.at,
                updated_at=change.at,
            )
        )
        return Touched(change.id, ALL_MEMBERS)

    def _edited(self, change: c.MachineEdited) -> Touched | None:
        machine = self.drop(change.rvm_id)
        if machine is None:
            return None
        for member, value in change.values.items():
            setattr(machine, "api_key_hash" if member == "api_key" else member, value)
        if "api_key" in change.values or "api_key_hash" in change.values:
            machine.quarantined_until = None  # whoever fought for the old key has nothing to fight for
        machine.updated_at = change.at
        self.put(machine)
        return Touched(machine.id, EDITED_MEMBERS)

    def _removed(self, change: c.MachineRemoved) -> Touched | None:
        machine = self.drop(change.rvm_id)
        return None if machine is None else Touched(machine.id, frozenset(), removed=True)


def _with_short_reasons(sample: Sample) -> Sample:
    """Why readings are absent goes to every browser: of readings that exist, and no longer than can be shown."""
    if not sample.reasons:
        return sample
    reasons = {name: why[:MOST_OF_A_REASON] for name, why in sample.reasons.items() if name in _READINGS}
    return msgspec.structs.replace(sample, reasons=reasons or None)


def _use_boot(machine: Machine, boot_id: str, row_id: int | None, last_seq: int | None) -> None:
    """It is the one used last; the one unused for longest makes room, unless it is that of the last hello."""
    boot = machine.boots.pop(boot_id, None) or Boot(boot_id)
    boot.id = boot.id if row_id is None else row_id
    boot.accepted = max(boot.accepted, -1 if last_seq is None else last_seq)
    machine.boots[boot_id] = boot
    if len(machine.boots) > BOOTS_KEPT:
        del machine.boots[next(one for one in machine.boots if one != machine.boot_id)]
