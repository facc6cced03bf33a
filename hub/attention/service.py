"""Records when troubles begin and when they are over, as the list of what needs attention has them.

The rows are the truth for whoever acts on them (`db.queries.troubles`, `Announcer.listen` about TroubleRow): a hub that
was killed goes on with those that stand, and begins none anew."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

import anyio

from dashboard.trouble import OF_CONNECTED, MachineTrouble
from db.engine.store import Store
from db.queries import users
from db.queries.users import UserWithMachines
from db.records import MachineRow
from db.trouble_records import TroubleRow
from hub.attention import rules
from hub.attention.rules import CauseNow
from hub.kernel.announce import Announcer, announce_each
from hub.kernel.context import HubContext
from hub.kernel.retry import RetryUntilAvailable
from hub.model.access import ACTIONS, Principal, machines_of, may
from hub.model.changes import Change, EventHappened, Patch
from hub.model.fleet import Fleet
from hub.model.machine import Machine
from hub.model.presence import START_QUIET_S
from hub.model.views import epoch_ms
from hub.web.shell.fleet_digest import Digest, FleetDigest, in_slices

logger = logging.getLogger("myrvm.attention")

LOOK_S: Final = 0.5
MOST_ACTS: Final = 10_000
RESTARTED: Final = "hub_restarted"
"""Why a machine is away that was there when the hub's last life ended."""


class TroubleLog:
    def __init__(
        self,
        digest: FleetDigest,
        fleet: Fleet,
        announce: Announcer,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._digest = digest
        self._fleet = fleet
        self._announce = announce
        self._clock = clock
        self._monotonic = monotonic
        self._settled_at = monotonic() + START_QUIET_S
        self._recorded: tuple[Digest | None, int, bool] = (None, -1, False)
        """What had no row to write when last compared; a refused row is tried again."""

    async def run(self) -> None:
        retry = RetryUntilAvailable("troubles that begin or are over")
        while True:
            await retry(self.look)
            await anyio.sleep(LOOK_S)

    async def look(self) -> None:
        """Raises Unavailable; nothing is missed then."""
        now, news, is_settled = self._clock(), self._digest.news, self._monotonic() >= self._settled_at
        digest = await self._digest.of(None, int(now.timestamp() * 1000))
        if (digest, news, is_settled) == self._recorded:
            return
        found = digest.causes
        due = [
            machine.id
            async for machine in in_slices(list(self._fleet.machines.values()))
            if (machine.id in found or machine.troubles) and self.changes(machine, found.get(machine.id, ()), now)
        ]
        await announce_each(self._announce, due, lambda rvm_id: self._changes_of(rvm_id, found, now))
        if not due:
            self._recorded = (digest, news, is_settled)

    def changes(self, machine: Machine, found: Sequence[MachineTrouble], now: datetime) -> list[Change]:
        if machine.connection_reason == RESTARTED and self._monotonic() < self._settled_at:
            return []  # it has had no time to come back
        holding = {one.cause: CauseNow(one.cause, _instant(one.since), one.value) for one in found}
        unknown = OF_CONNECTED if machine.connection == "offline" else frozenset[str]()
        return rules.recorded(machine.id, holding, machine.troubles, now, unknown)

    def _changes_of(self, rvm_id: int, found: dict[int, Any], now: datetime) -> list[Change]:
        machine = self._fleet.machines.get(rvm_id)
        return [] if machine is None else self.changes(machine, found.get(rvm_id, ()), now)


RIGHTS_MOVED: Final = frozenset({"user.edited", "user.removed"})


class TroubleOwners:
    """Ends that somebody is on a trouble who may no longer act on it: disabled, removed, of another role, or without
    that machine. Also what happened while no hub ran, and beside it by the command line."""

    def __init__(self, store: Store, fleet: Fleet, announce: Announcer, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._fleet = fleet
        self._announce = announce
        self._clock = clock
        self._moved = asyncio.Event()
        self._moved.set()

    def on_commit(self, changes: Sequence[Change]) -> None:
        if any(map(_moves_rights, changes)):
            self._moved.set()

    async def run(self) -> None:
        retry = RetryUntilAvailable("who is on a trouble")
        while True:
            await self._moved.wait()
            self._moved.clear()
            await retry(self.look)

    async def look(self) -> None:
        """Raises Unavailable."""
        if not self._held():
            return
        people = {user.id: user for user in await users.all_users(self._store)}
        gone = [row for row in self._held() if not _may_act(people.get(row.owner_id or 0), row.rvm_id)]
        await announce_each(self._announce, gone, lambda row: rules.left(row, self._clock()))

    def _held(self) -> list[TroubleRow]:
        rows = (row for machine in self._fleet.machines.values() for row in machine.troubles.values())
        return [row for row in rows if row.owner_id is not None]


def _moves_rights(change: Change) -> bool:
    if isinstance(change, EventHappened):
        return change.code in RIGHTS_MOVED
    return isinstance(change, Patch) and change.of is MachineRow and "tags" in change.values


def _may_act(user: UserWithMachines | None, rvm_id: int) -> bool:
    if user is None or user.disabled_at is not None or user.role not in ACTIONS["trouble.act"]:
        return False
    reach = machines_of(user.role, user.machines)
    return reach is None or rvm_id in reach


class Act(NamedTuple):
    """What a person did last about a trouble, and the row before and after it. `late`: somebody else was on it first,
    nothing was done."""

    user_id: int
    at: datetime
    kind: str
    before: TroubleRow
    after: TroubleRow


class Acts:
    """The newest act on each trouble, which may be taken back."""

    def __init__(self) -> None:
        # Bound: MOST_ACTS, the oldest goes first; each is forgotten after rules.UNDO.
        self._of: OrderedDict[int, Act] = OrderedDict()

    def note(self, act: Act) -> None:
        while self._of and act.at - next(iter(self._of.values())).at > rules.UNDO:
            self._of.popitem(last=False)
        self._of.pop(act.before.id, None)
        self._of[act.before.id] = act
        if len(self._of) > MOST_ACTS:
            self._of.popitem(last=False)

    def of(self, trouble_id: int, user_id: int, now: datetime, within: timedelta = rules.UNDO) -> Act | None:
        act = self._of.get(trouble_id)
        return act if act is not None and act.user_id == user_id and now - act.at <= within else None


class TroubleShown(NamedTuple):
    """A recorded trouble for one reader; instants in epoch ms. `act`: what this person did a moment ago, which may be
    taken back; `snoozed_until`: while it lasts; `zone`: where the machine stands."""

    id: int
    rvm_id: int
    cause: str
    value: float | None
    began_at: int
    ended_at: int | None
    owner: str | None
    owner_id: int | None
    is_mine: bool
    taken_at: int | None
    snoozed_until: int | None
    snoozed_by: str | None
    note: str | None
    note_by: str | None
    zone: str
    may: bool
    act: str
    undo_until: int | None


def shown(context: HubContext, reader: Principal, row: TroubleRow, now: datetime) -> TroubleShown:
    act = context[Acts].of(row.id, reader.id, now, rules.SHOWN)
    machine = context.fleet.machines[row.rvm_id]
    is_snoozed = row.ended_at is None and row.snoozed_until is not None and row.snoozed_until > now
    return TroubleShown(
        row.id, row.rvm_id, row.cause, row.value, epoch_ms(row.began_at), _ms(row.ended_at), row.owner, row.owner_id,
        row.owner_id == reader.id, _ms(row.taken_at), _ms(row.snoozed_until) if is_snoozed else None, row.snoozed_by,
        row.note, row.note_by, machine.site_zone, may(reader, "trouble.act", row.rvm_id),
        "" if act is None or not (act.kind == "late" or rules.same(act.after, row)) else act.kind.partition(" ")[0],
        None if act is None else _ms(act.at + rules.SHOWN),
    )  # fmt: skip


def of_machine(context: HubContext, reader: Principal, machine: Machine, now: datetime) -> dict[str, TroubleShown]:
    """Those that go on, by cause."""
    return {cause: shown(context, reader, row, now) for cause, row in machine.troubles.items()}


def next_undo(troubles: Iterable[TroubleShown]) -> int | None:
    """When the first way back is no longer offered."""
    return min((one.undo_until for one in troubles if one.undo_until is not None), default=None)


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else epoch_ms(moment)


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, timezone.utc)
