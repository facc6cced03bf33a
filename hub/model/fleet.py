"""Keeps every machine and its open commands in memory by applying Changes. Never asks the database. `apply` returns
what the feed sends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from db.backup_records import BackupRow
from db.conditions import holds
from db.records import (
    TERMINAL_STATES,
    BootRow,
    CommandRow,
    FleetSettingsRow,
    MachineRow,
    MachineSettingsRow,
    RemoteSessionRow,
    ZoneRow,
    is_open,
)
from db.table_row import TableRow
from db.trouble_records import TroubleRow
from hub.model import changes as c
from hub.model.actors import row_id
from hub.model.backups import remembered
from hub.model.dating import by_hub
from hub.model.effective_settings import CommonSettings, DesiredSettings, desired_of, desired_of_patch
from hub.model.machine import BOOTS_KEPT, RECENT_SECONDS, Boot, Machine
from hub.model.presence import counting, judge_readings, lasting
from protocol.messages import Sample

TERMINAL = frozenset(TERMINAL_STATES)

CONNECTION_MEMBERS = frozenset(
    {"connection", "connection_since", "connection_reason", "last_seen_at", "expected_interval_s"}
)
READING_MEMBERS = frozenset({"readings", "health", "health_reasons", "last_seen_at"})
PENDING_MEMBERS = frozenset({"pending"})
LASTING_MEMBERS = frozenset({"lasting"})
ZONE_MEMBERS = frozenset({"zone_wrong"})
SETTINGS_MEMBERS = frozenset(
    {"config_wanted", "health", "health_reasons", "lasting", "expected_interval_s", "backup", "zone_wrong"}
)
SESSION_MEMBERS = frozenset({"lease"})
TROUBLE_MEMBERS = frozenset({"troubles"})
BACKUP_MEMBERS = frozenset({"backup"})
ALL_MEMBERS = frozenset({"*"})
MOST_OF_A_REASON: Final = 200
_READINGS: Final = frozenset(Sample.__struct_fields__) - {"timestamp", "reasons"}


INDEXED: Final = frozenset({"device_id", "api_key_prefix", "next_api_key_prefix"})
DERIVED: Final[Mapping[str, tuple[str, ...]]] = {
    "status": ("status", "effective_status"),
    "special_status": ("special_status", "effective_status"),
    "status_before": ("returns_to",),
    "api_key": (),
    **dict.fromkeys(("next_api_key", "next_api_key_prefix", "next_api_key_at"), ()),
    "capabilities": ("commands", "backup"),
    "backup_full_at": ("backup",),
    "hardware": ("model", "certificate"),
    "board_report": ("disk_worn",),
    "config_errors": ("config_refused",),
    "config_own": (),
    "board": (),
    "board_other": ("board_question",),
    "board_other_at": ("board_other_at", "board_question"),
    "close_reason": (),
    "timezone": ("timezone", "zone_wrong"),
    "connection_epoch": (),
    "zone_reported_at": (),
    **dict.fromkeys(("connection", "connection_since", "connection_reason"), tuple(sorted(CONNECTION_MEMBERS))),
}
"""Members of the view that differ with a `member`, where not itself alone."""


def view_members(changed: Iterable[str]) -> frozenset[str]:
    """That may differ when these of its row, or of what is observed, do."""
    return frozenset(name for member in changed for name in DERIVED.get(member, (member,)))


class Touched(NamedTuple):
    """Members of `hub.model.views.machine_view` that may differ. `ALL_MEMBERS`: a new machine; `removed`: it is
    gone."""

    rvm_id: int
    members: frozenset[str]
    removed: bool = False


class Fleet:
    def __init__(self, machines: Iterable[Machine] = (), settings: CommonSettings | None = None) -> None:
        self.settings = settings or CommonSettings()
        self.machines: dict[int, Machine] = {}  # Bound: the rows that administrators made
        self.open: dict[str, CommandRow] = {}
        """Bound: MAX_PENDING a machine, each to its deadline."""
        self._by_device_id: dict[str, Machine] = {}  # Bound: one a machine
        self._by_key_prefix: dict[str, Machine] = {}  # Bound: two a machine
        self._appliers: dict[type, Callable[[Any], Touched | None]] = {
            c.Put: self._row_changed,
            c.Patch: self._patched,
            c.Move: self._moved,
            c.Drop: self._dropped,
            c.Observed: self._observed,
            c.SampleSeen: self._sample_seen,
        }
        self._of_row: dict[type[TableRow], Callable[[Any], Touched | None]] = {
            MachineRow: self._machine_is,
            BackupRow: self._backup_is,
            BootRow: self._boot_is,
            CommandRow: self._command_is,
            FleetSettingsRow: lambda row: self._fleet_desires(desired_of(row)),
            MachineSettingsRow: lambda row: self._is_desired(row.rvm_id, desired_of(row)),
            RemoteSessionRow: self._session_is,
            TroubleRow: self._trouble_is,
            ZoneRow: self._zone_is,
        }
        """What a put or moved row does, and what a patch or its end does."""
        self._of_patch: dict[type[TableRow], Callable[[c.Patch], Touched | None]] = {
            MachineRow: self._machine_patched,
            BackupRow: self._backup_patched,
            CommandRow: self._command_patched,
            TroubleRow: self._trouble_patched,
            ZoneRow: self._zone_patched,
            FleetSettingsRow: lambda change: self._fleet_desires(desired_of_patch(change.values)),
            MachineSettingsRow: lambda change: self._is_desired(change.key, desired_of_patch(change.values)),
        }
        self._of_drop: dict[type[TableRow], Callable[[c.Drop], Touched | None]] = {MachineRow: self._machine_dropped}
        for machine in machines:
            self.put(machine)

    def find(self, key: int | str) -> Machine | None:
        """By id, device_id, or the id in decimal. A device_id wins over a number."""
        if isinstance(key, int):
            return self.machines.get(key)
        found = self._by_device_id.get(key)
        rvm_id = row_id(key) if found is None else None
        return found if rvm_id is None else self.machines.get(rvm_id)

    def by_key_prefix(self, prefix: str) -> Machine | None:
        return self._by_key_prefix.get(prefix)

    def command(self, command_id: str) -> CommandRow | None:
        return self.open.get(command_id)

    def admit(self, commands: Iterable[CommandRow]) -> None:
        """Counted from now on, before the database has them: requests that come at once see each other."""
        for command in commands:
            if (machine := self.machines.get(command.rvm_id)) is not None:
                machine.admitted[command.id] = command

    def release(self, commands: Iterable[CommandRow]) -> None:
        """Stored (and pending by now), or refused."""
        for command in commands:
            if (machine := self.machines.get(command.rvm_id)) is not None:
                machine.admitted.pop(command.id, None)

    def apply(self, change: c.Change) -> Touched | None:
        """None: no machine's picture changes."""
        applier = self._appliers.get(type(change))
        return applier(change) if applier is not None else None

    def apply_all(self, changes: Sequence[c.Change]) -> list[Touched]:
        """In order. The fleet's settings touch every machine."""
        found: list[Touched] = []
        for change in changes:
            touched = self.apply(change)
            if touched is not None:
                found.append(touched)
            elif change.about is FleetSettingsRow:
                found += [Touched(rvm_id, SETTINGS_MEMBERS) for rvm_id in self.machines]
        return found

    def put(self, machine: Machine) -> None:
        self.drop(machine.id)
        self.machines[machine.id] = machine
        self._settle(machine)
        self._by_device_id[machine.row.device_id] = machine
        self._by_key_prefix.update(dict.fromkeys(_key_prefixes(machine.row), machine))
        self.open.update(machine.pending)

    def drop(self, rvm_id: int) -> Machine | None:
        machine = self.machines.pop(rvm_id, None)
        if machine is not None:
            self._by_device_id.pop(machine.row.device_id, None)
            for prefix in _key_prefixes(machine.row):
                self._by_key_prefix.pop(prefix, None)
            for command_id in machine.pending:
                self.open.pop(command_id, None)
        return machine

    def _row_changed(self, change: c.Put[Any]) -> Touched | None:
        does = self._of_row.get(type(change.row))
        return None if does is None else does(change.row)

    def _moved(self, change: c.Move[Any]) -> Touched | None:
        """Its members alone, as they are written: what was patched since it was decided stays."""
        row, machine = change.row, self.machines.get(change.row.rvm_id)
        if machine is None:
            return None
        known: dict[type, Mapping[Any, Any]] = {
            CommandRow: machine.pending, RemoteSessionRow: machine.remote_sessions, BackupRow: machine.backups,
        }  # fmt: skip
        if (here := known[type(row)].get(row.id)) is not None:
            row = msgspec.structs.replace(here, **{name: getattr(row, name) for name in change.members})
        return self._row_changed(c.Put(row))

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

    def _machine_is(self, row: MachineRow) -> Touched:
        self.put(Machine(row))
        return Touched(row.id, ALL_MEMBERS)

    def _machine_patched(self, change: c.Patch) -> Touched | None:
        machine = self.machines.get(change.key)
        if machine is None or not holds(machine.row, change.where):
            return None
        indexed, before = not INDEXED.isdisjoint(change.values), machine.reported_settings
        if indexed:
            self.drop(machine.id)
        machine.row = msgspec.structs.replace(machine.row, **change.values)
        seen_at = change.values.get("last_seen_at")
        if seen_at is not None and (machine.seen_at is None or machine.seen_at < seen_at):
            machine.seen_at = seen_at  # what is stored later may be of an earlier sign of life
        members = view_members(change.values)
        if indexed:
            self.put(machine)
        elif machine.reported_settings != before:
            members |= self._settle(machine)
        return Touched(machine.id, members)

    def _machine_dropped(self, change: c.Drop) -> Touched | None:
        machine = self.drop(change.key)
        return None if machine is None else Touched(machine.id, frozenset(), removed=True)

    def _boot_is(self, row: BootRow) -> None:
        machine = self.machines.get(row.rvm_id)
        if machine is not None:
            _use_boot(machine, row.boot_id, row.id, row.last_seq)

    def _zone_is(self, row: ZoneRow) -> Touched | None:
        machine = self._by_device_id.get(row.device_id)
        if machine is None:
            return None
        machine.zone = row
        return Touched(machine.id, ZONE_MEMBERS)

    def _zone_patched(self, change: c.Patch) -> Touched | None:
        machine = next((self.machines.get(rvm_id) for _, how, rvm_id in change.where if how == "of"), None)
        if machine is not None and machine.zone is not None:
            machine.zone = msgspec.structs.replace(machine.zone, **change.values)
            return Touched(machine.id, ZONE_MEMBERS)
        return None

    def _session_is(self, row: RemoteSessionRow) -> Touched | None:
        machine = self.machines.get(row.rvm_id)
        if machine is None:
            return None
        if is_open(row):
            machine.remote_sessions[row.id] = row
        else:
            machine.remote_sessions.pop(row.id, None)
        return Touched(machine.id, SESSION_MEMBERS)

    def _trouble_is(self, row: TroubleRow) -> Touched | None:
        machine = self.machines.get(row.rvm_id)
        if machine is None:
            return None
        if row.ended_at is None:
            machine.troubles[row.cause] = row
        elif (known := machine.troubles.get(row.cause)) is not None and known.id == row.id:
            del machine.troubles[row.cause]
        return Touched(machine.id, TROUBLE_MEMBERS)

    def _trouble_patched(self, change: c.Patch) -> Touched | None:
        machine = next((self.machines.get(value) for name, _, value in change.where if name == "rvm_id"), None)
        rows = () if machine is None else machine.troubles.values()
        row = next((row for row in rows if row.id == change.key), None)
        return None if row is None else self._trouble_is(msgspec.structs.replace(row, **change.values))

    def _backup_is(self, row: BackupRow) -> Touched | None:
        machine = self.machines.get(row.rvm_id)
        if machine is None:
            return None
        machine.backups = remembered({**machine.backups, row.id: row}.values())
        return Touched(machine.id, BACKUP_MEMBERS)

    def _backup_patched(self, change: c.Patch) -> Touched | None:
        machine = next((self.machines.get(value) for name, _, value in change.where if name == "rvm_id"), None)
        row = None if machine is None else machine.backups.get(change.key)
        return None if row is None else self._backup_is(msgspec.structs.replace(row, **change.values))

    def _sample_seen(self, change: c.SampleSeen) -> Touched | None:
        machine = self.machines.get(change.rvm_id)
        if machine is None:
            return None
        machine.readings = sample = _with_short_reasons(change.sample)
        machine.health, machine.health_reasons = judge_readings(sample, machine.effective_settings.limits)
        members = READING_MEMBERS
        if machine.lasting or machine.health_reasons:
            before = counting(machine.lasting)
            over = (reason.code for reason in machine.health_reasons)
            at = by_hub(change.taken_at, change.received_at, machine.row.clock_offset_s)
            machine.lasting = lasting(machine.lasting, over, at)
            members = members if counting(machine.lasting) == before else members | LASTING_MEMBERS
        machine.readings_at = change.taken_at
        machine.readings_of = (change.boot_id, change.seq)
        stamp = int(change.taken_at.timestamp() * 1000)
        recent = machine.recent
        while recent and recent[-1][0] > stamp:
            recent.pop()  # dated by a clock that was ahead and has been put right
        recent.append((stamp, msgspec.structs.replace(sample, reasons=None) if sample.reasons else sample))
        while recent[0][0] < stamp - RECENT_SECONDS * 1000:
            recent.popleft()
        machine.trend.add(stamp, sample)
        return Touched(machine.id, members)

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
        """The newest readings are judged by the new limits."""
        machine.effective_settings = self.settings.of(machine.desired_settings, machine.reported_settings)
        if machine.readings is not None:
            machine.health, machine.health_reasons = judge_readings(machine.readings, machine.effective_settings.limits)
            over = {reason.code for reason in machine.health_reasons}
            machine.lasting = tuple(one for one in machine.lasting if one.code in over)
        return SETTINGS_MEMBERS


def _key_prefixes(row: MachineRow) -> list[str]:
    return [prefix for prefix in (row.api_key_prefix, row.next_api_key_prefix) if prefix is not None]


def _with_short_reasons(sample: Sample) -> Sample:
    """Of existing readings, cut to what can be shown."""
    if not sample.reasons:
        return sample
    reasons = {name: why[:MOST_OF_A_REASON] for name, why in sample.reasons.items() if name in _READINGS}
    return msgspec.structs.replace(sample, reasons=reasons or None)


def _use_boot(machine: Machine, boot_id: str, row_id: int | None, last_seq: int | None) -> None:
    boot = machine.boots.pop(boot_id, None) or Boot(boot_id)
    boot.id = boot.id if row_id is None else row_id
    boot.accepted = max(boot.accepted, -1 if last_seq is None else last_seq)
    machine.boots[boot_id] = boot
    if len(machine.boots) > BOOTS_KEPT:
        del machine.boots[next(one for one in machine.boots if one != machine.row.boot_id)]
