"""Whose label somebody scanned or typed."""

from __future__ import annotations

import pytest

from db.records import MachineRow
from hub.machines.rules import on_label
from tests.support.machines import machine

ROWS = [
    machine(5, name="RVM-001", device_id="rvm-001-x7k2p").row,
    machine(1, name="RVM-005", device_id="rvm-005-abcde").row,
    machine(7, name="Mall Kelapa Gading 12", device_id="Jetson Ä/1").row,
    machine(9, name="RVM-112", device_id="rvm-112-qqqqq").row,
    machine(10, name="Kios", device_id="kios-zzzzz").row,
]


def ids(text: str, rows: list[MachineRow] = ROWS) -> list[int]:
    return [row.id for row in on_label(text, rows)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (" RVM-001\n", [5]),
        ("rvm-001", [5]),
        ("RVM-001-X7K2P", [5]),
        ("mall  kelapa gading 12", [7]),
        ("5", [1]),
        ("005", [1]),
        ("12", [7]),
        ("112", [9]),
        ("9", []),
        ("0" * 90 + "5", [1]),
        ("\u0665", [1]),
        ("\u00b2", []),
        ("x7k2", [5]),
        ("rvm-", [5, 1, 9]),
        ("kelapa", [7]),
        ("kios", [10]),
        ("WIFI:S:guest;;", []),
        ("", []),
        (" ", []),
    ],
)
def test_what_a_label_says_names_its_machine(text: str, found: list[int]) -> None:
    assert ids(text) == found


def test_a_name_typed_with_a_loose_accent_is_the_same() -> None:
    rows = [machine(3, name="Caf\u00e9").row]
    assert ids("cafe\u0301", rows) == [3]
    assert ids("cafe", rows) == [3]
    assert ids("\u0301", rows) == []
    assert on_label("cafe", rows, scanned=True) == []


def test_what_was_scanned_is_whole_or_nothing() -> None:
    assert [row.id for row in on_label("rvm-001-X7K2P", ROWS, scanned=True)] == [5]
    assert on_label("001", ROWS, scanned=True) == []
    assert on_label("kelapa", ROWS, scanned=True) == []
