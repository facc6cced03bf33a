"""`/jobs`: everything asked of machines, open first; `?group=` sums up one wish for many machines.

The open ones come from memory, the ended ones page by page from the database.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from dashboard import fleet, job_list
from dashboard.jobs import KINDS
from db import command_search
from db import commands as command_rows
from db.command_search import Filters, Mark
from hub.commands import job_cards, service
from hub.model.changes import Command
from hub.model.row_id import row_id
from hub.web.shell.fleet_digest import FleetDigest, in_slices
from hub.web.shell.page import Visit

JOBS_ON_PAGE: Final = 50
"""Jobs of each kind, open and ended, on one page."""
STATE_RANK: Final = {"sent": 1, "accepted": 2, "running": 2}
"""What is under way stands above what waits."""


async def show_jobs(visit: Visit) -> Response:
    return visit.render(
        "jobs.html", states=job_list.STATES, kinds=KINDS, **await part_lists(visit), **await _tallied(visit)
    )


async def part_lists(visit: Visit) -> dict[str, Any]:
    """The values `job_lists.html` takes."""
    query = _query(visit)
    reach = await _machines(visit, query)
    mark = await _mark(visit, query)
    open_all = _open(visit, query, reach)
    older = [c for c in open_all if mark is None or (c.issued_at, c.id) < mark] if query.state == "open" else open_all
    open_now = older[:JOBS_ON_PAGE] if query.wants_open and (query.state == "open" or not query.before) else []
    first = sorted(open_now[:JOBS_ON_PAGE], key=lambda command: STATE_RANK.get(command.state, 0), reverse=True)
    ended = await _ended(visit, query, reach, mark)
    names = await job_cards.people(visit, {c.issued_by for c in (*first, *ended)})
    return {
        "query": query,
        "parts_at": query.address(before=query.before).replace("/jobs", "/jobs/parts", 1),
        "machine_name": _machine_named(visit, query),
        "open": job_cards.shown(visit, first, names),
        "open_total": len(open_all),
        "more_open": _more_open(query, older),
        "ended": job_cards.shown(visit, ended[:JOBS_ON_PAGE], names),
        "more_ended": query.address(before=ended[JOBS_ON_PAGE - 1].id) if len(ended) > JOBS_ON_PAGE else None,
    }


async def part_tally(visit: Visit) -> dict[str, Any]:
    """The values `job_tally.html` takes."""
    query = _query(visit)
    return {"parts_at": query.address().replace("/jobs", "/jobs/parts", 1), **await _tallied(visit)}


async def _tallied(visit: Visit) -> dict[str, Any]:
    query = _query(visit)
    return {"tally": await _tally(visit, query) if query.group else []}


def _query(visit: Visit) -> job_list.Query:
    return job_list.query_from(visit.request.query_params, row_id)


async def _machines(visit: Visit, query: job_list.Query) -> frozenset[int] | None:
    """The machines the jobs may be of: None is all of them, the removed ones included."""
    reach = visit.user.machines
    if query.rvm is not None:
        reach = frozenset({query.rvm} if visit.user.reaches(query.rvm) else ())
    if query.text:
        asked = fleet.Query(text=query.text)
        shown = await visit.context[FleetDigest].views(reach)
        found = frozenset([view["id"] async for view in in_slices(shown) if fleet.matches(view, asked)])
        reach = found if reach is None else reach & found
    return reach


def _open(visit: Visit, query: job_list.Query, reach: frozenset[int] | None) -> list[Command]:
    """Newest first."""
    found = [
        command
        for command in visit.context.fleet.open.values()
        if (reach is None or command.rvm_id in reach)
        and (not query.name or command.name == query.name)
        and (not query.group or command.group_id == query.group)
    ]
    return sorted(found, key=lambda command: (command.issued_at, command.id), reverse=True)


async def _ended(visit: Visit, query: job_list.Query, reach: frozenset[int] | None, mark: Mark | None) -> list[Command]:
    """One more than a page, so that it is known whether there is another."""
    if not query.ended_states:
        return []
    filters = Filters(
        rvm_ids=reach, states=query.ended_states, name=query.name or None, group_id=query.group or None
    )  # fmt: skip
    rows = await command_search.search(visit.context.store, filters, JOBS_ON_PAGE + 1, mark)
    return [service.from_row(row) for row in rows]


async def _mark(visit: Visit, query: job_list.Query) -> Mark | None:
    """Where the page begins; an address that names no job begins at the newest."""
    if not query.before:
        return None
    row = await command_rows.find_command(visit.context.store, query.before)
    return None if row is None or not visit.user.reaches(row.rvm_id) else Mark(row.issued_at, row.id)


def _more_open(query: job_list.Query, older: list[Command]) -> str | None:
    return query.address(state="open", before=older[JOBS_ON_PAGE - 1].id) if len(older) > JOBS_ON_PAGE else None


async def _tally(visit: Visit, query: job_list.Query) -> list[tuple[str, str]]:
    filters = Filters(rvm_ids=visit.user.machines, group_id=query.group)
    counts = await command_search.count_states(visit.context.store, filters)
    machines = visit.context.fleet.machines
    offline = sum(
        1
        for command in _open(visit, job_list.Query(group=query.group), visit.user.machines)
        if command.state == "queued" and job_cards.away(machines.get(command.rvm_id))
    )
    return job_list.tally(visit.reader, counts, min(offline, counts.get("queued", 0)), query)


def _machine_named(visit: Visit, query: job_list.Query) -> str:
    machine = None if query.rvm is None else visit.context.fleet.machines.get(query.rvm)
    return machine.name if machine is not None and visit.user.reaches(machine.id) else str(query.rvm)
