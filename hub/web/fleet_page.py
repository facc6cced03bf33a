"""`/`: the Machines page, which is "Add your first machine" until there is one."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from dashboard import fleet, sparkline
from dashboard.trouble import troubles
from hub.core.command_desk import PATIENCE
from hub.core.machine import Machine
from hub.web.add_page import first_run
from hub.web.page import Visit

BLANK: dict[str, Any] = {
    "id": 0, "name": "", "location_description": "", "simulated": False, "effective_status": "unknown", "capacity": 0,
    "connection": "never", "connection_reason": None, "connection_since": None, "last_seen_at": None, "status_since": 0,
    "readings": None, "over": (), "lease": None,
}  # fmt: skip
"""What a row is made of before its machine is known: the page clones it for machines added while it is open."""


async def show_fleet(visit: Visit) -> Response:
    machines = visit.machines()
    if not machines:
        return await first_run(visit)
    for view in machines.values():
        view["over"] = [reason["code"] for reason in view["health_reasons"]]
    query = fleet.query_from(visit.request.query_params)
    needed = troubles(machines.values(), visit.reader.now)
    rows = fleet.shown(list(machines.values()), query)
    return visit.render(
        "machines.html",
        alarms=len(needed),
        query=query,
        rows=rows,
        machines=machines,
        total=len(machines),
        troubles=needed,
        counts=fleet.counters(machines.values()),
        sparks={view["id"]: _spark(visit, view["id"]) for view in rows},
        blank={**BLANK, "status_since": visit.reader.now},
        may_add=visit.may("machine.manage"),
        may_command=visit.may("status.write"),
        until_words=visit.reader.day(visit.reader.now + int(PATIENCE.total_seconds() * 1000)),
    )


def _spark(visit: Visit, rvm_id: int) -> str:
    machine: Machine | None = visit.context.fleet.machines.get(rvm_id)
    points = () if machine is None else [(at, sample.cpu_usage) for at, sample in machine.recent]
    return sparkline.path(points, visit.reader.now)
