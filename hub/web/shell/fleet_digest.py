"""Counts a fleet for the Machines page and every page's frame, in slices."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime, timezone
from time import monotonic, perf_counter
from typing import Any, Final, NamedTuple, TypeVar

from dashboard import fleet, remote_sessions
from dashboard.outage import Outage, at_once, gone_of, outages
from dashboard.reader import Reader
from dashboard.trouble import MachineTrouble, causes, ordered, other_at, snoozed, trouble, worst
from hub.kernel.context import HubContext
from hub.kernel.feed import Feed
from hub.model import views
from hub.model.access import Principal, may
from hub.model.fleet import Fleet
from hub.model.machine import Machine
from hub.model.views import machine_delta
from hub.server.tls import HubTls

MEMBERS: Final = (
    "name", "device_id", "location_description", "tags", "status_reason", "effective_status", "capacity",
    "status_since", "connection", "connection_since", "connection_reason", "last_seen_at", "health_reasons", "readings",
    "quarantined_until", "clock_offset_s", "backup", "created_at", "lasting", "error_since", "config_refused",
    "config_applied_at", "zone_wrong", "board_other_at", "board_question", "certificate", "disk_worn", "latitude",
    "longitude", "troubles",
)  # fmt: skip
SLICE_S: Final = 0.001
FRESH_S: Final = 1.0
CLASSES: Final = 32
AGAIN_MS: Final = 60_000

T = TypeVar("T")


class HubTrouble(NamedTuple):
    """Of the hub's certificates: as hub.server.tls.TlsWarning; or of a destination that nothing reaches, by its name.
    `since`: ms."""

    code: str
    part: str
    since: int
    renew: str
    is_urgent: bool


class Digest(NamedTuple):
    """Machines that need somebody, worst first; counts by state; `calm`: how the others are; `until`: epoch ms when
    time changes them; `causes`: everything that is wrong, by machine; `snoozed`: what somebody left out of the count,
    of `resting` machines that have nothing else; `of_hub`: what an administrator does for the hub itself."""

    troubles: list[MachineTrouble]
    outages: list[Outage]
    counts: dict[str, int]
    calm: dict[str, int]
    until: int | None
    causes: dict[int, list[MachineTrouble]]
    snoozed: list[MachineTrouble]
    resting: int
    of_hub: tuple[HubTrouble, ...] = ()

    @property
    def alarms(self) -> int:
        return len(self.troubles) + len(self.of_hub)


class FleetDigest:
    def __init__(self, machines: Fleet, feed: Feed) -> None:
        self._fleet = machines
        self._feed = feed
        self._views: dict[int, dict[str, Any]] = {}  # Bound: one a machine
        # Bound: CLASSES, the one unused for longest goes first.
        self._made: OrderedDict[frozenset[int] | None, tuple[int, float, Digest]] = OrderedDict()
        # Bound: parts of the hub, wired at the start
        self.of_hub: list[Callable[[datetime], Iterable[HubTrouble]]] = []
        self._turn = asyncio.Lock()
        self._revision = 0

    async def views(self, machines: frozenset[int] | None) -> list[dict[str, Any]]:
        """Of these (None: all), with MEMBERS; not to be changed."""
        async with self._turn:
            stale = self._feed.take_changed() | (self._fleet.machines.keys() - self._views.keys())
            async for rvm_id in in_slices(stale):
                machine = self._fleet.machines.get(rvm_id)
                if machine is not None:
                    before, view = self._views.get(rvm_id), machine_delta(machine, MEMBERS)
                    self._views[rvm_id] = view
                    self._revision += before is None or _other(before, view)
            for rvm_id in self._views.keys() - self._fleet.machines.keys():
                del self._views[rvm_id]
        return [view for rvm_id, view in self._views.items() if machines is None or rvm_id in machines]

    async def of(self, machines: frozenset[int] | None, now_ms: int) -> Digest:
        """At most FRESH_S old; troubles are current."""
        views = await self.views(machines)
        revision, made = self._feed.revision + self._revision, self._made.get(machines)
        if made is not None and made[0] == revision and monotonic() - made[1] < FRESH_S:
            return made[2]
        found: dict[int, list[MachineTrouble]] = {}
        quiet: dict[int, frozenset[str]] = {}
        gone_now, begun = [], monotonic()
        sites: Counter[str] = Counter()
        counts, calm, until = fleet.counters(()), dict.fromkeys(fleet.CALM, 0), None
        async for view in in_slices(views):
            fleet.count(counts, view)
            sites[view["location_description"] or ""] += 1
            if (away := gone_of(view, now_ms)) is not None:
                gone_now.append(away)
            if of_machine := causes(view, now_ms):
                found[view["id"]] = of_machine
            else:
                calm[fleet.calm_as(view)] += 1
            if view["troubles"] and (left_out := snoozed(view, now_ms)):
                quiet[view["id"]] = left_out
            if (at := _next_change(view, now_ms)) is not None:
                until = at if until is None else min(until, at)
        lost = outages(gone_now, sites)
        early = at_once(lost, found)
        calm["away"] -= len(early)
        found |= {one.id: [one] for one in early}
        awake = {
            rvm_id: left
            for rvm_id, all_of in found.items()
            if (left := [one for one in all_of if one.cause not in quiet.get(rvm_id, ())])
        }
        asleep = [one for rvm_id in quiet for one in found.get(rvm_id, ()) if one.cause in quiet[rvm_id]]
        digest = Digest(
            ordered(map(worst, awake.values()), now_ms), lost, counts, calm, until, found, ordered(asleep, now_ms),
            len(found) - len(awake),
        )  # fmt: skip
        self._made[machines] = (revision, begun, digest)
        self._made.move_to_end(machines)
        if len(self._made) > CLASSES:
            self._made.popitem(last=False)
        return digest


async def attention(context: HubContext, person: Principal, now_ms: int) -> Digest:
    """What needs this person: list, badge and title count it. With who waits for their approval."""
    digest = await context[FleetDigest].of(person.machines, now_ms)
    if person.role == "admin":
        digest = _with_hub(digest, context, now_ms)
    waiting = [one for machine in context.fleet.machines.values() for one in to_approve(machine, person)]
    return digest._replace(troubles=ordered([*digest.troubles, *waiting], now_ms)) if waiting else digest


def _with_hub(digest: Digest, context: HubContext, now_ms: int) -> Digest:
    """The hub looks at its files without news of the feed: what is shown of them is asked for again."""
    now, tls = datetime.fromtimestamp(now_ms / 1000, timezone.utc), context[HubTls]
    found = tuple(
        HubTrouble(one.code, one.part, views.epoch_ms(one.since), one.renew, one.is_urgent) for one in tls.warnings(now)
    )
    found += tuple(one for part in context[FleetDigest].of_hub for one in part(now))
    changes = tls.next_change(now)
    moments = [digest.until, now_ms + AGAIN_MS if found else None, None if changes is None else views.epoch_ms(changes)]
    return digest._replace(of_hub=found, until=min((at for at in moments if at is not None), default=None))


def to_approve(machine: Machine, person: Principal) -> list[MachineTrouble]:
    """Nobody approves what they asked for."""
    since = [
        session.start_time
        for session in machine.remote_sessions.values()
        if session.status == "requested" and session.admin_id != person.id
    ]
    if not since or not may(person, "remote.approve", machine.id):
        return []
    return [MachineTrouble(machine.id, "approval", None, views.epoch_ms(min(since)))]


def _next_change(view: dict[str, Any], now: int) -> int | None:
    """When time alone changes the trouble, or ends a snooze."""
    ends = [one["snoozed_until"] for one in view["troubles"] if (one["snoozed_until"] or 0) > now]
    changes = other_at(view, now)
    return min([*ends, *([] if changes is None else [changes])], default=None)


def _other(before: dict[str, Any], view: dict[str, Any]) -> bool:
    now = view["last_seen_at"] or 0
    return getattr(trouble(before, now), "cause", None) != getattr(trouble(view, now), "cause", None)


async def in_slices(things: Iterable[T]) -> AsyncIterator[T]:
    began = perf_counter()
    for thing in things:
        yield thing
        if perf_counter() - began > SLICE_S:
            await asyncio.sleep(0)
            began = perf_counter()


class OwnSession(NamedTuple):
    rvm_id: int
    machine: str
    status: str
    expires_at: int
    left: str


def own_session(context: HubContext, person: Principal, reader: Reader) -> OwnSession | None:
    found = []
    for machine in context.fleet.machines.values():
        for session in machine.remote_sessions.values():
            if session.admin_id == person.id:
                ends = views.epoch_ms(session.expires_at or session.start_time) or 0
                left = remote_sessions.left(reader, {"status": session.status, "expires_at": ends})
                found.append(OwnSession(machine.id, machine.row.name, session.status, ends, left))
    return min(found, key=lambda own: own.expires_at or math.inf, default=None)
