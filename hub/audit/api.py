"""/events and /rvms/{id}/events: the audit log, as far as the caller may know it, as JSON or CSV."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from db.queries import events
from db.queries.events import EventFilters, EventMark, EventPage, find_event, search
from db.records import EventRow
from hub.audit import service
from hub.audit.rules import KINDS
from hub.model import views
from hub.model.access import may
from hub.web.api import headers
from hub.web.api.endpoint import machine_named
from hub.web.api.headers import bound
from hub.web.api.operation import Answer, Call, Operation, of_record
from hub.web.http.problems import Text, invalid, one_wrong
from hub.web.http.validation import InstantGiven, Language, Limit, Row, Zone
from protocol.kinds import Name
from protocol.zones import is_zone

MAX_CODES = 50

Sought = Annotated[
    str, msgspec.Meta(max_length=100, pattern=r"^[^\x00]*$(?![\n\x00])", extra={"expect": "expect.sought"})
]
Names = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, extra={"expect": "expect.names"})]


@of_record(EventRow, without=("boot_id", "seq"))
class EventView(msgspec.Struct):
    """A code and parameters; each reader's language makes the sentence."""


class MachineEventsQuery(msgspec.Struct, rename={"start": "from", "end": "to"}):
    """`kind` and `code`: one or several with commas. `actor`: one, or `user` or `machine` for all of that sort. `q`: in
    code, actor, parameters, before and after, the machine's name and (for people's queries) the person's; ASCII letters
    in either case. `before` and `after`: ids of events, for the page of older or newer ones.

    `format` csv gives all that match and not one page, up to 100,000, with a sentence in `language`, the time once more
    in `timezone` (the caller's, else the hub's), which the head of its column names, and, for spreadsheets that ask for
    one, a byte order mark (`bom`). `separator` semicolon or tab tells spreadsheets so in a first line; with `bom` that
    file is UTF-16, for below such a line Excel reads no UTF-8."""

    kind: Names | None = None
    code: Names | None = None
    actor: Name | None = None
    q: Sought | None = None
    start: InstantGiven | None = None
    end: InstantGiven | None = None
    before: Row | None = None
    after: Row | None = None
    limit: Limit = 100
    format: Literal["json", "csv"] | None = None
    language: Language | None = None
    timezone: Zone | None = None
    bom: bool = False
    separator: Literal["comma", "semicolon", "tab"] = "comma"


class EventsQuery(MachineEventsQuery, rename={"start": "from", "end": "to"}):
    rvm: Name | None = None


async def list_events(call: Call) -> Answer:
    query: EventsQuery = call.query
    return await _answer(call, query, query.rvm)


async def list_machine_events(call: Call) -> Answer:
    return await _answer(call, call.query, str(call.machine.id))


async def _answer(call: Call, query: MachineEventsQuery, rvm: str | None) -> Answer:
    if query.timezone is not None and not is_zone(query.timezone):
        raise one_wrong("timezone", "expect.zone")
    filters = await filters_of(call, query, rvm)
    before, after = await mark_of(call, "before", query.before), await mark_of(call, "after", query.after)
    if service.is_csv_wanted(call.request, query.format):
        device_id = machine_named(call.context, call.principal, rvm).row.device_id if rvm is not None else ""
        return Answer(await service.export(call, filters, before, after, device_id))
    found = await search(call.context.store, filters, query.limit, before=before, after=after)
    page = [views.event_view(row) for row in found.rows]
    if after is not None:
        following = headers.next_page(call.request, relation="prev", after=onward(found, newer=True))
    else:
        following = headers.next_page(call.request, before=onward(found))
    return Answer(page, headers=following)


def onward(page: EventPage, *, newer: bool = False) -> int | None:
    if not page.more:
        return None
    if page.reached is not None:
        return page.reached.id
    return page.rows[0 if newer else -1].id


async def filters_of(call: Call, query: MachineEventsQuery, rvm: str | None) -> EventFilters:
    """Within what the caller may know. Raises Problem."""
    rvm_ids = visible(call, rvm)
    zone = None if rvm is None else headers.zone_of(call, machine_named(call.context, call.principal, rvm))
    text = (query.q or "").strip() or None
    return EventFilters(
        rvm_ids=rvm_ids,
        of=None if may(call.principal, "event.read_all") else "machines",
        kinds=None if query.kind is None else kinds_in(query.kind),
        codes=None if query.code is None else _several("code", query.code),
        actor=query.actor,
        start=bound(call, "from", query.start, zone),
        end=bound(call, "to", query.end, zone),
        text=text,
        text_rvms=_machines_called(call, text),
        # A machine's key sees numbers of people, no names, neither shown nor searched.
        text_actors=await service.actors_called(call.context, text) if text and call.principal.kind == "user" else (),
    )


def visible(call: Call, rvm: str | None) -> frozenset[int] | None:
    """Whose events are shown; None: all, removed ones included."""
    if rvm is not None:
        return frozenset({machine_named(call.context, call.principal, rvm).id})
    return call.principal.machines


def kinds_in(text: str) -> list[str]:
    named = _several("kind", text)
    if not set(named) <= set(KINDS):
        raise invalid({"kind": [Text("expect.one_of", {"values": list(KINDS)})]})
    return named


def _several(member: str, text: str) -> list[str]:
    named = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not 0 < len(named) <= MAX_CODES or any(len(name) > 100 or "\x00" in name for name in named):
        raise one_wrong(member, "expect.names")
    return named


def _machines_called(call: Call, text: str | None) -> list[int]:
    if text is None:
        return []
    sought, reach = text.casefold(), call.principal.reaches
    named = ((m.id, f"{m.row.name}\n{m.row.device_id}".casefold()) for m in call.context.fleet.machines.values())
    return [rvm_id for rvm_id, names in named if sought in names and reach(rvm_id)]


async def mark_of(call: Call, member: str, event_id: int | None) -> EventMark | None:
    if event_id is None:
        return None
    row = await find_event(call.context.store, event_id)
    # An event that may not be seen is no place to read on from, like one that does not exist.
    if row is None or not (
        may(call.principal, "event.read_all") if row.rvm_id is None else call.principal.reaches(row.rvm_id)
    ):
        raise one_wrong(member, "expect.event_id")
    return EventMark(row.at, row.id)


_SEARCH = (
    f"Text, kind, code and actor are looked for in at most {events.MOST * events.STRETCH:,} events at a "
    "time: a page may hold fewer than `limit` and still have a `Link` to go on with. `format=csv` or "
    "`Accept: text/csv` answers a file: one at a time for each caller, and its last row says what is not in it."
)

OPERATIONS = (
    Operation(
        name="list_events", method="GET", path="/v2/events", handler=list_events, tag="Events",
        reads=5, summary="What happened, newest first", action="event.read", query=EventsQuery,
        answers={200: list[EventView]}, refusals=(404, 429), headers=("Link",), other_media=(service.MEDIA_TYPE,),
        description=f"Administrators also see what concerns no machine (sign-ins, users, tokens). {_SEARCH}",
    ),
    Operation(
        name="list_machine_events", method="GET", reads=5, path="/v2/rvms/{id}/events", handler=list_machine_events,
        tag="Events", summary="What happened to one machine, newest first", action="event.read",
        query=MachineEventsQuery, answers={200: list[EventView]}, refusals=(429,), headers=("Link",),
        other_media=(service.MEDIA_TYPE,), description=_SEARCH,
    ),
)  # fmt: skip
