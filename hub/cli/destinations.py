"""`destination list`, `show`, `add`, `edit`, `test` and `remove`: where trouble is sent to.

By the functions of REST; an address comes from a file or stdin and is shown by its place only."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from dashboard.reader import Reader
from db.notification_records import DestinationRow
from db.queries import notifications as stored
from hub.cli import output
from hub.cli.data import OpenData, now, open_data, secret_in, settings_of
from hub.cli.output import CliError, Exit, language, sentence
from hub.kernel.sealing import Seal
from hub.machines.rules import is_name
from hub.model import actors
from hub.model.actors import MAX_ROW_ID, row_id
from hub.model.changes import put_rows
from hub.model.views import epoch_ms
from hub.notifications import api
from hub.notifications.service import KEY_FILE, send
from hub.settings import Settings
from hub.web.http.problems import Problem, translator
from hub.web.http.validation import validate

FLAGS: Final = {
    "address": "--address-file", "kinds": "--kind", "causes": "--cause", "tags": "--tag", "sites": "--site",
    "after_s": "--after", "also_over": "--over", "remind_h": "--remind", "quiet_from": "--quiet",
    "quiet_to": "--quiet", "name": "NAME",
}  # fmt: skip
"""What is typed for a member of REST; others have its name."""
MESSAGES: Final = 20
_QUIET: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-3]):([0-5]\d)")


async def show_all(wanted: argparse.Namespace) -> None:
    async with open_data(settings_of(wanted), create=False) as opened:
        rows = await stored.all_destinations(opened.store)
    r = _reader(settings_of(wanted))
    shown = [_shown(r, row) for row in rows]
    if not shown and not wanted.json:
        output.hint(sentence("destination.none"))
        return
    columns = ("id", "name", "place", "language", "disabled", "last_sent_at", "failing_since")
    output.listing(wanted.json, "destinations", shown, columns)


async def show(wanted: argparse.Namespace) -> None:
    """With its newest messages."""
    settings = settings_of(wanted)
    async with open_data(settings, create=False) as opened:
        row = await _named(opened, wanted.destination)
        messages = await stored.listed(opened.store, row.id, MAX_ROW_ID, MESSAGES)
    r = _reader(settings)
    sent = [
        {
            "id": one["id"], "created_at": one["created_at"], "state": one["state"], "sent_at": one["sent_at"],
            "text": one["text"], "error": one["error"],
        }
        for one in (api.shown_message(r, message) for message in messages)
    ]  # fmt: skip
    shown = _shown(r, row)
    if wanted.json:
        output.result_json(shown | {"messages": sent})
        return
    for name, value in shown.items():
        if value is not None:
            text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
            output.result(f"{name:<13}  {output.clean(text)}")
    if sent:
        output.result("")
        output.table(sent, ("created_at", "state", "text", "error"))


async def add(wanted: argparse.Namespace) -> None:
    settings = settings_of(wanted)
    given = _given(wanted) | {"name": wanted.name, "address": _address(wanted.address_file)}
    with _refusals():
        async with open_data(settings, create=False) as opened:
            asked = validate(api.NewDestination, given)
            values = await api.checked(_seal(settings), api.given_of(asked, settings.default_timezone))
            known = await stored.all_destinations(opened.store)
            done = await opened.commit(*api.added(values, known, now(), actors.SYSTEM))
    made = next(put_rows(done, DestinationRow))
    text = sentence("destination.added", id=made.id, name=made.name, place=made.place)
    output.answer(wanted.json, _shown(_reader(settings), made), text)


async def edit(wanted: argparse.Namespace) -> None:
    """Only what is named changes."""
    settings = settings_of(wanted)
    given = _given(wanted)
    if wanted.name is not None:
        given["name"] = wanted.name
    if wanted.address_file is not None:
        given["address"] = _address(wanted.address_file)
    if wanted.pause or wanted.resume:
        given["disabled"] = wanted.pause
    with _refusals():
        async with open_data(settings, create=False) as opened:
            row = await _named(opened, wanted.destination)
            moment = now()
            asked = api.patched(validate(api.DestinationPatch, given), row, moment)
            values = await api.checked(_seal(settings), asked, row)
            known = await stored.all_destinations(opened.store)
            if made := api.edited(row, values, known, moment, actors.SYSTEM):
                await opened.commit(*made)
            row = await _named(opened, str(row.id))
    output.answer(wanted.json, _shown(_reader(settings), row), sentence("destination.edited", name=row.name))


async def test(wanted: argparse.Namespace) -> None:
    """Sends one message from this process and waits for it."""
    settings = settings_of(wanted)
    r = _reader(settings)
    async with open_data(settings, create=False) as opened:
        row = await _named(opened, wanted.destination)
        outcome = await send(_seal(settings), settings, now(), row, "test", None, {"name": row.name})
        await opened.commit(*api.tested(row, outcome, now(), actors.SYSTEM))
    result = api.result_of(r, row, outcome)
    if outcome.code:
        raise CliError(Exit.FAILED, f"not_sent_{outcome.code}", result, sentence("destination.not_sent.fix"))
    output.answer(wanted.json, {"id": row.id, "name": row.name, "sent": True, "result": result}, result)


async def remove(wanted: argparse.Namespace) -> None:
    """Only with its name given twice."""
    async with open_data(settings_of(wanted), create=False) as opened:
        row = await _named(opened, wanted.destination)
        if not wanted.dry_run:
            if not is_name(wanted.confirm or "", row.name):
                fix = sentence("destination.confirm.fix", id=row.id, name=row.name)
                raise CliError(Exit.USAGE, "not_confirmed", sentence("destination.confirm", name=row.name), fix)
            await opened.commit(*api.removed(row, now(), actors.SYSTEM))
    shown = {"id": row.id, "name": row.name, "place": row.place, "removed": not wanted.dry_run}
    text = sentence("destination.would_be_removed" if wanted.dry_run else "destination.removed", **shown)
    output.answer(wanted.json, shown, text)


def _given(wanted: argparse.Namespace) -> dict[str, Any]:
    """As REST takes it."""
    given: dict[str, Any] = {
        name: value
        for name in ("language", "timezone", "after_s", "per_hour")
        if (value := getattr(wanted, name)) is not None
    }
    given |= {name: value for name in ("kinds", "causes", "tags", "sites") if (value := getattr(wanted, name))}
    if wanted.everything:
        given |= {"kinds": None, "causes": None}
    if wanted.all_machines:
        given |= {"tags": None, "sites": None}
    if wanted.over is not None:
        given["also_over"] = wanted.over == "yes"
    if wanted.remind is not None:
        given["remind_h"] = wanted.remind or None
    if wanted.quiet is not None:
        given["quiet_from"], given["quiet_to"] = _quiet(wanted.quiet)
    return given


def _quiet(text: str) -> tuple[int | None, int | None]:
    """Minutes of the day."""
    if text == "none":
        return None, None
    found = _QUIET.fullmatch(text)
    if found is None:
        bad = sentence("destination.quiet_bad", text=text)
        raise CliError(Exit.USAGE, "quiet_bad", bad, sentence("destination.quiet_bad.fix"))
    hour, minute, to_hour, to_minute = map(int, found.groups())
    return hour * 60 + minute, to_hour * 60 + to_minute


def _address(source: str) -> str:
    return sys.stdin.readline().strip() if source == "-" else secret_in(Path(source)).strip()


@contextmanager
def _refusals() -> Iterator[None]:
    """REST's refusals as the command line's, with the flag that is wrong."""
    try:
        yield
    except Problem as refused:
        say = translator(language())
        member, whys = next(iter((refused.errors or {}).items()), ("", [refused.detail]))
        flag = FLAGS.get(member, f"--{member.replace('_', '-')}")
        message = f"{flag}: {say(whys[0])}" if member else say(refused.detail)
        exits = {"conflict": Exit.CONFLICT, "unavailable": Exit.CONFIGURATION, "invalid": Exit.USAGE}
        code = f"{member}_taken" if member and refused.kind == "conflict" else refused.kind.replace("-", "_")
        raise CliError(exits.get(refused.kind, Exit.FAILED), code, message) from refused


async def _named(opened: OpenData, given: str) -> DestinationRow:
    rows = await stored.all_destinations(opened.store)
    number = row_id(given)
    found = next((row for row in rows if row.name.casefold() == given.casefold()), None)
    found = found or next((row for row in rows if row.id == number), None)
    if found is None:
        missing = sentence("destination.missing", name=output.clean(given))
        raise CliError(Exit.NOT_FOUND, "no_such_destination", missing, sentence("destination.missing.fix"))
    return found


def _seal(settings: Settings) -> Seal:
    return Seal(settings.data_dir / KEY_FILE)


def _reader(settings: Settings) -> Reader:
    return Reader(language(), "auto", settings.default_timezone, epoch_ms(now()))


def _shown(r: Reader, row: DestinationRow) -> dict[str, Any]:
    return dict(api.shown(r, row))
