"""`machine renew-key`, `set-status`, `sync-timezone` and `backup`: commands for a machine, kept for the hub that
runs."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

import anyio

from dashboard import formats, jobs
from dashboard.reader import Reader
from dashboard.texts import texts_in
from db.backup_records import BACKUP_COUNTER, GOOD_BACKUP, BackupRow
from db.engine.ownership import address_of_holder
from db.errors import Conflict, Unavailable
from db.queries import backups, commands, machines
from db.records import CommandRow
from hub.backups.rules import life
from hub.backups.rules.life import Wanted
from hub.cli import data, output
from hub.cli.data import OpenData, base_url, date_time, now, open_data, settings_of
from hub.cli.machines import loaded, named
from hub.cli.output import CliError, Exit, language, sentence
from hub.commands import rules as command_rules
from hub.machines import rules
from hub.model import actors
from hub.model.changes import put_rows
from hub.model.dating import UndatableError, read
from hub.model.fleet import TERMINAL
from hub.model.machine import Machine
from hub.model.views import epoch_ms, rfc3339
from hub.settings import Settings
from hub.status.rules import NEEDS_REASON, instant
from hub.web.api.endpoint import why_not
from hub.web.http.problems import translator
from protocol.zones import is_zone

ENDED_WITHIN: Final = timedelta(seconds=10)
"""Beyond the command's own deadline, at which a hub that runs would have ended it."""
LOOK_S: Final = 0.5

Report = Callable[[str], None]
T = TypeVar("T")


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
        report = partial(_report, wanted, output.ProgressLine(shown=False))
        ended = await _ended(opened, machine, next(put_rows(await opened.commit(*drafted), CommandRow)), report)
        renewed = await _answered(lambda: named(opened, str(row.id)), now() + ENDED_WITHIN, report)
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


async def _ended(opened: OpenData, machine: Machine, command: CommandRow, report: Report) -> CommandRow:
    """By the hub; without one it is withdrawn, so that no later hub does it."""
    found = await _followed(opened, command, report)
    if found.state not in TERMINAL:
        with contextlib.suppress(Conflict):  # it has ended just now
            await opened.commit(*command_rules.cancel(machine, command, actors.SYSTEM, now()))
        found = await commands.find_command(opened.store, command.id) or command
    return found


async def _followed(
    opened: OpenData,
    command: CommandRow,
    report: Report,
    look: Callable[[CommandRow], None] = lambda _: None,
) -> CommandRow:
    """Until it has ended, or a hub that runs would have ended it. `look` at it each time."""
    found = command
    while now() < (until := found.expires_at + ENDED_WITHIN):
        row = await _answered(partial(commands.find_command, opened.store, command.id), until, report)
        found = row or command
        look(found)
        if found.state in TERMINAL:
            return found
        await asyncio.sleep(LOOK_S)
    return found


async def _answered(read: Callable[[], Awaitable[T]], until: datetime, report: Report) -> T:
    """Asked again while the database is away: what was asked for goes on without this command."""
    try:
        return await read()
    except Unavailable as away:
        report(sentence("machine.database_away", why=away))
    while now() < until:
        await asyncio.sleep(LOOK_S)
        with contextlib.suppress(Unavailable):
            found = await read()
            report(sentence("machine.database_back"))
            return found
    return await read()


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
        machine = await _asked_of(opened, settings, wanted.machine)
        args = arguments(machine, settings)
        if wanted.wait and not await _hub_runs(opened, settings):
            raise CliError(Exit.UNREACHABLE, "no_hub", sentence("machine.no_hub"), sentence("machine.no_hub.fix"))
        with _refusals(machine):
            drafted = command_rules.draft(machine, name, args, actors.SYSTEM, now(), reason=reason)
        command = next(put_rows(await opened.commit(*drafted), CommandRow))
        asked = _asked(wanted, settings, machine, command)
        if wanted.wait:
            command = await _awaited(opened, wanted, machine, command)
    shown = _shown(settings, machine, command)
    done = sentence("machine.done", name=output.clean(machine.name))
    output.answer(wanted.json, shown, done if wanted.wait else asked)


TRIES: Final = 200
"""For a number, while the hub or a script for the whole fleet draws others: each time one of them gets it."""


async def backup(wanted: argparse.Namespace) -> None:
    """By the hub that runs, once: the number is drawn in the database, where the hub draws its own."""
    settings, key = settings_of(wanted), wanted.idempotency_key
    reason = None if wanted.reason is None else data.note(wanted.reason) or None
    async with open_data(settings, create=False) as opened:
        if not await _hub_runs(opened, settings):
            fix = sentence("machine.backup.no_hub.fix")
            raise CliError(Exit.UNREACHABLE, "no_hub", sentence("machine.backup.no_hub"), fix)
        machine, row, command = await _backup_asked(opened, settings, wanted.machine, Wanted(
            wanted.type, _yes(wanted.images), _yes(wanted.logs), reason=reason,
        ), key)  # fmt: skip
        asked = _asked(wanted, settings, machine, command)
        if wanted.wait:
            command = await _awaited(opened, wanted, machine, command)
            number, report = row.id, partial(_report, wanted, output.ProgressLine(shown=False))
            found = await _answered(lambda: backups.find(opened.store, number), now() + ENDED_WITHIN, report)
            row = found or row
            if row.upload_status not in GOOD_BACKUP:  # the machine's word alone is no backup
                raise CliError(Exit.FAILED, "not_uploaded", _not_done(machine, "not_uploaded"), wanted.follow)
    shown = _shown(settings, machine, command) | {
        "backup": row.id, "backup_type": row.backup_type, "upload_status": row.upload_status,
        "file_size": row.file_size, "sha256": row.sha256,
    }  # fmt: skip
    name, size = output.clean(machine.name), formats.amount(row.file_size or 0, language())
    done = sentence("machine.backup.done", name=name, number=row.id, size=size)
    output.answer(wanted.json, shown, done if wanted.wait else asked)


async def _backup_asked(
    opened: OpenData, settings: Settings, name: str, asked: Wanted, key: str | None
) -> tuple[Machine, BackupRow, CommandRow]:
    """Committed, or what the same key has asked for before."""
    machine, tries = await _asked_of(opened, settings, name), TRIES
    while True:
        tries -= 1
        number = await backups.last_id(opened.store) + 1  # first: whoever asks for a backup after this takes it
        being_made = [row for row in await backups.unfinished(opened.store) if row.rvm_id == machine.id]
        machine = replace(machine, backups={row.id: row for row in being_made})
        before = None if key is None else await commands.find_by_idempotency_key(opened.store, machine.id, key)
        if before is not None:
            row = await backups.of_command(opened.store, before.id)
            if row is None or row.backup_type != asked.backup_type or before.issued_by != actors.SYSTEM:
                used = sentence("machine.backup.key_used", key=key)
                raise CliError(Exit.CONFLICT, "key_used", used, sentence("machine.backup.key_used.fix"))
            return machine, row, before
        with _refusals(machine):
            drafted = life.drafted(machine, number, asked, actors.SYSTEM, now(), key)
        try:
            stored = await opened.commit(*drafted)
        except Conflict as late:
            if not tries or late.column not in (BACKUP_COUNTER, "idempotency_key"):
                raise
        else:
            return machine, next(put_rows(stored, BackupRow)), next(put_rows(stored, CommandRow))


def _yes(given: str | None) -> bool | None:
    return None if given is None else given == "yes"


async def _asked_of(opened: OpenData, settings: Settings, name: str) -> Machine:
    """Supersedes nothing: the hub that runs would not learn of that end, and send what has ended."""
    machine = await loaded(opened, settings, name)
    return replace(machine, maybe_sent=set(machine.pending))


@contextlib.contextmanager
def _refusals(machine: Machine) -> Iterator[None]:
    try:
        yield
    except command_rules.Refused as refused:
        why = translator(language())(why_not(refused.code))
        raise CliError(Exit.CONFLICT, refused.code, f"{output.clean(machine.name)}: {why}") from refused


def _shown(settings: Settings, machine: Machine, command: CommandRow) -> dict[str, object]:
    return {
        "id": machine.id, "device_id": machine.row.device_id, "name": machine.name, "command": command.id,
        "state": command.state, "expires_at": output.instant(command.expires_at), "url": _url(settings, command),
    }  # fmt: skip


def _url(settings: Settings, command: CommandRow) -> str:
    return f"{base_url(settings)}/jobs/{command.id}"


def _asked(wanted: argparse.Namespace, settings: Settings, machine: Machine, command: CommandRow) -> str:
    """Shown at once to people who wait."""
    url = _url(settings, command)
    until = date_time(command.expires_at)
    asked = sentence("machine.asked", name=output.clean(machine.name), until=until, url=url)
    if wanted.wait:
        wanted.follow = url
        if not wanted.json:
            output.hint(asked)
    return asked


async def _awaited(opened: OpenData, wanted: argparse.Namespace, machine: Machine, command: CommandRow) -> CommandRow:
    """Succeeded. Ctrl-C and a time-out leave it to go on."""
    line = output.ProgressLine(shown=not wanted.json)
    try:
        with anyio.fail_after(wanted.timeout):
            ended = await _followed(opened, command, partial(_report, wanted, line), partial(_show_progress, line))
    except TimeoutError as late:
        over = sentence("machine.timed_out", name=output.clean(machine.name), seconds=wanted.timeout)
        raise CliError(Exit.TIMED_OUT, "timed_out", over, sentence("machine.goes_on", url=wanted.follow)) from late
    finally:
        line.end()
    if ended.state == "succeeded":
        return ended
    error = ended.error or {}
    exits = {"failed": Exit.FAILED, "rejected": Exit.FAILED, "cancelled": Exit.CONFLICT}
    not_done = _not_done(machine, error.get("code"), error.get("message") or ended.state)
    raise CliError(exits.get(ended.state, Exit.UNREACHABLE), f"command_{ended.state}", not_done, wanted.follow)


def _not_done(machine: Machine, code: object, message: str = "") -> str:
    key, texts = f"failure.{code}", texts_in(language())
    why = texts(key) if key in texts else output.clean(message)
    return sentence("machine.not_done", name=output.clean(machine.name), why=why)


def _report(wanted: argparse.Namespace, line: output.ProgressLine, text: str) -> None:
    if not wanted.json:
        line.end()
        output.hint(text)


def _show_progress(line: output.ProgressLine, command: CommandRow) -> None:
    given = command.progress or {}
    if command.state != "running" or not given.get("phase"):
        return
    done, total = given.get("done"), given.get("total")
    percent = None if done is None or not total else int(max(0.0, min(100.0, 100.0 * done / total)))
    r = Reader(language(), "auto", "UTC", epoch_ms(now()))
    line.show(str(given["phase"]), percent, jobs.progress(r, given))


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
