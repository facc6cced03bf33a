"""What is in force: written for the machine, for the fleet, in its file, by default; and what others take from it."""

from __future__ import annotations

import pytest

from hub.model.effective_settings import (
    OTHER,
    QUIET_S,
    UNREPORTED,
    UNWRITTEN,
    CommonSettings,
    DesiredSettings,
    Limits,
    ReportedSettings,
    base_of,
    blocks,
    reported_settings_of,
    wire,
)
from protocol import configuration as table
from tests.support.machines import NOW


def scope(version: int, **values: table.Value) -> DesiredSettings:
    return DesiredSettings(values, version, NOW, "user:1")


def test_the_machines_own_comes_before_the_fleets_before_the_default() -> None:
    fleet = CommonSettings(None, scope(3, cpu_threshold=80.0, memory_threshold=70.0))
    own = scope(5, cpu_threshold=60.0, mine="x")
    found = fleet.of(own)
    assert (found.values["cpu_threshold"], found.values["memory_threshold"], found.values["mine"]) == (60.0, 70.0, "x")
    assert found.values["temperature_threshold"] == 80.0
    assert {key: fleet.origin(key, own) for key in ("cpu_threshold", "memory_threshold", "sync_interval")} == {
        "cpu_threshold": "machine", "memory_threshold": "fleet", "sync_interval": "default",
    }  # fmt: skip
    assert found.version == 5
    assert fleet.of(scope(2)).version == 3
    assert fleet.newest_scope(own) is own
    assert fleet.newest_scope() is fleet.written


def test_limits_and_intervals_follow() -> None:
    fleet = CommonSettings(None, scope(1, temperature_threshold=70.0, metrics_interval=10.0, upload_interval=60.0))
    found = fleet.shared
    assert found.limits == Limits(temperature=70.0)
    assert (found.metrics_interval, found.upload_interval) == (10.0, 60.0)


def test_a_machine_that_shall_not_measure_is_expected_to_be_quiet() -> None:
    found = CommonSettings(None, scope(1, monitoring_enabled=False)).shared
    assert (found.metrics_interval, found.upload_interval) == (QUIET_S, QUIET_S)


def test_what_the_hub_was_started_with_is_its_default() -> None:
    base = base_of({"cpu_threshold": 75.0, "host": "127.0.0.1"})
    assert base["cpu_threshold"] == 75.0
    assert set(base) == set(table.SETTINGS)
    assert CommonSettings(base).origin("cpu_threshold") == "default"


def test_machines_with_nothing_of_their_own_share_one() -> None:
    fleet = CommonSettings()
    assert fleet.of(UNWRITTEN) is fleet.of(DesiredSettings({}, 0)) is fleet.shared
    fleet.write(scope(4, cpu_threshold=50.0))
    assert fleet.of(UNWRITTEN).limits.cpu_usage == 50.0
    assert fleet.newest == 4


def test_a_machine_is_sent_what_was_written_and_no_default() -> None:
    assert wire(CommonSettings().shared).values == {}
    fleet = CommonSettings(None, scope(1, mine=True, cpu_threshold=70.0))
    file = ReportedSettings({"metrics_interval": 60.0, "cpu_threshold": 50.0}, frozenset({"cpu_threshold"}))
    told = wire(fleet.of(scope(2, pinned_timezone="Asia/Makassar", mine=False), file))
    assert told.version == 2
    assert told.values == {"mine": False, "cpu_threshold": 70.0, "pinned_timezone": "Asia/Makassar"}


def test_the_machines_file_stands_between_the_defaults_and_what_was_written() -> None:
    fleet = CommonSettings(None, scope(3, cpu_threshold=80.0))
    own = scope(4, memory_threshold=70.0)
    file = ReportedSettings({"cpu_threshold": 60.0, "memory_threshold": 60.0, "metrics_interval": 60.0})
    found = fleet.of(own, file)
    asked = ("cpu_threshold", "memory_threshold", "metrics_interval", "sync_interval")
    assert [found.values[key] for key in asked] == [80.0, 70.0, 60.0, 3600.0]
    assert [fleet.origin(key, own, file) for key in asked] == ["fleet", "machine", "file", "default"]
    assert (found.limits.cpu_usage, found.metrics_interval) == (80.0, 60.0)
    assert fleet.of(UNWRITTEN, file).values["memory_threshold"] == 60.0, "what an own value stands before"


def test_what_the_environment_sets_stands_above_all() -> None:
    fleet = CommonSettings(None, scope(3, cpu_threshold=80.0))
    own = scope(4, metrics_interval=20.0)
    reported = {"metrics_interval": 60.0, "cpu_threshold": 60.0}
    local = reported_settings_of(
        reported, {"metrics_interval": "environment: ...", "memory_threshold": "out_of_bounds: ..."}
    )
    assert local == ReportedSettings(reported, frozenset({"metrics_interval"}))
    found = fleet.of(own, local)
    assert (found.metrics_interval, found.limits.cpu_usage) == (60.0, 80.0)
    assert fleet.origin("metrics_interval", own, local) == "file"
    assert found.written["metrics_interval"] == 20.0, "it is told all the same: the variable may go"


@pytest.mark.parametrize("reported", [None, {}])
def test_a_machine_that_reports_nothing_of_its_own_shares_what_the_fleet_has(reported: dict[str, table.Value]) -> None:
    fleet, local = CommonSettings(), reported_settings_of(reported, {"cpu_threshold": "environment: ..."})
    assert local is UNREPORTED
    assert fleet.of(UNWRITTEN, local) is fleet.shared


def test_blocks_hold_every_key_once() -> None:
    found = blocks(table.defaults() | {"confidence_threshold": 0.5})
    assert found[OTHER] == {"confidence_threshold": 0.5}
    assert sum(map(len, found.values())) == len(table.SETTINGS) + 1
    assert list(found) == [*table.BLOCKS, OTHER]


@pytest.mark.parametrize(("pinned", "found"), [("", None), ("Asia/Makassar", "Asia/Makassar")])
def test_a_pinned_zone_is_one_or_none(pinned: str, found: str | None) -> None:
    merged = CommonSettings(None, scope(1, pinned_timezone=pinned)).shared
    assert (merged.pinned_zone, merged.default_zone, merged.on("manual_sync_enabled")) == (
        found, "Asia/Jakarta", True,
    )  # fmt: skip
