"""Shows the ways to find a machine. `/map`: all by their coordinates, on tiles of others where the settings name them.
`/machines/palette`: pages, actions and machines as links, in which a script searches; of one machine the same as
the menu of its row in the fleet table. Labels to print, and `/scan`, which lead a phone to `/m/{device_id}`. Knows the
addresses of pages, not the pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote, urlencode

from starlette.responses import Response

from dashboard import actions, fleet, map_tiles, site_map
from dashboard.foreign_text import plain
from dashboard.qr import TextTooLongError, drawing_of
from hub.attention import service as attention_service
from hub.machines import rules, tab
from hub.model import views
from hub.model.access import role_needed
from hub.model.actors import whole_number
from hub.model.machine import Machine
from hub.web.auth.limits import ReadBudget
from hub.web.http.layers import CAMERA_HERE
from hub.web.http.problems import Problem
from hub.web.shell.fleet_digest import FleetDigest, attention, in_slices
from hub.web.shell.page import ADMIN, Show, Visit, base_url, go
from protocol import addresses

MOST_LISTED: Final = 40
"""Names of machines at one place; the others are counted."""
MOST_TAKEN: Final = 3
"""Troubles of one machine that its menu offers to take."""
MOST_MACHINES: Final = 2000
"""Others are found on the Machines page."""
SHEETS: Final = (("wide", 0), ("narrow", 1))
"""Of tiles: which the page's style shows on such a screen, and how much coarser they are."""
PAGES: Final = (
    ("nav.machines", "/", ""), ("nav.alerts", "/alerts", ""), ("nav.jobs", "/jobs", ""), ("nav.events", "/events", ""),
    ("rules.title", "/alerts/rules", ""), ("map", "/map", ""), ("views", "/views", "saved_view.keep"),
    ("nav.admin", "/admin", "backup.download"), *ADMIN, ("add", "/machines/add", "machine.manage"),
    ("sheet.title", "/machines/import", "machine.manage"), ("labels", "/labels", ""), ("scan", "/scan", ""),
    ("menu.account", "/account", ""), ("two_step", "/account/2-step", ""), ("nav.help", "/help", ""),
    ("guide", "/help/guide", ""),
)  # fmt: skip
"""Text, address, and the action that it needs."""


async def show_map(visit: Visit) -> Response:
    async with visit.context[ReadBudget].turn(visit.user.actor):
        return visit.render("map.html", **await part_map(visit))


async def part_map(visit: Visit) -> dict[str, Any]:
    """What the address filters, as the Machines page does. `?box=south,west,north,east`: of a part of the map."""
    everything = await visit.context[FleetDigest].views(visit.user.machines)
    query = replace(fleet.query_from(visit.request.query_params), look="map")
    shown = [view async for view in in_slices(everything) if fleet.matches(view, query)]
    found = await attention(visit.context, visit.user, visit.reader.now)
    wanted = site_map.box_from(visit.request.query_params)
    placed = any(map(site_map.is_placed, shown))
    troubled = {one.id for one in found.troubles}
    kept = {name: value for name, value in query.members().items() if name != "look"}
    asked = kept | ({"box": visit.request.query_params["box"]} if wanted else {})
    drawn = site_map.drawn(shown, troubled, wanted, {one.id for one in found.snoozed}) if placed else None
    source = visit.context.settings.map_tiles
    sheets = (
        ()
        if drawn is None or source is None
        else tuple((name, map_tiles.tiles(source, drawn.box, coarser=coarser)) for name, coarser in SHEETS)
    )
    return {
        "drawn": drawn,
        "sheets": sheets,
        "credits": source.credits if sheets and source is not None else (),
        "parts_at": f"/map/parts?{urlencode(asked)}" if asked else "/map/parts",
        "query": query,
        "filters": urlencode(kept),
        "matching": len(shown),
        "somewhere": any(map(site_map.is_placed, everything)),
        "nowhere": sum(not site_map.is_placed(view) for view in shown),
        "troubled": troubled,
        "map_until": found.until,
        "may_edit": visit.may("machine.manage"),
        "unassigned": visit.user.reaches_none,
        "most": MOST_LISTED,
        "width": site_map.WIDTH,
        "height": site_map.HEIGHT,
    }


class PaletteEntry(NamedTuple):
    """`where`: what it belongs to; `icon` of the sprite; `machine`: its id, 0 for others."""

    label: str
    where: str
    address: str
    icon: str
    machine: int = 0


async def show_palette(visit: Visit) -> Response:
    """`?rvm=`: the machine whose page is open: its tabs and actions come first."""
    rvm_id = whole_number(visit.request.query_params.get("rvm", ""), 10**15 - 1)
    here = None if rvm_id is None or not visit.user.reaches(rvm_id) else visit.context.fleet.machines.get(rvm_id)
    entries = [] if here is None else list(_of_machine(visit, here))
    entries += _pages(visit)
    async with visit.context[ReadBudget].turn(visit.user.actor):
        listed = fleet.ordered(await visit.context[FleetDigest].views(visit.user.machines), fleet.FleetQuery())
        async for view in in_slices(listed[:MOST_MACHINES]):
            where = " · ".join(
                [*([view["location_description"]] if view["location_description"] else ()), *view["tags"]]
            )
            entries.append(PaletteEntry(view["name"], where, f"/machines/{view['id']}", fleet.shape(view), view["id"]))
    return visit.render("palette.html", entries=entries)


def _pages(visit: Visit) -> Iterator[PaletteEntry]:
    t = visit.reader.t
    for text, address, action in PAGES:
        if not action or visit.may(action):
            yield PaletteEntry(t(text), t("nav.admin") if address.startswith("/admin") else "", address, "job")


def _of_machine(visit: Visit, here: Machine) -> Iterator[PaletteEntry]:
    t, at = visit.reader.t, f"/machines/{here.id}"
    for name, ending in tab.TABS:
        yield PaletteEntry(t(f"tab.{name}"), here.name, at + ending, "machine")
    for offer in actions.offers(views.machine_detail(here), may=visit.may("command.send", here.id)):
        if not offer.locked:
            yield PaletteEntry(f"{t(f'do.{offer.name}')}…", here.name, f"{at}/do/{offer.name}", "auto")


async def part_menu(visit: Visit) -> dict[str, Any]:
    """For `row_menu.html`: troubles that nobody is on, places where something is asked for, actions, tabs."""
    found = visit.machine()
    view = views.machine_view(found, times="ms")
    troubles = attention_service.of_machine(visit.context, visit.user, found, visit.now).values()
    return {
        "m": view,
        "troubles": [one for one in troubles if one.owner is None][:MOST_TAKEN],
        "ways": actions.ways(view, lambda action: visit.may(action, found.id)),
        "offers": actions.offers(view, may=visit.may("command.send", found.id)),
        "tabs": tab.TABS,
        "role_needed": role_needed,
    }


LABELS_ON_PAGE: Final = 100
CODES_KEPT: Final = 1024
code_of: Final = lru_cache(CODES_KEPT)(drawing_of)


class Label(NamedTuple):
    """`side` of the code in modules, `dark` its SVG path; 0 and "" when the address is too long for one."""

    name: str
    device_id: str
    address: str
    side: int
    dark: str


def front_place(device_id: str) -> str:
    return f"/m/{quote(device_id, safe='')}"


def label(base: str, name: str, device_id: str) -> Label:
    address = base.rstrip("/") + front_place(device_id)
    try:
        return Label(name, device_id, address, *code_of(address))
    except TextTooLongError:
        return Label(name, device_id, address, 0, "")


async def show_label(visit: Visit) -> Response:
    found = visit.machine()
    head = await tab.head(visit, found)
    labels = [label(base_url(visit), found.row.name, found.row.device_id)]
    return visit.render("labels.html", m=head["m"], labels=labels, following=None, **_reach(visit))


async def show_labels(visit: Visit) -> Response:
    """Of the machines that a list of the Machines page shows, in its order."""
    query = fleet.query_from(visit.request.query_params)
    shown = await visit.context[FleetDigest].views(visit.user.machines)
    in_order = fleet.ordered([view async for view in in_slices(shown) if fleet.matches(view, query)], query)
    first = (query.page - 1) * LABELS_ON_PAGE
    labels = await _labels(visit, in_order[first : first + LABELS_ON_PAGE])
    following = query.address(page=query.page + 1) if len(in_order) > first + LABELS_ON_PAGE else None
    onward = following and f"/labels{following[1:]}"
    return visit.render("labels.html", m=None, labels=labels, following=onward, **_reach(visit))


def _reach(visit: Visit) -> dict[str, Any]:
    """Whether phones would follow the labels to themselves."""
    address = base_url(visit)
    return {"address": address, "here_only": addresses.is_url_of_this_computer(address)}


async def _labels(visit: Visit, views: Iterable[Mapping[str, Any]]) -> list[Label]:
    base, machines = base_url(visit), visit.context.fleet.machines
    found = (machines.get(view["id"]) for view in views)
    rows = (machine.row for machine in found if machine is not None)
    return [label(base, row.name, row.device_id) async for row in in_slices(rows)]


ON_LABEL: Final = re.compile(r"/m/([^/?#]+)/?(?:[?#].*)?\Z", re.DOTALL)
"""The end of the address that a label's code holds, of whichever hub."""
MAX_SCANNED: Final = 500
"""Letters; a label's address is shorter."""


async def show_scan(visit: Visit) -> Response:
    """Asks for what a label says; `code` has it, from the camera or typed."""
    code = visit.request.query_params.get("code", "").strip()
    rows = [m.row for m in visit.context.fleet.machines.values() if visit.user.reaches(m.id)]
    address = ON_LABEL.search(code)
    says = unquote(address[1]) if address else code
    found = rules.on_label(says, rows, scanned=address is not None) if len(code) <= MAX_SCANNED else []
    if len(found) == 1:
        return go(front_place(found[0].device_id))
    if found:
        return go(f"/?{urlencode({'q': code})}")
    return await _scan(visit, code)


async def _scan(visit: Visit, code: str) -> Response:
    """`code`: of no machine that the reader may see; "": it is asked for."""
    asked = await tab.administrators(visit) if code and visit.user.machines is not None else ()
    page = visit.render("scan.html", 404 if code else 200, code=plain(code), administrators=asked)
    page.headers.update(CAMERA_HERE)
    return page


def from_label(show: Show) -> Show:
    """`/m/{id}`: who stands before a machine that the hub does not know, or that is not theirs, reads so, and scans
    another."""

    async def shown(visit: Visit) -> Response:
        try:
            return await show(visit)
        except Problem as refused:
            if refused.kind != "not-found":
                raise
            return await _scan(visit, visit.request.path_params["id"])

    return shown
