"""Builds the hub's engine: store, fleet, the one door out, links and clock, and runs its tasks. No web server in it.

The command line opens it beside a running hub for one change; the web server opens it for a life.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone

import anyio

from db.connection import Store, open_store
from db.ownership import Owner
from hub.kernel.announce import Announcer, Publisher
from hub.kernel.group_commit import GroupCommit
from hub.kernel.loading import load_fleet, was_live
from hub.kernel.observer import Observer
from hub.kernel.samples_lane import SamplesLane
from hub.links.links import Links
from hub.machine_settings.push import ConfigPush
from hub.model.changes import Change
from hub.model.effective_settings import base_of
from hub.model.fleet import Fleet, Touched
from hub.model.machine_budget import MachineBudget
from hub.remote.service import Leases
from hub.remote.tunnel.registry import Tunnels
from hub.retention import Retention
from hub.settings import Settings
from hub.sweeper import Sweeper

logger = logging.getLogger("myrvm.engine")

FLUSH_S = 5.0
"""How long the end waits for what was handed in to become durable."""


@dataclass(slots=True)
class Engine:
    """The parts; `clock` gives aware UTC."""

    store: Store
    fleet: Fleet
    announce: Announcer
    links: Links
    tunnels: Tunnels
    observer: Observer
    sweeper: Sweeper
    leases: Leases
    clock: Callable[[], datetime]


class Nobody:
    """A publisher for when no browser can be there."""

    def publish(self, changes: Sequence[Change], touched: Sequence[Touched]) -> None:
        """Nobody looks."""


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
    """Open the database (migrating it first), load the fleet and run the engine until the block ends.

    `publisher` makes the feed for the loaded fleet. `alone` False: a running hub owns the clock (the command line), so
    nothing is swept here. At the end what was handed in is flushed, then the database closed. Raises a StoreError when
    the database cannot be opened.
    """
    store = await open_store(settings.database_url, Owner.here() if alone else None)
    try:
        fleet = await load_fleet(store, base_of(asdict(settings)))
        commit, lane = GroupCommit(store), SamplesLane(store)
        announce = Announcer(fleet, commit, lane, publisher(fleet) if publisher else Nobody())
        observer = Observer(fleet, announce, clock)
        budget = MachineBudget(
            frames_per_second=settings.device_frames_per_second,
            frames_at_once=settings.device_frames_burst,
            mib_per_day=settings.device_mib_per_day,
        )
        links = Links(fleet, announce, observer, clock, budget)
        announce.listen(links.became_true)
        announce.listen(ConfigPush(fleet, links, announce).became_true)
        tunnels = Tunnels(links.tickets)
        announce.listen(tunnels.became_true)
        leases = Leases(store, fleet, announce, clock)
        announce.listen(leases.became_true)
        tunnels.on_fault = leases.end
        sweeper = Sweeper(store, fleet, announce, links, observer, clock, leases)
        retention = Retention(store, announce, clock, timedelta(days=settings.samples_retention_days))
        announce.listen(retention.became_true)
        observer.start(was_live(fleet).__contains__)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(commit.run)
            tasks.start_soon(lane.run)
            if alone:
                await leases.after_start()
                tasks.start_soon(sweeper.run)
                tasks.start_soon(tunnels.run)
                tasks.start_soon(retention.run)
            try:
                yield Engine(store, fleet, announce, links, tunnels, observer, sweeper, leases, clock)
            finally:
                await _flush(commit, lane)
                tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()


async def _flush(commit: GroupCommit, lane: SamplesLane) -> None:
    with anyio.move_on_after(FLUSH_S, shield=True) as time_is_up:
        await lane.flush()
        await commit.flush()
    if time_is_up.cancelled_caught:
        logger.warning("not everything could be recorded before the end: the database is away")
