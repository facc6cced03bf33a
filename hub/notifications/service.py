"""Sends what the rules decide: decides again whenever something changed, keeps the outbox, runs one process a message.

A row is committed before anything is sent, and marked after. Nobody waits for a destination: each has at most one
message on its way, those that fail share one place."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import anyio

import hub.notifications as sender
from dashboard import notifications as sentences
from dashboard.outage import Outage
from dashboard.reader import Reader
from db.errors import Conflict, StoreError
from db.notification_records import DestinationRow, NotificationRow
from db.queries import notifications as stored
from db.queries import users
from hub.kernel.context import HubContext
from hub.kernel.retry import RetryUntilAvailable
from hub.kernel.sealing import Seal
from hub.model.changes import Change, Patch
from hub.model.views import epoch_ms
from hub.notifications import rules
from hub.notifications.rules import AskedAccess, Lost, SendOutcome, Situation, Trouble, WatchedMachine
from hub.settings import Settings
from hub.web.shell.fleet_digest import FleetDigest, HubTrouble

logger = logging.getLogger("myrvm.notifications")

EVERY_S: Final = 5.0
"""So often without news: what time alone makes due."""
SOON_S: Final = 1.0
"""After news: many Changes are one look."""
DEADLINE_S: Final = 30.0
"""Of one message, the start of its process included."""
PLACES: Final = 3
PLACES_FAILING: Final = 1
"""Processes at once: for destinations that work, and for those that failed the last time."""
MOST_ANSWER: Final = 4096
KEY_FILE: Final = "notifications.key"
PASSED_ON: Final = ("PATH", "LANG", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy",
                    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")  # fmt: skip
"""Of the hub's environment, which may hold secrets."""
FAILING_AFTER: Final = timedelta(minutes=5)
"""Sooner it may be over before anybody has looked."""


class Notifier:
    def __init__(self, context: HubContext) -> None:
        self.seal = Seal(context.settings.data_dir / KEY_FILE)
        self._context = context
        self._settings = context.settings
        self._store = context.store
        self._announce = context.announce
        self._clock = context.clock
        self._news = asyncio.Event()
        self._retry = RetryUntilAvailable("notifications", StoreError)
        self._under_way: set[int] = set()  # Bound: PLACES and PLACES_FAILING
        self._failing_under_way: set[int] = set()  # Bound: PLACES_FAILING
        self.failing: tuple[DestinationRow, ...] = ()
        self.tests = 0
        """On their way now."""

    def on_commit(self, _changes: Sequence[Change]) -> None:
        self._news.set()

    async def run(self) -> None:
        await self._retry(self._after_start)
        async with anyio.create_task_group() as tasks:
            while True:
                await self._retry(lambda: self._turn(tasks))
                with anyio.move_on_after(EVERY_S):
                    await self._news.wait()
                    await anyio.sleep(SOON_S)
                self._news.clear()

    async def _after_start(self) -> None:
        """What was on its way when the last hub ended: whether it arrived is not known, so it is sent once more."""
        for row in await stored.live(self._store):
            if row.state == "sending":
                await self._announce(Patch(NotificationRow, row.id, {"state": "waiting"}))

    async def _turn(self, tasks: anyio.abc.TaskGroup) -> None:
        """Raises StoreError."""
        destinations = await stored.all_destinations(self._store)
        self.failing = tuple(one for one in destinations if one.failing_since is not None and one.disabled_at is None)
        if not destinations:
            return
        await self._decide(destinations)
        now = self._clock()
        rows, sent = await stored.live(self._store), await stored.sent_after(self._store, now - rules.HOUR)
        for to in destinations:
            own = [(kind, at) for number, kind, at in sent if number == to.id]
            step = rules.next_step(to, [row for row in rows if row.destination_id == to.id], own, now)
            if step is not None and step.row is None:
                await self._commit(rules.summary(to, step.summarised, now))
                self._news.set()
            elif step is not None and step.row is not None and self._take_place(to):
                tasks.start_soon(self._send_one, to, step.row)

    async def _decide(self, destinations: Iterable[DestinationRow]) -> None:
        found, rows = await _situation(self._context), await stored.live(self._store)
        for to in destinations:
            own = [row for row in rows if row.destination_id == to.id]
            await self._commit(rules.decide(to, own, found, self._clock()))

    async def _commit(self, changes: Sequence[Change]) -> None:
        """Another turn decides anew when somebody was faster: a destination was removed."""
        if changes:
            try:
                await self._announce(*changes)
            except Conflict as late:
                logger.debug("decided anew: %s", late)

    def _take_place(self, to: DestinationRow) -> bool:
        failing = to.failing_since is not None
        healthy = len(self._under_way) - len(self._failing_under_way)
        full = len(self._failing_under_way) >= PLACES_FAILING if failing else healthy >= PLACES
        if full or to.id in self._under_way:
            return False
        self._under_way.add(to.id)
        if failing:
            self._failing_under_way.add(to.id)
        return True

    async def _send_one(self, to: DestinationRow, row: NotificationRow) -> None:
        try:
            if await self._retry(lambda: self._begin(row)):
                outcome = await self.send(to, row.kind, row.rvm_id, row.params)
                # Sent and not noted would be sent again after a restart: it is tried until the database takes it.
                await self._retry(lambda: self._note(to, row, outcome))
        finally:
            self._under_way.discard(to.id)
            self._failing_under_way.discard(to.id)
            self._news.set()

    async def _begin(self, row: NotificationRow) -> bool:
        """False: it changed meanwhile, which no retry can help."""
        try:
            await self._announce(rules.begins(row))
        except Conflict as late:
            # Nobody else begins it: it is our own attempt, which took too long to be answered and was stored.
            if any(one.id == row.id and one.state == "sending" for one in await stored.live(self._store)):
                return True
            logger.debug("not sent, it changed meanwhile: %s", late)
            return False
        return True

    async def _note(self, to: DestinationRow, row: NotificationRow, outcome: SendOutcome) -> None:
        await self._announce(*rules.settled(to, row, outcome, self._clock()))

    async def send(self, to: DestinationRow, kind: str, rvm_id: int | None, params: dict[str, Any]) -> SendOutcome:
        return await send(self.seal, self._settings, self._clock(), to, kind, rvm_id, params)

    def troubles(self, now: datetime) -> tuple[HubTrouble, ...]:
        """For administrators: destinations that nothing reaches."""
        return tuple(
            HubTrouble("notifications", one.name, epoch_ms(since), str(one.id), is_urgent=True)
            for one in self.failing
            if (since := one.failing_since) is not None and now - since >= FAILING_AFTER
        )


async def send(
    seal: Seal, settings: Settings, now: datetime, to: DestinationRow, kind: str, rvm_id: int | None,
    params: dict[str, Any],
) -> SendOutcome:  # fmt: skip
    """Wait at most DEADLINE_S for one message; never raises because of the far side."""
    address = await seal.open(to.address)
    if address is None:
        return SendOutcome("sealed")
    reader = Reader(to.language, "auto", to.timezone, epoch_ms(now))
    written = sentences.message(reader, kind, rvm_id, params, settings.public_address)
    wanted = {
        "scheme": rules.scheme_of(address), "url": address, "title": written.title, "body": written.body,
        "kind": written.look, "loopback": settings.notify_loopback,
    }  # fmt: skip
    try:
        outcome = await _in_a_process(wanted)
    except OSError as error:  # no more processes, files or memory: it may work later
        logger.warning("no process for a message: %s", error)
        return SendOutcome("unknown")
    if outcome.code:
        logger.info("destination %d (%s): %s %s", to.id, to.place, outcome.code, outcome.status or "")
    return outcome


async def _situation(context: HubContext) -> Situation:
    """As everybody sees it together; whoever is on a trouble, or snoozed it, did it for all."""
    now, machines = context.clock(), tuple(context.fleet.machines.values())
    known = {
        one.id: WatchedMachine(
            one.row.name, one.row.device_id, one.row.location_description or "", frozenset(one.row.tags or ()),
            one.connection in ("live", "late"),
        )
        for one in machines
    }  # fmt: skip
    rows = [row for machine in machines for row in machine.troubles.values()]
    here = await _people(context) if any(row.owner_id for row in rows) else frozenset()
    troubles = [
        Trouble(
            str(row.id), row.rvm_id, row.cause, row.value, row.began_at, row.noticed_at,
            (row.owner or "") if row.owner_id in here else "",
            row.snoozed_until is not None and row.snoozed_until > now,
        )
        for row in rows
    ]  # fmt: skip
    outages = (await context[FleetDigest].of(None, epoch_ms(now))).outages
    asked = [
        AskedAccess(session.id, machine.id, session.admin_name or "", session.reason or "", session.start_time)
        for machine in machines
        for session in machine.remote_sessions.values()
        if session.status == "requested"
    ]
    return Situation(troubles, [_lost(one) for one in outages], asked, known)


async def _people(context: HubContext) -> frozenset[int]:
    """Who can be on a trouble: of somebody who was disabled or removed nobody is to wait for."""
    return frozenset(user.id for user in await users.all_users(context.store) if user.disabled_at is None)


def _lost(one: Outage) -> Lost:
    return Lost(one.ids, one.total, one.site, datetime.fromtimestamp(one.since / 1000, timezone.utc))


async def _in_a_process(wanted: dict[str, Any]) -> SendOutcome:
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(sender.__file__), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL, env=environment, start_new_session=True, limit=MOST_ANSWER,
    )  # fmt: skip
    try:
        with anyio.fail_after(DEADLINE_S):
            answer, _ = await process.communicate(json.dumps(wanted).encode())
    except TimeoutError:
        return SendOutcome("timeout")
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            with anyio.CancelScope(shield=True):
                await process.wait()
    return _read(answer)


def _read(answer: bytes) -> SendOutcome:
    try:
        found = json.loads(answer[:MOST_ANSWER])
        if found["ok"]:
            return SendOutcome("")
        pause = found.get("retry_after")
        seconds = float(pause) if isinstance(pause, str) and pause.isascii() and pause.isdigit() else None
        return SendOutcome(str(found["code"]), found.get("status"), seconds)
    except (ValueError, KeyError, TypeError):
        return SendOutcome("unknown")  # killed by a limit, or broken
