"""`/jobs`, `/jobs/{id}`, `/machines/{id}/do/{action}` and `/bulk`, by the operations of the API."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Final

from starlette.responses import Response

from dashboard import actions, bulk, fleet, job_list, jobs
from dashboard.jobs import KINDS
from db.queries import commands
from db.queries.commands import CommandFilters, CommandMark
from db.records import CommandRow
from hub.commands import api, cards, service
from hub.commands import bulk as bulk_api
from hub.commands.cards import ShownJob
from hub.commands.rules import Refused
from hub.commands.service import CommandName
from hub.machines import tab
from hub.model import views
from hub.model.actors import row_id
from hub.model.fleet import TERMINAL
from hub.model.machine import Machine
from hub.status.rules import may_be_undone
from hub.web.api.endpoint import why_not
from hub.web.http.problems import Problem, Text, not_found
from hub.web.http.validation import validate
from hub.web.shell.fleet_digest import FleetDigest, in_slices
from hub.web.shell.page import Visit, go, who

JOBS_ON_PAGE: Final = 50  # Jobs of each kind, open and ended, on one page
STATE_RANK: Final = {"sent": 1, "accepted": 2, "running": 2}  # What is under way stands above what waits


async def show_jobs(visit: Visit) -> Response:
    return visit.render(
        "jobs.html", states=job_list.STATES, kinds=KINDS, done=await _just_asked(visit), **await part_lists(visit),
        **await _tallied(visit),
    )  # fmt: skip


async def _just_asked(visit: Visit) -> str:
    """The status that the address says a group was just asked for, while it can be taken back; or ""."""
    query = _query(visit)
    if not query.group or not visit.request.query_params.get("done"):
        return ""
    asked = await commands.commands_of_group(visit.context.store, query.group)
    mine = [row for row in asked if may_be_undone(row, visit.user.actor, visit.now)]
    return str(mine[0].args.get("special_status") or mine[0].args.get("status")) if mine else ""


async def part_lists(visit: Visit) -> dict[str, Any]:
    query = _query(visit)
    reach = await _machines(visit, query)
    mark = await _mark(visit, query)
    open_all = _open(visit, query, reach)
    older = [c for c in open_all if mark is None or (c.issued_at, c.id) < mark] if query.state == "open" else open_all
    open_now = older[:JOBS_ON_PAGE] if query.wants_open and (query.state == "open" or not query.before) else []
    first = sorted(open_now[:JOBS_ON_PAGE], key=lambda command: STATE_RANK.get(command.state, 0), reverse=True)
    ended = await _ended(visit, query, reach, mark)
    names = await cards.people(visit, {c.issued_by for c in (*first, *ended)})
    zone = cards.zone_of(visit, _one_machine(visit, query))
    return {
        "query": query,
        "parts_at": query.address(before=query.before).replace("/jobs", "/jobs/parts", 1),
        "machine_name": _machine_named(visit, query),
        "zone": zone,
        "open": cards.shown(visit, first, names, zone),
        "open_total": len(open_all),
        "more_open": _more_open(query, older),
        "ended": cards.shown(visit, ended[:JOBS_ON_PAGE], names, zone),
        "more_ended": query.address(before=ended[JOBS_ON_PAGE - 1].id) if len(ended) > JOBS_ON_PAGE else None,
    }


async def part_tally(visit: Visit) -> dict[str, Any]:
    query = _query(visit)
    return {"parts_at": query.address().replace("/jobs", "/jobs/parts", 1), **await _tallied(visit)}


async def _tallied(visit: Visit) -> dict[str, Any]:
    query = _query(visit)
    return {"tally": await _tally(visit, query) if query.group else []}


def _query(visit: Visit) -> job_list.JobQuery:
    return job_list.query_from(visit.request.query_params, row_id)


async def _machines(visit: Visit, query: job_list.JobQuery) -> frozenset[int] | None:
    reach = visit.user.machines
    if query.rvm is not None:
        reach = frozenset({query.rvm} if visit.user.reaches(query.rvm) else ())
    if query.text:
        asked = fleet.FleetQuery(text=query.text)
        shown = await visit.context[FleetDigest].views(reach)
        found = frozenset([view["id"] async for view in in_slices(shown) if fleet.matches(view, asked)])
        reach = found if reach is None else reach & found
    return reach


def _open(visit: Visit, query: job_list.JobQuery, reach: frozenset[int] | None) -> list[CommandRow]:
    found = [
        command
        for command in visit.context.fleet.open.values()
        if (reach is None or command.rvm_id in reach)
        and (not query.name or command.name == query.name)
        and (not query.group or command.group_id == query.group)
    ]
    return sorted(found, key=lambda command: (command.issued_at, command.id), reverse=True)


async def _ended(
    visit: Visit, query: job_list.JobQuery, reach: frozenset[int] | None, mark: CommandMark | None
) -> list[CommandRow]:
    """One more than a page, to show that there is another."""
    if not query.ended_states:
        return []
    filters = CommandFilters(
        rvm_ids=reach, states=query.ended_states, name=query.name or None, group_id=query.group or None
    )  # fmt: skip
    return await commands.search(visit.context.store, filters, JOBS_ON_PAGE + 1, mark)


async def _mark(visit: Visit, query: job_list.JobQuery) -> CommandMark | None:
    """An unknown id begins at the newest."""
    if not query.before:
        return None
    row = await commands.find_command(visit.context.store, query.before)
    return None if row is None or not visit.user.reaches(row.rvm_id) else CommandMark(row.issued_at, row.id)


def _more_open(query: job_list.JobQuery, older: list[CommandRow]) -> str | None:
    return query.address(state="open", before=older[JOBS_ON_PAGE - 1].id) if len(older) > JOBS_ON_PAGE else None


async def _tally(visit: Visit, query: job_list.JobQuery) -> list[tuple[str, str]]:
    filters = CommandFilters(rvm_ids=visit.user.machines, group_id=query.group)
    counts = await commands.count_states(visit.context.store, filters)
    machines = visit.context.fleet.machines
    offline = sum(
        1
        for command in _open(visit, job_list.JobQuery(group=query.group), visit.user.machines)
        if command.state == "queued" and cards.away(machines.get(command.rvm_id))
    )
    return job_list.tally(visit.reader, counts, min(offline, counts.get("queued", 0)), query)


def _machine_named(visit: Visit, query: job_list.JobQuery) -> str:
    machine = _one_machine(visit, query)
    return str(query.rvm) if machine is None else machine.row.name


def _one_machine(visit: Visit, query: job_list.JobQuery) -> Machine | None:
    machine = None if query.rvm is None else visit.context.fleet.machines.get(query.rvm)
    return machine if machine is not None and visit.user.reaches(machine.id) else None


Detail = tuple[str, str, str]  # Name, value ("": not shown yet), and the address it links to or ""


async def show_job(visit: Visit, fault: str = "", status: int = 200) -> Response:
    return visit.render("job.html", status, fault=fault, **await part_job(visit))


async def part_job(visit: Visit) -> dict[str, Any]:
    command = await _job_named(visit)
    names = await cards.people(visit, {command.issued_by, command.cancel_by or ""})
    shown = cards.shown(visit, [command], names)[0]
    return {
        "s": shown,
        "details": _details(visit, command, shown, names),
        "deadline": visit.reader.day(shown.job["expires_at"], cards.zone_of(visit, shown.machine)),
        "result": jobs.result(visit.reader, command.result),
    }


async def cancel_job(visit: Visit) -> Response:
    command = await _job_named(visit)
    if not visit.may("command.send", command.rvm_id):
        raise Problem("forbidden", Text("needs_role", {"role": Text("role.operator")}))
    try:
        await api.cancel_command(visit.call())
    except (Problem, Refused) as refused:
        problem = refused if isinstance(refused, Problem) else Problem("conflict", why_not(refused.code))
        return await show_job(visit, visit.sentence(problem), problem.status)
    return go(f"/jobs/{command.id}")


async def to_job(visit: Visit) -> Response:
    return go(f"/jobs/{(await _job_named(visit)).id}")


async def _job_named(visit: Visit) -> CommandRow:
    return await service.find(visit.call(), visit.request.path_params["command_id"])


def _details(visit: Visit, command: CommandRow, shown: ShownJob, names: dict[str, str]) -> list[Detail]:
    r, t, job, machine = visit.reader, visit.reader.t, shown.job, shown.machine
    zone = cards.zone_of(visit, machine)
    deadline = r.day(job["expires_at"], zone)
    if command.state not in TERMINAL and job["expires_at"] > r.now:
        deadline = t("job.deadline.open", time=deadline, age=r.span((job["expires_at"] - r.now) / 1000))
    return [
        (
            "machine",
            t("job.gone") if machine is None else machine.row.name,
            f"/machines/{machine.id}" if machine else "",
        ),
        ("by", f"{who(r, command.issued_by, names)}, {r.stamp(job['issued_at'], zone)}", ""),
        ("reason", shown.card.reason, ""),
        ("forced", t("yes") if command.args.get("force") else "", ""),
        ("deadline", deadline, ""),
        ("cancelled_by", who(r, command.cancel_by, names) if command.cancel_by else "", ""),
        ("error_code", str((command.error or {}).get("code") or ""), ""),
        ("group", t("jobs.group") if command.group_id else "", f"/jobs?group={command.group_id}"),
        ("id", command.id, ""),
    ]


async def show_action(visit: Visit, fault: str = "", status: int = 200) -> Response:
    found, name = visit.machine(), _action_named(visit)
    head = await tab.head(visit, found)
    offer = next(offer for offer in head["offers"] if offer.name == name)
    return visit.render("do.html", status, m=head["m"], s=head, offer=offer, fault=fault)


async def do_action(visit: Visit) -> Response:
    found, name = visit.machine(), _action_named(visit)
    if not visit.may("command.send", found.id):
        raise Problem("forbidden", Text("needs_role", {"role": Text("role.operator")}))
    if name in actions.DISRUPTIVE and not visit.form.get("reason", "").strip():
        return await show_action(visit, visit.reader.t("reason.missing"), 422)
    try:
        wanted = validate(api.NewCommand, _body_of(name, visit.form))
        await api.send_command(cards.once(visit, found, wanted))
    except (Problem, Refused) as refused:
        problem = refused if isinstance(refused, Problem) else Problem("conflict", why_not(refused.code))
        return await show_action(visit, visit.sentence(problem), problem.status)
    return go(f"/machines/{found.id}")


def _body_of(name: str, form: dict[str, str]) -> dict[str, Any]:
    reason = form.get("reason", "").strip()
    args: dict[str, Any] = {}
    if name == "restart_service":
        args = {"service": form.get("service", "").strip()}
    elif form.get("force"):
        args = {"force": True}
    return {"name": name, "args": args} | ({"reason": reason} if reason else {})


def _action_named(visit: Visit) -> str:
    name: str = visit.request.path_params["action"]
    if name not in actions.ACTIONS:
        raise not_found()
    return name


MOST_FIELDS: Final = bulk_api.MOST + 10


async def ask_or_do(visit: Visit) -> Response:
    action = bulk.BULK_ACTIONS.get(visit.form.get("do", ""))
    if action is None:
        raise not_found()
    if not visit.may("command.send"):
        raise Problem("forbidden", Text("needs_role", {"role": Text("role.operator")}))
    found = cards.selected(visit)
    if not found:
        return _confirm(visit, action, found, visit.reader.t("bulk.none"), 422)
    reason = visit.form.get("reason", "").strip()
    if not visit.form.get("sure"):
        return _confirm(visit, action, found)
    if action.needs_reason and not reason:
        return _confirm(visit, action, found, visit.reader.t("reason.missing"), 422)
    try:
        return await _issue(visit, action, found, reason)
    except Problem as refused:
        return _confirm(visit, action, found, visit.sentence(refused), refused.status)


async def _issue(visit: Visit, action: bulk.BulkAction, found: list[Machine], reason: str) -> Response:
    name: CommandName = action.name
    able = [m for m in found if actions.can(name, {"commands": m.capabilities})]
    if not able:
        return _confirm(visit, action, found, visit.reader.t("locked.unsupported"), 409)
    given = dict(action.args)
    ends = bulk.ends_at(action, visit.form.get("until", ""), visit.form.get("asked_at", ""), visit.reader.now)
    if ends is not None:
        given["until"] = views.rfc3339(datetime.fromtimestamp(ends / 1000, timezone.utc))
    call = cards.once(visit, None, bulk_api.ManyCommands(name=name, args=given, rvms=[m.id for m in able]))
    args = service.read_arguments(call, name, given)
    data = await bulk_api.issue_many(call, name, args, [bulk_api.BulkTarget(m.id, m) for m in able], reason or None)
    rows = cards.refusals(visit, data)
    rows += [(m, visit.reader.t("locked.unsupported")) for m in found if m not in able]
    if not rows:
        return go(f"/jobs?group={data['group_id']}&done=1")
    return visit.render(
        "bulk.html", **_about(visit, action, found), fault="", group=data["group_id"], refused=rows,
        can_undo=action.name == "set_status" and len(rows) < len(found),
    )  # fmt: skip


def _confirm(
    visit: Visit, action: bulk.BulkAction, found: list[Machine], fault: str = "", status: int = 200
) -> Response:
    return visit.render("bulk.html", status, **_about(visit, action, found), fault=fault, group="", refused=[])


def _about(visit: Visit, action: bulk.BulkAction, found: list[Machine]) -> dict[str, Any]:
    forecast = bulk.forecast(action, [views.machine_view(m, times="ms") for m in found])
    asks_reason = action.name == "set_status"
    return cards.of_many(visit, action.key, found, forecast) | {
        "at": "/bulk", "asks_reason": asks_reason, "needs_reason": action.needs_reason,
        "may_end": action.may_end,
    }  # fmt: skip
