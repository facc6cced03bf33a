"""How each Change is written: one entry of a table for every kind.

A recipe is the steps of one Change, and how many results they give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from db.engine import row_writes
from db.engine.statements import Statement, Step, Write, WriteResult
from db.queries import (
    backups,
    boots,
    commands,
    credentials,
    enrolments,
    notifications,
    remote_sessions,
    samples,
    statuses,
    timezones,
    troubles,
)
from db.records import OPEN
from hub.model import changes as c
from hub.model.machine import BOOTS_KEPT


class Recipe(NamedTuple):
    """The steps that write one Change. `results`: how many WriteResults they give (one made later may give several)."""

    steps: tuple[Step, ...]
    results: int


_NOTHING = Recipe((), 0)


def recipe_of(change: c.Change) -> Recipe:
    """Raises KeyError for an unknown kind of Change: it must not pass as recorded."""
    return _RECIPES[type(change)](change)


def all_stored(pairs: Iterable[tuple[c.Change, Recipe]], results: Iterable[WriteResult]) -> list[c.Change]:
    """The Changes of one call as the database has them; takes each one's results from the front."""
    given = iter(results)
    found = [stored(change, list(islice(given, recipe.results))) for change, recipe in pairs]
    return [change for change in found if change is not None]


def stored(change: c.Change, results: Sequence[WriteResult]) -> c.Change | None:
    """The Change with the ids that the database gave; `results` are those of its own recipe. None: nothing was
    written."""
    fill = _FILLERS.get(type(change))
    return change if fill is None else fill(change, results)


def _flat(*steps: Step) -> Recipe:
    return Recipe(steps, len(steps))


def _put(change: c.Put[Any]) -> Recipe:
    row, along = change.row, change.along
    insert = row_writes.insert(row, over=change.over, once=change.once, must=change.must)
    if not along:
        return _flat(insert)

    def belonging(results: Sequence[WriteResult]) -> Sequence[Statement]:
        return [row_writes.insert(one) for one in row_writes.belonging(along, row, results[-1])]

    return Recipe((insert, belonging), 1 + len(along))


def _put_stored(change: c.Put[Any], results: Sequence[WriteResult]) -> c.Put[Any] | None:
    row = row_writes.as_stored(change.row, results[0])
    return None if row is None else msgspec.structs.replace(change, row=row)


def _patch(change: c.Patch) -> Recipe:
    return _flat(
        row_writes.update(
            change.of, change.key, change.values, change.where, while_open=change.while_open, must=change.must
        )
    )


def _move(change: c.Move[Any]) -> Recipe:
    row, of = change.row, type(change.row)
    values = {name: getattr(row, name) for name in change.members}
    return _flat(row_writes.update(of, row_writes.key_of(row), values, while_open=True, must=OPEN[of].column))


def _drop(change: c.Drop) -> Recipe:
    return _flat(row_writes.delete(change.of, change.key, change.where, must=change.must))


def _expired(change: c.RowsExpired) -> Recipe:
    if change.kind in EXPIRED:
        return _flat(EXPIRED[change.kind](change.before, change.most))
    delete = EXPIRED_OF_MACHINE[change.kind]
    return _flat(*(delete(rvm_id, change.before, change.most) for rvm_id in change.rvm_ids))


EXPIRED: Final[Mapping[str, Callable[[datetime, int], Write]]] = {
    "sessions": credentials.delete_expired_sessions,
    "sign_in_links": credentials.delete_expired_links,
    "sign_in_failures": credentials.delete_failures_before,
    "timezone_sync_logs": timezones.delete_logs_before,
    "commands": commands.delete_commands_before,
    "remote_access_sessions": remote_sessions.delete_sessions_before,
    "tokens": credentials.delete_tokens_before,
    "enrolment_codes": enrolments.delete_codes_before,
    "enrolments": enrolments.delete_enrolments_before,
    "backup_logs": backups.delete_backups_before,
    "backup_restores": backups.delete_restores_before,
    "troubles": troubles.delete_troubles_before,
    "notifications": notifications.delete_notifications_before,
}
EXPIRED_OF_MACHINE: Final[Mapping[str, Callable[[int, datetime, int], Write]]] = {
    "system_metrics": samples.delete_samples_before,
    "samples of removed machines": lambda rvm_id, _before, most: samples.delete_samples(rvm_id, most),
    "status_history": statuses.delete_statuses_before,
    "machine_boots": partial(boots.delete_boots_before, kept=BOOTS_KEPT),
}
"""Deletions by `RowsExpired.kind`; the second ones, of large tables, go machine by machine."""
_RECIPES: Mapping[type, Callable[[Any], Recipe]] = {
    c.Put: _put,
    c.Patch: _patch,
    c.Move: _move,
    c.Drop: _drop,
    c.Observed: lambda _: _NOTHING,
    c.SampleSeen: lambda _: _NOTHING,
    c.EventHappened: lambda event: _flat(row_writes.insert(event, once=event.boot_id is not None)),
    c.RowsExpired: _expired,
}
_FILLERS: Mapping[type, Callable[[Any, Sequence[WriteResult]], c.Change | None]] = {
    c.Put: _put_stored,
    c.EventHappened: lambda event, results: row_writes.as_stored(event, results[0]),
    c.RowsExpired: lambda change, results: msgspec.structs.replace(change, deleted=tuple(r.rowcount for r in results)),
}
