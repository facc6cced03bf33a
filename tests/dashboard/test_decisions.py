"""Trouble, why and order of machines."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from dashboard import fleet, machine, trouble
from dashboard.esbuild import STATIC
from dashboard.pages import FOLDER
from dashboard.reader import Reader
from dashboard.trouble import freshness
from tests.dashboard.trouble_cases import CASES, MACHINE, NOW, ORDER, Case

FIXTURES = Path(__file__).parent / "fixtures"
FLEET: dict[str, Any] = json.loads((FIXTURES / "fleet.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.about))
def test_what_is_wrong_with_a_machine(case: Case) -> None:
    view = MACHINE | case.machine
    found = trouble.trouble(view, NOW)
    assert (None if found is None else (found.cause, found.value, found.since)) == case.trouble
    assert found is None or found.id == view["id"]
    assert [why.code for why in machine.whys(view, NOW)] == case.whys


@pytest.mark.parametrize(
    ("causes", "edge"),
    [(["full"], "warn"), (["hot"], "warn"), (["maintenance", "hot"], "warn"), (["cpu", "error"], "error"),
     (["maintenance"], "maintenance"), (["offline"], "offline"), (["offline", "full"], "warn"), (["late"], "late"),
     (["clock_unset"], "warn"), ([], "late")],
)  # fmt: skip
def test_the_edge_of_what_is_wrong_has_the_colour_of_the_worst(causes: list[str], edge: str) -> None:
    """The same in each list: hot is no quieter than full."""
    assert trouble.edge_of(causes) == edge


def test_each_edge_and_mark_is_drawn() -> None:
    symbols = (FOLDER / "sprite.html").read_text("utf-8")
    assert all(f'id="{trouble.mark_of(cause)}"' in symbols for cause in [*trouble.RANKS, *trouble.MARKS])
    style = (STATIC / "css/machine.css").read_text("utf-8")
    assert all(f".why.{edge} {{" in style for edge in ("warn", "error", "maintenance", "unknown")), "grey is the rest"


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.about))
def test_what_changes_by_the_clock_alone_is_known_beforehand(case: Case) -> None:
    view = MACHINE | case.machine
    for at, of in (
        (trouble.other_at(view, NOW), lambda now: getattr(trouble.trouble(view, now), "cause", "")),
        (machine.other_at(view, NOW), lambda now: [why.code for why in machine.whys(view, now)]),
    ):
        later = NOW + 7 * 86_400_000 if at is None else at - 1
        assert of(later) == of(NOW)
        assert at is None or of(at) != of(NOW)


def test_the_worst_comes_first_then_the_oldest() -> None:
    assert [t.id for t in trouble.troubles((MACHINE | case.machine for case in CASES), NOW)] == ORDER


@pytest.mark.parametrize(
    ("cause", "machine_has"),
    [
        ("worn", {"disk_worn": 93.0}),
        ("nearly_full", {"capacity": 96}),
        ("clock", {"clock_offset_s": 400.0}),
        ("backup_quota", {"backup": {"good_at": NOW, "full_at": NOW + 86_400_000}}),
    ],
)
def test_what_has_no_beginning_of_its_own_is_wrong_since_it_was_noticed(
    cause: str, machine_has: dict[str, Any]
) -> None:
    """A row without a time would be the one that nobody can tell from an old one."""
    began = {"cause": cause, "began_at": NOW - 7_200_000, "owner": None, "snoozed_until": None}
    other = {**began, "cause": "hot", "began_at": NOW - 1}
    view = MACHINE | machine_has | {"troubles": [other, began]}
    assert [(one.cause, one.since) for one in trouble.causes(view, NOW)] == [(cause, NOW - 7_200_000)]
    assert [why.since for why in machine.whys(view, NOW)] in ([], [NOW - 7_200_000])
    assert [one.since for one in trouble.causes(view | {"troubles": []}, NOW)] == [None], "known in the next moment"


def test_the_browser_judges_by_the_same_limits() -> None:
    script = (STATIC / "js/trouble.js").read_text("utf-8")
    for name in ("NEARLY_FULL", "CLOCK_OFF_S", "CLOCK_UNSET_S"):
        factors = re.findall(r"\d+", script.partition(f"const {name} = ")[2].partition(";")[0])
        assert math.prod(map(int, factors)) == getattr(trouble, name)


@pytest.mark.parametrize(("search", "ids"), FLEET["shown"])
def test_an_address_shows_these_machines_in_this_order(search: str, ids: list[int]) -> None:
    assert [m["id"] for m in fleet.shown(FLEET["machines"], _query(search))] == ids


def test_counters_count_a_status_and_offline_beside_it() -> None:
    assert fleet.counters(FLEET["machines"]) == FLEET["counters"]


@pytest.mark.parametrize(
    ("status", "connection", "counted", "calm"),
    [
        ("active", "live", "active", "fine"), ("active", "late", "active", "late"), ("active", "offline", None, "away"),
        ("full", "offline", "full", "away"), ("active", "never", None, "new"), ("full", "never", None, "new"),
        ("maintenance", "live", "maintenance", "resting"), ("inactive", "offline", "inactive", "resting"),
    ],
)  # fmt: skip
def test_nothing_is_active_or_fine_that_is_not_there(
    status: str, connection: str, counted: str | None, calm: str
) -> None:
    view = MACHINE | {"effective_status": status, "connection": connection}
    assert (fleet.counted_as(view), fleet.calm_as(view)) == (counted, calm)


@pytest.mark.parametrize(("search", "changes", "address"), FLEET["addresses"])
def test_a_filter_is_an_address(search: str, changes: dict[str, Any], address: str) -> None:
    assert _query(search).address(**changes) == address


@pytest.mark.parametrize(("search", "column", "address"), FLEET["heads"])
def test_a_column_head_sorts_worst_first_then_the_other_way(search: str, column: str, address: str) -> None:
    assert _query(search).sort_address(column) == address


@pytest.mark.parametrize(
    ("names", "columns", "fitting"),
    [
        ("", "", None), ("machine", "machine", 5), ("cpu nonsense status cpu", "status cpu", 5), ("nonsense", "", None),
        ("machine " + " ".join(fleet.COLUMNS), "", None),
        (" ".join(fleet.COLUMNS[:6]), " ".join(fleet.COLUMNS[:6]), 7),
        (" ".join(fleet.COLUMNS[:8]), " ".join(fleet.COLUMNS[:8]), 8),
        (" ".join(fleet.COLUMNS[:9]), " ".join(fleet.COLUMNS[:9]), None),
    ],
)  # fmt: skip
def test_columns_are_those_there_are_in_their_order(names: str, columns: str, fitting: int | None) -> None:
    query = fleet.query_from({"columns": names})
    assert (query.columns, query.fitting) == (columns, fitting)
    assert not query.filtered


@pytest.mark.parametrize(
    ("search", "address"),
    [
        ("", ""), ("columns=", ""), ("columns=status+cpu&page=2", ""),
        ("columns=machine&columns=cpu&columns=status&q=&status=full", "/?status=full&columns=status+cpu"),
        ("columns=machine&" + "&".join(f"columns={name}" for name in fleet.COLUMNS), "/"),
        ("columns=nonsense&kiosk=1", "/?kiosk=1"), ("look=cards&spark=gpu", ""), ("look=&spark=", ""),
        ("look=nonsense&spark=cpu&q=a", "/?q=a"),
    ],
)  # fmt: skip
def test_each_choice_of_columns_has_one_address(search: str, address: str) -> None:
    from urllib.parse import parse_qsl

    assert fleet.one_address(parse_qsl(search, keep_blank_values=True)) == address


def test_the_browser_knows_how_many_columns_fit() -> None:
    script = (STATIC / "js/views/choices.js").read_text("utf-8")
    assert f"FITTING = {list(fleet.FITTING)};" in script


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
        **MACHINE,
        "readings": {"cpu_usage": 40.0, "gpu_usage": None, "reasons": {"gpu_usage": "no GPU found"}},
    }
    past = {"cpu_usage": [(NOW - 600_000, 20.0, 30.0, 25.0), (NOW - 300_000, 25.0, 40.0, 40.0)]}
    found = {tile.metric: tile for tile in machine.tiles(view, past, {"cpu_usage": 90.0}, NOW)}
    assert found["cpu_usage"].path == "M45 12h0l1 -2"
    assert (found["cpu_usage"].low, found["cpu_usage"].high, found["cpu_usage"].ticks) == (20.0, 40.0, (90.0,))
    assert (found["gpu_usage"].value, found["gpu_usage"].reason) == (None, "no GPU found")
    assert found["temperature"].reason == "unknown"
    assert list(found) == list(machine.TILES)


@pytest.mark.parametrize(
    ("first_min", "added_min", "words"),
    [
        (239, 900, "4\u202fh"),
        (231, 900, "4\u202fh"),
        (200, 900, "3\u202fh"),
        (4, 1, "1\u202fmin"),
        (4, 0, "0\u202fs"),
        (200, 1, "3\u202fh"),
    ],
)
def test_a_range_is_of_the_time_in_which_it_was_measured(first_min: int, added_min: int, words: str) -> None:
    """A machine that was just added was not steady for four hours, unless it brought samples of before."""
    view = {**MACHINE, "created_at": NOW - added_min * 60_000}
    past = {"cpu_usage": [(NOW - first_min * 60_000, 20.0, 30.0, 25.0)]}
    (found,) = (tile for tile in machine.tiles(view, past, {}, NOW) if tile.metric == "cpu_usage")
    assert Reader("en", "auto", "Asia/Jakarta", NOW).age(found.since) == words
    assert next(tile.since for tile in machine.tiles(view, {}, {}, NOW) if tile.metric == "disk_usage") is None


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
