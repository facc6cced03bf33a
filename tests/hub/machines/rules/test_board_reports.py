"""The newest report of a board is kept, and how worn its disks are is known of the whole fleet."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from db.records import MachineRow
from hub.machines import rules
from hub.model.changes import Patch
from hub.model.fleet import Fleet
from hub.model.views import machine_detail, machine_view
from protocol.board import Board, BoardDisk
from protocol.messages import BoardReport
from tests.support.machines import machine

NOW = datetime(2026, 11, 23, 4, 5, tzinfo=timezone.utc)


def reported(*worn: float | None) -> Board:
    disks = [BoardDisk(name=f"mmcblk{number}", kind="emmc", worn=each) for number, each in enumerate(worn)]
    return Board(jetpack="6.1", disks=disks)


@pytest.mark.parametrize(("worn", "expected"), [((), None), ((None,), None), ((10.0, None, 90.0), 90.0)])
def test_the_most_worn_disk_stands_for_every_machine(worn: tuple[float | None, ...], expected: float | None) -> None:
    one = machine(7)
    (change,) = rules.board_reported(one, BoardReport(board=reported(*worn)), NOW)
    assert isinstance(change, Patch)
    assert (change.of, change.values["board_report_at"]) == (MachineRow, NOW)
    fleet = Fleet()
    fleet.put(one)
    touched = fleet.apply(change)
    assert touched is not None
    assert touched.members == {"disk_worn", "board_report_at"}
    assert machine_view(fleet.machines[7])["disk_worn"] == expected
    assert "board_report" not in machine_view(fleet.machines[7])
    detail = machine_detail(fleet.machines[7])
    assert detail["board_report"]["jetpack"] == "6.1"
    assert detail["board_report"]["power_mode"] is None


def test_a_machine_that_reports_no_board_has_none() -> None:
    assert (machine_view(machine(7))["disk_worn"], machine_detail(machine(7))["board_report"]) == (None, None)
