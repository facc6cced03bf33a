"""A write as a whole: typed, versioned, bounded; what it refuses is named by the caller's own words."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from db.records import CounterRow, FleetSettingsRow, MachineSettingsRow
from db.table_row import TableRow
from hub.machine_settings.rules import SettingsRequest, StaleError, WrongSettingsError, write_fleet, write_machine
from hub.model.changes import Change, EventHappened, Patch, Put
from hub.model.effective_settings import UNWRITTEN, CommonSettings, DesiredSettings, ReportedSettings
from protocol import codec
from protocol.limits import MAX_MESSAGE_BYTES
from protocol.messages import Configuration, Welcome
from tests.support.machines import NOW


def scope(version: int, **values: Any) -> DesiredSettings:
    return DesiredSettings(values, version, NOW, "user:1")


def machine(
    values: dict[str, Any],
    version: int | None = None,
    own: DesiredSettings = UNWRITTEN,
    fleet: CommonSettings | None = None,
) -> list[Change]:
    return write_machine(fleet or CommonSettings(), 7, own, SettingsRequest(values, version), "user:2", NOW)


class Written(NamedTuple):
    """A write to a row of settings; `before` is the version that row must still have."""

    of: type[TableRow]
    values: dict[str, Any]
    version: int
    before: int


def both(changes: list[Change]) -> tuple[Written, EventHappened]:
    begin, newest, written, event = changes
    assert isinstance(begin, Put)
    assert (begin.row, begin.once) == (CounterRow(name="config_version", value=0), True)
    assert isinstance(newest, Patch)
    assert isinstance(event, EventHappened)
    if isinstance(written, Patch):
        (where,) = written.where
        assert (*where[:2], written.must) == ("version", "=", "version")
        found = Written(written.of, written.values["values"], written.values["version"], where[2])
    else:
        assert isinstance(written, Put)
        assert isinstance(written.row, (FleetSettingsRow, MachineSettingsRow))
        assert (written.once, written.must) == (True, "version")
        found = Written(type(written.row), written.row.values, written.row.version, 0)
    assert (newest.key, newest.values, newest.must) == ("config_version", {"value": found.version}, "version")
    assert newest.where == (("value", "<", found.version),)
    return found, event


def refusals(
    values: dict[str, Any], own: DesiredSettings = UNWRITTEN, fleet: CommonSettings | None = None
) -> dict[str, str]:
    with pytest.raises(WrongSettingsError) as caught:
        machine(values, own=own, fleet=fleet)
    return {name: wrong.code for name, wrong in caught.value.errors.items()}


def test_a_write_is_one_change_and_one_event_with_before_and_after() -> None:
    fleet = CommonSettings(None, scope(3, cpu_threshold=80.0))
    written, event = both(machine({"cpu-threshold": 70, "mine": 1.5}, own=scope(5, cpu_threshold=60.0), fleet=fleet))
    assert (written.values, written.version, written.before) == ({"cpu_threshold": 70.0, "mine": 1.5}, 6, 5)
    assert (event.code, event.actor, event.rvm_id) == ("config.changed", "user:2", 7)
    assert event.params == {"scope": "machine", "version": 6}
    assert (event.before, event.after) == ({"cpu_threshold": 60.0, "mine": None}, {"cpu_threshold": 70.0, "mine": 1.5})


def test_null_inherits_again_and_the_event_names_what() -> None:
    fleet = CommonSettings(None, scope(3, cpu_threshold=80.0))
    own = scope(5, cpu_threshold=60.0, mine="x")
    written, event = both(machine({"cpu_threshold": None, "mine": None}, own=own, fleet=fleet))
    assert written.values == {}
    assert event.params["inherited"] == ["cpu_threshold", "mine"]
    assert (event.before, event.after) == ({"cpu_threshold": 60.0, "mine": "x"}, {"cpu_threshold": 80.0, "mine": None})


def test_the_audit_log_names_what_of_the_machines_file_a_write_overrides() -> None:
    file = ReportedSettings({"metrics_interval": 60.0, "mine": "text"}, frozenset({"metrics_interval"}))
    request = SettingsRequest({"metrics_interval": 20, "cpu_threshold": 70})
    _, event = both(write_machine(CommonSettings(), 7, UNWRITTEN, request, "user:2", NOW, file))
    assert event.before == {"metrics_interval": 60.0, "cpu_threshold": 90.0}
    assert event.after == {"metrics_interval": 20.0, "cpu_threshold": 70.0}, "whether it is taken is not known yet"
    with pytest.raises(WrongSettingsError):
        write_machine(CommonSettings(), 7, UNWRITTEN, SettingsRequest({"mine": 5}), "user:2", NOW, file)


def test_what_changes_nothing_is_no_change() -> None:
    own = scope(5, cpu_threshold=60.0)
    assert machine({}, own=own) == machine({"cpu_threshold": 60}, own=own) == machine({"mine": None}, own=own) == []
    assert machine({"cpu_threshold": 90}) != [], "an own value that equals the default still is an own value"


def test_a_version_is_larger_than_any_before_whoever_it_was_for() -> None:
    fleet = CommonSettings(None, scope(3), newest=11)
    assert both(machine({"mine": 1}, fleet=fleet))[0].version == 12
    written, event = both(write_fleet(fleet, [], SettingsRequest({"mine": 1}), "user:2", NOW))
    assert (written.of, written.version, written.before, event.params["scope"]) == (FleetSettingsRow, 12, 3, "fleet")


@pytest.mark.parametrize(("seen", "current"), [(4, 5), (6, 5), (0, 5)])
def test_a_stale_version_is_answered_with_the_current_one(seen: int, current: int) -> None:
    with pytest.raises(StaleError) as caught:
        machine({"mine": 1}, seen, own=scope(5))
    assert caught.value.current == current
    assert machine({"mine": 1}, 5, own=scope(5)) != []


def test_the_fleets_write_makes_a_machines_view_stale_as_well() -> None:
    with pytest.raises(StaleError):
        machine({"mine": 1}, 5, own=scope(5), fleet=CommonSettings(None, scope(6)))


def test_every_wrong_name_and_value_is_named_at_once() -> None:
    assert refusals(
        {
            "api_token": "x", "myrvm-base-url": "http://x", "Upper": 1, "cpu_threshold": "hot",
            "pinned_timezone": "; reboot",
            "sync_interval": 1, "include_logs": 1, "version": 3, "nested": {"a": 1}, "ok": 1,
        }
    ) == {
        "api_token": "static_key", "myrvm-base-url": "static_key", "Upper": "wrong_key",
        "cpu_threshold": "wrong_number",
        "pinned_timezone": "wrong_zone", "sync_interval": "out_of_bounds", "include_logs": "wrong_switch",
        "version": "reserved", "nested": "wrong_free",
    }  # fmt: skip
    assert refusals({"my-key": 1, "my_key": 2}) == {"my_key": "twice"}


def test_what_only_the_owner_of_a_machine_decides_is_refused_before_it_is_stored() -> None:
    names = ("system_control", "services", "timezone-services", "state_dir", "allow_plain_http", "sensor_root")
    assert set(refusals(dict.fromkeys((*names, "return_session_file"), True)).values()) == {"static_key"}
    with pytest.raises(WrongSettingsError):
        write_fleet(CommonSettings(), [], SettingsRequest({"system_control": True}), "user:1", NOW)


def test_a_new_key_that_is_nearly_the_products_is_refused_as_a_slip() -> None:
    with pytest.raises(WrongSettingsError) as caught:
        write_fleet(CommonSettings(), [], SettingsRequest({"metrics-intervl": 5, "cpu_threshold": 70}), "user:1", NOW)
    wrong = caught.value.errors["metrics-intervl"]
    assert (wrong.code, wrong.params) == ("near", {"near": "metrics_interval"})
    assert refusals({"cpu_treshold": 5, "admin_ip": "x"}) == {"cpu_treshold": "near", "admin_ip": "near"}


def test_a_key_that_is_there_already_is_kept_and_removed_whatever_it_is_like() -> None:
    own = scope(1, metrics_intervl=5)
    assert machine({"metrics_intervl": 6}, own=own) != []
    assert machine({"metrics_intervl": None}, own=own) != []
    assert machine({"metrics_intervl": None}) == []


def test_a_free_key_keeps_the_kind_of_its_first_value_wherever_that_is() -> None:
    assert refusals({"mine": "text"}, own=scope(1, mine=0.5)) == {"mine": "wrong_kind"}
    assert refusals({"mine": "text"}, fleet=CommonSettings(None, scope(1, mine=True))) == {"mine": "wrong_kind"}
    assert machine({"mine": 7}, own=scope(1, mine=0.5)) != []
    with pytest.raises(WrongSettingsError):
        write_fleet(CommonSettings(), [scope(1), scope(2, mine=0.5)], SettingsRequest({"mine": "text"}), "user:1", NOW)


def test_a_machine_has_at_most_100_keys_of_ones_own() -> None:
    assert machine({f"key_{n}": n for n in range(100)}) != []
    assert refusals({f"key_{n}": n for n in range(101)}) == {"key_0": "too_many_free"}
    fleet = CommonSettings(None, scope(1, **{f"key_{n}": n for n in range(60)}))
    assert refusals({f"other_{n}": n for n in range(41)}, fleet=fleet) == {"other_0": "too_many_free"}
    own = scope(2, **{f"other_{n}": n for n in range(60)})
    with pytest.raises(WrongSettingsError):
        write_fleet(CommonSettings(), [own], SettingsRequest({f"key_{n}": n for n in range(41)}), "user:1", NOW)


def test_the_most_that_is_taken_fits_into_one_message() -> None:
    text = "é" * 1000

    def asked(count: int) -> dict[str, Any]:
        return {f"key_{n}": text for n in range(count)}

    most = next(count for count in range(99, 0, -1) if _fits(asked(count)))
    assert most > 25
    assert refusals(asked(most + 1)) == {"key_0": "too_large"}
    written = DesiredSettings(asked(most), 1)
    welcome = Welcome(
        session_id="s" * 100, time="t" * 64, protocol=2, live_interval=86400.0,
        config=Configuration(version=2**63 - 1, values=dict(CommonSettings().of(written).values)),
    )  # fmt: skip
    assert len(codec.encode(welcome).encode()) <= MAX_MESSAGE_BYTES


def _fits(values: dict[str, Any]) -> bool:
    try:
        return machine(values) != []
    except WrongSettingsError:
        return False


def test_a_fleets_value_that_one_machine_could_not_be_sent_is_refused() -> None:
    own = scope(2, **{f"other_{n}": "x" * 1900 for n in range(20)})
    request = SettingsRequest({f"key_{n}": "x" * 1900 for n in range(16)})
    assert write_fleet(CommonSettings(), [], request, "user:1", NOW) != []
    with pytest.raises(WrongSettingsError) as caught:
        write_fleet(CommonSettings(), [own], request, "user:1", NOW)
    assert [wrong.code for wrong in caught.value.errors.values()] == ["too_large"]


def test_the_fleets_event_belongs_to_no_machine() -> None:
    _, event = both(write_fleet(CommonSettings(), [], SettingsRequest({"cpu_threshold": 80}), "user:1", NOW))
    assert (event.rvm_id, event.before, event.after) == (None, {"cpu_threshold": 90.0}, {"cpu_threshold": 80.0})


def test_a_write_for_the_fleet_that_changes_nothing_is_none() -> None:
    fleet = CommonSettings(written=scope(4, cpu_threshold=70.0))
    assert write_fleet(fleet, [], SettingsRequest({"cpu_threshold": 70.0}, None), "user:1", NOW) == []
