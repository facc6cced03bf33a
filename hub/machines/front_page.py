"""`/m/{device_id}`, which a machine's label leads to: its page for somebody who stands in front of it."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from hub.machines import tab
from hub.machines.page import Card, part_why
from hub.model.access import role_needed
from hub.model.views import machine_view
from hub.web.shell.page import Visit


class FrontPage:
    """`doing` is what its buttons take of another subject: the machine's pages, one's own session."""

    def __init__(self, doing: Card) -> None:
        self._doing = doing

    async def show(self, visit: Visit) -> Response:
        values = {**await self.part_state(visit), **await part_why(visit), **await self.part_do(visit)}
        return visit.render("front.html", **values)

    async def part_state(self, visit: Visit) -> dict[str, Any]:
        found = visit.machine()
        return {"m": machine_view(found, times="ms"), "zone": tab.zone_of(found)}

    async def part_do(self, visit: Visit) -> dict[str, Any]:
        found = visit.machine()
        return {
            "m": machine_view(found, times="ms"),
            "may_command": visit.may("status.write", found.id),
            "needs": role_needed("status.write"),
            "d": await self._doing(visit, found),
        }
