"""Works out what the causes of trouble watch and how often they began; and how often one would have begun with another
limit, from the samples that are kept. Nothing is stored."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from math import inf
from operator import attrgetter
from typing import Any, Final, NamedTuple

from certs import expiry
from dashboard import outage
from dashboard import trouble as known
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
from hub.web.shell.fleet_digest import attention, in_slices
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
"""Of one read of the highest values, which leaves out machines that never were beyond."""
JUDGED_AT_ONCE: Final = 10_000
"""Of one read of what is judged."""
MOST_CROSSINGS: Final = 500
"""Of one read. Where a limit lies amid a reading's noise, every second sample is one."""
LEAD: Final = timedelta(hours=2)
"""Read before the week, to know what began earlier and goes on."""


class Fired(NamedTuple):
    """How often, on how many machines."""

    times: int
    machines: int


@dataclass
class RuleForecast:
    """`with_limit`: as it would have been; `as_now`: with the limits of now, from the same samples. `read` of `total`
    machines in time; `at_least`: of some not every sample. `began`: as recorded."""

    cause: str
    limit: float
    now_limit: float
    with_limit: Fired
    as_now: Fired
    read: int
    total: int
    own: int
    at_least: bool
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
        read.at_least, rules.past_of(log).get(cause, PastTroubles()).began,
    )  # fmt: skip


def _is_own(machine: Machine, setting: str | None) -> bool:
    return setting is not None and has_own(machine, setting)


def _pieces(machines: Sequence[Machine], samples_at_once: int) -> Iterable[Sequence[Machine]]:
    """As many together as have so many samples in the week, by their settings."""
    least = min((one.effective_settings.metrics_interval for one in machines), default=1.0)
    step = max(1, int(samples_at_once * max(1.0, least) / rules.WEEK.total_seconds()))
    return (machines[at : at + step] for at in range(0, len(machines), step))


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
        self.at_least = False

    async def all_of(self, machines: Iterable[Machine], limit: float) -> None:
        """Those that go by the same limits together, until the time is over."""
        try:
            for (is_own, now_limit), same in groupby(sorted(machines, key=self._alike), self._alike):
                limits = (now_limit, now_limit if is_own else limit)
                for some in _pieces(list(same), SAMPLES_AT_ONCE):
                    if not await self._add(some, limits):
                        return
        except Unavailable:
            if not self.count:
                raise  # else one read was slower than the store waits: what was read is said

    def _alike(self, one: Machine) -> tuple[bool, float]:
        return _is_own(one, self._setting), float(getattr(one.effective_settings.limits, self._reading))

    async def _add(self, machines: Sequence[Machine], limits: tuple[float, float]) -> bool:
        """False: the time is over."""
        if self._monotonic() >= self._until:
            return False
        ids = [one.id for one in machines]
        tops = await samples.highest(self._context.store, ids, self._reading, self._since - LEAD, self._now)
        beyond = [one for one in machines if tops.get(one.id, -inf) >= min(limits)]
        self.count += len(machines) - len(beyond)
        for some in _pieces(beyond, JUDGED_AT_ONCE):
            if self._monotonic() >= self._until:
                return False
            await self._judge([one.id for one in some], limits)
            self.count += len(some)
        return True

    async def _judge(self, ids: Sequence[int], limits: tuple[float, float]) -> None:
        wanted = sorted(ids)
        while wanted:
            found = await samples.crossings(
                self._context.store, wanted, self._reading, limits, self._since - LEAD, self._now, MOST_CROSSINGS
            )
            whole = len(found) < MOST_CROSSINGS
            groups = [(rvm_id, list(of)) for rvm_id, of in groupby(found, attrgetter("rvm_id"))]
            if not whole and len(groups) > 1:
                groups.pop()  # the last one may go on: it is read again, with those behind it
            elif not whole:
                self.at_least = True
            async for rvm_id, of in in_slices(groups):
                for place, fired in enumerate((self.as_now, self.with_limit)):
                    judged = ((one.at, one.is_over[place]) for one in of)
                    fired[rvm_id] = rules.beginnings(self._reading, judged, self._since)
            wanted = [] if whole else [rvm_id for rvm_id in wanted if rvm_id > groups[-1][0]]

    @staticmethod
    def fired(found: dict[int, int]) -> Fired:
        return Fired(sum(found.values()), sum(times > 0 for times in found.values()))
