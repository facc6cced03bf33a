"""Shapes of answers that are made from records."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import ClassVar, Literal

import msgspec
import pytest

from db.records import CommandRow, EventRow, MachineRow, StatusRow
from db.table_row import TableRow
from hub.audit.api import EventView
from hub.commands.api import CommandView
from hub.machines.api import MachineSummary
from hub.model import views
from hub.status.api import StatusDeclared
from hub.web.api.operation import of_record
from tests.support.machines import machine


class _Row(TableRow, frozen=True, kw_only=True):
    TABLE: ClassVar = "things"
    id: int = 0
    state: str
    secret: str | None = None
    since: datetime
    until: datetime | None = None


@of_record(_Row, without=("secret",))
class _Shape(msgspec.Struct):
    """A thing."""

    state: Literal["on", "off"]
    more: list[int]
    kind: str | msgspec.UnsetType = msgspec.UNSET


def test_a_shape_has_the_columns_then_its_own_members() -> None:
    assert _Shape.__struct_fields__ == ("id", "state", "since", "until", "more", "kind")
    schema = msgspec.json.schema(_Shape)["$defs"]["_Shape"]
    assert schema["required"] == ["id", "state", "since", "until", "more"]
    assert schema["description"] == "A thing."
    members = schema["properties"]
    assert members["id"] == {"type": "integer"}
    assert members["state"] == {"enum": ["off", "on"]}
    assert members["since"] == {"type": "string", "format": "date-time"}
    assert members["until"] == {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}


def test_a_column_that_is_left_out_must_be_one() -> None:
    with pytest.raises(ValueError, match="nothing"):
        of_record(_Row, without=("nothing",))


@pytest.mark.parametrize(
    ("shape", "record"),
    [(CommandView, CommandRow), (EventView, EventRow), (StatusDeclared, StatusRow), (MachineSummary, MachineRow)],
)
def test_shapes_have_the_columns_of_their_records(shape: type[msgspec.Struct], record: type[TableRow]) -> None:
    shown = set(shape.__struct_fields__) & set(record.__struct_fields__)
    assert len(shown) >= len(record.__struct_fields__) / 2
    assert not {"api_key", "idempotency_key", "status_before"} & set(shape.__struct_fields__)


def test_the_views_say_what_the_shapes_promise() -> None:
    event = EventRow(id=1, at=datetime(2026, 11, 23, tzinfo=timezone.utc), code="machine.removed", actor="clock")
    assert set(views.machine_view(machine())) == set(MachineSummary.__struct_fields__)
    assert set(views.event_view(event)) == set(EventView.__struct_fields__)
