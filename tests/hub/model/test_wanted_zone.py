"""Which zone a machine should be in, and since when it is in another."""

from __future__ import annotations

from typing import Any

import pytest

from db.records import ZoneRow
from hub.model.effective_settings import DesiredSettings, effective_of
from hub.model.machine import Machine
from protocol.configuration import defaults
from tests.support.machines import NOW, machine

JAKARTA, MAKASSAR = "Asia/Jakarta", "Asia/Makassar"


def zoned(zone: dict[str, Any] | None, row_zone: str | None = None, pinned: str | None = None) -> Machine:
    one = machine(timezone=row_zone)
    if zone is not None:
        one.zone = ZoneRow(**{
            "device_id": "orin-7", "current_timezone": JAKARTA, "created_at": NOW, "updated_at": NOW, **zone
        })  # fmt: skip
    if pinned is not None:
        one.effective_settings = effective_of(
            defaults(), DesiredSettings({"pinned_timezone": pinned}, 1, NOW, "user:1")
        )
    return one


@pytest.mark.parametrize(
    ("zone", "row_zone", "pinned", "wanted", "wrong"),
    [
        (None, None, None, None, False),
        (None, JAKARTA, None, JAKARTA, False),
        ({}, None, None, JAKARTA, False),
        ({"system_timezone": JAKARTA}, JAKARTA, None, JAKARTA, False),
        ({"system_timezone": JAKARTA}, JAKARTA, MAKASSAR, MAKASSAR, True),
        ({"system_timezone": JAKARTA, "error": {"code": "not_permitted", "timezone": MAKASSAR}}, JAKARTA, None,
         MAKASSAR, True),
        ({"system_timezone": MAKASSAR, "error": {"code": "lookup_failed"}}, MAKASSAR, None, MAKASSAR, False),
    ],
)  # fmt: skip
def test_pinned_before_found_before_its_own(
    zone: dict[str, Any] | None, row_zone: str | None, pinned: str | None, wanted: str | None, wrong: bool
) -> None:
    one = zoned(zone, row_zone, pinned)
    assert one.wanted_zone == wanted
    assert one.zone_wrong_since == (NOW if wrong else None)
