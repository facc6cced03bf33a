"""Builds the parts of a hub, runs their tasks, and takes them down.

`open_engine` is everything but the web; `hub_life` adds the web, as `app.state.hub`."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from functools import partial

import anyio
from starlette.applications import Starlette

from db.backup_records import BackupRow
from db.engine.ownership import InUse, Owner, own_folder
from db.engine.store import Store, open_store
from db.errors import StoreError
from db.notification_records import DestinationRow
from db.queries import events
from db.records import (
    CommandRow,
    FleetSettingsRow,
    MachineRow,
    MachineSettingsRow,
    RemoteSessionRow,
    SignInFailureRow,
)
from db.trouble_records import TroubleRow
from hub.attention.service import Acts, TroubleLog, TroubleOwners
from hub.backups.download_api import BackupDownloads, DownloadLinks
from hub.backups.drill import Drills
from hub.backups.files_api import FileLists
from hub.backups.keeper import GIB, BackupKeeper
from hub.backups.restore import BackupRestores
from hub.backups.service import Backups
from hub.backups.upload import Receiving
from hub.commands.cards import Throughputs
from hub.enrolment.service import Enrolments
from hub.kernel.announce import Announcer, Publisher
from hub.kernel.commits import Commits
from hub.kernel.context import HubContext
from hub.kernel.feed import Feed
from hub.kernel.loading import load_fleet, was_live
from hub.kernel.objects.store import Objects, open_objects
from hub.kernel.observer import Observer
from hub.kernel.samples_lane import SamplesLane
from hub.links.links import Links, end_stale_watches
from hub.machine_settings.service import SettingsPush
from hub.model.budgets import MachineBudget
from hub.model.changes import Change, EventHappened
from hub.model.effective_settings import base_of
from hub.model.fleet import Fleet, Touched
from hub.model.presence import Watching
from hub.notifications.service import Notifier
from hub.people.rules import RIGHTS
from hub.remote.machine_pages.open_pages import OpenPages
from hub.remote.recordings.service import RecordingKeeper, Recordings
from hub.remote.service import RemoteSessions
from hub.remote.terminal.terminal import Terminals
from hub.remote.tunnel.registry import Tunnels
from hub.routes import HANDLERS
from hub.schedule import Retention, Sweeper
from hub.server.process import LoopLag
from hub.server.tls import HubTls
from hub.settings import Settings
from hub.system.service import HubLoad
from hub.web.auth import identify
from hub.web.auth.limits import ReadBudget
from hub.web.auth.state import AuthState, SecondSteps
from hub.web.http.download_slots import DownloadSlots, HistoryReads, Playbacks, PreviewReads
from hub.web.shell.fleet_digest import FleetDigest
from hub.web.shell.fresh_secrets import FreshSecrets
from protocol.version import PRODUCT_VERSION

logger = logging.getLogger("myrvm.engine")

FLUSH_S = 5.0
"""For what was handed in to become durable."""


@dataclass(slots=True)
class Engine:
    store: Store
    fleet: Fleet
    announce: Announcer
    links: Links
    tunnels: Tunnels
    observer: Observer
    sweeper: Sweeper
    remote_sessions: RemoteSessions
    clock: Callable[[], datetime]


class Nobody:
    def publish(self, changes: Sequence[Change], touched: Sequence[Touched]) -> None: ...


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


@asynccontextmanager
async def open_engine(
    settings: Settings,
    *,
    publisher: Callable[[Fleet], Publisher] | None = None,
    clock: Callable[[], datetime] = utc_now,
    alone: bool = True,
) -> AsyncIterator[Engine]:
    """`publisher` makes the feed of the loaded fleet. `alone` False: a running hub owns the clock, so nothing is
    swept. Raises a StoreError."""
    store = await open_store(settings.database_url, Owner.here() if alone else None)
    try:
        events_seen = await events.newest_event_id(store)
        fleet = await load_fleet(store, base_of(asdict(settings)))
        commits, lane = Commits(store), SamplesLane(store)
        announce = Announcer(fleet, commits, lane, publisher(fleet) if publisher else Nobody())
        observer = Observer(fleet, announce, clock)
        budget = MachineBudget(
            frames_per_second=settings.device_frames_per_second,
            frames_at_once=settings.device_frames_burst,
            mib_per_day=settings.device_mib_per_day,
        )
        links = Links(fleet, announce, observer, clock, budget)
        announce.listen(links.on_commit, CommandRow, MachineRow)
        push = SettingsPush(fleet, links, announce)
        announce.listen(push.on_commit, FleetSettingsRow, MachineRow, MachineSettingsRow)
        tunnels = Tunnels(links.tickets)
        announce.listen(tunnels.on_commit, MachineRow, RemoteSessionRow)
        remote_sessions = RemoteSessions(store, fleet, announce, clock)
        announce.listen(remote_sessions.on_commit, RemoteSessionRow, *RIGHTS)
        tunnels.on_fault = remote_sessions.end
        sweeper = Sweeper(store, fleet, announce, links, observer, clock, remote_sessions, events_seen)
        retention = Retention(store, announce, clock, timedelta(days=settings.samples_retention_days))
        announce.listen(retention.on_commit, MachineRow)
        observer.start(was_live(fleet).__contains__)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lane.run)
            if alone:
                await remote_sessions.after_start()
                tasks.start_soon(sweeper.run)
                tasks.start_soon(tunnels.run)
                tasks.start_soon(retention.run)
            try:
                yield Engine(store, fleet, announce, links, tunnels, observer, sweeper, remote_sessions, clock)
            finally:
                await _flush(commits, lane)
                tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()


async def _flush(commits: Commits, lane: SamplesLane) -> None:
    with anyio.move_on_after(FLUSH_S, shield=True) as time_is_up:
        await lane.flush()
        await commits.flush()
    if time_is_up.cancelled_caught:
        logger.warning("not everything could be recorded before the end: the database is away")


class StartFailedError(Exception):
    """In one sentence for people. `in_use`: another hub has what it needs."""

    def __init__(self, sentence: str, *, in_use: bool = False) -> None:
        super().__init__(sentence)
        self.in_use = in_use


@asynccontextmanager
async def hub_life(app: Starlette, settings: Settings) -> AsyncIterator[None]:
    """Raises StartFailedError. A part that fails ends the block."""
    epoch = secrets.token_hex(8)
    feeds: list[Feed] = []

    def feed_for(fleet: Fleet) -> Feed:
        feeds.append(Feed(fleet, epoch=epoch, version=PRODUCT_VERSION, clock=utc_now))
        return feeds[0]

    up = False
    try:
        async with (
            own_folder(settings.data_dir, Owner.here()),
            open_engine(settings, publisher=feed_for, clock=utc_now) as engine,
            anyio.create_task_group() as own,
        ):
            up = True
            app.state.hub = context = _context(settings, engine, feeds[0], epoch)
            _listen(context)
            await context[Backups].load()
            app.state.loop_lag = lag = LoopLag()
            own.start_soon(lag.run)
            own.start_soon(context[HubLoad].run)
            own.start_soon(end_stale_watches, context.watching, context.fleet, context[Links])
            own.start_soon(RecordingKeeper(context[Recordings], settings.recording_retention_days).run)
            own.start_soon(context[Terminals].run)
            own.start_soon(context[Backups].run)
            own.start_soon(context[Drills].run)
            own.start_soon(context[BackupRestores].run)
            own.start_soon(context[BackupKeeper].run)
            own.start_soon(context[TroubleLog].run)
            own.start_soon(context[TroubleOwners].run)
            own.start_soon(context[Notifier].run)
            own.start_soon(context[AuthState].unknown_accounts.run)
            own.start_soon(context[AuthState].missing_codes.run, engine.announce, context.clock)
            own.start_soon(context[AuthState].unstored.run, engine.announce)
            own.start_soon(identify.keep_uses_written, context)
            yield
            own.cancel_scope.cancel()
    except (StoreError, OSError) as error:
        if up:
            raise
        if isinstance(error, InUse):
            raise StartFailedError(f"The hub cannot start: {error}.", in_use=True) from error
        raise StartFailedError(f"The database cannot be opened: {error}") from error


def _listen(context: HubContext) -> None:
    listen = context.announce.listen
    listen(context[AuthState].on_commit, SignInFailureRow, *RIGHTS)
    listen(context[AuthState].budgets.on_commit, EventHappened)
    listen(context[TroubleOwners].on_commit, EventHappened, MachineRow)
    listen(context[Terminals].on_commit, RemoteSessionRow)
    listen(context[Notifier].on_commit, DestinationRow, RemoteSessionRow, TroubleRow)
    listen(context[Backups].on_commit, CommandRow)
    listen(context[Throughputs].on_commit, CommandRow)
    listen(context[Drills].on_commit, BackupRow, CommandRow)
    listen(context[BackupRestores].on_commit, BackupRow, CommandRow)


def _context(settings: Settings, engine: Engine, feed: Feed, epoch: str) -> HubContext:
    objects = open_objects(settings)
    recordings = Recordings(
        engine.store, engine.announce, objects, settings.data_dir / "recordings", engine.clock,
        with_input=settings.record_input, mib_per_machine=settings.recordings_mib_per_machine,
    )  # fmt: skip
    context = HubContext(
        settings=settings, store=engine.store, fleet=engine.fleet, announce=engine.announce, feed=feed,
        watching=Watching(), clock=engine.clock, epoch=epoch, version=PRODUCT_VERSION,
    )  # fmt: skip
    tls = HubTls(settings, engine.clock)
    tls.on_offer = partial(engine.links.offer_authority, tls.offer)
    context.add(engine.links, engine.tunnels, engine.remote_sessions, tls)
    context.add(HubLoad(engine.links, engine.announce.lane, engine.clock))
    context.add(objects, recordings, Terminals(engine.fleet, engine.tunnels, recordings), OpenPages())
    backups = Backups(settings, engine.store, engine.fleet, engine.announce, objects, engine.clock)
    context.add(backups, Receiving(), BackupDownloads(), DownloadLinks(), FileLists())
    context.add(BackupRestores(engine.store, engine.fleet, engine.announce, backups, engine.clock))
    context.add(_drills(settings, engine, objects), _backup_keeper(settings, engine, backups))
    digest = FleetDigest(engine.fleet, feed)
    context.add(AuthState(), SecondSteps(settings.data_dir), Enrolments(), ReadBudget(), FreshSecrets(), digest)
    context.add(Acts(), TroubleLog(digest, engine.fleet, engine.announce, engine.clock))
    context.add(TroubleOwners(engine.store, engine.fleet, engine.announce, engine.clock))
    notifier = Notifier(context)
    digest.of_hub.append(notifier.troubles)
    context.add(notifier)
    context.add(
        HANDLERS, DownloadSlots(), HistoryReads(), PreviewReads(), Playbacks(), Throughputs(engine.fleet, engine.clock)
    )
    return context


def _drills(settings: Settings, engine: Engine, objects: Objects) -> Drills:
    scratch, room = settings.backup_scratch, settings.backup_scratch_gib * GIB
    return Drills(engine.store, engine.fleet, engine.announce, objects, engine.clock, scratch, room)


def _backup_keeper(settings: Settings, engine: Engine, backups: Backups) -> BackupKeeper:
    return BackupKeeper(
        backups, engine.store, engine.fleet, engine.clock, zone=settings.default_timezone,
        at_once=settings.backups_at_once, quota=settings.backup_quota_gib * GIB,
        fleet_quota=settings.backup_fleet_quota_gib * GIB,
    )  # fmt: skip
