"""Names who did it in one small text (rows, events, the feed); reads row ids out of addresses and forms."""

from __future__ import annotations

from typing import Final

Actor = str
"""`user:12`, `machine:7`, `clock`, `system` (the hub's own command line), `enrolment` (a machine with a one-time
code)."""

ENROLMENT: Actor = "enrolment"
CLOCK: Actor = "clock"
SYSTEM: Actor = "system"


def user(user_id: int) -> Actor:
    return f"user:{user_id}"


def user_of(actor: Actor) -> int | None:
    kind, _, number = actor.partition(":")
    return row_id(number) if kind == "user" else None


def asks(actor: Actor) -> bool:
    """Machines and the clock only relay what holds already."""
    return actor != CLOCK and not actor.startswith("machine:")


def machine(rvm_id: int) -> Actor:
    return f"machine:{rvm_id}"


MAX_ROW_ID: Final = 2**31 - 1


def whole_number(text: str, most: int) -> int | None:
    """ASCII digits, 0 to `most`; None for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
        return None
    number = int(text)
    return number if number <= most else None


def row_id(text: str) -> int | None:
    return whole_number(text, MAX_ROW_ID)
