"""Who and what a page of events speaks of, by name: people and machines that are there, and those that were removed.

The record itself tells how the removed ones were called. Names only what the given events name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from dashboard.event_lines import Names
from db import users
from db.event_search import Filters, search
from db.events import EventRow
from hub.kernel.context import HubContext
from hub.model import actors
from texts.catalogue import Texts

MOST_REMOVED: Final = 1000
"""Removals that are looked at for a name."""


@dataclass(slots=True)
class Removed:
    """What the record was asked about those that were removed, so that many pages ask once. `machines` has None for one
    of which it does not tell."""

    people: dict[str, str] | None = None
    # Bound: one answer's.
    machines: dict[int, str | None] = field(default_factory=dict)


async def names_in(
    context: HubContext, events: Iterable[EventRow], texts: Texts, removed: Removed | None = None
) -> Names:
    """`texts`: the reader's, for those who were removed. `removed` is kept between pages."""
    known = removed or Removed()
    rows = list(events)
    everybody = {str(user.id): user.name for user in await users.all_users(context.store)}
    wanted = {row.actor.partition(":")[2] for row in rows if row.actor.startswith("user:")}
    about = [row.params.get(name) for row in rows for name in ("user_id", "claimed")]
    wanted |= {str(number) for number in about if isinstance(number, int)}
    people = {number: everybody[number] for number in wanted if number in everybody}
    if missing := wanted - people.keys():
        gone = known.people = known.people if known.people is not None else await _removed_people(context)
        people |= {number: texts("who.removed", name=gone[number]) for number in missing if number in gone}
    ids = {row.rvm_id for row in rows if row.rvm_id is not None}
    fallback = context.settings.default_timezone
    fleet = context.fleet.machines
    there = {n: (fleet[n].name, fleet[n].timezone or fallback) for n in ids if n in fleet}
    return Names(people, there, await _removed_machines(context, ids - there.keys(), known.machines))


async def actors_called(context: HubContext, text: str) -> list[str]:
    """The people whose name has this text. Not their email: whoever may read an event may know the name beside it."""
    sought = text.casefold()
    return [actors.user(user.id) for user in await users.all_users(context.store) if sought in user.name.casefold()]


async def _removed_people(context: HubContext) -> dict[str, str]:
    found = await search(context.store, Filters(codes=("user.removed",)), MOST_REMOVED)
    return {str(row.params.get("user_id")): _last_name(row, "email") for row in found.rows}


async def _removed_machines(context: HubContext, ids: set[int], known: dict[int, str | None]) -> dict[int, str]:
    if new := ids - known.keys():
        known |= dict.fromkeys(new)
        found = await search(context.store, Filters(rvm_ids=new, codes=("machine.removed",)), MOST_REMOVED)
        known |= {row.rvm_id: _last_name(row, "device_id") for row in found.rows if row.rvm_id is not None}
    return {rvm_id: name for rvm_id in ids if (name := known[rvm_id]) is not None}


def _last_name(row: EventRow, otherwise: str) -> str:
    known = row.before or {}
    return str(known.get("name") or row.params.get("name") or row.params.get(otherwise) or "")
