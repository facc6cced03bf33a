"""Shows `/map`: the machines on a plain map by their coordinates, drawn without tiles of anybody."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from dashboard import site_map
from hub.web.auth.limits import ReadBudget
from hub.web.shell.fleet_digest import FleetDigest, attention
from hub.web.shell.page import Visit

MOST_LISTED: Final = 40
"""Names of machines at one place; the others are counted."""


async def show_map(visit: Visit) -> Response:
    async with visit.context[ReadBudget].turn(visit.user.actor):
        return visit.render("map.html", **await part_map(visit))


async def part_map(visit: Visit) -> dict[str, Any]:
    """`?box=south,west,north,east`: of a part of the map."""
    views = await visit.context[FleetDigest].views(visit.user.machines)
    found = await attention(visit.context, visit.user, visit.reader.now)
    wanted = site_map.box_from(visit.request.query_params)
    placed = any(map(site_map.is_placed, views))
    troubled = {one.id for one in found.troubles}
    return {
        "drawn": site_map.drawn(views, troubled, wanted) if placed else None,
        "parts_at": "/map/parts" + (f"?{urlencode({'box': visit.request.query_params['box']})}" if wanted else ""),
        "total": len(views),
        "nowhere": sum(not site_map.is_placed(view) for view in views),
        "troubled": troubled,
        "may_edit": visit.may("machine.manage"),
        "most": MOST_LISTED,
        "width": site_map.WIDTH,
        "height": site_map.HEIGHT,
    }
