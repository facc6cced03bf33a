"""Which machines a filter selects."""

from __future__ import annotations

import pytest

from hub.machines.rules import matches
from tests.support.machines import machine


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, True),
        ({"status": "maintenance"}, True),
        ({"status": "active"}, False),
        ({"connection": "live"}, True),
        ({"connection": "offline"}, False),
        ({"health": "warning"}, True),
        ({"health": "ok"}, False),
        ({"status": "maintenance", "health": "ok"}, False),
        ({"text": " KELAPA "}, True),
        ({"text": "rvm-kg"}, True),
        ({"text": "lantai"}, True),
        ({"text": "cafe"}, True),
        ({"text": "CAFE\u0301"}, True),
        ({"text": "gádi"}, True),
        ({"text": "bandung"}, False),
        ({"text": "jakarta"}, True),
        ({"tag": " Mall "}, True),
        ({"tag": "jakarta"}, False),
        ({"tag": "mall", "text": "bandung"}, False),
        ({"text": "kelapa", "connection": "offline"}, False),
    ],
)
def test_every_member_that_is_named_must_hold(filters: dict[str, str], expected: bool) -> None:
    found = machine(
        name="Mall Kelapa Gading", device_id="rvm-kg-02", location_description="Lantai 1, Café", status="active",
        tags=("jakarta utara", "mall"), special_status="maintenance", connection="live", health="warning",
    )  # fmt: skip
    assert matches(found, **filters) is expected


def test_a_machine_without_a_location_is_found_by_its_name() -> None:
    found = machine(name="Kiosk", location_description=None)
    assert matches(found, text="kiosk")
    assert not matches(found, tag="kiosk")
    assert not matches(found, text="none")
