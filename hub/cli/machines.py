"""`machine add`, `machine list`, `machine code`, `machine key`, `machine renew-key` and `machine remove`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from datetime import timedelta
from typing import Final

from certs.bundle import AuthorityFileError, read_bundle
from db.errors import Conflict
from db.queries import commands, enrolments, machines
from db.records import CommandRow, MachineRow
from hub.cli import data, output
from hub.cli.data import OpenData, base_url, date_time, now, open_data, settings_of
from hub.cli.output import CliError, Exit, sentence
from hub.commands import rules as command_rules
from hub.enrolment import rules as enrolment_rules
from hub.machines import rules
from hub.model import actors
from hub.model.changes import EventHappened, put_rows
from hub.model.fleet import TERMINAL
from hub.model.machine import Machine
from hub.settings import Settings


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


RENEWED_WITHIN: Final = timedelta(seconds=10)
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
    while now() < command.expires_at + RENEWED_WITHIN:
        found = await commands.find_command(opened.store, command.id) or command
        if found.state in TERMINAL:
            return found
        await asyncio.sleep(LOOK_S)
    with contextlib.suppress(Conflict):  # it has ended just now
        await opened.commit(*command_rules.cancel(machine, command, actors.SYSTEM, now()))
    return await commands.find_command(opened.store, command.id) or command


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
    raise CliError(
        Exit.NOT_FOUND, "no_machine", sentence("machine.missing", name=given), sentence("machine.missing.fix")
    )


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
