"""One hub life: the parts come up, are known to the web as `app.state.hub`, and go down. Wiring, nothing else."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.applications import Starlette

from db.errors import StoreError
from db.ownership import InUse, Owner, own_folder
from hub.engine import Engine, open_engine, utc_now
from hub.handlers import HANDLERS
from hub.kernel.context import HubContext
from hub.kernel.feed import Feed
from hub.kernel.objects.store import open_objects
from hub.links.links import Links, end_stale_watches
from hub.model.fleet import Fleet
from hub.model.watching import Watching
from hub.remote.machine_pages.open_pages import OpenPages
from hub.remote.recordings.service import RecordingKeeper, Recordings
from hub.remote.terminal.terminal import Terminals
from hub.server.loop_lag import LoopLag
from hub.settings import Settings
from hub.web.auth.budgets import ReadBudget
from hub.web.auth.gate import Gate
from hub.web.http.download_slots import Exports, HistoryReads, Playbacks
from hub.web.shell.fleet_digest import FleetDigest
from hub.web.shell.fresh_secrets import FreshSecrets
from protocol.version import PRODUCT_VERSION


class StartFailedError(Exception):
    """The hub cannot come up, in one sentence for a person. `in_use`: another hub has what it needs."""

    def __init__(self, sentence: str, *, in_use: bool = False) -> None:
        super().__init__(sentence)
        self.in_use = in_use


@asynccontextmanager
async def hub_life(app: Starlette, settings: Settings) -> AsyncIterator[None]:
    """Everything between the first query and the last. Raises StartFailedError when the database cannot be had.

    A part that fails ends the whole block with its exception: a hub that lost its recorder must not go on smiling.
    """
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
            engine.announce.listen(context[Gate].became_true)
            engine.announce.listen(context[Gate].people.became_true)
            engine.announce.listen(context[Terminals].became_true)
            app.state.loop_lag = lag = LoopLag()
            own.start_soon(lag.run)
            own.start_soon(end_stale_watches, context.watching, context.fleet, context[Links])
            own.start_soon(RecordingKeeper(context[Recordings], settings.recording_retention_days).run)
            own.start_soon(context[Terminals].run)
            own.start_soon(context[Gate].strangers.run)
            own.start_soon(context[Gate].unstored.run, engine.announce)
            yield
            own.cancel_scope.cancel()
    except (StoreError, OSError) as error:
        if up:
            raise
        if isinstance(error, InUse):
            raise StartFailedError(f"The hub cannot start: {error}.", in_use=True) from error
        raise StartFailedError(f"The database cannot be opened: {error}") from error


def _context(settings: Settings, engine: Engine, feed: Feed, epoch: str) -> HubContext:
    recordings = Recordings(
        engine.store, engine.announce, open_objects(settings), settings.data_dir / "recordings", engine.clock,
        with_input=settings.record_input, mib_per_machine=settings.recordings_mib_per_machine,
    )  # fmt: skip
    context = HubContext(
        settings=settings,
        store=engine.store,
        fleet=engine.fleet,
        announce=engine.announce,
        feed=feed,
        watching=Watching(),
        clock=engine.clock,
        epoch=epoch,
        version=PRODUCT_VERSION,
    )
    context.add(engine.links, engine.tunnels, engine.leases)
    context.add(recordings, Terminals(engine.fleet, engine.tunnels, recordings), OpenPages())
    context.add(Gate(), ReadBudget(), FreshSecrets(), FleetDigest(engine.fleet, feed))
    context.add(HANDLERS, Exports(), HistoryReads(), Playbacks())
    return context
