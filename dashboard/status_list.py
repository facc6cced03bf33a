"""The history of a machine's status: an entry a spell, newest first. Pure. Rows of the same status, reason and
author are one spell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Spell:
    """`ended` None: the current spell; `planned`: its `until`; `covered`: the status below a special one."""

    status: str
    since: int
    ended: int | None
    by: str
    reason: str | None
    planned: int | None
    covered: str | None


Row = Mapping[str, Any]
"""status, special_status, since, by, reason, until; instants in ms."""


def spells(rows: Iterable[Row], ended: int | None = None) -> list[Spell]:
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
    found = spells(rows, ended)
    if len(found) > size:
        return found[:size], found[size - 1].since
    return found, found[-1].since if more and found else None


def _same(newer: Spell, older: Spell) -> bool:
    return (newer.status, newer.by, newer.reason, newer.planned, newer.covered) == (
        older.status, older.by, older.reason, older.planned, older.covered,
    )  # fmt: skip
