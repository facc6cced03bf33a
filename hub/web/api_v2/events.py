"""/events: the record of what happened, newest first, as far as the caller may know."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

from db import events
from hub.core import views
from hub.core.access import may
from hub.core.changes import EventHappened
from hub.core.dating import UndatableError, date
from hub.web.api_v2 import paging, shapes
from hub.web.api_v2.guard import machine_named
from hub.web.api_v2.kinds import InstantGiven, Limit, Row
from hub.web.api_v2.operation import Answer, Call, Operation
from hub.web.problems import one_wrong
from protocol.messages import Name

_AHEAD = timedelta(days=366)


class EventsQuery(msgspec.Struct, rename={"start": "from", "end": "to"}):
    """`rvm` is an id or device_id, `code` one or several codes with commas, `before` the id of the last event of the
    page before."""

    rvm: Name | None = None
    code: Name | None = None
    actor: Name | None = None
    start: InstantGiven | None = None
    end: InstantGiven | None = None
    before: Row | None = None
    limit: Limit = 100


async def list_events(call: Call) -> Answer:
    query: EventsQuery = call.query
    found = await events.list_events(
        call.context.store,
        limit=query.limit + 1,
        before=await _mark(call, query.before),
        rvm_ids=_visible(call, query.rvm),
        codes=None if query.code is None else {code.strip() for code in query.code.split(",")},
        actor=query.actor,
        start=_instant(call, "from", query.start),
        end=_instant(call, "to", query.end),
    )
    page = [views.event_view(_event(row)) for row in found[: query.limit]]
    following = page[-1]["id"] if len(found) > query.limit else None
    return Answer(page, headers=paging.headers(call.request, before=following))


def _visible(call: Call, rvm: str | None) -> Collection[int] | None:
    """The machines whose events are shown; None for everything, also what concerns no machine."""
    principal = call.principal
    if rvm is not None:
        return {machine_named(call.context, principal, rvm).id}
    if may(principal, "event.read_all"):
        return None
    return principal.machines if principal.machines is not None else call.context.fleet.machines.keys()


async def _mark(call: Call, before: int | None) -> tuple[datetime, int] | None:
    if before is None:
        return None
    row = await events.find_event(call.context.store, before)
    shown = _visible(call, None)
    # An event that may not be seen is no place to read on from, like one that does not exist.
    if row is None or (shown is not None and row.rvm_id not in shown):
        raise one_wrong("before", "expect.event_id")
    return row.at, row.id


def _instant(call: Call, member: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return date(text, call.now + _AHEAD, None, call.context.settings.default_timezone).at
    except UndatableError as wrong:
        raise one_wrong(member, "expect.time") from wrong


def _event(row: events.EventRow) -> EventHappened:
    return EventHappened(**{name: getattr(row, name) for name in EventHappened.__struct_fields__})


OPERATIONS = (
    Operation(
        name="list_events", method="GET", path="/v2/events", handler=list_events, tag="Events",
        summary="What happened, newest first", action="event.read", query=EventsQuery,
        answers={200: list[shapes.Event]}, refusals=(404,), headers=("Link",),
        description="Administrators also see what concerns no machine (sign-ins, users, tokens).",
    ),
)  # fmt: skip
