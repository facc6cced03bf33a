"""Who did it: one small text that names a person, a machine or the clock everywhere (rows, events, the feed)."""

from __future__ import annotations

from hub.model.row_id import row_id

Actor = str
"""`user:12`, `machine:7`, `clock`, `system` (the command line on the hub's own host)."""

CLOCK: Actor = "clock"
SYSTEM: Actor = "system"


def user(user_id: int) -> Actor:
    return f"user:{user_id}"


def user_of(actor: Actor) -> int | None:
    """The id of the person it names; None for everybody else."""
    kind, _, number = actor.partition(":")
    return row_id(number) if kind == "user" else None


def asks(actor: Actor) -> bool:
    """Whether it wants something of a machine; a machine and the clock only pass on what holds already."""
    return actor != CLOCK and not actor.startswith("machine:")


def machine(rvm_id: int) -> Actor:
    return f"machine:{rvm_id}"
