"""`machine add`, `list`, `show`, `code`, `key`, `renew-key`, `remove`, `set-status` and `sync-timezone`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any, Final

from certs.bundle import AuthorityFileError, read_bundle
from dashboard.event_reading import Names
from dashboard.reader import Reader
from dashboard.texts import texts_in
from dashboard.trouble import cause_name
from db.engine.ownership import address_of_holder
from db.errors import Conflict
from db.queries import commands, enrolments, machines, users
from db.records import CommandRow, MachineRow
from hub.cli import data, output
from hub.cli.data import OpenData, base_url, date_time, now, open_data, settings_of
from hub.cli.output import CliError, Exit, language, sentence
from hub.commands import rules as command_rules
from hub.enrolment import rules as enrolment_rules
from hub.kernel.loading import load_fleet
from hub.machines import rules
from hub.model import actors
from hub.model.changes import EventHappened, put_rows
from hub.model.dating import UndatableError, read
from hub.model.effective_settings import base_of
from hub.model.fleet import TERMINAL
from hub.model.machine import Machine
from hub.model.views import READINGS, epoch_ms, machine_detail, rfc3339
from hub.settings import Settings
from hub.status.rules import NEEDS_REASON, instant
from hub.web.api.endpoint import why_not
from hub.web.http.problems import translator
from protocol.zones import is_zone


async def add(wanted: argparse.Namespace) -> None:
    """The key is stored nowhere else."""
    name, device_id = data.name(wanted.name), data.device_id(wanted.device_id)
    location = data.location(wanted.location)
    async with open_data(settings_of(wanted), create=True) as opened:
        twin = rules.taken(await machines.all_machines(opened.store), name, device_id)
        if twin is not None:
            raise _taken(twin)
        secret, changes = rules.new_machine(name, device_id, location, actors.SYSTEM, now())
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


ENDED_WITHIN: Final = timedelta(seconds=10)
"""Beyond the command's own deadline, at which a hub that runs would have ended it."""
LOOK_S: Final = 0.5


async def renew_key(wanted: argparse.Namespace) -> None:
    """Over the machine's link, by the hub that runs; until the new key is the only one."""
    async with open_data(settings_of(wanted), create=False) as opened:
        row = await named(opened, wanted.machine)
        pending = [one for one in await commands.pending_commands(opened.store) if one.rvm_id == row.id]
        machine = Machine(row, linked=True, pending={one.id: one for one in pending})  # if it is, the hub knows
        if rules.key_view(machine)["renewal"] is not None:
            raise CliError(Exit.CONFLICT, "renewal_open", sentence("machine.renewal_open", name=row.name))
        try:
            drafted = command_rules.draft(machine, rules.RENEW_KEY, {}, actors.SYSTEM, now())
        except command_rules.Refused as refused:
            raise CliError(Exit.CONFLICT, refused.code, sentence("machine.not_asked", why=refused.detail)) from refused
        ended = await _ended(opened, machine, next(put_rows(await opened.commit(*drafted), CommandRow)))
        renewed = await named(opened, str(row.id))
    shown = {
        "id": row.id, "device_id": row.device_id, "name": row.name, "command": ended.id, "state": ended.state,
        "api_key_prefix": renewed.api_key_prefix,
    }  # fmt: skip
    if ended.state != "succeeded":
        why = str((ended.error or {}).get("message", ended.state))
        code = Exit.UNREACHABLE if ended.state in ("expired", "cancelled") else Exit.FAILED
        fix = sentence("machine.not_renewed.fix")
        raise CliError(code, f"renewal_{ended.state}", sentence("machine.not_renewed", name=row.name, why=why), fix)
    output.answer(wanted.json, shown, sentence("machine.renewed", **shown))


async def _ended(opened: OpenData, machine: Machine, command: CommandRow) -> CommandRow:
    """By the hub; without one it is withdrawn, so that no later hub does it."""
    found = await _followed(opened, command)
    if found.state not in TERMINAL:
        with contextlib.suppress(Conflict):  # it has ended just now
            await opened.commit(*command_rules.cancel(machine, command, actors.SYSTEM, now()))
        found = await commands.find_command(opened.store, command.id) or command
    return found


async def _followed(opened: OpenData, command: CommandRow) -> CommandRow:
    """Until it has ended, or a hub that runs would have ended it."""
    while now() < command.expires_at + ENDED_WITHIN:
        found = await commands.find_command(opened.store, command.id) or command
        if found.state in TERMINAL:
            return found
        await asyncio.sleep(LOOK_S)
    return command


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
        output.note(sentence("machine.none"))


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
        machine = await _loaded(opened, settings, wanted.machine)
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


async def _loaded(opened: OpenData, settings: Settings, given: str) -> Machine:
    """With its settings, newest readings, troubles and open commands."""
    row = await named(opened, given)
    found = (await load_fleet(opened.store, base_of(asdict(settings)))).find(row.id)
    if found is None:  # removed a moment ago
        raise _missing(given)
    return found


Arguments = Callable[[Machine, Settings], dict[str, Any]]
ALIVE: Final = timedelta(minutes=2)
"""A hub whose last sign of life is older does not run."""
DAY: Final = len("2026-12-01")


async def set_status(wanted: argparse.Namespace) -> None:
    reason = "" if wanted.reason is None else data.note(wanted.reason)
    if wanted.status in NEEDS_REASON and not reason:
        missing = sentence("machine.reason_missing", status=wanted.status)
        raise CliError(Exit.USAGE, "reason_missing", missing, sentence("machine.reason_missing.fix"))

    def arguments(machine: Machine, settings: Settings) -> dict[str, Any]:
        until = None if wanted.until is None else _until(wanted.until, machine, settings)
        given = {"status": wanted.status, "capacity": wanted.capacity, "until": until}
        return {name: value for name, value in given.items() if value is not None}

    await _ask(wanted, "set_status", arguments, reason or None)


async def sync_timezone(wanted: argparse.Namespace) -> None:
    """By a look-up of the machine's, or to a zone that is named."""
    zone = wanted.timezone
    if zone is not None and not is_zone(zone):
        bad = sentence("timezone.bad", zone=output.clean(zone))
        raise CliError(Exit.USAGE, "timezone_bad", bad, sentence("machine.timezone_bad.fix"))
    args = {"trigger": "command_line"} | ({} if zone is None else {"timezone": zone})
    await _ask(wanted, "sync_timezone", lambda *_: args)


async def _ask(wanted: argparse.Namespace, name: str, arguments: Arguments, reason: str | None = None) -> None:
    """Kept for the hub that runs, or the next one: it waits for a machine that is away."""
    settings = settings_of(wanted)
    async with open_data(settings, create=False) as opened:
        machine = await _loaded(opened, settings, wanted.machine)
        # Supersedes nothing: the hub that runs would not learn of that end, and send what has ended.
        machine = replace(machine, maybe_sent=set(machine.pending))
        args = arguments(machine, settings)
        if wanted.wait and not await _hub_runs(opened, settings):
            raise CliError(Exit.UNREACHABLE, "no_hub", sentence("machine.no_hub"), sentence("machine.no_hub.fix"))
        try:
            drafted = command_rules.draft(machine, name, args, actors.SYSTEM, now(), reason=reason)
        except command_rules.Refused as refused:
            why = translator(language())(why_not(refused.code))
            raise CliError(Exit.CONFLICT, refused.code, f"{output.clean(machine.name)}: {why}") from refused
        command = next(put_rows(await opened.commit(*drafted), CommandRow))
        url = f"{base_url(settings)}/jobs/{command.id}"
        until = date_time(command.expires_at)
        asked = sentence("machine.asked", name=output.clean(machine.name), until=until, url=url)
        if wanted.wait:
            if not wanted.json:
                output.note(asked)
            command = await _awaited(opened, machine, command, url)
    shown = {
        "id": machine.id, "device_id": machine.row.device_id, "name": machine.name, "command": command.id,
        "state": command.state, "expires_at": output.instant(command.expires_at), "url": url,
    }  # fmt: skip
    done = sentence("machine.done", name=output.clean(machine.name))
    output.answer(wanted.json, shown, done if wanted.wait else asked)


async def _awaited(opened: OpenData, machine: Machine, command: CommandRow, url: str) -> CommandRow:
    """Succeeded. Ctrl-C leaves it to go on."""
    try:
        ended = await _followed(opened, command)
    except (asyncio.CancelledError, KeyboardInterrupt):
        output.note(sentence("machine.goes_on", url=url))
        raise
    if ended.state == "succeeded":
        return ended
    error = ended.error or {}
    key, texts = f"failure.{error.get('code')}", texts_in(language())
    why = texts(key) if key in texts else output.clean(error.get("message") or ended.state)
    exits = {"failed": Exit.FAILED, "rejected": Exit.FAILED, "cancelled": Exit.CONFLICT}
    not_done = sentence("machine.not_done", name=output.clean(machine.name), why=why)
    raise CliError(exits.get(ended.state, Exit.UNREACHABLE), f"command_{ended.state}", not_done, url)


async def _hub_runs(opened: OpenData, settings: Settings) -> bool:
    """On this data folder, or elsewhere on the database."""
    if address_of_holder(settings.data_dir) is not None:
        return True
    alive_at = await machines.alive_at(opened.store)
    return alive_at is not None and now() - alive_at < ALIVE


def _until(text: str, machine: Machine, settings: Settings) -> str:
    """Without a zone it is read where the machine stands; a day alone is its first moment."""
    try:
        found = read(f"{text}T00:00" if len(text) == DAY else text, machine.site_zone, settings.default_timezone)
    except UndatableError as wrong:
        raise _until_bad(text) from wrong
    if found <= now():
        past = sentence("machine.until_past", text=output.clean(text))
        raise CliError(Exit.USAGE, "until_past", past, sentence("machine.until_bad.fix"))
    if instant(rfc3339(found)) is None:
        raise _until_bad(text)
    return rfc3339(found)


def _until_bad(text: str) -> CliError:
    bad = sentence("machine.until_bad", text=output.clean(text))
    return CliError(Exit.USAGE, "until_bad", bad, sentence("machine.until_bad.fix"))
