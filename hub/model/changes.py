"""All that can happen to the fleet, as values. A Change has been decided: the recorder writes each kind, the fleet
applies it. Instants are aware UTC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, Generic

import msgspec

from db.conditions import Where
from db.records import EventRow
from db.table_row import R, TableRow
from protocol.messages import Sample


class Change(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    @property
    def about(self) -> type:
        """The record that changes, else its own class: listeners name what they wait for by it."""
        return type(self)


class Put(Change, Generic[R], frozen=True):
    """A new row. Where its natural key exists: the columns `over` are replaced; or with `once`, it is no news
    (Conflict `must`, where given). The stored Change has the row with its id. `along`: rows that name it by foreign
    key."""

    row: R
    over: tuple[str, ...] = ()
    once: bool = False
    must: str | None = None
    along: tuple[TableRow, ...] = ()

    @property
    def about(self) -> type:
        return type(self.row)


class Patch(Change, frozen=True):
    """Only `values` change, of the row with this primary key (None: every row), where `where` holds.

    `where`: (column, operator, value), operators = < <= > >=; `=` None is "absent". `while_open`: only while the row
    has not ended (`db.records.OPEN`). No row: Conflict `must`, or nothing without a `must`. No values: a guard."""

    of: type[TableRow]
    key: Any
    values: dict[str, Any]
    where: Where = ()
    while_open: bool = False
    must: str | None = None

    @property
    def about(self) -> type:
        return self.of


class Move(Change, Generic[R], frozen=True):
    """`row` after a move, of a table whose rows end once (`db.records.OPEN`): only `members` differ, and only while
    the stored one is open, else Conflict with the state's column. Made by `move`."""

    row: R
    members: tuple[str, ...]

    @property
    def about(self) -> type:
        return type(self.row)


class Drop(Change, frozen=True):
    """The row with this primary key (None: every row), where `where` holds. No row: Conflict `must`, or nothing
    without a `must`."""

    of: type[TableRow]
    key: Any = None
    where: Where = ()
    must: str | None = None

    @property
    def about(self) -> type:
        return self.of


class Observed(Change, frozen=True):
    """What no row holds (`hub.model.machine.Machine`): not stored."""

    rvm_id: int
    values: dict[str, Any]


def move(row: R, **values: Any) -> Move[R]:
    return Move(msgspec.structs.replace(row, **values), tuple(values))


def put_rows(changes: Iterable[Change], of: type[R]) -> Iterator[R]:
    return (change.row for change in changes if isinstance(change, Put) and isinstance(change.row, of))


def moved_rows(changes: Iterable[Change], of: type[R]) -> Iterator[R]:
    return (change.row for change in changes if isinstance(change, Move) and isinstance(change.row, of))


def patches(changes: Iterable[Change], of: type[TableRow]) -> Iterator[Patch]:
    return (change for change in changes if isinstance(change, Patch) and change.of is of)


def drops(changes: Iterable[Change], of: type[TableRow]) -> Iterator[Drop]:
    return (change for change in changes if isinstance(change, Drop) and change.of is of)


class RowsExpired(Change, frozen=True, kw_only=True):
    """At most `most` rows of a `kind` (`hub.kernel.recorder`) from before `before` go; of each of `rvm_ids` where
    they are kept by machine. `deleted`: how many of each, None until done."""

    kind: str
    before: datetime
    most: int
    rvm_ids: tuple[int, ...] = ()
    deleted: tuple[int, ...] | None = None


class SampleSeen(Change, frozen=True, kw_only=True):
    """Newest readings; not stored."""

    rvm_id: int
    sample: Sample
    taken_at: datetime
    received_at: datetime
    boot_id: str | None = None
    seq: int = -1
    """Of the last kept sample then, within the boot."""


OWN: Final = "\x01"


class EventHappened(EventRow, Change, frozen=True, kw_only=True):
    """A line of the audit log: every mutation leaves exactly one."""
