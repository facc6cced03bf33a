"""`/machines/{id}/backups`: when the next backup comes, the form that asks for one, and the list; `/bulk/backups`
and `/admin/backups`: of many machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from starlette.responses import Response

from dashboard import backups as texts
from dashboard import restores
from dashboard.backups import BackupLine
from dashboard.bulk import Forecast
from db.backup_records import BackupRow
from db.queries import backups as rows
from hub.backups import api
from hub.backups.care_api import machine_counts
from hub.backups.drill import Drills
from hub.backups.keeper import BackupKeeper
from hub.backups.restore_api import followed
from hub.backups.rules import due, keep
from hub.commands import bulk as bulk_api
from hub.commands import cards
from hub.commands import rules as command_rules
from hub.commands.rules import Refused
from hub.commands.service import idempotency_key
from hub.machines import tab
from hub.model.access import role_needed
from hub.model.actors import row_id
from hub.model.backups import brings_nothing_back, is_late, is_unverified, last_good, newest, open_backup, was_cancelled
from hub.model.machine import Machine
from hub.model.views import epoch_ms, machine_view
from hub.web.api.endpoint import permit, why_not
from hub.web.http.problems import Problem, Text
from hub.web.http.validation import validate
from hub.web.shell.page import Visit, go, who

PAGE: Final = 20
ACTIONS: Final[Mapping[str, str]] = {
    "restore": "backup.restore", "download": "backup.download", "verify": "backup.verify", "delete": "backup.delete",
}  # fmt: skip


class LastGood(NamedTuple):
    """`state`: verified, untried, or only_agent (it has no data of the machine's); `at`: epoch ms."""

    id: int
    state: str
    at: int


class ShownPlan(NamedTuple):
    """`next` "": nothing is planned; `why`: why not, or why later. `until`: epoch ms when this is outdated. `late`:
    since when a good one is overdue; `unverified`: none was verified for too long."""

    next: str
    why: str
    last: LastGood | None
    late: int | None
    unverified: bool
    until: int | None


class StartForm(NamedTuple):
    """`locked`: why nobody may ask now; `waits`: until when it waits for an offline machine."""

    locked: str
    role: str
    waits: str
    request: str
    given: Mapping[str, Any]


async def show_backups(visit: Visit) -> Response:
    return await _page(visit, visit.machine())


async def _page(visit: Visit, found: Machine, fault: str = "", status: int = 200) -> Response:
    head = await tab.head(visit, found)
    values = {**await part_plan(visit), **await part_history(visit), **await part_restores(visit)}
    return visit.render("backups.html", status, **values | {"m": head["m"]}, head_of=head, fault=fault)


async def part_plan(visit: Visit) -> dict[str, Any]:
    found = visit.machine()
    return {
        "m": machine_view(found, times="ms"),
        "plan": _plan(visit, found),
        "start": _start_form(visit, found),
    }


async def part_history(visit: Visit) -> dict[str, Any]:
    found = visit.machine()
    before = row_id(visit.request.query_params.get("before", ""))
    shown = await rows.of_machine(visit.context.store, found.id, PAGE + 1, before)
    return {
        "m": machine_view(found, times="ms"),
        "lines": await lines(visit, found, shown[:PAGE], in_list=True),
        "zone": tab.zone_of(visit.reader, found),
        "wanted": [(name, role) for name, role in roles(visit, found).items() if role],
        "older": shown[PAGE - 1].id if len(shown) > PAGE else None,
        "before": before,
        "may_start": visit.may("backup.start", found.id) and not _cannot(found),
    }


async def part_restores(visit: Visit) -> dict[str, Any]:
    found, reader = visit.machine(), visit.reader
    call = visit.call(machine=found)
    kept = [await followed(call, row) for row in await rows.restores_of(visit.context.store, found.id, PAGE)]
    names = await tab.people(visit, found, {row.requested_by for row in kept})
    zone = tab.zone_of(reader, found)
    return {
        "m": machine_view(found, times="ms"),
        "zone": zone,
        "restores": [
            restores.line(reader, in_ms(row), by=who(reader, row.requested_by, names), zone=zone) for row in kept
        ],
    }


async def lines(visit: Visit, found: Machine, shown: Iterable[BackupRow], *, in_list: bool = False) -> list[BackupLine]:
    shown = list(shown)
    kept = keep.kept_until(await rows.kept(visit.context.store, found.id), retention_days(found))
    names = await tab.people(visit, found, {row.requested_by for row in shown if row.requested_by})
    may, cannot, drilled = roles(visit, found), why_machine_cannot(found), visit.context[Drills].running
    return [
        texts.line(
            visit.reader, of := judged(row), by=_by(visit, row, names), zone=tab.zone_of(visit.reader, found),
            kept=_kept(kept.get(row.id)), offers=texts.offers(of, may, cannot), is_drilled=row.id == drilled,
            in_list=in_list,
        )
        for row in shown
    ]  # fmt: skip


def _by(visit: Visit, row: BackupRow, names: Mapping[str, str]) -> str:
    """Only people and tokens: the schedule needs no name."""
    asked = row.requested_by or ""
    return who(visit.reader, asked, names) if asked.startswith(("user:", "machine:")) else ""


def _kept(kept: keep.Kept | None) -> tuple[int | None, str] | None:
    return None if kept is None else (None if kept.until is None else epoch_ms(kept.until), kept.why)


def in_ms(row: msgspec.Struct) -> dict[str, Any]:
    members = msgspec.structs.asdict(row)
    return {name: epoch_ms(value) if isinstance(value, datetime) else value for name, value in members.items()}


def judged(row: BackupRow) -> dict[str, Any]:
    """The row in milliseconds, with what the rules say of it."""
    return {**in_ms(row), "only_agent": brings_nothing_back(row), "cancelled": was_cancelled(row)}


def roles(visit: Visit, found: Machine) -> dict[str, str]:
    """Action to the role it wants ("" when the reader has it)."""
    return {name: "" if visit.may(action, found.id) else role_needed(action) for name, action in ACTIONS.items()}


def why_machine_cannot(found: Machine) -> str:
    """Why it cannot restore now, "" when it can."""
    if found.row.quarantined_until is not None:
        return "quarantined"
    if not found.linked:
        return "offline"
    able = found.capabilities
    return "unsupported" if able and "restore_backup" not in able else ""


def retention_days(found: Machine) -> float:
    days = found.effective_settings.values["backup_retention"]
    return float(days) if isinstance(days, (int, float)) else 0.0


def _plan(visit: Visit, found: Machine) -> ShownPlan:
    good, tried = last_good(found.backups), newest(found.backups)
    why = due.why_not(found) or ""
    planned, until = "", None
    if why in ("", "offline", "quarantined"):
        plan = due.plan_of(found, visit.context.settings.default_timezone)
        begun = [None if row is None else row.created_at for row in (good, tried)]
        past = due.Past(found.row.created_at, *begun)
        at = epoch_ms(due.next_due(plan, past, visit.now))
        planned, until = _next_words(visit, found, at, plan.window), at if at > visit.reader.now else None
    late = is_late(found, visit.now)
    since = found.row.created_at if good is None else good.created_at
    return ShownPlan(
        planned, why,
        None if good is None else _last_good(good),
        epoch_ms(since) if late else None, is_unverified(found, visit.now), until,
    )  # fmt: skip


def _last_good(good: BackupRow) -> LastGood:
    state = "verified" if good.upload_status == "verified" else "untried"
    return LastGood(
        good.id, "only_agent" if brings_nothing_back(good) else state, epoch_ms(good.completed_at or good.created_at)
    )  # fmt: skip


def _next_words(visit: Visit, found: Machine, at: int, window: str) -> str:
    if at <= visit.reader.now:
        return visit.reader.t("backup.next.due")
    when = visit.reader.day(at, tab.zone_of(visit.reader, found))
    words = window.replace("-", "–").replace(":", "." if visit.reader.language == "id" else ":")
    return visit.reader.t("backup.next.at", when=when, window=words)


def _start_form(visit: Visit, found: Machine) -> StartForm:
    locked = _cannot(found) if visit.may("backup.start", found.id) else "role"
    waits = ""
    if not locked and not found.linked:
        lasts = int(command_rules.DESIRED_STATE_LIFETIME.total_seconds() * 1000)
        waits = visit.reader.day(visit.reader.now + lasts, tab.zone_of(visit.reader, found))
    return StartForm(locked, role_needed("backup.start"), waits, _press_key(visit, found), _given(visit, found))


def _press_key(visit: Visit, found: Machine) -> str:
    """Unchanged until there is another backup, so that the part is not drawn anew."""
    before = newest(found.backups)
    return f"page-{visit.user.id}-{0 if before is None else before.id}-{visit.now:%Y%m%d}"


def _cannot(found: Machine) -> str:
    """Why it cannot be asked for a backup, "" when it can, also while offline."""
    able = found.capabilities
    if able and "start_backup" not in able:
        return "unsupported"
    if not found.effective_settings.on("backup_enabled"):
        return "off"
    return "running" if open_backup(found.backups) is not None else ""


def _given(visit: Visit, found: Machine) -> dict[str, Any]:
    form, settings = visit.form, found.effective_settings
    if "backup_type" in form:
        return {"backup_type": form["backup_type"], "images": bool(form.get("images")), "logs": bool(form.get("logs"))}
    return {
        "backup_type": "incremental", "images": settings.on("include_images"), "logs": settings.on("include_logs"),
    }  # fmt: skip


async def start(visit: Visit) -> Response:
    found, form = visit.machine(), visit.form
    permit(visit.user, "backup.start", found.id)
    wanted = {
        "backup_type": form.get("backup_type", ""), "include_images": bool(form.get("images")),
        "include_logs": bool(form.get("logs")),
    }  # fmt: skip
    try:
        await api.start_backup(cards.once(visit, found, validate(api.BackupWanted, wanted)))
    except (Problem, Refused) as refused:
        problem = as_problem(refused)
        return await _page(visit, found, visit.sentence(problem), problem.status)
    return go(f"/machines/{found.id}/backups")


def as_problem(refused: Problem | Refused) -> Problem:
    return refused if isinstance(refused, Problem) else Problem("conflict", why_not(refused.code))


MOST_FIELDS: Final = bulk_api.MOST + 10


async def ask_or_start_many(visit: Visit) -> Response:
    """Shows what would happen; with `sure`, asks all as one group."""
    if not visit.may("backup.start"):
        raise Problem("forbidden", Text("needs_role", {"role": Text(f"role.{role_needed('backup.start')}")}))
    found = cards.selected(visit)
    if not found:
        return _many(visit, found, visit.reader.t("bulk.none"), 422)
    if not visit.form.get("sure"):
        return _many(visit, found)
    call = cards.once(visit, None, None)
    group = bulk_api.group_of(call, idempotency_key(call))
    answers = [(machine, await _ask(visit, machine, group)) for machine in found]
    refused = [(machine, why) for machine, why in answers if why]
    return _many(visit, found, group=group, refused=refused) if refused else go(f"/jobs?group={group}")


async def _ask(visit: Visit, machine: Machine, group: str) -> str:
    try:
        await api.start_backup(cards.once(visit, machine, api.BackupWanted(backup_type="incremental")), group)
    except (Problem, Refused) as refused:
        return visit.sentence(as_problem(refused))
    return ""


def _many(
    visit: Visit, found: list[Machine], fault: str = "", status: int = 200, *, group: str = "",
    refused: Sequence[tuple[Machine, str]] = (),
) -> Response:  # fmt: skip
    able = [machine for machine in found if not _cannot(machine)]
    away = sum(not machine.linked for machine in able)
    forecast = Forecast(len(able) - away, away, len(found) - len(able))
    return visit.render(
        "bulk.html", status, **cards.of_many(visit, "backup", found, forecast), at="/bulk/backups", fault=fault,
        group=group, refused=refused, asks_reason=False, needs_reason=False,
    )  # fmt: skip


async def to_backups(visit: Visit) -> Response:
    return go(f"/machines/{visit.machine().id}/backups")


MOST_TAKING: Final = 20


class TakingMachine(NamedTuple):
    id: int
    name: str
    space: texts.BackupSpace


async def show_space(visit: Visit) -> Response:
    """What the backups of all machines take, and how far the room reaches."""
    keeper, user = visit.context[BackupKeeper], visit.user
    machines = [machine for machine in visit.context.fleet.machines.values() if user.reaches(machine.id)]
    known = [(machine, keeper.forecasts[machine.id]) for machine in machines if machine.id in keeper.forecasts]
    most = sorted((each for each in known if each[1].used), key=lambda each: each[1].used, reverse=True)[:MOST_TAKING]
    return visit.render(
        "fleet_backups.html",
        counts=machine_counts(machines, visit.now),
        counted_at=None if keeper.counted_at is None else epoch_ms(keeper.counted_at),
        space=None if keeper.forecast is None or user.machines is not None else _space(visit, keeper.forecast),
        reaches_all=user.machines is None,
        most=[TakingMachine(machine.id, machine.name, _space(visit, found)) for machine, found in most],
    )


def _space(visit: Visit, found: keep.QuotaForecast) -> texts.BackupSpace:
    full_at = None if found.full_at is None else epoch_ms(found.full_at)
    near = keep.is_near(found, visit.now)
    return texts.space(visit.reader, found.used, found.quota, found.a_day, full_at, is_near=near)
