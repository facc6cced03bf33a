"""Exports the audit log as CSV, finds names in events, records events that machines report. For spreadsheets: no
cell is a formula, the last row says what is missing."""

from __future__ import annotations

import csv as spreadsheet
import io
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard import event_sentences, formats
from dashboard.event_reading import Names, machine_numbers, mapping
from dashboard.reader import Reader
from dashboard.spreadsheet import SEPARATORS, encoding, json_cell, opening, safe_cell
from db.errors import StoreError
from db.queries import users
from db.queries.events import EventFilters, EventMark, EventPage, search
from db.records import EventRow
from hub.kernel.context import HubContext
from hub.links import rules as link_rules
from hub.links.session import MessageContext
from hub.model import actors, views
from hub.model.budgets import MAX_PARAMS_BYTES, too_large
from hub.web.api.operation import Call
from hub.web.auth.limits import ReadBudget
from hub.web.http.download_slots import DownloadSlots, EndedStream
from hub.web.shell.fleet_digest import in_slices
from protocol import messages as m
from texts.catalogue import Texts

MEDIA_TYPE: Final = "text/csv"
MOST_ROWS: Final = 100_000  # Rows of one file; a spreadsheet holds ten times as many
MOST_LOOKED: Final = 400_000
"""Events that one file searches."""
AT_ONCE: Final = 500
COST_OF_ROWS: Final = 25.0  # Charged to the caller's read budget for so many rows
COLUMNS: Final = (
    "id", "at", "kind", "code", "actor", "actor_name", "rvm_id", "machine", "sentence", "params", "before", "after",
)  # fmt: skip


def is_csv_wanted(request: Request, chosen: str | None) -> bool:
    """`format`, else an Accept header with CSV and no JSON."""
    if chosen is not None:
        return chosen == "csv"
    accepted = request.headers.get("accept", "")
    return MEDIA_TYPE in accepted and "json" not in accepted


async def export(
    call: Call, filters: EventFilters, before: EventMark | None, after: EventMark | None, device_id: str
) -> Response:
    """Reads a page before it answers. Raises Problem 429: too many."""
    exports, who = call.context[DownloadSlots], call.principal.actor
    exports.begin(who)
    try:
        answer = await _answer(call, filters, before, after, device_id)
    except BaseException:
        exports.end(who)
        raise
    if not isinstance(answer, EndedStream):
        exports.end(who)
    return answer


async def _answer(
    call: Call, filters: EventFilters, before: EventMark | None, after: EventMark | None, device_id: str
) -> Response:
    query = call.query
    zone = query.timezone or call.principal.timezone or call.context.settings.default_timezone
    here = call.now.astimezone(formats.zone(zone))
    stem = "-".join(part for part in ("events", device_id.replace(":", "-"), f"{here:%Y%m%d-%H%M%S}") if part)
    headers = {"Content-Disposition": f'attachment; filename="{stem}.csv"', "Vary": "Accept"}
    first = await search(call.context.store, filters, AT_ONCE, before=before)
    written = encoding(SEPARATORS[query.separator], for_spreadsheet=query.bom)
    kind = f"{MEDIA_TYPE}; charset={written}"
    if call.request.method == "HEAD":
        return Response(headers=headers, media_type=kind)
    reader = Reader(
        language=query.language or call.language,
        theme="auto",
        zone=zone,
        now=views.epoch_ms(call.now),
    )
    text = _file(call, reader, filters, first, after)
    ended = partial(call.context[DownloadSlots].end, call.principal.actor)
    return EndedStream(_encoded(text, written, bom=query.bom), headers, kind, ended)


async def _encoded(text: AsyncIterator[str], written: str, *, bom: bool) -> AsyncIterator[bytes]:
    if bom:
        yield "\ufeff".encode(written)
    async for part in text:
        yield part.encode(written)


async def _file(
    call: Call, r: Reader, filters: EventFilters, page: EventPage, after: EventMark | None
) -> AsyncIterator[str]:
    mark = SEPARATORS[call.query.separator]
    yield opening(mark)
    yield _rows([(*COLUMNS, f"at {r.zone}")], mark)
    store, left, looked, removed = call.context.store, MOST_ROWS, 0, Removed()
    try:
        while True:
            rows = page.rows[:left] if after is None else [row for row in page.rows[:left] if (row.at, row.id) > after]
            names = await names_in(call.context, rows, r.t, removed)
            if call.principal.kind == "machine":  # it gets numbers of people, no names
                names = replace(names, people={})
            yield _rows([_cells(r, row, names) async for row in in_slices(rows)], mark)
            left, looked = left - len(rows), looked + page.looked
            ended = after is not None and len(rows) < len(page.rows)
            place = page.reached or (EventMark(page.rows[-1].at, page.rows[-1].id) if page.rows else None)
            if ended or not page.more or place is None:
                return
            if left <= 0:
                yield _last(r.t("event.export.capped", n=r.number(MOST_ROWS), id=rows[-1].id), mark)
                return
            if looked >= MOST_LOOKED and page.reached is not None:
                yield _last(r.t("event.export.looked", n=r.number(looked), id=page.reached.id), mark)
                return
            await call.context[ReadBudget].take(call.principal.actor, COST_OF_ROWS, math.inf)
            page = await search(store, filters, min(AT_ONCE, left), before=place)
    except StoreError:
        # The answer has begun: all that can still be done is to say that it is not whole.
        yield _last(r.t("event.export.broken"), mark)


def _cells(r: Reader, row: EventRow, names: Names) -> Sequence[object]:
    event = {"code": row.code, "params": row.params, "before": row.before, "after": row.after}
    return (
        row.id,
        views.rfc3339(row.at),
        event_sentences.kind(row.code),
        row.code,
        row.actor,
        names.who(r, row.actor),
        row.rvm_id,
        names.machine(r, row.rvm_id),
        event_sentences.describe(r, event, names).sentence,
        *(_json(value) for value in (row.params, row.before, row.after)),
        row.at.astimezone(formats.zone(r.zone)).strftime("%Y-%m-%d %H:%M:%S"),
    )


def _last(sentence: str, mark: str) -> str:
    return _rows([[sentence if column == "sentence" else "" for column in (*COLUMNS, "at")]], mark)


def _json(value: Any) -> str:
    return "" if value is None else json_cell(msgspec.json.encode(value).decode())


def _rows(rows: Iterable[Sequence[object]], mark: str) -> str:
    out = io.StringIO()
    spreadsheet.writer(out, delimiter=mark).writerows([safe_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


MOST_REMOVED: Final = 1000  # Removals that are searched for a name


@dataclass(slots=True)
class Removed:
    """Removed people and machines looked up; None: not found."""

    people: dict[str, str] | None = None
    machines: dict[int, str | None] = field(default_factory=dict)  # Bound: one answer's


async def names_in(
    context: HubContext, events: Iterable[EventRow], texts: Texts, removed: Removed | None = None
) -> Names:
    """`texts`: the reader's, for removed ones. `removed` is kept between pages."""
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
    ids = ids.union(*(machine_numbers(mapping(of)) for row in rows for of in (row.before, row.after)))
    fleet = context.fleet.machines
    there = {n: fleet[n].row.name for n in ids if n in fleet}
    return Names(people, there, await _removed_machines(context, ids - there.keys(), known.machines))


async def actors_called(context: HubContext, text: str) -> list[str]:
    """By name; readers of an event may not know the email."""
    sought = text.casefold()
    return [actors.user(user.id) for user in await users.all_users(context.store) if sought in user.name.casefold()]


async def _removed_people(context: HubContext) -> dict[str, str]:
    found = await search(context.store, EventFilters(codes=("user.removed",)), MOST_REMOVED)
    return {str(row.params.get("user_id")): _last_name(row, "email") for row in found.rows}


async def _removed_machines(context: HubContext, ids: set[int], known: dict[int, str | None]) -> dict[int, str]:
    if new := ids - known.keys():
        known |= dict.fromkeys(new)
        found = await search(context.store, EventFilters(rvm_ids=new, codes=("machine.removed",)), MOST_REMOVED)
        known |= {row.rvm_id: _last_name(row, "device_id") for row in found.rows if row.rvm_id is not None}
    return {rvm_id: name for rvm_id in ids if (name := known[rvm_id]) is not None}


def _last_name(row: EventRow, otherwise: str) -> str:
    known = row.before or {}
    return str(known.get("name") or row.params.get("name") or row.params.get(otherwise) or "")


async def event(context: MessageContext, report: m.Event) -> None:
    if too_large(report.params):
        why = f"params: at most {MAX_PARAMS_BYTES} bytes as JSON; this event is not stored"
        context.link.send(m.Error(code="invalid", message=why, ref=report.seq))
        return
    if not context.links.dropped_events.take(context.machine.id, context.clock()):
        context.link.send(m.Received(ref=report.seq))
        return
    changes = link_rules.report_event(context.machine, context.boot.boot_id, report, context.clock(), context.zone)
    if await context.commit(changes, report.seq):
        context.link.send(m.Received(ref=report.seq))
