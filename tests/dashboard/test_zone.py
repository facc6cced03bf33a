"""The time zone card and "wanted 7, machine runs 6", by the table that also holds the browser's half."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dashboard import zone
from dashboard.applied import applied
from dashboard.reader import Reader

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "fixtures/zone.json").read_text("utf-8"))


@pytest.mark.parametrize(("members", "state", "wanted"), TABLE["states"])
def test_what_is_the_matter_with_a_zone(members: dict[str, Any], state: str, wanted: str) -> None:
    view = TABLE["base"] | members
    assert (zone.state_of(view), zone.wanted_of(view)) == (state, wanted)
    assert state in zone.MARKS


@pytest.mark.parametrize(("command", "steps"), TABLE["reached"])
def test_how_far_a_sync_has_come(command: dict[str, Any], steps: int) -> None:
    assert zone.reached(command) == steps


@pytest.mark.parametrize(("view", "told"), TABLE["applied"])
def test_wanted_and_run_are_told_apart(view: dict[str, Any], told: list[str]) -> None:
    assert list(applied(view, Reader("en", "auto", "Asia/Jakarta", 0))) == told
