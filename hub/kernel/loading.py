"""Loads the fleet at the start, and follows what another process (the command line) changes.

One cheap query a second; rows are read only when its answer moved, and only the members that people edit. Applied
and shown, not recorded again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from dashboard.trouble import READINGS_OF
from db.engine.store import Store
from db.queries import backups, boots, commands, events, machines, remote_sessions, samples, timezones, troubles
from db.queries.machines import Identity, Pulse
from db.records import MachineRow
from db.rows import SampleRow
from db.table_row import TableRow
from db.trouble_records import TroubleRow
from hub.kernel.announce import Announcer
from hub.kernel.observer import Observer
from hub.model.actors import SYSTEM, row_id
from hub.model.backups import COMMAND as BACKUP
from hub.model.changes import Change, Drop, EventHappened, Observed, Patch, Put, SampleSeen
from hub.model.dating import by_hub
from hub.model.effective_settings import UNWRITTEN, CommonSettings, Values, desired_of
from hub.model.fleet import Fleet
from hub.model.machine import BOOTS_KEPT, HOLD_S, Lasting, Machine
from hub.model.presence import SILENT, START_QUIET_S, judge_readings, lasting
from protocol.messages import Sample

SIGNS_OF_LIFE_S = 2.5 * 300
"""A machine seen so close to the fleet's newest was live when the last hub life ended: kept samples come every 300
s. Longer where they are kept more rarely."""
LOOKED_BACK: Final = timedelta(days=1)
MOST_LOOKED_BACK: Final = 200
"""Machines with a reading beyond its limit and no alert of it; of others such a reading begins with the start."""
MOST_SAMPLES_BACK: Final = 2000


async def load_fleet(store: Store, base: Values) -> Fleet:
    common = await machines.fleet_settings(store)
    version = await machines.newest_settings(store)
    settings = CommonSettings(base, UNWRITTEN if common is None else desired_of(common), version)
    zones = await timezones.all_zones(store)
    fleet = Fleet(settings=settings)
    for known in await machines.all_machines(store):
        fleet.put(Machine(known, zone=zones.get(known.device_id)))
    own = (await machines.machine_settings(store)).values()
    fleet.apply_all([Put(row) for row in (*own, *await boots.recent_boots(store, BOOTS_KEPT))])
    for rvm_id, newest_sample in (await samples.latest(store)).items():
        if rvm_id in fleet.machines:
            _last_known(fleet, fleet.machines[rvm_id], newest_sample)
    fleet.apply_all([Put(trouble) for trouble in await troubles.open_troubles(store)])
    await _look_back(store, fleet)
    fleet.apply_all([Put(command) for command in await commands.pending_commands(store)])
    fleet.apply_all([Put(session) for session in await remote_sessions.open_sessions(store)])
    fleet.apply_all([Put(backup) for backup in await backups.newest_of_each(store)])
    _until_the_end(fleet, await machines.alive_at(store))
    for rvm_id in was_live(fleet) | _silent(fleet):
        machine = fleet.machines[rvm_id]
        # That a command was sent is recorded a moment later: a hub that was killed in that moment did not say so.
        machine.maybe_sent = {command.id for command in machine.pending.values() if command.state == "queued"}
    return fleet


def was_live(fleet: Fleet) -> frozenset[int]:
    """The machines that were linked when the last hub life ended, judged by when their rows were last written."""
    seen = {
        m.id: m.last_seen_at for m in fleet.machines.values() if m.last_seen_at is not None and not m.row.close_reason
    }
    newest = max(seen.values(), default=None)
    signs = {i: max(SIGNS_OF_LIFE_S, 2.5 * fleet.machines[i].effective_settings.metrics_interval) for i in seen}
    return frozenset(i for i, at in seen.items() if newest is not None and (newest - at).total_seconds() <= signs[i])


def _until_the_end(fleet: Fleet, alive_at: datetime | None) -> None:
    """A machine that was linked when the last life ended was there at that life's last sign, however long before it
    had sent something to store. Machines without a link keep the time of their last upload."""
    if alive_at is None:
        return
    for rvm_id in was_live(fleet):
        machine = fleet.machines[rvm_id]
        if machine.row.connection_epoch and (machine.last_seen_at is None or machine.last_seen_at < alive_at):
            machine.seen_at = alive_at


async def _look_back(store: Store, fleet: Fleet) -> None:
    """Restore since when each reading is beyond its limit: from the alert that stands, else from the samples kept in
    the last day. Some of those came late, in a backlog, and were not judged when they came."""
    looked_back = 0
    for machine in fleet.machines.values():
        codes, found = [one.code for one in machine.lasting], machine.lasting
        if not codes:
            continue
        newest = found[0].last
        recorded = [one for one in _recorded(machine, newest) if one.code in codes]
        if len(recorded) < len(codes) and looked_back < MOST_LOOKED_BACK:
            looked_back += 1
            found = await _by_kept(store, machine, codes, newest)
        by_code = {one.code: one for one in (*found, *recorded)}
        fleet.apply(Observed(machine.id, {"lasting": tuple(by_code.values())}))


def _recorded(machine: Machine, newest: datetime) -> Iterator[Lasting]:
    for cause, row in machine.troubles.items():
        code = READINGS_OF.get(cause)
        if code is not None:
            counted = row.began_at + timedelta(seconds=HOLD_S.get(code, 0.0))
            yield Lasting(code, row.began_at, max(newest, counted))


async def _by_kept(store: Store, machine: Machine, codes: Iterable[str], newest: datetime) -> tuple[Lasting, ...]:
    found: tuple[Lasting, ...] = ()
    end, offset = machine.readings_at or newest, machine.row.clock_offset_s
    for row in await samples.between(store, machine.id, end - LOOKED_BACK, end, MOST_SAMPLES_BACK):
        _, reasons = judge_readings(_sample(row), machine.effective_settings.limits)
        found = lasting(found, (reason.code for reason in reasons), by_hub(row.timestamp, row.created_at, offset))
    return lasting(found, codes, newest)


def _silent(fleet: Fleet) -> frozenset[int]:
    """Machines whose link ended in silence: offline by their row, and perhaps linked all the same."""
    return frozenset(m.id for m in fleet.machines.values() if m.row.close_reason == SILENT)


def _last_known(fleet: Fleet, machine: Machine, row: SampleRow) -> None:
    sample = _sample(row)
    boot_id = next((boot.boot_id for boot in machine.boots.values() if boot.id == row.boot), None)
    fleet.apply(
        SampleSeen(
            rvm_id=machine.id, sample=sample, taken_at=row.timestamp, received_at=row.created_at, boot_id=boot_id,
            seq=row.seq,
        )
    )  # fmt: skip
    if machine.last_seen_at is None or row.created_at > machine.last_seen_at:
        machine.seen_at = row.created_at


def _sample(row: SampleRow) -> Sample:
    return Sample(
        timestamp=row.timestamp.isoformat(),
        cpu_usage=row.cpu_usage,
        memory_usage=row.memory_usage,
        disk_usage=row.disk_usage,
        gpu_usage=row.gpu_usage,
        temperature=row.temperature,
        network_rx_bytes_s=row.network_rx_bytes_s,
        network_tx_bytes_s=row.network_tx_bytes_s,
        uptime_s=row.uptime_s,
        power_w=row.power_w,
        throttled=row.throttled,
    )


LIFE_SIGN_S: Final = 10.0
"""How exactly a later life knows until when this one had its machines."""


class LifeSigns:
    """Writes to the database, every LIFE_SIGN_S, that this hub is alive. Begins after START_QUIET_S: until then
    machines of the life before may still be taken for connected."""

    def __init__(
        self, announce: Announcer, clock: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._announce = announce
        self._clock = clock
        self._monotonic = monotonic
        self._due = monotonic() + START_QUIET_S

    async def leave(self) -> None:
        """Write the sign when it is due. Raises StoreError; the next turn tries again."""
        if self._monotonic() >= self._due:
            await self._announce(Put(machines.life_sign(self._clock()), over=("value",)))
            self._due = self._monotonic() + LIFE_SIGN_S


ROWS_AT_ONCE: Final = 500
EDITED: Final = (
    "device_id", "name", "location_description", "tags", "latitude", "longitude", "api_key", "api_key_prefix",
    "next_api_key", "next_api_key_prefix", "next_api_key_at",
)  # fmt: skip


class ForeignChanges:
    def __init__(self, store: Store, fleet: Fleet, announce: Announcer, observer: Observer) -> None:
        self._store = store
        self._fleet = fleet
        self._announce = announce
        self._observer = observer
        self._seen: Pulse | None = None
        self._read_to: datetime | None = None

    async def look(self) -> None:
        """Apply what another process has changed of the machines since the last look. Raises StoreError, after which
        the next look finds the same."""
        pulse = await machines.pulse(self._store)
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
        rows = await machines.changed_since(self._store, since, ROWS_AT_ONCE)
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
        stored = await machines.all_ids(self._store)
        gone: list[Change] = [Drop(MachineRow, rvm_id) for rvm_id in known - stored if rvm_id in self._fleet.machines]
        if gone:
            self._announce.observe(*gone)
        for rvm_id in stored - set(self._fleet.machines):
            await self._add(rvm_id)


def difference(machine: Machine, row: Identity) -> Patch | None:
    if row.updated_at < machine.row.updated_at:
        return None  # read before what the hub itself has committed since
    return edited_in(machine, row)


def edited_in(machine: Machine, row: Identity | MachineRow) -> Patch | None:
    values = {name: getattr(row, name) for name in EDITED if getattr(row, name) != getattr(machine.row, name)}
    if "api_key" in values:
        values["quarantined_until"] = None
    return Patch(MachineRow, machine.id, {**values, "updated_at": row.updated_at}) if values else None


EVERY_S: Final = 1.0
AT_ONCE: Final = 100
"""Lines of one look; the next one goes on behind them."""
OWN: Final = 1000


class ForeignEvents:
    """Applies what another process has recorded by events (commands, machines, troubles). `look` is called several
    times a second. `seen`: the id of the newest event before the fleet was loaded; what came since, the fleet may lack.
    Each look begins where the one before did: with two processes on PostgreSQL a lower id may be committed later."""

    def __init__(
        self, store: Store, announce: Announcer, seen: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._announce = announce
        self._monotonic = monotonic
        self._at = float("-inf")
        self._after = self._seen = seen
        self._known: deque[int] = deque(maxlen=OWN)  # Bound: OWN, of the system: this hub's own and those it took over

    def on_commit(self, changes: Sequence[Change]) -> None:
        self._known.extend(c.id for c in changes if isinstance(c, EventHappened) and c.actor == SYSTEM and c.id)

    async def look(self) -> None:
        """At most once in EVERY_S. Raises StoreError when the database is away."""
        if self._monotonic() - self._at < EVERY_S:
            return
        self._at = self._monotonic()
        newest = await events.newest_event_id(self._store)
        if newest > self._after:
            rows = await events.events_by_system(self._store, self._after, newest, AT_ONCE)
            newest = rows[-1].id if len(rows) == AT_ONCE else newest
            news = [EventHappened(**msgspec.structs.asdict(row)) for row in rows if row.id not in self._known]
            if news:
                await self._recall_asked(news)
                await self._follow_machines(news)
                await self._follow_troubles(news)
                self._announce.observe(*news)  # last: where a read before failed, all of it is done again
        self._after, self._seen = self._seen, max(newest, self._seen)

    async def _recall_asked(self, news: Sequence[EventHappened]) -> None:
        """Take over commands that another process has issued, so that this hub delivers them and ends them in time."""
        ids = [str((event.params or {}).get("command_id")) for event in news if event.code == "command.issued"]
        await recall_issued(self._announce, self._store, ids)

    async def _follow_machines(self, news: Sequence[EventHappened]) -> None:
        """Read edited machines again, also when the clock went back and `ForeignChanges` finds no newer row: a replaced
        key must not open a link any more."""
        edited = dict.fromkeys(event.rvm_id for event in news if event.code.startswith("machine."))
        for rvm_id in edited:
            while rvm_id is not None and (machine := self._announce.fleet.machines.get(rvm_id)) is not None:
                known, row = machine.row, await machines.find_machine(self._store, rvm_id)
                if machine.row is not known:
                    continue  # this hub wrote in the meantime: it is read again
                if row is not None and (change := edited_in(machine, row)) is not None:
                    self._announce.observe(change)
                break

    async def _follow_troubles(self, news: Sequence[EventHappened]) -> None:
        """Take over who is on a trouble and until when it is snoozed."""
        acted = [(e.rvm_id, str((e.params or {}).get("trouble_id"))) for e in news if e.code.startswith("trouble.")]
        for rvm_id, text in dict.fromkeys(acted):
            number = row_id(text)
            while rvm_id is not None and number is not None:
                known = self._trouble(rvm_id, number)
                row = await troubles.find(self._store, number)
                if known is None or row is None or row.ended_at is not None:
                    break
                if self._trouble(rvm_id, number) is known:  # else this hub wrote in the meantime: it is read again
                    self._announce.observe(*_written(known, row))
                    break

    def _trouble(self, rvm_id: int, number: int) -> TroubleRow | None:
        machine = self._announce.fleet.machines.get(rvm_id)
        return next((one for one in machine.troubles.values() if one.id == number), None) if machine else None


async def recall_issued(announce: Announcer, store: Store, ids: Iterable[str | None]) -> None:
    """Commands of these ids that wait and that this hub does not know, each after the backup that it is for."""
    fleet = announce.fleet

    async def read() -> list[TableRow]:
        found = [await commands.find_command(store, command_id) for command_id in ids if command_id is not None]
        issued = [command for command in found if command is not None and command.state == "queued"]
        made = [await backups.of_command(store, one.id) if one.name == BACKUP else None for one in issued]
        rows: list[TableRow] = []
        for command, backup in zip(issued, made, strict=True):
            machine = fleet.machines.get(command.rvm_id)
            if machine is not None and command.id not in fleet.open:
                rows += [command] if backup is None or backup.id in machine.backups else [backup, command]
        return rows

    await announce.recall(read)


def _written(known: TroubleRow, row: TroubleRow) -> list[Change]:
    values = {name: getattr(row, name) for name in row.__struct_fields__ if getattr(row, name) != getattr(known, name)}
    return [Patch(TroubleRow, row.id, values, where=(("rvm_id", "=", row.rvm_id),))] if values else []
