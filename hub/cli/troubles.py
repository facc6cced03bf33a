"""`trouble list`, `show`, `take`, `release`, `snooze`, `unsnooze` and `note`.

Recorded troubles only: a hub that runs begins and ends them, and takes over within seconds what is done here."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from dashboard.reader import Reader
from dashboard.trouble import cause_name
from db.errors import Conflict
from db.queries import machines, troubles
from db.records import MachineRow
from db.trouble_records import TroubleRow
from hub.attention import rules
from hub.attention.rules import Person
from hub.cli import data, output
from hub.cli.data import OpenData, now, open_data, settings_of
from hub.cli.machines import named as machine_named
from hub.cli.output import CliError, Exit, language, sentence
from hub.cli.people import enabled_person
from hub.kernel.loading import load_fleet
from hub.model import actors
from hub.model.access import ACTIONS, machines_of
from hub.model.actors import row_id
from hub.model.changes import Change
from hub.model.effective_settings import base_of
from hub.model.views import epoch_ms
from hub.settings import Settings

Machines = Mapping[int, MachineRow]
NOBODY: Final = Person(0, "", actors.SYSTEM)
"""Whoever may use the hub's command line; nobody is on a trouble by that."""


async def show_all(wanted: argparse.Namespace) -> None:
    """Newest first."""
    async with open_data(settings_of(wanted), create=False) as opened:
        only = None if wanted.machine is None else {(await machine_named(opened, wanted.machine)).id}
        before = None if wanted.before is None else _number(wanted.before)
        rows = await troubles.page(
            opened.store, wanted.state, now(), wanted.limit + 1, only, cause=wanted.cause, before=before
        )
        known = await _machines(opened)
    more, rows = len(rows) > wanted.limit, rows[: wanted.limit]
    shown = [_shown(row, known) for row in rows]
    if wanted.json:
        output.result_json({"troubles": shown})
        return
    if not rows:
        output.hint(sentence(f"trouble.none.{wanted.state}"))
        return
    lines = [one | {"trouble": _cause(row)} for one, row in zip(shown, rows, strict=True)]
    ends = ("ended_at",) if wanted.state == "over" else ("snoozed_until",)
    output.table(lines, ("id", "machine", "trouble", "began_at", *ends, "owner", "note"))
    if more:
        output.hint(sentence("trouble.more", before=rows[-1].id))


async def show(wanted: argparse.Namespace) -> None:
    async with open_data(settings_of(wanted), create=False) as opened:
        row = await _found(opened, wanted.trouble)
        shown = _shown(row, await _machines(opened))
    lines = shown | {"cause": _cause(row)}
    text = "\n".join(f"{name:<13}  {output.clean(value)}" for name, value in lines.items() if value is not None)
    output.answer(wanted.json, shown, text)


async def take(wanted: argparse.Namespace) -> None:
    """All that are named, or none."""

    def changes(row: TroubleRow, by: Person) -> Sequence[Change]:
        if row.owner_id == by.id:
            return ()
        if row.owner_id is not None and not wanted.take_over:
            fix = sentence("trouble.held.fix")
            held = sentence("trouble.held", id=row.id, name=output.clean(row.owner))
            raise CliError(Exit.CONFLICT, "held", held, fix)
        return rules.taken(row, by, now())

    await _act(wanted, "trouble.taken", changes)


async def release(wanted: argparse.Namespace) -> None:
    """Whoever is on it."""
    await _act(
        wanted, "trouble.released", lambda row, by: () if row.owner_id is None else rules.released(row, by, now())
    )


async def snooze(wanted: argparse.Namespace) -> None:
    note = None if wanted.note is None else data.note(wanted.note)
    zones: dict[int, str] = {}
    if wanted.choice == "tomorrow":
        zones = await _site_zones(settings_of(wanted))

    def changes(row: TroubleRow, by: Person) -> Sequence[Change]:
        moment = now()
        until = rules.until_of(wanted.choice, moment, zones.get(row.rvm_id, "UTC"))
        return rules.snoozed(row, until, note, by, moment)

    await _act(wanted, "trouble.snoozed", changes)


async def unsnooze(wanted: argparse.Namespace) -> None:
    await _act(
        wanted,
        "trouble.unsnoozed",
        lambda row, by: () if row.snoozed_until is None else rules.unsnoozed(row, by, now()),
    )


async def note(wanted: argparse.Namespace) -> None:
    text = data.note(wanted.text)
    if not text:
        raise CliError(Exit.USAGE, "note_empty", sentence("trouble.note_empty"), sentence("trouble.note_empty.fix"))

    def changes(row: TroubleRow, by: Person) -> Sequence[Change]:
        if not rules.may_note(row):
            fix = sentence("trouble.not_taken.fix", id=row.id)
            raise CliError(Exit.CONFLICT, "not_taken", sentence("trouble.not_taken", id=row.id), fix)
        return () if row.note == text else rules.noted(row, text, by, now())

    await _act(wanted, "trouble.noted", changes, also_over=True)


async def _act(
    wanted: argparse.Namespace,
    done: str,
    changes: Callable[[TroubleRow, Person], Sequence[Change]],
    *,
    also_over: bool = False,
) -> None:
    """In one transaction."""
    async with open_data(settings_of(wanted), create=False) as opened:
        rows = [await _found(opened, given) for given in dict.fromkeys(wanted.troubles)]
        made: list[Change] = []
        for row in rows:
            by = NOBODY if getattr(wanted, "user", None) is None else await _person(opened, wanted.user, row)
            if row.ended_at is not None and not also_over:
                raise CliError(Exit.CONFLICT, "trouble_over", sentence("trouble.over", id=row.id))
            made += changes(row, by)
        try:
            if made:
                await opened.commit(*made)
        except Conflict as late:
            again = sentence("trouble.changed.fix")
            raise CliError(Exit.CONFLICT, "changed_meanwhile", sentence("trouble.changed"), again) from late
        rows = [await _found(opened, str(row.id)) for row in rows]
        known = await _machines(opened)
    if wanted.json:
        output.result_json({"troubles": [_shown(row, known) for row in rows]})
        return
    for row in rows:
        until = output.instant(row.snoozed_until)
        words = {"id": row.id, "machine": output.clean(_name(row, known)), "cause": _cause(row), "until": until}
        output.result(sentence(done, name=output.clean(row.owner), **words))


async def _person(opened: OpenData, email: str, row: TroubleRow) -> Person:
    """Refuses whom the dashboard would not let do it either."""
    user = await enabled_person(opened, data.email(email))
    reach = machines_of(user.role, user.machines)
    if user.role not in ACTIONS["trouble.act"] or (reach is not None and row.rvm_id not in reach):
        refused = sentence("trouble.not_theirs", email=user.email, id=row.id)
        raise CliError(Exit.NOT_ALLOWED, "not_theirs", refused, sentence("trouble.not_theirs.fix"))
    return Person(user.id, user.name, actors.SYSTEM)


async def _found(opened: OpenData, given: str) -> TroubleRow:
    row = await troubles.find(opened.store, _number(given))
    if row is None:
        raise _missing(given)
    return row


def _number(given: str) -> int:
    number = row_id(given)
    if number is None:
        raise _missing(given)
    return number


def _missing(given: str) -> CliError:
    missing = sentence("trouble.missing", id=output.clean(given))
    return CliError(Exit.NOT_FOUND, "no_such_trouble", missing, sentence("trouble.missing.fix"))


async def _site_zones(settings: Settings) -> dict[int, str]:
    """Where each machine stands."""
    async with open_data(settings, create=False) as opened:
        fleet = await load_fleet(opened.store, base_of(asdict(settings)))
    return {machine.id: machine.site_zone for machine in fleet.machines.values()}


async def _machines(opened: OpenData) -> Machines:
    return {row.id: row for row in await machines.all_machines(opened.store)}


def _name(row: TroubleRow, known: Machines) -> str:
    return known[row.rvm_id].name if row.rvm_id in known else str(row.rvm_id)


def _cause(row: TroubleRow) -> str:
    return cause_name(Reader(language(), "auto", "UTC", epoch_ms(now())), row.cause)


def _shown(row: TroubleRow, known: Machines) -> dict[str, Any]:
    machine = known.get(row.rvm_id)
    return {
        "id": row.id, "rvm_id": row.rvm_id, "device_id": None if machine is None else machine.device_id,
        "machine": None if machine is None else machine.name, "cause": row.cause, "value": row.value,
        "began_at": output.instant(row.began_at), "ended_at": output.instant(row.ended_at), "owner": row.owner,
        "taken_at": output.instant(row.taken_at), "snoozed_until": output.instant(row.snoozed_until),
        "snoozed_by": row.snoozed_by, "note": row.note, "note_by": row.note_by, "note_at": output.instant(row.note_at),
    }  # fmt: skip
