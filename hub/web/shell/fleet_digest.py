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
from dashboard.outage import Gone, Outage, at_once, gone_of, outages
from dashboard.reader import Reader
from dashboard.trouble import MachineTrouble, causes, ordered, other_at, snoozed, turning_points, worst
from hub.kernel.context import HubContext
from hub.kernel.feed import Feed
from hub.model import views
from hub.model.access import Principal, may
from hub.model.fleet import Fleet
from hub.model.machine import Machine
from hub.model.views import machine_delta
from hub.server.tls import HubTls

MEMBERS: Final = (
    "name", "device_id", "location_description", "tags", "status_reason", "status", "effective_status", "capacity",
    "status_since", "connection", "connection_since", "connection_reason", "last_seen_at", "health_reasons", "readings",
    "quarantined_until", "clock_offset_s", "backup", "created_at", "lasting", "error_since", "config_refused",
    "config_applied_at", "zone_wrong", "board_other_at", "board_question", "certificate", "disk_worn", "latitude",
    "longitude", "troubles",
)  # fmt: skip
SLICE_S: Final = 0.001
FRESH_S: Final = 1.0
NOISE: Final = frozenset({"readings", "last_seen_at"})
"""Move with every sample; of a machine that is there and well nothing follows from them."""
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


class _Judged(NamedTuple):
    """What follows from one machine's view. `until`: epoch ms when time changes what is worst, or a snooze ends."""

    causes: list[MachineTrouble]
    gone: Gone | None
    snoozed: frozenset[str]
    until: int | None
    counted: tuple[str, str, str]

    @property
    def kind(self) -> tuple[Any, ...]:
        """Without the values, which move with readings."""
        return ([(one.cause, one.since) for one in self.causes], *self[1:])


class _Span(NamedTuple):
    """Epoch ms between which time alone changes nothing of what was judged."""

    start: int
    end: float


class FleetDigest:
    """Judges a machine when it changed or time may change it, not each time somebody asks."""

    def __init__(self, machines: Fleet, feed: Feed) -> None:
        self._fleet = machines
        self._feed = feed
        self._views: dict[int, dict[str, Any]] = {}  # Bound: one a machine
        self._judged: dict[int, _Judged] = {}  # Bound: one a machine
        self._spans: dict[int, _Span] = {}  # Bound: one a machine; none: its view changed since
        # Bound: CLASSES, the one unused for longest goes first.
        self._made: OrderedDict[frozenset[int] | None, tuple[int, int, float, Digest]] = OrderedDict()
        # Bound: parts of the hub, wired at the start
        self.of_hub: list[Callable[[datetime], Iterable[HubTrouble]]] = []
        self._turn = asyncio.Lock()
        self._revision = 0
        self._values_revision = 0

    @property
    def news(self) -> int:
        """Rises when more than readings may differ, of machines or of what people did about them."""
        return self._feed.revision

    async def views(self, machines: frozenset[int] | None) -> list[dict[str, Any]]:
        """Of these (None: all), with MEMBERS; not to be changed."""
        async with self._turn:
            await self._read()
        return [view for rvm_id, view in self._views.items() if machines is None or rvm_id in machines]

    async def _read(self) -> None:
        stale = self._feed.take_changed() | (self._fleet.machines.keys() - self._views.keys())
        async for rvm_id in in_slices(stale):
            machine = self._fleet.machines.get(rvm_id)
            if machine is not None:
                before, self._views[rvm_id] = self._views.get(rvm_id), machine_delta(machine, MEMBERS)
                if before is None or not self._still_well(rvm_id, before):
                    self._spans.pop(rvm_id, None)
        for rvm_id in self._views.keys() - self._fleet.machines.keys():
            del self._views[rvm_id]
            self._judged.pop(rvm_id, None)
            self._spans.pop(rvm_id, None)
            self._revision += 1

    def _still_well(self, rvm_id: int, before: dict[str, Any]) -> bool:
        """It was there and well, and no more than readings differ."""
        judged, view = self._judged.get(rvm_id), self._views[rvm_id]
        if judged is None or judged.causes or view["connection"] == "offline":
            return False
        return all(before[name] == value for name, value in view.items() if name not in NOISE)

    async def _judge(self, now_ms: int) -> None:
        spans = self._spans
        due = [rvm_id for rvm_id in self._views if (at := spans.get(rvm_id)) is None or not at.start <= now_ms < at.end]
        async for rvm_id in in_slices(due):
            before, view = self._judged.get(rvm_id), self._views[rvm_id]
            judged = self._judged[rvm_id] = _judged(view, now_ms)
            self._spans[rvm_id] = _span(view, now_ms)
            if judged != before:
                self._values_revision += 1
                self._revision += before is None or judged.kind != before.kind

    async def of(self, machines: frozenset[int] | None, now_ms: int) -> Digest:
        """Troubles are current, their values at most FRESH_S old. The same object while nothing changed."""
        async with self._turn:
            await self._read()
            await self._judge(now_ms)
            known = (self._revision, self._values_revision)
            reach = [rvm_id for rvm_id in self._judged if machines is None or rvm_id in machines]
            judged = [(rvm_id, self._judged[rvm_id], self._views[rvm_id]) for rvm_id in reach]
        revision, values, begun, digest = self._made.get(machines, (-1, -1, 0.0, None))
        if digest is not None and revision == known[0] and (values == known[1] or monotonic() - begun < FRESH_S):
            return digest
        begun, digest = monotonic(), await _digest(judged, now_ms)
        self._made[machines] = (*known, begun, digest)
        self._made.move_to_end(machines)
        if len(self._made) > CLASSES:
            self._made.popitem(last=False)
        return digest


def _judged(view: dict[str, Any], now_ms: int) -> _Judged:
    counted = (view["effective_status"], view["connection"], view["location_description"] or "")
    found = causes(view, now_ms)
    return _Judged(found, gone_of(view, now_ms), snoozed(view, now_ms), _next_change(view, now_ms), counted)


def _span(view: dict[str, Any], now_ms: int) -> _Span:
    ends = [*turning_points(view), *(one["snoozed_until"] or 0 for one in view["troubles"])]
    return _Span(now_ms, min((at for at in ends if at > now_ms), default=math.inf))


async def _digest(judged: list[tuple[int, _Judged, dict[str, Any]]], now_ms: int) -> Digest:
    found: dict[int, list[MachineTrouble]] = {}
    quiet: dict[int, frozenset[str]] = {}
    gone_now: list[Gone] = []
    sites: Counter[str] = Counter()
    counts, calm, until = fleet.counters(()), dict.fromkeys(fleet.CALM, 0), None
    async for rvm_id, of_machine, view in in_slices(judged):
        fleet.count(counts, view)
        sites[of_machine.counted[2]] += 1
        if of_machine.gone is not None:
            gone_now.append(of_machine.gone)
        if of_machine.causes:
            found[rvm_id] = of_machine.causes
        else:
            calm[fleet.calm_as(view)] += 1
        if of_machine.snoozed:
            quiet[rvm_id] = of_machine.snoozed
        if of_machine.until is not None:
            until = of_machine.until if until is None else min(until, of_machine.until)
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
    return Digest(
        ordered(map(worst, awake.values()), now_ms), lost, counts, calm, until, found, ordered(asleep, now_ms),
        len(found) - len(awake),
    )  # fmt: skip


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
