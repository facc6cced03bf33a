"""Two holders of one key: when a takeover comes too soon, when a fight is a quarantine, and how that begins and ends.

A takeover is contested when the link that was replaced was alive to the end (its peer answered the close). One machine
whose network flaps leaves dead links behind: they answer nothing, so it is never quarantined. Pure: `now` is monotonic
seconds where it is a float.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hub.model import actors
from hub.model.changes import Change, EventHappened, QuarantineChanged
from hub.model.machine import Machine
from protocol.limits import CONTESTED_TAKEOVERS, TAKEOVER_WINDOW_S

APART_S = 1.0
"""A link is replaced at most this often (reliability.md, bar 31)."""
QUARANTINE = timedelta(seconds=300)
SLACK = timedelta(seconds=2)
"""A clock that is kept in step goes back by this much, and nothing needs to be written."""
MOST_ADDRESSES = 10


@dataclass(slots=True)
class Takeovers:
    """What is remembered of one machine: when its link was last replaced, the fights within the window as (monotonic
    instant, address of the older link, address of the newer), and until when a single one is enough, because a
    quarantine has just ended by time alone."""

    last: float = float("-inf")
    # Bound: those within TAKEOVER_WINDOW_S, at most one a second.
    fights: deque[tuple[float, str, str]] = field(default_factory=deque)
    suspect_until: float = float("-inf")


def too_soon(seen: Takeovers, now: float) -> float | None:
    """Seconds until a link may be replaced again; None when it may now."""
    wait = seen.last + APART_S - now
    return wait if wait > 0 else None


def contested(seen: Takeovers, older: str, newer: str, now: float) -> bool:
    """Note a fight; True when it is one too many."""
    seen.fights.append((now, older, newer))
    while seen.fights and seen.fights[0][0] < now - TAKEOVER_WINDOW_S:
        seen.fights.popleft()
    return now < seen.suspect_until or len(seen.fights) >= CONTESTED_TAKEOVERS


def stale(seen: Takeovers, now: float) -> bool:
    """Whether there is nothing in it any more that could matter."""
    newest = max(seen.last, seen.fights[-1][0] if seen.fights else seen.last)
    return newest < now - TAKEOVER_WINDOW_S and seen.suspect_until <= now


def held_for(machine: Machine, now: datetime) -> float | None:
    """Seconds that a machine is still in quarantine; None when it is not. Never more than one lasts."""
    until = machine.quarantined_until
    return None if until is None or until <= now else min(until - now, QUARANTINE).total_seconds()


def too_far(machine: Machine, now: datetime) -> list[Change]:
    """A quarantine that would last longer than one does, because the hub's clock was set back: it ends in time by the
    clock as it is now. [] for all others; that they began a little later than now is no reason to write."""
    until = machine.quarantined_until
    if until is None or until - now <= QUARANTINE + SLACK:
        return []
    return [QuarantineChanged(rvm_id=machine.id, until=now + QUARANTINE, at=now)]


def quarantine(machine: Machine, seen: Takeovers, now: datetime) -> list[Change]:
    """Nobody with this key gets in for a while; the record names where the holders came from."""
    addresses = list(dict.fromkeys(address for _, *pair in seen.fights for address in pair))
    until = now + QUARANTINE
    params = {"takeovers": len(seen.fights), "addresses": addresses[:MOST_ADDRESSES], "until": until.isoformat()}
    event = EventHappened(
        at=now, code="machine.quarantined", actor=actors.CLOCK, rvm_id=machine.id, params=params,
        before={"quarantined": False}, after={"quarantined": True},
    )  # fmt: skip
    return [QuarantineChanged(rvm_id=machine.id, until=until, at=now), event]


def release(machine: Machine, actor: actors.Actor, now: datetime) -> list[Change]:
    """End a quarantine; [] when there is none."""
    if machine.quarantined_until is None:
        return []
    event = EventHappened(
        at=now, code="machine.released", actor=actor, rvm_id=machine.id, before={"quarantined": True},
        after={"quarantined": False},
    )  # fmt: skip
    return [QuarantineChanged(rvm_id=machine.id, until=None, at=now), event]
