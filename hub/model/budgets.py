"""Limits what a machine's key may make the hub do and keep, by link and REST together; and token buckets.

Beyond a budget the link is read slower and REST answers 429; nothing acknowledged is lost. Excess reported events
are counted, one line of the audit log a minute. `now` (`at` where `now` is an aware instant) is monotonic seconds,
`rate` tokens a second."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from hub.model import actors
from hub.model.changes import EventHappened
from protocol.limits import MAX_MESSAGE_BYTES, SAMPLES_AT_ONCE, SAMPLES_PER_S

K = TypeVar("K", bound=Hashable)


class TokenBucket:
    """Starts full. Only `spend` can leave it below zero."""

    __slots__ = ("_at", "_left", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = float(burst)
        self._left = self.burst
        self._at = now

    def available(self, now: float) -> float:
        return min(self.burst, self._left + max(0.0, now - self._at) * self.rate)

    def wait(self, now: float, amount: float = 1.0) -> float:
        """Seconds until `amount` is there; infinite when it never will be."""
        missing = amount - self.available(now)
        if missing <= 0:
            return 0.0
        return missing / self.rate if self.rate and amount <= self.burst else math.inf

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Take tokens if they are there. False: nothing was taken."""
        left = self.available(now)
        if left < amount:
            return False
        self._left, self._at = left - amount, now
        return True

    def spend(self, now: float, amount: float = 1.0) -> float:
        # `available`, written out: this runs for every sample, several times.
        left, passed = self._left, now - self._at
        if passed > 0.0:
            left += passed * self.rate
            if left > self.burst:
                left = self.burst
        self._left, self._at = left - amount, now
        return self._left

    def is_full(self, now: float) -> bool:
        return self.available(now) >= self.burst


class TokenBuckets(Generic[K]):
    """A token bucket for each key. Full ones are dropped; beyond `most` keys the one unused for longest is."""

    def __init__(self, rate: float, burst: float, most: int) -> None:
        self.rate = rate
        self.burst = float(burst)
        self.most = most
        # Bound: `most`, the one unused for longest goes first.
        self._buckets: OrderedDict[K, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, key: K, now: float, amount: float = 1.0) -> float:
        return self._buckets.get(key, TokenBucket(self.rate, self.burst, now)).wait(now, amount)

    def take(self, key: K, now: float, amount: float = 1.0) -> float:
        """Take tokens if they are there. 0: taken; else the seconds until they could be."""
        bucket = self._bucket(key, now)
        return 0.0 if bucket.take(now, amount) else bucket.wait(now, amount)

    def spend(self, key: K, now: float, amount: float = 1.0) -> float:
        """Take tokens whether they are there or not; returns what is left, below zero a debt."""
        bucket = self._buckets.get(key)
        if bucket is None:
            return self._bucket(key, now).spend(now, amount)
        self._buckets.move_to_end(key)
        return bucket.spend(now, amount)

    def _bucket(self, key: K, now: float) -> TokenBucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = TokenBucket(self.rate, self.burst, now)
            self._make_room(now)
            self._buckets[key] = bucket
        self._buckets.move_to_end(key)
        return bucket

    def give_back(self, key: K, now: float, amount: float = 1.0) -> None:
        bucket = self._buckets.get(key)
        if bucket is not None:
            bucket.spend(now, -amount)

    def _make_room(self, now: float) -> None:
        while self._buckets and next(iter(self._buckets.values())).is_full(now):
            self._buckets.popitem(last=False)
        if len(self._buckets) >= self.most:
            self._buckets.popitem(last=False)


LINES_AT_ONCE: Final = 300
LINES_PER_MINUTE: Final = 60
"""Nobody may shorten the audit log."""
UPDATE_LINES: Final = 0.2
"""A command's progress is one row written again, and a change for every browser."""
BOOTS_AT_ONCE: Final = 20
BOOTS_PER_MINUTE: Final = 6
"""An agent that restarts every ten seconds."""
LINKS_AT_ONCE: Final = 60
LINKS_PER_MINUTE: Final = 30
REFUSALS_AT_ONCE: Final = 20
REFUSALS_PER_S: Final = 5
"""Beyond this a refusal is answered late."""
REFUSED_WITHIN_S: Final = 30.0
ROW_BYTES: Final = 200
"""With its index, on SQLite and PostgreSQL."""
LINE_BYTES: Final = 400
MIB: Final = 1024 * 1024
DAY_S: Final = 86400.0
MOST_REMEMBERED: Final = 100_000


class Cost(NamedTuple):
    """What something costs a machine's budget. `frames`, `samples` and `refusals` are work that is done; the others are
    kept in the database or in memory."""

    frames: float = 0.0
    samples: float = 0.0
    lines: float = 0.0
    boots: float = 0.0
    links: float = 0.0
    stored_bytes: float = 0.0
    refusals: float = 0.0


FRAME: Final = Cost(frames=1)
LINK: Final = Cost(links=1)


def frames_of(size: int) -> float:
    """How many frames a body of REST counts for: one, more if it is larger than a frame may be."""
    return max(1.0, size / MAX_MESSAGE_BYTES)


def line(size: int, lines: float = 1.0) -> Cost:
    """The cost of a line of the audit log (or a part of one) with `size` bytes of the machine's own."""
    return Cost(lines=lines, stored_bytes=LINE_BYTES + size)


class MachineBudget:
    def __init__(
        self, *, frames_per_second: float = 20.0, frames_at_once: float = 100, mib_per_day: float = 64
    ) -> None:
        free = not frames_per_second
        per_day = mib_per_day * MIB

        def speed(rate: float, burst: float) -> TokenBuckets[int]:
            return TokenBuckets(0, math.inf, MOST_REMEMBERED) if free else TokenBuckets(rate, burst, MOST_REMEMBERED)

        self._stored = TokenBuckets[int](per_day / DAY_S, per_day, MOST_REMEMBERED)
        self._buckets = (
            speed(frames_per_second, frames_at_once),
            speed(SAMPLES_PER_S, SAMPLES_AT_ONCE),
            TokenBuckets[int](LINES_PER_MINUTE / 60, LINES_AT_ONCE, MOST_REMEMBERED),
            TokenBuckets[int](BOOTS_PER_MINUTE / 60, BOOTS_AT_ONCE, MOST_REMEMBERED),
            speed(LINKS_PER_MINUTE / 60, LINKS_AT_ONCE),
            self._stored,
            TokenBuckets[int](REFUSALS_PER_S, REFUSALS_AT_ONCE, MOST_REMEMBERED),
        )
        self._slowing = (*self._buckets[:2], self._stored)
        self._used_up: set[int] = set()  # Bound: one a machine, until its share is half full again
        self._paid_boots: dict[int, str] = {}  # Bound: one a machine
        self._due: set[int] = set()  # Bound: one a machine, until `due`

    def take(self, rvm_id: int, now: float, cost: Cost) -> float:
        """Charge the cost if every bucket has it. 0: charged; else the seconds until it could be. What exceeds a
        bucket's burst takes the whole bucket, and leaves a debt."""
        wait = 0.0
        for buckets, amount in zip(self._buckets, cost, strict=True):
            if amount and (missing := buckets.wait(rvm_id, now, min(amount, buckets.burst))):
                wait = max(wait, missing)
                if buckets is self._stored:
                    self._is_used_up(rvm_id)
        if not wait:
            self.spend(rvm_id, now, cost)
        return wait

    def spend(self, rvm_id: int, now: float, cost: Cost) -> float:
        """Charge the cost of what has happened already; returns the seconds until there is no debt."""
        wait = 0.0
        for buckets, amount in zip(self._buckets, cost, strict=True):
            if amount and (left := buckets.spend(rvm_id, now, amount)) < 0:
                wait = max(wait, -left / buckets.rate)
                if buckets is self._stored:
                    self._is_used_up(rvm_id)
        return wait

    def of_boot(self, rvm_id: int, boot_id: str, known: Collection[str]) -> Cost:
        """The cost of a link in this boot: a new boot is charged once, however often its link ends before it is
        stored."""
        return Cost(boots=boot_id not in known and self._paid_boots.get(rvm_id) != boot_id)

    def paid_boot(self, rvm_id: int, boot_id: str) -> None:
        self._paid_boots[rvm_id] = boot_id

    def debt(self, rvm_id: int, now: float) -> float:
        """Seconds until there is no debt that slows a link."""
        return max(buckets.wait(rvm_id, now, 0.0) for buckets in self._slowing)

    def refused(self, rvm_id: int, now: float) -> float:
        """Charge a refusal; returns the seconds until it should be answered, 0 for an occasional one."""
        return min(self.spend(rvm_id, now, Cost(refusals=1)), REFUSED_WITHIN_S)

    def due(self, monotonic: float, now: datetime) -> list[EventHappened]:
        """An event for each machine that has used up its share of the disk: once, until the share is half full
        again."""
        half = self._stored.burst / 2
        self._used_up = {rvm_id for rvm_id in self._used_up if self._stored.wait(rvm_id, monotonic, half)}
        due, self._due = self._due, set()
        params = {"mib_per_day": round(self._stored.burst / MIB)}
        return [
            EventHappened(
                at=now, code="machine.share_used_up", actor=actors.machine(rvm_id), rvm_id=rvm_id, params=params
            )
            for rvm_id in sorted(due)
        ]

    def _is_used_up(self, rvm_id: int) -> None:
        if rvm_id not in self._used_up:
            self._used_up.add(rvm_id)
            self._due.add(rvm_id)


EVENTS_AT_ONCE: Final = 300
EVENTS_PER_MINUTE: Final = 60
WINDOW_S: Final = 60.0
MAX_PARAMS_BYTES: Final = 2048

_encode = msgspec.json.Encoder().encode


def too_large(params: dict[str, Any]) -> bool:
    return len(_encode(params)) > MAX_PARAMS_BYTES


@dataclass(slots=True)
class _Budget:
    bucket: TokenBucket
    dropped: int = 0
    since: datetime | None = None
    until: datetime | None = None
    due_at: float = 0.0


class ReportedEvents:
    def __init__(self) -> None:
        self._budgets: dict[int, _Budget] = {}  # Bound: one a machine that reported lately; a full one is dropped

    def __len__(self) -> int:
        return len(self._budgets)

    def take(self, rvm_id: int, at: float, now: datetime) -> bool:
        """Whether the machine's event is recorded. False: it is counted among the dropped ones instead."""
        budget = self._budgets.get(rvm_id)
        if budget is None:
            budget = self._budgets[rvm_id] = _Budget(TokenBucket(EVENTS_PER_MINUTE / 60, EVENTS_AT_ONCE, at))
        if budget.bucket.take(at):
            return True
        if not budget.dropped:
            budget.since, budget.due_at = now, at + WINDOW_S
        budget.dropped += 1
        budget.until = now
        return False

    def due(self, at: float, now: datetime) -> list[EventHappened]:
        lines = []
        for rvm_id, budget in list(self._budgets.items()):
            if budget.dropped and budget.due_at <= at:
                lines.append(_line(rvm_id, budget, now))
                budget.dropped = 0
            if not budget.dropped and budget.bucket.is_full(at):
                del self._budgets[rvm_id]
        return lines


def _line(rvm_id: int, budget: _Budget, now: datetime) -> EventHappened:
    since, until = budget.since or now, budget.until or now
    return EventHappened(
        at=now, code="machine.events_dropped", actor=actors.machine(rvm_id), rvm_id=rvm_id,
        params={"count": budget.dropped, "since": since.isoformat(), "until": until.isoformat()},
    )  # fmt: skip
