"""One operation of the API as data: routes, guard, OpenAPI document and access matrix come from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast, get_args, get_type_hints

import msgspec
from starlette.requests import Request

from db.errors import Conflict
from db.rows import SampleRow
from db.table_row import TableRow
from hub.kernel.context import HubContext
from hub.model.access import Principal
from hub.model.budgets import FRAME, Cost, line
from hub.model.changes import Change
from hub.model.machine import Machine
from hub.people.rules import while_signed_in
from hub.web.http.problems import Problem, Text
from hub.web.http.request_body import MAX_BODY_BYTES
from hub.web.http.validation import Instant


class NoQuery(msgspec.Struct): ...


@dataclass
class Call:
    """`machine`: where the path names one; `size`: bytes of the body."""

    context: HubContext
    request: Request
    now: datetime
    address: str
    language: str
    caller: Principal | None
    machine_or_none: Machine | None = None
    body: Any = None
    size: int = 0
    query: Any = None

    @property
    def principal(self) -> Principal:
        if self.caller is None:
            raise RuntimeError("an operation without an action has no principal")
        return self.caller

    @property
    def machine(self) -> Machine:
        if self.machine_or_none is None:
            raise RuntimeError("the operation's path names no machine")
        return self.machine_or_none

    async def announce(self, *made: Change) -> list[Change]:
        """Unless the session ended meanwhile. Raises the 401, and as `Announcer`."""
        who = self.principal
        held = [while_signed_in(who.credential_id)] if who.is_signed_in else []
        try:
            return await self.context.announce(*held, *made)
        except Conflict as late:
            if late.column == "session":
                raise Problem("not-authenticated", Text("credential_wanted")) from late
            raise


@dataclass(frozen=True)
class Answer:
    """`data` goes into the envelope; `message` is for people; `session`: a new session's secret."""

    data: Any = None
    status: int = 200
    message: Text | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    session: str | None = None


def one_line(call: Call) -> Cost:
    """Most writes of a machine cost an event of the body's size."""
    return line(call.size)


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True)
class Operation:
    """`path` is below /api; with `{id}` under /v2/rvms it names a machine. `action` None: anyone. `answers`: type of
    `data` by success status. `refusals`: statuses beside the usual."""

    name: str
    method: str
    path: str
    handler: Handler
    summary: str
    action: str | None
    answers: Mapping[int, Any]
    tag: str
    description: str = ""
    body: Any = None
    read_body: Callable[[Any], Any] | None = None
    body_optional: bool = False
    body_limit: int = MAX_BODY_BYTES
    wild_numbers: bool = False
    query: type[msgspec.Struct] = NoQuery
    refusals: tuple[int, ...] = ()
    example: Any = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    cost: Callable[[Call], Cost] = one_line
    """Of a machine's own key (hub.model.budgets); reading is free."""
    arrival: Callable[[Request], Cost] = lambda _: FRAME
    """Before the body is read."""
    form: Mapping[str, str] = field(default_factory=dict)
    """Of a `multipart/form-data` body: `binary` or `text`."""
    reads: float = 0.0
    """Of the caller's reads, for each hundred rows."""
    other_media: tuple[str, ...] = ()

    @property
    def names_machine(self) -> bool:
        return self.path.startswith("/v2/rvms/{id}")


S = TypeVar("S", bound=msgspec.Struct)


def of_record(record: type[TableRow | SampleRow], *, without: Collection[str] = ()) -> Callable[[type[S]], type[S]]:
    """Give a Struct the record's columns, each required, instants in RFC 3339. Its own members replace columns of
    their name, or follow. Raises ValueError for an unknown column in `without`."""
    kinds = get_type_hints(record)
    names = record.__struct_fields__ if issubclass(record, TableRow) else SampleRow._fields
    columns = {name: _shown(kinds[name]) for name in names}
    if unknown := set(without) - columns.keys():
        raise ValueError(f"{record.__name__} has no {sorted(unknown)}")

    def derive(shape: type[S]) -> type[S]:
        own = {field.name: field for field in msgspec.structs.fields(shape)}
        members: list[Any] = [
            (name, own.pop(name).type if name in own else kind) for name, kind in columns.items() if name not in without
        ]
        members += [(f.name, f.type) if f.required else (f.name, f.type, f.default) for f in own.values()]
        made = msgspec.defstruct(shape.__name__, members, module=shape.__module__)
        made.__doc__ = shape.__doc__
        return cast("type[S]", made)

    return derive


def _shown(kind: Any) -> Any:
    if kind is datetime:
        return Instant
    return Instant | None if datetime in get_args(kind) else kind
