"""Who did it: one small text that names a person, a machine or the clock everywhere (rows, events, the feed)."""

from __future__ import annotations

Actor = str
"""`user:12`, `machine:7`, `clock`, `system` (the command line on the hub's own host)."""

CLOCK: Actor = "clock"
SYSTEM: Actor = "system"


def user(user_id: int) -> Actor:
    return f"user:{user_id}"


def machine(rvm_id: int) -> Actor:
    return f"machine:{rvm_id}"
