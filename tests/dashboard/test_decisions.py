"""Trouble, why and order of machines, by the tables that also hold the browser's half."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from dashboard import fleet, machine, trouble
from dashboard.freshness import freshness
from dashboard.reader import Reader

FIXTURES = Path(__file__).parent / "fixtures"
TROUBLE: dict[str, Any] = json.loads((FIXTURES / "trouble.json").read_text("utf-8"))
FLEET: dict[str, Any] = json.loads((FIXTURES / "fleet.json").read_text("utf-8"))
NOW: int = TROUBLE["now"]


@pytest.mark.parametrize("case", TROUBLE["cases"], ids=lambda case: str(case["about"]))
def test_what_is_wrong_with_a_machine(case: dict[str, Any]) -> None:
    found = trouble.trouble(case["machine"], NOW)
    assert (None if found is None else dataclasses.asdict(found)) == case["trouble"]
    assert [why.code for why in machine.whys(case["machine"], NOW)] == case["whys"]


def test_the_worst_comes_first_then_the_oldest() -> None:
    assert [t.id for t in trouble.troubles((c["machine"] for c in TROUBLE["cases"]), NOW)] == TROUBLE["order"]


@pytest.mark.parametrize(("search", "ids"), FLEET["shown"])
def test_an_address_shows_these_machines_in_this_order(search: str, ids: list[int]) -> None:
    assert [m["id"] for m in fleet.shown(FLEET["machines"], _query(search))] == ids


def test_counters_count_a_status_and_offline_beside_it() -> None:
    assert fleet.counters(FLEET["machines"]) == FLEET["counters"]


@pytest.mark.parametrize(("search", "changes", "address"), FLEET["addresses"])
def test_a_filter_is_an_address(search: str, changes: dict[str, Any], address: str) -> None:
    assert _query(search).address(**changes) == address


@pytest.mark.parametrize(("search", "column", "address"), FLEET["heads"])
def test_a_column_head_sorts_worst_first_then_the_other_way(search: str, column: str, address: str) -> None:
    assert _query(search).sort_address(column) == address


@pytest.mark.parametrize(
    ("connection", "mark", "words"),
    [("live", "live", "Live"), ("late", "late", "12\u202fs late"), ("offline", "offline", "Offline 3\u202fh"),
     ("never", "never", "Not connected yet")],
)  # fmt: skip
def test_freshness_is_a_shape_and_words(connection: str, mark: str, words: str) -> None:
    view = {
        "connection": connection, "connection_reason": None, "connection_since": NOW - 3 * 3600_000,
        "last_seen_at": NOW - 12_000,
    }  # fmt: skip
    found = freshness(view, Reader("en", "auto", "Asia/Jakarta", NOW))
    assert (found.mark, found.words, found.quiet) == (mark, words, connection == "live")


def test_a_tile_says_why_it_has_no_value() -> None:
    view = {
        **TROUBLE["cases"][0]["machine"],
        "readings": {"cpu_usage": 40.0, "gpu_usage": None, "reasons": {"gpu_usage": "no GPU found"}},
    }
    recent = [(NOW - 10_000, {"cpu_usage": 20.0}), (NOW - 5_000, {"cpu_usage": 40.0})]
    found = {tile.metric: tile for tile in machine.tiles(view, recent, {"cpu_usage": 90.0}, NOW)}
    assert (found["cpu_usage"].low, found["cpu_usage"].high, found["cpu_usage"].ticks) == (20.0, 40.0, (90.0,))
    assert (found["gpu_usage"].value, found["gpu_usage"].reason) == (None, "no GPU found")
    assert found["temperature"].reason == "unknown"
    assert list(found) == list(machine.TILES)


def test_the_band_claims_nothing_of_the_time_before_the_machine() -> None:
    hour = 3_600_000
    spans = machine.band(
        [(NOW - 40 * hour, "active"), (NOW - 6 * hour, "full")], [(NOW - 2 * hour, NOW)], NOW, NOW - 12 * hour
    )
    assert [(s.kind, s.left, s.width) for s in spans] == [
        ("active", 50.0, 25.0),
        ("full", 75.0, 25.0),
        ("away", 91.67, 8.33),
    ]
    assert machine.durations(spans)["full"] == 6 * 3600


def _query(search: str) -> fleet.FleetQuery:
    from urllib.parse import parse_qsl

    return fleet.query_from(dict(parse_qsl(search.lstrip("?"))))
