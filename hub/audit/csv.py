"""The record as a CSV file: read from the database page by page while it is sent, never held as a whole.

Made for spreadsheets: a sentence in words beside code and parameters, and no cell that a spreadsheet would take for a
formula. What is missing at the end is said in the last row.
"""

from __future__ import annotations

import csv as spreadsheet
import io
import math
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard import record
from dashboard.event_lines import Names
from dashboard.reader import Reader
from db.errors import StoreError
from db.event_search import Filters, Mark, Page, search
from db.events import EventRow
from hub.audit.names import Removed, names_in
from hub.model import views
from hub.web.api.operation import Call
from hub.web.auth.limits import ReadBudget
from hub.web.http.download_slots import EndedStream, Exports
from hub.web.shell.fleet_digest import in_slices

MEDIA_TYPE: Final = "text/csv"
MOST_ROWS: Final = 100_000
"""Rows of one file; a spreadsheet holds ten times as many."""
MOST_LOOKED: Final = 400_000
"""Events that one file looks through for a text, kind, code or actor: some seconds of a database's time."""
AT_ONCE: Final = 500
COST_OF_ROWS: Final = 25.0
"""What so many rows take of the caller's budget of reads."""
COLUMNS: Final = (
    "id", "at", "kind", "code", "actor", "actor_name", "rvm_id", "machine", "sentence", "params", "before", "after",
)  # fmt: skip
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula; also in full width."""
_AFTER_SEMICOLON: Final = re.compile('(;[\\s"]*)([=+\\-@\uff1d\uff0b\uff0d\uff20])')
"""A spreadsheet of Indonesia (or Germany) begins a new cell there, whatever the file has between its cells."""


def is_csv_wanted(request: Request, chosen: str | None) -> bool:
    """`format`, else an Accept header that names CSV and no JSON."""
    if chosen is not None:
        return chosen == "csv"
    accepted = request.headers.get("accept", "")
    return MEDIA_TYPE in accepted and "json" not in accepted


def safe_cell(cell: object) -> str:
    """A cell that is text, whatever it begins with."""
    text = _AFTER_SEMICOLON.sub(r"\1'\2", "" if cell is None else str(cell))
    return f"'{text}" if text.startswith(FORMULA) else text


async def export(call: Call, filters: Filters, before: Mark | None, after: Mark | None, device_id: str) -> Response:
    """The whole answer. The first page is read before it begins, so that a database that is away is still a 503.
    Raises Problem (429) when there are too many at once."""
    exports, who = call.context[Exports], call.principal.actor
    exports.begin(who)
    try:
        answer = await _answer(call, filters, before, after, device_id)
    except BaseException:
        exports.end(who)
        raise
    if not isinstance(answer, EndedStream):
        exports.end(who)
    return answer


async def _answer(call: Call, filters: Filters, before: Mark | None, after: Mark | None, device_id: str) -> Response:
    query = call.query
    stem = "-".join(part for part in ("events", device_id.replace(":", "-"), f"{call.now:%Y%m%d-%H%M%S}") if part)
    headers = {"Content-Disposition": f'attachment; filename="{stem}.csv"', "Vary": "Accept"}
    first = await search(call.context.store, filters, AT_ONCE, before=before)
    kind = f"{MEDIA_TYPE}; charset=utf-8"
    if call.request.method == "HEAD":
        return Response(headers=headers, media_type=kind)
    reader = Reader(
        language=query.language or call.language,
        theme="auto",
        zone=call.context.settings.default_timezone,
        now=views.epoch_ms(call.now),
    )
    text = _file(call, reader, filters, first, after)
    ended = partial(call.context[Exports].end, call.principal.actor)
    return EndedStream(_encoded(text, bom=query.bom), headers, kind, ended)


async def _encoded(text: AsyncIterator[str], *, bom: bool) -> AsyncIterator[bytes]:
    if bom:
        yield "\ufeff".encode()
    async for part in text:
        yield part.encode()


async def _file(call: Call, r: Reader, filters: Filters, page: Page, after: Mark | None) -> AsyncIterator[str]:
    yield _rows([COLUMNS])
    store, left, looked, removed = call.context.store, MOST_ROWS, 0, Removed()
    try:
        while True:
            rows = page.rows[:left] if after is None else [row for row in page.rows[:left] if (row.at, row.id) > after]
            names = await names_in(call.context, rows, r.t, removed)
            if call.principal.kind == "machine":  # it is told numbers of people, no names
                names = replace(names, people={})
            yield _rows([_cells(r, row, names) async for row in in_slices(rows)])
            left, looked = left - len(rows), looked + page.looked
            ended = after is not None and len(rows) < len(page.rows)
            place = page.reached or (Mark(page.rows[-1].at, page.rows[-1].id) if page.rows else None)
            if ended or not page.more or place is None:
                return
            if left <= 0:
                yield _last(r.t("event.export.capped", n=r.number(MOST_ROWS), id=rows[-1].id))
                return
            if looked >= MOST_LOOKED and page.reached is not None:
                yield _last(r.t("event.export.looked", n=r.number(looked), id=page.reached.id))
                return
            await call.context[ReadBudget].take(call.principal.actor, COST_OF_ROWS, math.inf)
            page = await search(store, filters, min(AT_ONCE, left), before=place)
    except StoreError:
        # The answer has begun: all that can still be done is to say that it is not whole.
        yield _last(r.t("event.export.broken"))


def _cells(r: Reader, row: EventRow, names: Names) -> Sequence[object]:
    event = {"code": row.code, "params": row.params, "before": row.before, "after": row.after}
    return (
        row.id,
        views.rfc3339(row.at),
        record.kind(row.code),
        row.code,
        row.actor,
        names.who(r, row.actor),
        row.rvm_id,
        names.machine(r, row.rvm_id),
        record.say(r, event, names.people).sentence,
        *(_json(value) for value in (row.params, row.before, row.after)),
    )


def _last(sentence: str) -> str:
    return _rows([[sentence if column == "sentence" else "" for column in COLUMNS]])


def _json(value: Any) -> str:
    """As data, which stays what it is: inside its texts a formula's beginning is written as an escape."""
    text = "" if value is None else msgspec.json.encode(value).decode()
    return _AFTER_SEMICOLON.sub(lambda found: f"{found[1]}\\u{ord(found[2]):04x}", text)


def _rows(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    spreadsheet.writer(out).writerows([safe_cell(cell) for cell in row] for row in rows)
    return out.getvalue()
