"""`/`: the Machines page, which is "Add your first machine" until there is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from starlette.responses import Response

from dashboard import fleet, sparkline
from dashboard.trouble import Trouble
from hub.commands.rules.draft import PATIENCE
from hub.machines.pages.key import first_run
from hub.model.views import machine_view
from hub.web.auth.limits import ReadBudget
from hub.web.shell.fleet_digest import FleetDigest, in_slices
from hub.web.shell.page import Visit

BLANK: dict[str, Any] = {
    "id": 0, "name": "", "location_description": "", "simulated": False, "effective_status": "unknown", "capacity": 0,
    "connection": "never", "connection_reason": None, "connection_since": None, "last_seen_at": None, "status_since": 0,
    "readings": None, "over": (), "lease": None, "spark": "",
}  # fmt: skip
"""What a row is made of before its machine is known: the page clones it for machines added while it is open."""

MOST_TROUBLES: Final = 100
"""Of the machines that need somebody, so many are written out; their number counts all, and the script shows all."""


async def show_fleet(visit: Visit) -> Response:
    async with visit.context[ReadBudget].turn(visit.user.actor):
        return await _fleet(visit)


async def _fleet(visit: Visit) -> Response:
    reach, digest = visit.user.machines, visit.context[FleetDigest]
    shown_views = await digest.views(reach)
    if not shown_views:
        return await first_run(visit)
    query = fleet.query_from(visit.request.query_params)
    needed, counts = await digest.of(reach, visit.reader.now)
    found = [view async for view in in_slices(shown_views) if fleet.matches(view, query)]
    in_order = fleet.ordered(found, query)
    query = replace(query, page=min(query.page, max(1, -(-len(in_order) // fleet.PAGE))))
    first = (query.page - 1) * fleet.PAGE
    shown = [view["id"] for view in in_order[first : first + fleet.PAGE]]
    rows = [row async for rvm_id in in_slices(shown) if (row := _fleet_row(visit, rvm_id)) is not None]
    names = _trouble_names(visit, needed[:MOST_TROUBLES])
    return visit.render(
        "machines.html",
        query=query,
        first=first,
        matching=len(in_order),
        rows=rows,
        total=len(shown_views),
        troubles=[one for one in needed[:MOST_TROUBLES] if one.id in names],
        troubled=len(needed),
        names=names,
        counts=counts,
        blank={**BLANK, "status_since": visit.reader.now},
        may_add=visit.may("machine.manage"),
        may_command=visit.may("status.write"),
        until_words=visit.reader.day(visit.reader.now + int(PATIENCE.total_seconds() * 1000)),
    )


def _fleet_row(visit: Visit, rvm_id: int) -> dict[str, Any] | None:
    machine = visit.context.fleet.machines.get(rvm_id)
    if machine is None:
        return None
    points = [(at, sample.cpu_usage) for at, sample in machine.recent]
    view = machine_view(machine, times="ms")
    over = [reason["code"] for reason in view["health_reasons"]]
    return view | {"over": over, "spark": sparkline.path(points, visit.reader.now)}


def _trouble_names(visit: Visit, needed: list[Trouble]) -> dict[int, tuple[str, str | None]]:
    """Name and the reason of the status."""
    found = [machine for one in needed if (machine := visit.context.fleet.machines.get(one.id)) is not None]
    return {machine.id: (machine.name, machine.status_reason) for machine in found}
