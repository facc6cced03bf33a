"""Commands as cards of a page: with the machine they are for, who asked, and who may cancel.

Knows no list and no filter; every page that shows a job takes its card from here, so that it looks the same everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from dashboard import jobs
from db import commands as command_rows
from db import users
from hub.commands import service
from hub.model import actors, views
from hub.model.access import ACTIONS
from hub.model.changes import Command
from hub.model.fleet import TERMINAL
from hub.model.machine import Machine
from hub.web.shell.page import Visit, who

RECENT: Final = timedelta(minutes=10)
"""How long a machine's page still shows a job that has ended."""
MOST_ON_MACHINE: Final = 5

BLANK: Final[dict[str, Any]] = {
    "id": "", "rvm_id": 0, "name": "ping", "args": {}, "state": "queued", "issued_by": "system", "issued_at": 0,
    "expires_at": 0, "sent_at": None, "finished_at": None, "progress": None, "result": None, "error": None,
    "group_id": None, "reason": None, "cancel_by": None, "cancel_at": None,
}  # fmt: skip
"""What the template of a card is made of: the page clones it for jobs that begin while it is open."""


class Shown(NamedTuple):
    """One card of a page. `machine` is None once it was removed; `job` is the command's view in milliseconds."""

    card: jobs.Card
    machine: Machine | None
    job: Mapping[str, Any]
    may_cancel: bool


def shown(visit: Visit, commands: Iterable[Command], names: Mapping[str, str]) -> list[Shown]:
    return [_shown(visit, command, names) for command in commands]


def _shown(visit: Visit, command: Command, names: Mapping[str, str]) -> Shown:
    machine = visit.context.fleet.machines.get(command.rvm_id)
    job = views.command_view(command, times="ms")
    card = jobs.card(
        visit.reader,
        job,
        who=who(visit.reader, command.issued_by, names),
        away=away(machine),
        zone=zone_of(visit, machine),
    )
    return Shown(card, machine, job, visit.may("command.send", command.rvm_id))


def blank(visit: Visit) -> jobs.Card:
    return jobs.card(visit.reader, BLANK, who="", away=False, zone=visit.reader.zone)


def away(machine: Machine | None) -> bool:
    return machine is None or machine.connection in ("offline", "never")


def zone_of(visit: Visit, machine: Machine | None) -> str:
    return (machine.timezone if machine else None) or visit.context.settings.default_timezone


async def of_machine(visit: Visit, found: Machine) -> list[Command]:
    """What the page of a machine shows: everything open, then what ended in the last minutes; newest first."""
    open_now = sorted(found.pending.values(), key=lambda c: (c.issued_at, c.id), reverse=True)
    rows = await command_rows.recent_commands(visit.context.store, found.id, MOST_ON_MACHINE)
    ended = [row for row in rows if row.state in TERMINAL and row.finished_at and row.finished_at > visit.now - RECENT]
    return open_now + [service.from_row(row) for row in ended]


async def people(visit: Visit, issuers: Collection[str]) -> dict[str, str]:
    """The people a page of jobs may have to name: who asked for what it shows, and who could ask while it is open, of
    a machine its reader reaches. The list of all users is for administrators."""
    reach = visit.user.machines

    def acts(user: users.UserRow) -> bool:
        meets = user.role != "technician" or reach is None or not reach.isdisjoint(user.machines)
        return meets and user.role in ACTIONS["command.send"] and user.disabled_at is None

    everybody = await users.all_users(visit.context.store)
    return {str(user.id): user.name for user in everybody if actors.user(user.id) in issuers or acts(user)}
