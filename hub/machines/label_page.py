"""Labels to print, one machine's or all: a code that leads a phone to `/m/{device_id}`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from starlette.responses import Response

from dashboard import fleet, qr_code
from hub.machines import tab
from hub.web.shell.fleet_digest import FleetDigest, in_slices
from hub.web.shell.page import Visit, base_url

ON_PAGE: Final = 100


class Label(NamedTuple):
    """`side` of the code in modules, `dark` its SVG path; 0 and "" when the address is too long for one."""

    name: str
    device_id: str
    address: str
    side: int
    dark: str


def label(base: str, name: str, device_id: str) -> Label:
    address = f"{base.rstrip('/')}/m/{quote(device_id, safe='')}"
    try:
        return Label(name, device_id, address, *qr_code.path(address))
    except qr_code.TextTooLongError:
        return Label(name, device_id, address, 0, "")


async def show_label(visit: Visit) -> Response:
    found = visit.machine()
    head = await tab.head(visit, found)
    labels = [label(base_url(visit), found.row.name, found.row.device_id)]
    return visit.render("labels.html", m=head["m"], labels=labels, following=None)


async def show_labels(visit: Visit) -> Response:
    """Of the machines that a list of the Machines page shows, in its order."""
    query = fleet.query_from(visit.request.query_params)
    shown = await visit.context[FleetDigest].views(visit.user.machines)
    in_order = fleet.ordered([view async for view in in_slices(shown) if fleet.matches(view, query)], query)
    first = (query.page - 1) * ON_PAGE
    labels = await _labels(visit, in_order[first : first + ON_PAGE])
    following = query.address(page=query.page + 1) if len(in_order) > first + ON_PAGE else None
    return visit.render("labels.html", m=None, labels=labels, following=following and f"/labels{following[1:]}")


async def _labels(visit: Visit, views: Iterable[dict[str, Any]]) -> list[Label]:
    base, machines = base_url(visit), visit.context.fleet.machines
    found = (machines.get(view["id"]) for view in views)
    rows = (machine.row for machine in found if machine is not None)
    return [label(base, row.name, row.device_id) async for row in in_slices(rows)]
