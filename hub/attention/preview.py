"""Works out what the causes of trouble watch and how often they began; and how often one would have begun with another
limit, from the samples that are kept. Nothing is stored."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final, NamedTuple

import anyio

from certs import expiry
from dashboard import outage
from dashboard import trouble as known
from db.columns import to_microseconds
from db.errors import Unavailable
from db.queries import samples, troubles
from hub.attention import rules
from hub.attention.rules import GROUPS, LIMITED, PastTroubles
from hub.kernel.context import HubContext
from hub.model.access import Principal
from hub.model.effective_settings import Limits
from hub.model.machine import Machine
from hub.model.views import epoch_ms
from hub.web.http.download_slots import PreviewReads
from hub.web.shell.fleet_digest import attention
from protocol import configuration

OUTAGE: Final = "outage"
"""Many machines at once: one line in place of each machine's own."""
UNRECORDED: Final = frozenset({OUTAGE, "approval"})
"""Of these no log of troubles is kept."""
CAUSES: Final = tuple(
    (kind, cause) for kind, causes in GROUPS.items() for cause in (*causes, *([OUTAGE] if kind == "away" else ()))
)
SETTINGS: Final = {
    **{cause: setting for cause, (_, setting) in LIMITED.items() if setting is not None},
    **dict.fromkeys(("backup_late", "backup_unverified"), "backup_interval"),
    "approval": "remote_access_approval",
    "board_waits": "new_board_approval",
}
"""The machine's setting that each goes by."""
FIXED: Final[dict[str, tuple[float, str]]] = {
    "offline": (known.OFFLINE_ALARM_MS / 1000, "s"),
    "not_back": (known.EXPECTED_BACK_MS / 1000, "s"),
    OUTAGE: (outage.MANY, "machines"),
    "nearly_full": (known.NEARLY_FULL, "%"),
    "disk": (Limits().disk_usage, "%"),
    "worn": (known.WORN, "%"),
    "clock": (known.CLOCK_OFF_S, "s"),
    "certificate_soon": (expiry.SOON.total_seconds(), "s"),
    "certificate_very_soon": (expiry.VERY_SOON.total_seconds(), "s"),
}
"""Limits that nobody can set, with their unit."""
MOST_TROUBLES: Final = 20_000
"""Of the log of one week; of more the newest."""


class Rule(NamedTuple):
    """`limit`: that most machines go by, None where there is none; `setting` None: nobody can set it. `own`: machines
    with a value of their own. `past` None: no log is kept."""

    kind: str
    cause: str
    limit: float | bool | None
    unit: str
    setting: str | None
    own: int
    open: int
    past: PastTroubles | None


class Listed(NamedTuple):
    """`whole`: the log of this week was read to its beginning."""

    rules: list[Rule]
    whole: bool


async def all_rules(context: HubContext, reader: Principal, now: datetime) -> Listed:
    machines = [one for one in context.fleet.machines.values() if reader.reaches(one.id)]
    log = await troubles.noticed_since(context.store, now - rules.WEEK, reader.machines, MOST_TROUBLES)
    past, going_on = rules.past_of(log), Counter(cause for one in machines for cause in one.troubles)
    found = await attention(context, reader, epoch_ms(now))
    going_on[OUTAGE] = len(found.outages)
    going_on["approval"] = sum(one.cause == "approval" for one in found.troubles)
    own = Counter(key for one in machines for key in set(SETTINGS.values()) if has_own(one, key))
    shared = context.fleet.settings.shared.values
    made = [
        Rule(
            kind, cause, *_limit(cause, shared), SETTINGS.get(cause), own[SETTINGS.get(cause, "")], going_on[cause],
            None if cause in UNRECORDED else past.get(cause, PastTroubles()),
        )
        for kind, cause in CAUSES
    ]  # fmt: skip
    return Listed(made, len(log) < MOST_TROUBLES)


def _limit(cause: str, shared: Any) -> tuple[float | bool | None, str]:
    setting = SETTINGS.get(cause)
    if setting is None:
        return FIXED.get(cause, (None, ""))
    return shared[setting], configuration.SETTINGS[setting].unit


def has_own(machine: Machine, key: str) -> bool:
    """Whether what the fleet's settings say of it is not what this machine goes by."""
    return key in machine.desired_settings.values or key in machine.reported_settings.above


# --- another limit ----------------------------------------------------------------------------------------------------

WITHIN_S: Final = 5.0
"""Of one preview; what was not read by then is said."""
SAMPLES_AT_ONCE: Final = 100_000
"""Of one read: 50 machines with a sample each 5 minutes."""
LEAD: Final = timedelta(hours=2)
"""Read before the week, to know what began earlier and goes on."""


class Fired(NamedTuple):
    """How often, on how many machines."""

    times: int
    machines: int


@dataclass
class RuleForecast:
    """`with_limit`: as it would have been; `as_now`: with the limits of now, from the same samples. `read` of `total`
    machines in time. `began`: as recorded."""

    cause: str
    limit: float
    now_limit: float
    with_limit: Fired
    as_now: Fired
    read: int
    total: int
    own: int
    began: int


async def preview(
    context: HubContext, reader: Principal, cause: str, limit: float, now: datetime,
    monotonic: Callable[[], float] = time.monotonic,
) -> RuleForecast:  # fmt: skip
    """With this limit for all machines that have none of their own. Raises Problem (429): one a caller."""
    reading, setting = LIMITED[cause]
    machines = [one for one in context.fleet.machines.values() if reader.reaches(one.id)]
    log = await troubles.noticed_since(context.store, now - rules.WEEK, reader.machines, MOST_TROUBLES)
    context[PreviewReads].begin(reader.actor)
    try:
        read = _Judging(context, reading, setting, now, monotonic)
        await read.all_of(machines, limit)
    finally:
        context[PreviewReads].end(reader.actor)
    return RuleForecast(
        cause, limit, float(getattr(context.fleet.settings.shared.limits, reading)), read.fired(read.with_limit),
        read.fired(read.as_now), read.count, len(machines), sum(_is_own(one, setting) for one in machines),
        rules.past_of(log).get(cause, PastTroubles()).began,
    )  # fmt: skip


Held = dict[int, list[rules.Tally | None]]
"""By machine: with the limits of now, and with the other one; None where it never was beyond."""


def _is_own(machine: Machine, setting: str | None) -> bool:
    return setting is not None and has_own(machine, setting)


class _Judging:
    def __init__(
        self, context: HubContext, reading: str, setting: str | None, now: datetime, monotonic: Callable[[], float]
    ) -> None:
        self._context, self._reading, self._setting = context, reading, setting
        self._now, self._since = now, now - rules.WEEK
        self._until, self._monotonic = monotonic() + WITHIN_S, monotonic
        self.with_limit: dict[int, int] = {}  # Bound: one a machine of the fleet, for one preview
        self.as_now: dict[int, int] = {}  # Bound: likewise
        self.count = 0

    async def all_of(self, machines: Iterable[Machine], limit: float) -> None:
        """Those that go by the same limits together, until the time is over."""
        try:
            for (is_own, now_limit), same in groupby(sorted(machines, key=self._alike), self._alike):
                limits = (now_limit, now_limit if is_own else limit)
                for some in self._by_settings(list(same)):
                    if not await self._add(some, limits):
                        return
        except Unavailable:
            if not self.count:
                raise  # else one read was slower than the store waits: what was read is said

    def _alike(self, one: Machine) -> tuple[bool, float]:
        return _is_own(one, self._setting), float(getattr(one.effective_settings.limits, self._reading))

    @staticmethod
    def _by_settings(machines: Sequence[Machine]) -> Iterable[Sequence[int]]:
        """As many together as have so many samples in the week, by their settings."""
        least = min((one.effective_settings.metrics_interval for one in machines), default=1.0)
        step = max(1, int(SAMPLES_AT_ONCE * max(1.0, least) / rules.WEEK.total_seconds()))
        return ([one.id for one in machines[at : at + step]] for at in range(0, len(machines), step))

    async def _add(self, ids: Sequence[int], limits: tuple[float, float]) -> bool:
        """False: the time is over. Machines that never were beyond are read no further."""
        if self._is_over():
            return False
        found = await samples.highest(self._context.store, ids, self._reading, self._since - LEAD, self._now)
        beyond = {rvm_id: one for rvm_id, one in found.items() if one.highest >= min(limits)}
        self.count += len(ids) - len(beyond)
        for some, parts in pieces({rvm_id: one.number for rvm_id, one in beyond.items()}, SAMPLES_AT_ONCE):
            tops = {rvm_id: beyond[rvm_id].highest for rvm_id in some}
            held: Held = {
                rvm_id: [rules.NO_TALLY if top >= limit else None for limit in limits] for rvm_id, top in tops.items()
            }
            if not await self._judge(held, limits, parts):
                return False
            self.count += len(some)
        return True

    async def _judge(self, held: Held, limits: tuple[float, float], parts: int) -> bool:
        ids = list(held)
        step = (rules.WEEK + LEAD) / parts
        for at in (self._since - LEAD + part * step for part in range(parts)):
            if self._is_over():
                return False
            found = await samples.sides(self._context.store, ids, self._reading, limits, at, min(at + step, self._now))
            # In a thread: others have their turn meanwhile.
            held |= await anyio.to_thread.run_sync(self._judged, held, found)
        for rvm_id, made in held.items():
            self.as_now[rvm_id], self.with_limit[rvm_id] = (0 if each is None else each.times for each in made)
        return True

    def _judged(self, held: Held, found: Mapping[int, str]) -> Held:
        since, made = to_microseconds(self._since), Held()
        for rvm_id, codes in found.items():
            sides = samples.read_sides(codes, len(held[rvm_id]))
            made[rvm_id] = [
                None if before is None else rules.beginnings(self._reading, side, since, before)
                for before, side in zip(held[rvm_id], sides, strict=True)
            ]
        return made

    def _is_over(self) -> bool:
        return self._monotonic() >= self._until

    @staticmethod
    def fired(found: dict[int, int]) -> Fired:
        return Fired(sum(found.values()), sum(times > 0 for times in found.values()))


def pieces(counts: Mapping[int, int], most: int) -> Iterator[tuple[list[int], int]]:
    """Machines that together have at most so many samples; one with more alone, with the parts it is read in."""
    some: list[int] = []
    together = 0
    for rvm_id, count in counts.items():
        if some and together + count > most:
            yield some, 1
            some, together = [], 0
        if count > most:
            yield [rvm_id], -(-count // most)
            continue
        some.append(rvm_id)
        together += count
    if some:
        yield some, 1
