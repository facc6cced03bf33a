"""The budget of a machine's key: what it may make the hub do and keep, by its link and by REST together.

Counted in what it costs, not in messages: frames, samples, lines of the audit log, boots, links, bytes on disk. Each
has a burst, for a machine that was away, and so much a second. Beyond it the link is read more slowly and REST answers
429; nothing that was acknowledged is lost. Values only: `now` is monotonic seconds.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple

from hub.model import actors
from hub.model.changes import EventHappened
from hub.model.token_bucket import TokenBuckets
from protocol.limits import MAX_MESSAGE_BYTES, SAMPLES_AT_ONCE, SAMPLES_PER_S

LINES_AT_ONCE: Final = 300
LINES_PER_MINUTE: Final = 60
"""Nobody may shorten the audit log."""
UPDATE_LINES: Final = 0.2
"""How a command goes is a row that is written again, and a change for every browser: a fifth of a line."""
BOOTS_AT_ONCE: Final = 20
BOOTS_PER_MINUTE: Final = 6
"""A machine that restarts its agent every ten seconds, for ever."""
LINKS_AT_ONCE: Final = 60
LINKS_PER_MINUTE: Final = 30
REFUSALS_AT_ONCE: Final = 20
REFUSALS_PER_S: Final = 5
"""A refusal costs the hub as much as what it refuses: beyond this it is answered late (`MachineBudget.refused`)."""
REFUSED_WITHIN_S: Final = 30.0
ROW_BYTES: Final = 200
"""A sample in the database with its index, on SQLite and PostgreSQL."""
LINE_BYTES: Final = 400
"""A line of the audit log beside what the machine words itself."""
MIB: Final = 1024 * 1024
DAY_S: Final = 86400.0
MOST_REMEMBERED: Final = 100_000
"""More machines than a hub has: none gets its burst back by being forgotten."""


class Cost(NamedTuple):
    """What one message or request makes the hub do (`frames`, `samples`, `refusals`) and keep (the others)."""

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
    """A body of `size` bytes, in frames of the link: one, and more only if it is larger than a frame may be."""
    return max(1.0, size / MAX_MESSAGE_BYTES)


def line(size: int, lines: float = 1.0) -> Cost:
    """A line of the audit log, or a part of one, of `size` bytes of the machine's own words."""
    return Cost(lines=lines, stored_bytes=LINE_BYTES + size)


class MachineBudget:
    """What is left to each machine, by its id. `frames_per_second` 0: frames, samples and links are not limited."""

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
        # Bound: one a machine, until its share is half full again.
        self._used_up: set[int] = set()
        # Bound: one a machine.
        self._paid_boots: dict[int, str] = {}
        # Bound: one a machine, until `due`.
        self._untold: set[int] = set()

    def take(self, rvm_id: int, now: float, cost: Cost) -> float:
        """0: `cost` is taken. Else the seconds until it could be, and nothing was. What costs more than a burst takes
        a whole one, and leaves a debt."""
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
        """Take `cost` for what has happened already; the seconds until there is no debt."""
        wait = 0.0
        for buckets, amount in zip(self._buckets, cost, strict=True):
            if amount and (left := buckets.spend(rvm_id, now, amount)) < 0:
                wait = max(wait, -left / buckets.rate)
                if buckets is self._stored:
                    self._is_used_up(rvm_id)
        return wait

    def of_boot(self, rvm_id: int, boot_id: str, known: Collection[str]) -> Cost:
        """What a hello in that boot costs: a new one is paid once, however often its link ends before it is stored."""
        return Cost(boots=boot_id not in known and self._paid_boots.get(rvm_id) != boot_id)

    def paid_boot(self, rvm_id: int, boot_id: str) -> None:
        self._paid_boots[rvm_id] = boot_id

    def debt(self, rvm_id: int, now: float) -> float:
        """Seconds until there is no debt of what a link is slowed for; a new link does not end it."""
        return max(buckets.wait(rvm_id, now, 0.0) for buckets in self._slowing)

    def refused(self, rvm_id: int, now: float) -> float:
        """A refusal is due: seconds until it should be answered, 0 for one now and then. What does not wait for an
        answer has to come by more and more connections."""
        return min(self.spend(rvm_id, now, Cost(refusals=1)), REFUSED_WITHIN_S)

    def due(self, monotonic: float, now: datetime) -> list[EventHappened]:
        """One line for each machine that has used its share of the disk up since it was last half full."""
        half = self._stored.burst / 2
        self._used_up = {rvm_id for rvm_id in self._used_up if self._stored.wait(rvm_id, monotonic, half)}
        untold, self._untold = self._untold, set()
        params = {"mib_per_day": round(self._stored.burst / MIB)}
        return [
            EventHappened(
                at=now, code="machine.share_used_up", actor=actors.machine(rvm_id), rvm_id=rvm_id, params=params
            )
            for rvm_id in sorted(untold)
        ]

    def _is_used_up(self, rvm_id: int) -> None:
        if rvm_id not in self._used_up:
            self._used_up.add(rvm_id)
            self._untold.add(rvm_id)
