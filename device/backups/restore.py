"""The command restore_backup: stage and compare beside what is there, stop services, exchange by rename, start them.

Killed before the exchange, it begins anew; killed in it, the next start finishes it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from archive.errors import ArchiveError
from device.backups import exchange
from device.backups.control import IDENTITY
from device.backups.exchange import Pair, RestoreState
from device.backups.restore_places import (
    NoPlaceError,
    Place,
    StageResult,
    StageWanted,
    StagingGroup,
    carry_over,
    grouped,
    in_the_way,
    pairs_of,
    place_of_pair,
    places_of,
)
from device.backups.service import wait_for_turn
from device.backups.sources import default_sources
from device.commands.jobs import Job, Result, WorkCancelledError, WorkFailedError, WorkHandler
from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.settings import AgentSettings
from device.settings.backup_values import BackupSource, backup_sources
from device.system import systemd
from device.system.bus import NotPermittedError, SystemBus, SystemBusError
from device.system.systemd import full_name
from protocol.commands import RestoreBackup
from protocol.free_shape import fits
from protocol.limits import MAX_RESULT_BYTES

SERVICE_S: Final = 60.0
LOOK_EVERY_S: Final = 0.5
LEAST_S: Final = 1.0
"""With less time left it does not begin."""
EXCHANGE_S: Final = 600.0
"""The deadline moves so far ahead at the exchange, which is not to be cut."""

DISK_EVERY_S: Final = 15.0
"""Between looks whether a disk has come."""

Staged = Callable[[StageWanted, Job], Awaitable[StageResult]]
"""The reading half, in a child process. Raises WorkFailedError, WorkCancelledError."""


class RestorePlan(NamedTuple):
    groups: tuple[StagingGroup, ...]
    kept: tuple[str, ...]
    wanted: StageWanted


class Restores:
    """`is_busy`: a return session is open; `turn`: held while a backup is made, checked or restored."""

    def __init__(
        self,
        settings: Callable[[], AgentSettings],
        disk: WorkerThread,
        bus: SystemBus,
        log: Log,
        is_busy: Callable[[], Awaitable[bool]],
        staged: Staged,
        turn: asyncio.Lock,
    ) -> None:
        self._settings = settings
        self._disk = disk
        self._bus = bus
        self._log = log
        self._is_busy = is_busy
        self._staged = staged
        self._turn = turn
        self._away: list[str] = []
        """Of an exchange that was cut: where its disks are to be mounted. Bound: a folder a file system."""

    @property
    def _state_dir(self) -> Path:
        return self._settings().state_dir

    def handler(self) -> WorkHandler:
        return WorkHandler(self.restore_backup, begins_itself=True, aftermath=self.aftermath)

    async def restore_backup(self, args: RestoreBackup, job: Job) -> Result:
        """Raises WorkFailedError; then each class is as it was or whole as in the backup (the message says which)."""
        await wait_for_turn(self._turn, job)
        async with self._turn:
            began = time.monotonic()
            plan = await self._disk.call(self._plan, args)
            if args.dry_run:
                found = await self._staged(plan.wanted, job)
                return fitting({**msgspec.to_builtins(found), **(found.preview or {})})
            if self._away:
                await self._disk.call(self._beside_waiting, args)
            await self._disk.call(self._clear, job.id, plan)
            self._away = []  # this one takes the place of what waited
            try:
                found = await self._staged(plan.wanted, job)
                pairs = await self._disk.call(self._pairs, plan)
                await self._wait_for_people(job)
                await job.begin()
            except (WorkCancelledError, WorkFailedError):
                await self._disk.call(self._abandon)
                raise
            job.prolong(EXCHANGE_S)
            return await self._put(plan, pairs, found, job, began)

    async def recover(self) -> None:
        """Finish the exchange of an earlier life; where the disk refuses that, the next start does. Raises OSError."""
        state = await self._disk.call(exchange.load, self._state_dir)
        if state is None or state.step == "ended":
            self._away = []
            return
        if state.step in ("staging", "stopping"):
            await self._start_all(state.services)
            await self._disk.call(self._abandon)
            return
        self._away = await self._disk.call(exchange.away, state) if state.step == "exchanging" else []
        if self._away:  # a half exchanged class would be taken for one that is as before
            self._log("restore_waits_for_disk", id=state.backup_id, folders=", ".join(self._away))
            await self._start_all(state.services)
            return
        self._log("restore_goes_on", id=state.backup_id)
        running: list[str] = []
        if state.step == "exchanging":
            running = [name for name in state.services if not await self._stops(name)]
            try:
                state = await self._disk.call(exchange.with_devices_of_now, state)
                state = await self._disk.call(self._exchange, state)
            except OSError as refused:  # the agent is of use without it
                self._log("restore_not_finished", id=state.backup_id, why=refused)
                await self._start_all(state.services)
                return
        await self._start(state, running)

    async def run(self) -> None:
        """Finish what waits for a disk, soon after that is mounted. Raises OSError."""
        while True:
            await asyncio.sleep(DISK_EVERY_S)
            if self._away:
                async with self._turn:
                    await self.recover()

    async def aftermath(self, command_id: str) -> Result | None:
        """Of a restore that an earlier life began; None: unknown. Raises WorkFailedError."""
        state = await self._disk.call(exchange.load, self._state_dir)
        if state is not None and state.command_id == command_id and self._away:
            why = f"not mounted: {', '.join(self._away)}; it goes on as soon as the disk is there"
            raise WorkFailedError("exchange_failed", f"not finished, and a part may be new already; {why}")
        if state is None or state.command_id != command_id or state.step != "ended":
            return None
        return _ended(state)

    def _plan(self, args: RestoreBackup) -> RestorePlan:
        settings = self._settings()
        try:
            places = places_of(declared(settings), args.classes or (), args.paths or ())
            kept = own_paths(settings)
            places = [place for place in places if place.real not in kept]
            groups = tuple(grouped(places, args.paths or (), kept))
        except NoPlaceError as refused:
            raise WorkFailedError(refused.code, refused.message) from refused
        except ArchiveError as wrong:
            raise WorkFailedError("invalid", f"paths: {wrong}") from wrong
        if not groups and args.paths:
            raise WorkFailedError("nothing_to_restore", f"{', '.join(args.paths)}: the agent's own, and stays as it is")
        if not groups:
            raise WorkFailedError("no_sources", "this machine declares nothing of these classes (backup_sources)")
        identity = self._state_dir / IDENTITY
        wanted = StageWanted(
            backup_id=args.backup_id, device_id=settings.device_id, groups=groups,
            work=str(self._state_dir / WORK), paths=tuple(args.paths or ()), dry_run=args.dry_run,
            identity_file=str(identity) if identity.exists() else None,
        )  # fmt: skip
        return RestorePlan(groups, kept, wanted)

    def _beside_waiting(self, args: RestoreBackup) -> None:
        """Half exchanged folders are nobody's any more once their note is gone: only who restores all of these classes
        anew may take its place. Raises WorkFailedError."""
        state = exchange.load(self._state_dir)
        half = {} if state is None else dict.fromkeys(pair.data_class for pair in state.pairs)
        if state is not None and (args.paths or (args.classes and not half.keys() <= set(args.classes))):
            what = (
                f"backup {state.backup_id} is half restored ({', '.join(half)}) and waits for {', '.join(self._away)}"
            )
            raise WorkFailedError("restore_waits", f"{what}: mount it, or restore all of these classes again")

    def _clear(self, command_id: str, plan: RestorePlan) -> None:
        """Remove an earlier one's leftovers; note what this one leaves if killed. Raises WorkFailedError."""
        self._abandon()
        staging = tuple(group.staging for group in plan.groups)
        state = RestoreState(command_id=command_id, backup_id=plan.wanted.backup_id, staging=staging)
        try:
            exchange.save(self._state_dir, state)
        except OSError as full:
            raise WorkFailedError("disk", "the machine cannot write to its disk") from full

    def _abandon(self) -> None:
        state = exchange.load(self._state_dir)
        if state is not None and state.step in ("staging", "stopping", "ended"):
            exchange.remove_staging(state.staging)
            exchange.drop(self._state_dir)

    def _pairs(self, plan: RestorePlan) -> list[Pair]:
        try:
            pairs = [pair for group in plan.groups for pair in pairs_of(group, plan.wanted.paths, plan.kept)]
        except NoPlaceError as refused:
            raise WorkFailedError(refused.code, refused.message) from refused
        except OSError as error:
            raise WorkFailedError("disk", f"{error.filename}: {error.strerror}") from error
        if not pairs:
            raise WorkFailedError("nothing_to_restore", "this backup holds nothing of what was asked for")
        if blocked := in_the_way(places_in(plan), pairs):
            raise WorkFailedError(
                "in_the_way", f"{', '.join(blocked)}: hold what no backup has, and a file comes there"
            )
        return pairs

    async def _put(self, plan: RestorePlan, pairs: list[Pair], found: StageResult, job: Job, began: float) -> Result:
        running = await self._running()
        state = RestoreState(
            command_id=job.id, backup_id=plan.wanted.backup_id, step="stopping", pairs=tuple(pairs),
            staging=tuple(group.staging for group in plan.groups), services=tuple(running),
            result={
                "backup_id": found.backup_id, "chain": list(found.chain), "created_at": found.created_at,
                "files": found.files, "bytes": found.bytes, "classes": found.classes, "services": running,
                "foreign": list(found.foreign), "unknown_owners": list(found.unknown_owners),
                "set_id_removed": list(found.set_id_removed), "without_attributes": list(found.without_attributes),
            },
        )  # fmt: skip
        try:
            await self._disk.call(exchange.save, self._state_dir, state)
            await self._stop(running, job)
            job.progress("exchanging", 0, len(pairs))
            await self._disk.call(self._carry, plan, pairs)
            state = msgspec.structs.replace(await self._disk.call(exchange.mark, state), step="exchanging")
            await self._disk.call(exchange.save, self._state_dir, state)
        except (OSError, WorkFailedError) as error:
            await self._start_all(running)
            await self._disk.call(self._abandon)
            if isinstance(error, WorkFailedError):
                raise
            raise WorkFailedError("disk", f"nothing was changed: {error.filename or ''} {error.strerror}") from error
        try:
            state = await self._disk.call(self._exchange, state)
        except OSError as refused:
            await self._start_all(running)
            why = f"the disk took neither the new files nor the old ones; the next start tries again: {refused}"
            raise WorkFailedError("exchange_failed", why) from refused
        job.progress("starting")
        state = await self._start(state)
        return {**_ended(state), "seconds": round(time.monotonic() - began, 1)}

    def _carry(self, plan: RestorePlan, pairs: Sequence[Pair]) -> None:
        places = places_in(plan)
        for pair in pairs:
            place = place_of_pair(pair, places)
            if place is not None:
                carry_over(place, pair)

    def _exchange(self, state: RestoreState) -> RestoreState:
        failed = exchange.exchange_all(state.pairs)
        return self._note(msgspec.structs.replace(state, step="exchanged", failed=failed))

    def _note(self, state: RestoreState) -> RestoreState:
        """Where there is room: a repeated exchange finds everything in its place."""
        with contextlib.suppress(OSError):
            exchange.save(self._state_dir, state)
        return state

    async def _start(self, state: RestoreState, running: Sequence[str] = ()) -> RestoreState:
        """Start services, remove old trees; the result stays until the next restore. `running`: not stopped, so they
        are as little on the new files as one that does not start."""
        silent = [*running, *await self._start_all([name for name in state.services if name not in running])]
        await self._disk.call(exchange.remove_staging, state.staging)
        result = {**state.result, "not_started": silent} if silent else state.result
        ended = msgspec.structs.replace(state, step="ended", pairs=(), result=result)
        return await self._disk.call(self._note, ended)

    async def _running(self) -> list[str]:
        """Of the machine's file. Raises WorkFailedError."""
        own = systemd.own_unit(Path(self._settings().text("sensor_root")))
        names = [name for name in map(full_name, self._settings().names("backup_services")) if name != own]
        if not names:
            return []
        try:
            states = await systemd.states(self._bus, names, SERVICE_S)
        except (NotPermittedError, SystemBusError) as refused:
            await self._disk.call(self._abandon)
            raise WorkFailedError("service_not_stopped", f"nothing was changed: {refused}") from refused
        return [name for name in names if states.get(name) in ("active", "activating", "reloading")]

    async def _stop(self, services: Sequence[str], job: Job) -> None:
        """Raises WorkFailedError."""
        try:
            for number, name in enumerate(services):
                job.progress("stopping", number, len(services))
                await systemd.stop(self._bus, name, SERVICE_S)
        except (NotPermittedError, SystemBusError) as refused:
            raise WorkFailedError("service_not_stopped", f"nothing was changed: {refused}") from refused

    async def _wait_for_people(self, job: Job) -> None:
        while await self._is_busy():
            if job.left_s <= LEAST_S:
                raise WorkFailedError("return_session_open", "a return session was still open at the deadline")
            job.progress("waiting")
            await job.pause(LOOK_EVERY_S)

    async def _start_all(self, services: Sequence[str]) -> list[str]:
        """Last stopped, first started; those that did not start."""
        return [name for name in reversed(services) if not await self._starts(name)]

    async def _stops(self, name: str) -> bool:
        """A boot may have started it meanwhile: it would keep the old files open, and lose what it writes."""
        try:
            await systemd.stop(self._bus, name, SERVICE_S)
        except (NotPermittedError, SystemBusError) as failed:
            self._log("service_not_stopped", name=name, why=failed)
            return False
        return True

    async def _starts(self, name: str) -> bool:
        try:
            await systemd.start(self._bus, name, SERVICE_S)
        except (NotPermittedError, SystemBusError) as failed:
            self._log("service_not_started", name=name, why=failed)
            return False
        return True


WORK: Final = "restore-work"


def declared(settings: AgentSettings) -> Mapping[str, BackupSource]:
    """Of this machine's file, or of the usual places."""
    return backup_sources(settings.values["backup_sources"]) or default_sources(agent_file=settings.config_file)


def own_paths(settings: AgentSettings) -> tuple[str, ...]:
    """No restore replaces these (links resolved): a new controller keeps its key, and a running agent its state
    folder."""
    own = (settings.config_file, settings.key_file, settings.state_dir)
    return tuple(dict.fromkeys(os.path.realpath(path) for path in own if path is not None))


def places_in(plan: RestorePlan) -> list[Place]:
    return [place for group in plan.groups for place in group.places]


def _ended(state: RestoreState) -> Result:
    """Raises WorkFailedError where a class or a service is not as it was meant to be."""
    silent = state.result.get("not_started") or []
    if state.failed:
        whole = sorted({pair for pair in state.result.get("classes", {}) if pair not in state.failed})
        why = "; ".join(f"{data_class}: {error}" for data_class, error in state.failed.items())
        done = f"restored: {', '.join(whole)}; " if whole else ""
        raise WorkFailedError("exchange_failed", f"{done}as before: {why}")
    if silent:
        raise WorkFailedError("service_not_started", f"the files are restored, but {', '.join(silent)} did not start")
    return dict(state.result)


def fitting(result: Result) -> Result:
    """With as many examples as the wire takes."""
    made: dict[str, Any] = {name: value for name, value in result.items() if name != "preview"}
    examples: dict[str, list[str]] = dict(made.get("examples", {}))
    count = max((len(paths) for paths in examples.values()), default=0)
    while not fits(made, MAX_RESULT_BYTES) and count:
        count //= 2
        made["examples"] = {kind: paths[:count] for kind, paths in examples.items()}
    return made
