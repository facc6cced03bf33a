"""The history of a machine's status as a list: one entry for each time it was something, newest first. Pure.

A row of the history is a whole declaration, so that a fuller bin alone makes a new one; entries put together what says
the same status, for the same reason, by the same hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Spell:
    """`ended` is None for what holds now, `planned` when it was to end by itself; `covered` is the status that a
    special one lay over."""

    status: str
    since: int
    ended: int | None
    by: str
    reason: str | None
    planned: int | None
    covered: str | None


Row = Mapping[str, Any]
"""status, special_status, since, by, reason, until; instants in epoch ms."""


def spells(rows: Iterable[Row], ended: int | None = None) -> list[Spell]:
    """`rows` newest first; `ended` is when the newest of them was over (None: it holds)."""
    found: list[Spell] = []
    for row in rows:
        spell = Spell(
            status=row["special_status"] or row["status"],
            since=row["since"],
            ended=ended,
            by=row["by"],
            reason=row["reason"],
            planned=row["until"],
            covered=row["status"] if row["special_status"] and row["special_status"] != row["status"] else None,
        )
        if found and _same(found[-1], spell):
            spell = replace(spell, ended=found.pop().ended)
        found.append(spell)
        ended = spell.since
    return found


def page(rows: Sequence[Row], size: int, ended: int | None, *, more: bool) -> tuple[list[Spell], int | None]:
    """At most `size` entries, and the instant before which older ones are found (None: there are none)."""
    found = spells(rows, ended)
    if len(found) > size:
        return found[:size], found[size - 1].since
    return found, found[-1].since if more and found else None


def _same(newer: Spell, older: Spell) -> bool:
    return (newer.status, newer.by, newer.reason, newer.planned, newer.covered) == (
        older.status, older.by, older.reason, older.planned, older.covered,
    )  # fmt: skip
