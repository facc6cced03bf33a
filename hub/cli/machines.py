"""`machine add`, `list`, `show`, `code`, `key` and `remove`. What machines are asked to do: `machine_commands`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

from certs.bundle import AuthorityFileError, read_bundle
from dashboard.event_reading import Names
from dashboard.reader import Reader
from dashboard.trouble import cause_name
from db.errors import Conflict
from db.queries import enrolments, machines, users
from db.records import MachineRow
from hub.cli import data, output
from hub.cli.data import OpenData, base_url, date_time, now, open_data, settings_of, sqlite_file
from hub.cli.output import CliError, Exit, language, sentence
from hub.enrolment import rules as enrolment_rules
from hub.kernel.loading import load_fleet
from hub.machines import rules
from hub.model import actors
from hub.model.changes import EventHappened, put_rows
from hub.model.effective_settings import base_of
from hub.model.machine import Machine
from hub.model.views import READINGS, epoch_ms, machine_detail
from hub.settings import Settings


async def add(wanted: argparse.Namespace) -> None:
    """The key is stored nowhere else."""
    name, device_id = data.name(wanted.name), data.device_id(wanted.device_id)
    location = data.location(wanted.location)
    async with open_data(settings_of(wanted), create=True) as opened:
        twin = rules.taken(await machines.all_machines(opened.store), name, device_id)
        if twin is not None:
            raise _taken(twin)
        secret, changes = rules.new_machine(rules.MachineFacts(name, device_id, location), actors.SYSTEM, now())
        try:
            stored = await opened.commit(*changes)
        except Conflict as error:
            raise _taken(error.column) from error
    made = next(put_rows(stored, MachineRow))
    shown = {"id": made.id, "device_id": made.device_id, "name": name, "api_key": secret.text}
    output.answer(wanted.json, shown, sentence("machine.added", **shown))


def _taken(column: str) -> CliError:
    taken = sentence("machine.taken", column=column)
    return CliError(Exit.CONFLICT, f"{column}_taken", taken, sentence("machine.taken.fix"))


async def code(wanted: argparse.Namespace) -> None:
    """For new machines; it is stored as a hash."""
    settings, moment = settings_of(wanted), now()
    pinned = _pinned(settings)
    async with open_data(settings, create=False) as opened:
        if len(await enrolments.usable_codes(opened.store, moment)) >= enrolment_rules.MOST_CODES:
            many = sentence("machine.codes.many", most=enrolment_rules.MOST_CODES)
            raise CliError(Exit.CONFLICT, "too_many_codes", many, sentence("machine.codes.many.fix"))
        secret, changes = enrolment_rules.new_code(
            name=None if wanted.name is None else data.name(wanted.name), rvm_id=None, uses=wanted.uses,
            approval="at_once" if wanted.at_once else "waiting", lifetime=timedelta(hours=wanted.hours),
            by=actors.SYSTEM, now=moment,
        )  # fmt: skip
        await opened.commit(*changes)
    until = moment + timedelta(hours=wanted.hours)
    command = f"printf '%s\\n' {secret.text} | sudo myrvm-agent enrol {base_url(settings)} --code -{pinned}"
    shown = {"code": secret.text, "uses": wanted.uses, "expires_at": output.instant(until), "command": command}
    text = sentence("machine.code", count=wanted.uses, until=date_time(until), command=command)
    output.answer(wanted.json, shown, text)


def _pinned(settings: Settings) -> str:
    """The words that pin the hub's own authority."""
    try:
        bundle = None if settings.tls_authority is None else read_bundle(settings.tls_authority)
    except AuthorityFileError as wrong:
        raise CliError(Exit.CONFIGURATION, "authority", str(wrong)) from wrong
    return "" if bundle is None else f" --authority {bundle.fingerprints[0]}"


async def new_key(wanted: argparse.Namespace) -> None:
    """The old one is void at once."""
    async with open_data(settings_of(wanted), create=False) as opened:
        row = await named(opened, wanted.machine)
        secret, changes = rules.new_key(row.id, row.api_key_prefix, actors.SYSTEM, now())
        await opened.commit(*changes)
    shown = {"id": row.id, "device_id": row.device_id, "name": row.name, "api_key": secret.text}
    output.answer(wanted.json, shown, sentence("machine.key", **shown))


async def remove(wanted: argparse.Namespace) -> None:
    """Only with the machine's name given twice."""
    async with open_data(settings_of(wanted), create=False) as opened:
        row = await named(opened, wanted.machine)
        shown = {"id": row.id, "device_id": row.device_id, "name": row.name, "removed": not wanted.dry_run}
        if not wanted.dry_run:
            if not rules.is_name(wanted.confirm or "", row.name):
                fix = sentence("machine.confirm.fix", id=row.id, name=row.name)
                raise CliError(Exit.USAGE, "not_confirmed", sentence("machine.confirm", name=row.name), fix)
            known = {"name": row.name, "device_id": row.device_id}
            event = EventHappened(
                at=now(), code="machine.removed", actor=actors.SYSTEM, rvm_id=row.id, before=known, params=known
            )
            await opened.commit(*rules.removed(row.id), event)
    text = sentence("machine.would_be_removed" if wanted.dry_run else "machine.removed", **shown)
    output.answer(wanted.json, shown, text)


async def named(opened: OpenData, given: str) -> MachineRow:
    rows = await machines.all_machines(opened.store)
    for found in ("device_id", "name", "id"):
        for row in rows:
            if rules.composed(str(getattr(row, found))) == rules.composed(given):
                return row
    raise _missing(given)


def _missing(given: str) -> CliError:
    missing = sentence("machine.missing", name=given)
    return CliError(Exit.NOT_FOUND, "no_machine", missing, sentence("machine.missing.fix"))


async def show_all(wanted: argparse.Namespace) -> None:
    async with open_data(settings_of(wanted), create=False) as opened:
        rows = await machines.all_machines(opened.store)
    shown = [
        {
            "id": row.id, "device_id": row.device_id, "name": row.name,
            "location_description": row.location_description, "status": row.special_status or row.status,
            "simulated": row.simulated, "api_key_prefix": row.api_key_prefix,
            "last_seen_at": output.instant(row.last_seen_at),
        }
        for row in rows
    ]  # fmt: skip
    if shown or wanted.json:
        columns = ("id", "device_id", "name", "status", "last_seen_at", "location_description")
        output.listing(wanted.json, "machines", shown, columns)
    else:
        output.hint(sentence("machine.none"))


async def show_words(wanted: argparse.Namespace) -> None:
    """For completion by a shell, one a line: only what stands for itself there. Writes and upgrades nothing."""
    settings = settings_of(wanted)
    file = sqlite_file(settings)
    if file is not None and not file.exists():
        return
    with data.refusals():
        known = await machines.words(settings.database_url)
    for word in dict.fromkeys(word for pair in known for word in pair if PLAIN.fullmatch(word)):
        output.result(word)


PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
OBSERVED: Final = frozenset({"connection", "connection_since", "connection_reason", "expected_interval_s", "busy"})
"""What only the hub that runs knows."""
LINES: Final = (
    "id", "device_id", "name", "location_description", "tags", "status", "status_since", "status_by", "status_reason",
    "status_until", "returns_to", "capacity", "health", "last_seen_at", "close_reason", "last_ip", "agent_version",
    "model", "timezone", "zone_wrong", "config_wanted", "config_version", "config_refused", "api_key_prefix",
    "quarantined_until", "backup_good_at", "backup_verified_at", "backup_open", "readings_at", *READINGS,
)  # fmt: skip
"""Of one machine, for people."""


async def show(wanted: argparse.Namespace) -> None:
    """As it is stored: what REST shows, without what only the hub that runs knows."""
    settings = settings_of(wanted)
    async with open_data(settings, create=False) as opened:
        machine = await loaded(opened, settings, wanted.machine)
        names = Names({str(user.id): user.name for user in await users.all_users(opened.store)})
    shown = {name: value for name, value in machine_detail(machine).items() if name not in OBSERVED}
    shown["close_reason"] = machine.row.close_reason
    if wanted.json:
        output.result_json(shown)
        return
    r = Reader(language(), "auto", settings.default_timezone, epoch_ms(now()))
    for name, value in _lines(shown, names.who(r, machine.row.status_by)).items():
        output.result(f"{name:<20}  {output.clean(value)}")
    _rows(
        [one | {"trouble": cause_name(r, one["cause"])} for one in shown["troubles"]],
        ("id", "trouble", "began_at", "snoozed_until", "owner", "note"),
    )
    _rows(
        [one | {"command": one["name"], "by": names.who(r, one["issued_by"])} for one in shown["pending"]],
        ("id", "command", "state", "issued_at", "expires_at", "by"),
    )


def _lines(shown: Mapping[str, Any], status_by: str) -> dict[str, object]:
    """Each with its name, empty ones left out."""
    readings, backup = shown["readings"] or {}, shown["backup"]
    known = {
        **shown, **readings, "tags": ", ".join(shown["tags"]), "status": shown["effective_status"],
        "status_by": status_by, "readings_at": readings.get("taken_at"), "backup_good_at": backup["good_at"],
        "backup_verified_at": backup["verified_at"], "backup_open": backup["open_status"],
    }  # fmt: skip
    return {name: known[name] for name in LINES if known.get(name) not in (None, "")}


def _rows(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    if rows:
        output.result("")
        output.table(rows, columns)


async def loaded(opened: OpenData, settings: Settings, given: str) -> Machine:
    """With its settings, newest readings, troubles and open commands."""
    row = await named(opened, given)
    found = (await load_fleet(opened.store, base_of(asdict(settings)))).find(row.id)
    if found is None:  # removed a moment ago
        raise _missing(given)
    return found
