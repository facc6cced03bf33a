"""The time zone card, and "wanted 7, machine runs 6"."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard import zone
from dashboard.reader import Reader
from dashboard.settings import applied

HERE = "Asia/Jakarta"
BASE: dict[str, Any] = {
    "last_sync": "2026-11-23T06:00:00Z", "system_timezone": HERE, "current_timezone": HERE, "pinned_timezone": None,
    "error": None, "in_step": True, "clock_offset_s": 0.2,
}  # fmt: skip


def _error(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "x", "timezone": "Asia/Jayapura"}, "in_step": False}


STATES: list[tuple[dict[str, Any], str, str]] = [
    ({}, "ok", HERE),
    ({"clock_offset_s": None}, "ok", HERE),
    ({"clock_offset_s": -301}, "clock", HERE),
    ({"last_sync": None, "system_timezone": None, "in_step": None}, "never", HERE),
    ({"in_step": False, "pinned_timezone": "Asia/Makassar"}, "off", "Asia/Makassar"),
    ({"in_step": None, "system_timezone": None}, "unknown", HERE),
    (_error("not_permitted"), "not_permitted", "Asia/Jayapura"),
    (_error("lookup_failed"), "lookup_failed", "Asia/Jayapura"),
    (_error("not_applied"), "failed", "Asia/Jayapura"),
]
APPLIED: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"config_wanted": 0, "config_version": 0, "config_refused": 0, "connection": "live"},
        ["active", "The machine runs with its own file.", ""],
    ),
    (
        {"config_wanted": 7, "config_version": 7, "config_refused": 0, "connection": "live"},
        ["active", "The machine runs these settings.", ""],
    ),
    (
        {"config_wanted": 7, "config_version": 6, "config_refused": 0, "connection": "late"},
        ["late", "Version 7 is wanted, the machine runs 6.", ""],
    ),
    (
        {"config_wanted": 7, "config_version": 6, "config_refused": 1, "connection": "offline"},
        [
            "late",
            "Version 7 is wanted, the machine runs 6: it gets them when it reconnects.",
            "The machine refused 1 setting: see below.",
        ],
    ),
    (
        {"config_wanted": 7, "config_version": 7, "config_refused": 2, "connection": "live"},
        ["warn", "The machine runs these settings.", "The machine refused 2 settings: see below."],
    ),
]
REACHED: list[tuple[dict[str, Any], int, int | None]] = [
    ({"state": "queued", "progress": None, "sent_at": None}, 0, None),
    ({"state": "sent", "progress": None}, 1, None),
    ({"state": "accepted", "progress": None}, 1, None),
    ({"state": "running", "progress": {"phase": "setting"}}, 1, None),
    ({"state": "running", "progress": {"phase": "verifying"}}, 2, None),
    ({"state": "succeeded", "progress": None}, 3, None),
    ({"state": "failed", "progress": None, "error": {"code": "not_set"}}, 1, 1),
    ({"state": "failed", "progress": None, "error": {"code": "not_verified"}}, 2, 2),
    ({"state": "failed", "progress": None, "error": {"code": "not_permitted"}}, 1, 1),
    ({"state": "rejected", "progress": None, "error": {"code": "pinned"}}, 1, 1),
    ({"state": "expired", "progress": None, "sent_at": None}, 0, 0),
    ({"state": "cancelled", "progress": None}, 1, None),
]


@pytest.mark.parametrize(("members", "state", "wanted"), STATES)
def test_what_is_the_matter_with_a_zone(members: dict[str, Any], state: str, wanted: str) -> None:
    view = BASE | members
    assert (zone.state_of(view), zone.wanted_of(view)) == (state, wanted)
    assert state in zone.MARKS


@pytest.mark.parametrize(("command", "steps", "failed"), REACHED)
def test_how_far_a_sync_has_come_and_which_step_failed(command: dict[str, Any], steps: int, failed: int | None) -> None:
    command = {"sent_at": 1, "error": None} | command
    assert (zone.reached(command), zone.failed(command)) == (steps, failed)


@pytest.mark.parametrize(("view", "told"), APPLIED)
def test_wanted_and_run_are_shown_apart(view: dict[str, Any], told: list[str]) -> None:
    assert list(applied(view, Reader("en", "auto", "Asia/Jakarta", 0))) == told
