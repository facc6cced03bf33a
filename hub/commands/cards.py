"""Commands as cards of a page: the machine, who asked, who may cancel."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from starlette.requests import Request

from dashboard import jobs
from dashboard.bulk import Forecast
from db.queries import commands as command_rows
from db.queries import users
from db.records import CommandRow
from hub.commands import bulk, rules, service
from hub.model import actors, views
from hub.model.actors import row_id
from hub.model.changes import Change, moved_rows
from hub.model.fleet import TERMINAL, Fleet
from hub.model.machine import Machine
from hub.web.api.operation import Call
from hub.web.shell.page import Visit, who

RECENT: Final = timedelta(minutes=10)  # A job that has ended stays on its machine's page this long
MOST_ON_MACHINE: Final = 5
POINTS: Final = 40
POINT_S: Final = 0.9
"""POINTS so far apart reach further back than a throughput needs."""


class ShownJob(NamedTuple):
    """`machine` None: removed; `job`: the command's view, in ms."""

    card: jobs.JobCard
    machine: Machine | None
    job: Mapping[str, Any]
    may_cancel: bool


class _Points(NamedTuple):
    phase: str
    points: deque[tuple[float, float]]


class Throughputs:
    """Speed of running commands, from their progress: the same on every screen."""

    def __init__(self, fleet: Fleet, clock: Callable[[], datetime]) -> None:
        self._fleet = fleet
        self._clock = clock
        # Bound: one an open command, gone when another begins after its end; POINTS of each.
        self._of: dict[str, _Points] = {}

    def on_commit(self, changes: Sequence[Change]) -> None:
        for command in moved_rows(changes, CommandRow):
            progress = command.progress or {}
            if command.state == "running" and progress.get("done") is not None:
                self._note(command.id, progress["phase"], progress["done"])

    def of(self, command: CommandRow) -> jobs.Throughput | None:
        known = self._of.get(command.id)
        if known is None or known.phase != (command.progress or {}).get("phase"):
            return None
        return jobs.throughput_of(known.points, self._clock().timestamp())

    def _note(self, command_id: str, phase: str, done: float) -> None:
        now_s, known = self._clock().timestamp(), self._of.get(command_id)
        if known is None:
            self._of = {key: points for key, points in self._of.items() if key in self._fleet.open}
        if known is None or known.phase != phase or done < known.points[-1][1]:
            known = self._of[command_id] = _Points(phase, deque(maxlen=POINTS))
        if not known.points or now_s - known.points[-1][0] >= POINT_S:
            known.points.append((now_s, done))


def shown(
    visit: Visit, commands: Iterable[CommandRow], names: Mapping[str, str], zone: str | None = None
) -> list[ShownJob]:
    """`zone` None: each in its machine's."""
    return [_shown(visit, command, names, zone) for command in commands]


def _shown(visit: Visit, command: CommandRow, names: Mapping[str, str], zone: str | None) -> ShownJob:
    machine = visit.context.fleet.machines.get(command.rvm_id)
    job = views.command_view(command, times="ms")
    backup = None if machine is None else machine.backups.get(command.args.get("backup_id", 0))
    if backup is not None:
        job["made"] = backup.backup_type
    card = jobs.card(
        visit.reader,
        job,
        who=who(visit.reader, command.issued_by, names),
        away=away(machine),
        zone=zone or zone_of(visit, machine),
        throughput=visit.context[Throughputs].of(command),
    )
    return ShownJob(card, machine, job, visit.may("command.send", command.rvm_id))


def away(machine: Machine | None) -> bool:
    return machine is None or machine.connection in ("offline", "never")


def zone_of(visit: Visit, machine: Machine | None) -> str:
    """Of one machine; a list of many is in the reader's zone."""
    return visit.reader.zone if machine is None else visit.reader.zone_at(machine.site_zone)


async def of_machine(visit: Visit, found: Machine) -> list[CommandRow]:
    open_now = sorted(found.pending.values(), key=lambda c: (c.issued_at, c.id), reverse=True)
    rows = await command_rows.recent_commands(visit.context.store, found.id, MOST_ON_MACHINE)
    ended = [row for row in rows if row.state in TERMINAL and row.finished_at and row.finished_at > visit.now - RECENT]
    return open_now + ended


async def part(visit: Visit) -> dict[str, Any]:
    found = visit.machine()
    commands = await of_machine(visit, found)
    names = await people(visit, {job.issued_by for job in commands})
    return {"m": views.machine_view(found, times="ms"), "s": on_machine(visit, commands, names)}


def on_machine(visit: Visit, commands: Sequence[CommandRow], names: Mapping[str, str]) -> dict[str, Any]:
    ended = [command.finished_at for command in commands if command.finished_at is not None]
    until = views.epoch_ms(min(ended) + RECENT) if ended else None
    return {"jobs": shown(visit, commands, names), "jobs_until": until}


async def people(visit: Visit, issuers: Collection[str]) -> dict[str, str]:
    everybody = await users.all_users(visit.context.store)
    return {str(user.id): user.name for user in everybody if actors.user(user.id) in issuers}


def once(visit: Visit, found: Machine | None, body: Any, query: Any = None) -> Call:
    """A second press or a reload does it once."""
    key = visit.form.get("request", "")
    call = visit.call(body, machine=found, query=service.Waiting() if query is None else query)
    if key:
        scope = dict(visit.request.scope)
        scope["headers"] = [*scope["headers"], (service.HEADER.lower().encode(), key.encode("utf-8", "replace"))]
        call.request = Request(scope)
    return call


def selected(visit: Visit) -> list[Machine]:
    """Each machine of a form once; removed and unreachable ones are left out."""
    ids = dict.fromkeys(row_id(value) for name, value in visit.fields if name == "rvm")
    machines = visit.context.fleet.machines
    found = [machines.get(rvm_id) for rvm_id in ids if rvm_id is not None]
    return [m for m in found if m is not None and visit.user.reaches(m.id)][: bulk.MOST]


def refusals(visit: Visit, data: Mapping[str, Any]) -> list[tuple[Machine | None, str]]:
    """Of an answer for many machines: each that was not asked (None: removed), and why."""
    machines = visit.context.fleet.machines
    return [(machines.get(row["rvm_id"]), row["refused"]["message"]) for row in data["results"] if row["refused"]]


def of_many(visit: Visit, key: str, machines: Sequence[Machine], forecast: Forecast) -> dict[str, Any]:
    """For the page of one action, `key`, for many machines."""
    until = visit.reader.now + int(rules.DESIRED_STATE_LIFETIME.total_seconds() * 1000)
    return {
        "key": key, "machines": machines, "forecast": forecast, "until_words": visit.reader.day(until),
        "given": visit.form, "random_request": secrets.token_hex(16),
    }  # fmt: skip
