"""/machine-sheet: machines as a CSV file, read back as it was written: all of it, or nothing. No cell is a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final, Literal

import msgspec
from starlette.responses import Response

from dashboard.spreadsheet import SEPARATOR_LINE, SEPARATORS, encoding, opening, plain_cell, safe_cell
from db.records import MachineRow
from hub.machines import rules
from hub.machines.api import NewMachine, facts_of
from hub.model.machine import typed_tags
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.problems import Problem, Text, invalid, one_wrong
from hub.web.http.validation import MAX_NAMED, validate

COLUMNS: Final = ("name", "location_description", "device_id", "tags", "latitude", "longitude")
MOST_ROWS: Final = 1000
MAX_BYTES: Final = 400_000
_NUMBER: Final = re.compile(r"[+-]?\d{1,3}(?:[.,]\d{1,20})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
"""Spreadsheets of some languages write a comma in it."""


class MachineSheet(msgspec.Struct):
    """`csv`: a first line with names of columns (`name`, and any of `location_description`, `device_id`, `tags`,
    `latitude`, `longitude`), then a line a machine; `tags` with spaces between them, or with commas where one has a
    space. `dry_run`: look only."""

    csv: Annotated[str, msgspec.Meta(max_length=MAX_BYTES)]
    dry_run: bool = False


class SheetQuery(msgspec.Struct):
    """`separator` semicolon or tab tells spreadsheets so in a first line and comes with decimal commas, as where those
    part cells; `bom`: a byte order mark, for spreadsheets, which get such a file in UTF-16."""

    separator: Literal["comma", "semicolon", "tab"] = "comma"
    bom: bool = False


class SheetLine(msgspec.Struct):
    """`line`: of the file, the first is 1."""

    line: int
    name: str
    device_id: str | None


class SheetAdded(msgspec.Struct):
    dry_run: bool
    machines: list[SheetLine]


async def import_machines(call: Call) -> Answer:
    """A fault anywhere: the 422 names each line, and nothing is added."""
    sheet: MachineSheet = call.body
    lines, faults = _read(call, sheet.csv)
    if faults:
        raise invalid(dict(list(faults.items())[:MAX_NAMED]))
    if not sheet.dry_run:
        changes = []
        for _, wanted in lines:
            _, made = rules.new_machine(facts_of(wanted), call.principal.actor, call.now)
            changes += made
        await call.announce(*changes)
    shown = [SheetLine(line, wanted.name, wanted.device_id) for line, wanted in lines]
    return Answer(SheetAdded(sheet.dry_run, shown), 200 if sheet.dry_run else 201)


def _read(call: Call, text: str) -> tuple[list[tuple[int, NewMachine]], dict[str, list[Text]]]:
    """Good lines, and what is wrong by line."""
    lines: list[tuple[int, NewMachine]] = []
    faults: dict[str, list[Text]] = {}
    taken = [machine.row for machine in call.context.fleet.machines.values()]
    named: set[str] = set()
    ids: set[str] = set()
    for line, values in sheet_rows(text):
        if len(lines) + len(faults) >= MOST_ROWS:
            raise invalid({"csv": [Text("sheet.too_many", {"most": MOST_ROWS})]})
        if values is None:
            faults[f"line {line}"] = [Text("sheet.too_wide")]
            continue
        try:
            wanted = validate(NewMachine, values)
            if missing := rules.half_a_place(wanted.latitude, wanted.longitude):
                raise one_wrong(missing, "coordinates_both")
        except Problem as wrong:
            faults[f"line {line}"] = [
                Text("sheet.wrong", {"column": column, "why": _of_a_cell(whys[0])})
                for column, whys in (wrong.errors or {}).items()
            ]
            continue
        twin = rules.taken(taken, wanted.name, wanted.device_id)
        name, device_id = rules.composed(wanted.name), (wanted.device_id or "").casefold()
        if twin is None and (name in named or (device_id and device_id in ids)):
            twin = "name" if name in named else "device_id"
        if twin is not None:
            faults[f"line {line}"] = [Text("sheet.wrong", {"column": twin, "why": Text(f"taken.{twin}")})]
        named.add(name)
        ids.add(device_id)
        lines.append((line, wanted))
    if not lines and not faults:
        raise invalid({"csv": [Text("sheet.empty")]})
    return lines, faults


def sheet_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """By line of the file, None: with more cells than columns. Spreadsheets of some languages write semicolons, and a
    byte order mark; what is copied from one has tabs; a first line may name the separator."""
    text, told = text.removeprefix("\ufeff"), 0
    head, _, rest = text.partition("\n")
    if head.lower().startswith(SEPARATOR_LINE):
        text, told = rest, 1
        head, _, _ = rest.partition("\n")
    mark = next((mark for mark in SEPARATORS.values() if mark in head), SEPARATORS["comma"])
    reader = csv.reader(io.StringIO(text), delimiter=mark, strict=True)
    line = told + 1
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        unknown = [name for name in columns if name not in COLUMNS]
        if "name" not in columns or unknown or len(set(columns)) < len(columns):
            raise invalid({"csv": [Text("sheet.columns", {"columns": list(COLUMNS)})]})
        line = told + reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                given = dict(zip(columns, (plain_cell(cell.strip()) for cell in cells), strict=False))
                is_longer = any(cell.strip() for cell in cells[len(columns) :])
                yield line, None if is_longer else {name: _value(name, text) for name, text in given.items() if text}
            line = told + reader.line_num + 1
    except csv.Error as wrong:
        raise invalid({f"line {line}": [Text("sheet.not_csv")]}) from wrong


def _of_a_cell(why: Text) -> Text:
    """A cell is empty, and never null."""
    other = why.params.get("other")
    return why.params["one"] if isinstance(other, Text) and other.key == "expect.null" else why


def _value(column: str, text: str) -> Any:
    """What is no number stays as it is, for the sentence that refuses it."""
    if column == "tags":
        return typed_tags(text) if "," in text else text.split()
    is_number = column in ("latitude", "longitude") and _NUMBER.fullmatch(text)
    return float(text.replace(",", ".")) if is_number else text


def _tags(row: MachineRow) -> str:
    tags = row.tags or ()
    spaced = any(" " in tag for tag in tags)
    return f"{', '.join(tags)}{',' if len(tags) == 1 else ''}" if spaced else " ".join(tags)


def sheet_of(machines: Iterable[MachineRow], mark: str = SEPARATORS["comma"]) -> str:
    """What `sheet_rows` reads."""
    file = io.StringIO()
    file.write(opening(mark))
    writer = csv.writer(file, delimiter=mark)
    writer.writerow(COLUMNS)
    decimal = "." if mark == SEPARATORS["comma"] else ","
    for row in machines:
        texts = (row.name, row.location_description, row.device_id, _tags(row))
        place = ("" if at is None else str(at).replace(".", decimal) for at in (row.latitude, row.longitude))
        writer.writerow([*map(safe_cell, texts), *place])
    return file.getvalue()


async def export_machines(call: Call) -> Answer:
    """Those that the caller may see, by name."""
    reached = (m.row for m in call.context.fleet.machines.values() if call.principal.reaches(m.id))
    query: SheetQuery = call.query
    return Answer(sheet_file(reached, query.separator, for_spreadsheet=query.bom))


def sheet_file(machines: Iterable[MachineRow], separator: str, *, for_spreadsheet: bool) -> Response:
    """By name."""
    mark = SEPARATORS[separator]
    text = sheet_of(sorted(machines, key=lambda row: row.name.casefold()), mark)
    written = encoding(mark, for_spreadsheet=for_spreadsheet)
    body = f"{chr(0xFEFF) if for_spreadsheet else ''}{text}".encode(written)
    headers = {"Content-Disposition": 'attachment; filename="machines.csv"'}
    return Response(body, media_type=f"text/csv; charset={written}", headers=headers)


_EXAMPLE: Final = {
    "csv": "name,location_description,device_id,tags,latitude,longitude\n"
    "Kantin Timur,Lantai 1,rvm-kt-01,bandung pilot,-6.9147,107.6098\n",
    "dry_run": True,
}

OPERATIONS: Final = (
    Operation(
        name="import_machines", method="POST", path="/v2/machine-sheet", handler=import_machines, tag="Machines",
        summary="Add the machines of a CSV file, all or none", action="machine.key", body=MachineSheet,
        body_limit=2 * MAX_BYTES, answers={200: SheetAdded, 201: SheetAdded}, refusals=(409,), example=_EXAMPLE,
        description="Their keys are shown to nobody: each machine comes with a one-time code.",
    ),
    Operation(
        name="export_machines", method="GET", path="/v2/machine-sheet", handler=export_machines, tag="Machines",
        reads=2, summary="The machines you may see as a CSV file", action="machine.read", query=SheetQuery,
        answers={200: bytes}, other_media=("text/csv",),
    ),
)  # fmt: skip
