"""Decides what is recorded of a machine's troubles: one row a cause, from its beginning to its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from db.trouble_records import TroubleRow
from hub.model.changes import Change, Patch, Put


class CauseNow(NamedTuple):
    """A cause that holds now. `since` None: nobody knows; it is noticed now."""

    cause: str
    since: datetime | None
    value: float | None


def recorded(
    rvm_id: int, holding: Mapping[str, CauseNow], known: Mapping[str, TroubleRow], now: datetime, kept: frozenset[str]
) -> list[Change]:
    """`known`: those recorded as open. `kept`: causes that nobody can judge now: not over because they are not seen."""
    began: list[Change] = [
        Put(_row(rvm_id, one, now)) for cause, one in holding.items() if cause not in known
    ]  # fmt: skip
    return began + [over(row, now) for cause, row in known.items() if cause not in holding and cause not in kept]


def _row(rvm_id: int, one: CauseNow, now: datetime) -> TroubleRow:
    began_at = now if one.since is None else min(one.since, now)
    return TroubleRow(rvm_id=rvm_id, cause=one.cause, value=one.value, began_at=began_at, noticed_at=now)


def over(row: TroubleRow, now: datetime) -> Patch:
    """Who is on it and the note stay with the row: they are what was done about it."""
    return Patch(TroubleRow, row.id, {"ended_at": max(now, row.began_at)}, where=while_open(row))


def while_open(row: TroubleRow) -> tuple[tuple[str, str, object], ...]:
    return (("rvm_id", "=", row.rvm_id), ("ended_at", "=", None))
