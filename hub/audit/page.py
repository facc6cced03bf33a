"""`/events` and `/machines/{id}/events`: the audit log to read, filter and follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from starlette.responses import Response

from dashboard.event_choice import EventChoice, choice_from
from dashboard.event_lines import Line, event_line, happening_line
from dashboard.event_reading import Names
from dashboard.happenings import Happening, fold
from db.engine.store import Store
from db.queries import users
from db.queries.events import EventFilters, EventMark, EventPage, search
from db.records import EventRow
from hub.audit import api
from hub.audit.rules import KINDS, OF_MACHINES
from hub.audit.service import names_in
from hub.machines import tab
from hub.model import actors, views
from hub.model.access import ACTIONS
from hub.model.actors import row_id
from hub.model.machine import Machine
from hub.web.api.endpoint import machine_named
from hub.web.http.problems import Problem
from hub.web.http.validation import validate
from hub.web.shell.fleet_digest import in_slices
from hub.web.shell.page import Visit

ON_A_PAGE: Final = 50  # Happenings; events, where every one is asked for
RECENT: Final = 5  # Happenings on a machine's Overview
CHUNKS: Final = (50, 50, 100, 200, 400, 800)
"""Events read at a time until the page is full; after the last the page says how far it came."""
AROUND: Final = 200  # Events read on either side, to tell what began before the page or went on after it
MOST_OFFERED: Final = 300  # Machine names that the field offers; beyond that it is only a field


class PageOfEvents(NamedTuple):
    """`rows`: every shown event; `onward`: the next page begins before it; `reached`: how far back a stopped search
    came."""

    happenings: list[Happening]
    rows: list[EventRow]
    onward: int | None
    reached: EventMark | None


@dataclass(frozen=True)
class EventsShown:
    """`reached`: how far back an incomplete search came, in ms."""

    lines: list[Line]
    onward: int | None
    reached: int | None


class RecentEvents(NamedTuple):
    """`news`: what makes them stale."""

    lines: list[Line]
    news: str
    zone: str


async def show_events(visit: Visit) -> Response:
    choice = choice_from(visit.request.query_params, "/events", _kinds(visit), row_id)
    machine = _chosen(visit, choice)
    fault = "machine" if choice.machine and machine is None else None
    shown = await _nothing() if fault else await _shown(visit, choice, machine, one_machine=False)
    return visit.render("events.html", **await _values(visit, choice, machine, shown), fault=fault)


async def show_machine_events(visit: Visit) -> Response:
    found = visit.machine()
    choice = choice_from(visit.request.query_params, f"/machines/{found.id}/events", OF_MACHINES, row_id)
    shown = await _shown(visit, choice, found, one_machine=True)
    head = await tab.head(visit, found)
    values = await _values(visit, choice, found, shown)
    return visit.render("machine_events.html", **values, fault=None, head_of=head, m=head["m"])


async def show_lines(visit: Visit) -> Response:
    """HTML for the page's script: of one machine by `rvm`, else as /events."""
    params = visit.request.query_params
    visit.read_as_its_page()
    one = params.get("rvm", "")
    choice = choice_from(params, "/events", _kinds(visit), row_id)
    machine = machine_named(visit.context, visit.user, one) if one else _chosen(visit, choice)
    if choice.machine and machine is None:
        shown = await _nothing()
    else:
        shown = await _shown(visit, choice, machine, one_machine=bool(one))
    zone = _zone(visit, machine if one else None)
    reached = None if shown.reached is None else visit.reader.day(shown.reached, zone)
    return visit.render(
        "event_more.html", shown=shown, reached=reached, of_machine=machine.id if one and machine is not None else None
    )


async def recent(visit: Visit, found: Machine) -> RecentEvents:
    """What happened to a machine last, for its Overview."""
    page = await search(visit.context.store, EventFilters(rvm_ids=(found.id,)), CHUNKS[0])
    newest = fold([_view(row) for row in page.rows], ())[:RECENT]
    wanted = {event["id"] for one in newest for event in one.events}
    names = await names_in(visit.context, [row for row in page.rows if row.id in wanted], visit.reader.t)
    zone = _zone(visit, found)
    made = await _lines(visit, newest, names, zone, one_machine=True)
    return RecentEvents(made, " ".join(f"event:{kind}" for kind in OF_MACHINES), zone)


async def part_recent(visit: Visit) -> dict[str, Any]:
    found = visit.machine()
    return {"m": views.machine_view(found, times="ms"), "recent": await recent(visit, found)}


def _kinds(visit: Visit) -> tuple[str, ...]:
    return KINDS if visit.may("event.read_all") else OF_MACHINES


def _zone(visit: Visit, machine: Machine | None) -> str:
    return visit.reader.zone if machine is None else tab.zone_of(visit.reader, machine)


def _chosen(visit: Visit, choice: EventChoice) -> Machine | None:
    wanted = choice.machine
    fleet = visit.context.fleet
    named = next((m for m in fleet.machines.values() if m.row.name.casefold() == wanted.casefold()), None)
    found = named or (fleet.find(wanted) if wanted else None)
    return found if found is not None and visit.user.reaches(found.id) else None


async def _nothing() -> EventsShown:
    return EventsShown([], None, None)


async def _shown(visit: Visit, choice: EventChoice, machine: Machine | None, *, one_machine: bool) -> EventsShown:
    zone = _zone(visit, machine if one_machine else None)
    found = await _found(visit, choice, machine, zone)
    names = await names_in(visit.context, found.rows, visit.reader.t)
    reached = None if found.reached is None else views.epoch_ms(found.reached.at)
    made = await _lines(visit, found.happenings, names, zone, one_machine=one_machine)
    return EventsShown(made, found.onward, reached)


async def _lines(
    visit: Visit, happenings: Sequence[Happening], names: Names, zone: str, *, one_machine: bool
) -> list[Line]:
    """One of them may have a thousand events."""
    r, steps = visit.reader, dict[int, Line]()
    async for event in in_slices([event for one in happenings for event in one.events]):
        steps[event["id"]] = event_line(r, event, names, zone, one_machine=one_machine)
    return [
        happening_line(r, one, [steps[event["id"]] for event in one.events], names)
        async for one in in_slices(happenings)
    ]


async def _found(visit: Visit, choice: EventChoice, machine: Machine | None, zone: str) -> PageOfEvents:
    query = validate(api.EventsQuery, api_members(choice, machine, zone), unknown="ignore", lax=True)
    call = visit.call(query=query)
    filters = await api.filters_of(call, query, query.rvm)
    try:
        before = await api.mark_of(call, "before", choice.before)
    except Problem:
        before = None  # an address from another hub, or of an event that is not for this reader: from the newest on
    return await read_page(visit.context.store, filters, before, choice.kinds, raw=choice.raw)


def api_members(choice: EventChoice, machine: Machine | None, zone: str) -> dict[str, str]:
    start, end = choice.instants(zone)
    asked = {
        "kind": ",".join(choice.kinds), "actor": choice.actor, "q": choice.text,
        "rvm": "" if machine is None else str(machine.id),
        "from": "" if start is None else views.rfc3339(start), "to": "" if end is None else views.rfc3339(end),
    }  # fmt: skip
    return {name: value for name, value in asked.items() if value}


async def _values(visit: Visit, choice: EventChoice, machine: Machine | None, shown: EventsShown) -> dict[str, Any]:
    reader, one = visit.reader, choice.base != "/events"
    zone = _zone(visit, machine if one else None)
    asked = api_members(choice, machine, zone) | {
        "format": "csv",
        "bom": "true",
        "language": reader.language,
    }
    people = await _people(visit)
    fleet = [m.row.name for m in visit.context.fleet.machines.values() if visit.user.reaches(m.id)]
    return {
        "choice": choice,
        "kinds": OF_MACHINES if one else _kinds(visit),
        "people": people,
        "asked": _asked(visit, choice, dict(people)),
        "offered": sorted(fleet) if len(fleet) <= MOST_OFFERED else [],
        "shown": shown,
        "zone_of_days": zone,
        "export": asked,
        "export_zones": list(dict.fromkeys((zone, reader.zone, "UTC"))),
        "reached": None if shown.reached is None else reader.day(shown.reached, zone),
        "of_machine": machine.id if one and machine is not None else None,
    }


def _asked(visit: Visit, choice: EventChoice, people: dict[str, str]) -> list[str]:
    t = visit.reader.t
    words = [t(f"events.kind.{kind}") for kind in choice.kinds]
    groups = {"user": t("events.actor.user"), "machine": t("events.actor.machine")}
    actor = groups.get(choice.actor) or people.get(choice.actor) or visit.reader.text_of("who", choice.actor)
    quoted = f"“{choice.text}”" if choice.text else ""
    return [word for word in (*words, quoted, choice.machine, actor, choice.start, choice.end) if word]


async def _people(visit: Visit) -> list[tuple[str, str]]:
    """All for an administrator, else those who may act on machines."""
    everybody, all_of_them = await users.all_users(visit.context.store), visit.may("user.manage")
    acting = [user for user in everybody if all_of_them or user.role in ACTIONS["status.write"]]
    return [(actors.user(user.id), user.name) for user in sorted(acting, key=lambda user: user.name.casefold())]


async def read_page(
    store: Store, filters: EventFilters, before: EventMark | None, kinds: Sequence[str], *, raw: bool = False
) -> PageOfEvents:
    if raw:
        found = await search(store, filters, ON_A_PAGE, before=before)
        happenings = [Happening(f"e{row.id}", "", [_view(row)]) for row in found.rows]
        return PageOfEvents(happenings, found.rows, _onward(found), found.reached)
    rows, page = await _filled(store, filters, before, kinds)
    newer = await _newer(store, filters, before)
    older = await _older(store, filters, page, rows)
    own = {row.id for row in rows}
    everything = [*newer, *rows, *older]
    shown = [one for one in fold([_view(row) for row in everything], kinds) if one.newest["id"] in own]
    wanted = {event["id"] for one in shown for event in one.events}
    stopped = page.reached or (_mark(rows) if page.more and len(shown) < ON_A_PAGE and rows else None)
    return PageOfEvents(shown, [row for row in everything if row.id in wanted], _onward(page), stopped)


async def _filled(
    store: Store, filters: EventFilters, before: EventMark | None, kinds: Sequence[str]
) -> tuple[list[EventRow], EventPage]:
    rows, place, page = list[EventRow](), before, EventPage([], more=False)
    for amount in CHUNKS:
        page = await search(store, filters, amount, before=place)
        rows += page.rows
        if not page.more or page.reached is not None or len(fold([_view(row) for row in rows], kinds)) >= ON_A_PAGE:
            break
        place = _mark(page.rows)
    return rows, page


async def _newer(store: Store, filters: EventFilters, before: EventMark | None) -> list[EventRow]:
    """What the page before showed last, newest first, with the mark's own event."""
    if before is None:
        return []
    page = await search(store, filters, AROUND, after=EventMark(before.at, before.id - 1))
    return page.rows


async def _older(store: Store, filters: EventFilters, page: EventPage, rows: list[EventRow]) -> list[EventRow]:
    if not page.more or not rows:
        return []
    return (await search(store, filters, AROUND, before=_mark(rows))).rows


def _onward(page: EventPage) -> int | None:
    if not page.more:
        return None
    return page.reached.id if page.reached is not None else page.rows[-1].id


def _mark(rows: Sequence[EventRow]) -> EventMark:
    return EventMark(rows[-1].at, rows[-1].id)


def _view(row: EventRow) -> dict[str, Any]:
    return views.event_view(row, times="ms")
