"""What a machine says of its settings becomes true once, and an event only when there is something to tell."""

from __future__ import annotations

from typing import Any

import pytest

from db.records import MachineRow
from hub.machine_settings.rules import applied, readable, was_given
from hub.model.budgets import too_large
from hub.model.changes import EventHappened, Patch
from hub.model.effective_settings import CommonSettings, DesiredSettings
from tests.support.machines import NOW, machine


def runs(version: int, own: dict[str, Any] | None = None) -> Patch:
    values = {"config_version": version, "config_errors": None, "config_own": own, "config_applied_at": NOW,
              "updated_at": NOW}  # fmt: skip
    return Patch(MachineRow, 7, values, must="id")


def test_an_effective_version_is_one_change_and_one_event() -> None:
    change, event = applied(machine(config_version=6), 7, {}, NOW)
    assert change == runs(7)
    assert isinstance(event, EventHappened)
    assert (event.code, event.params, event.before, event.after) == (
        "config.applied", {"version": 7}, {"version": 6}, {"version": 7},
    )  # fmt: skip


def test_only_a_version_that_the_hub_gave_can_be_effective() -> None:
    one = machine(desired_settings=DesiredSettings({"cpu_threshold": 80.0}, 7))
    one.effective_settings = CommonSettings().of(one.desired_settings)
    assert (was_given(one, 0), was_given(one, 7), was_given(one, 8)) == (True, True, False)


def test_keys_that_could_not_be_taken_are_reported() -> None:
    change, event = applied(machine(), 7, {"metrics_interval": "set by the environment"}, NOW)
    assert isinstance(change, Patch)
    assert isinstance(event, EventHappened)
    assert (event.code, event.actor) == ("config.refused", "machine:7")
    assert event.params == {"version": 7, "errors": {"metrics_interval": "set by the environment"}}


def test_what_is_known_is_no_news() -> None:
    assert applied(machine(config_version=7), 7, {}, NOW) == []
    assert applied(machine(config_version=7, config_errors={"a": "b"}), 7, {"a": "b"}, NOW) == []
    assert len(applied(machine(config_version=7, config_errors={"a": "b"}), 7, {}, NOW)) == 2


def test_a_refusal_is_on_record_once_however_many_versions_it_lasts() -> None:
    known = machine(config_version=7, config_errors={"a": "no", "b": "no"})
    change, event = applied(known, 8, {"a": "no", "b": "no"}, NOW)
    assert isinstance(change, Patch)
    assert isinstance(event, EventHappened)
    assert change.values["config_errors"] == {"a": "no", "b": "no"}, "it still stands on the page"
    assert (event.code, event.params) == ("config.applied", {"version": 8})
    _, event = applied(known, 8, {"a": "no", "b": "other", "c": "no"}, NOW)
    assert isinstance(event, EventHappened)
    assert (event.code, event.params["errors"]) == ("config.refused", {"b": "other", "c": "no"}), "only what is new"


def test_a_hello_says_nothing_of_what_was_refused() -> None:
    known = machine(config_version=7, config_errors={"a": "no"})
    change, event = applied(known, 8, None, NOW)
    assert isinstance(change, Patch)
    assert isinstance(event, EventHappened)
    assert (change.values["config_errors"], event.code) == ({"a": "no"}, "config.applied")
    assert applied(known, 0, None, NOW) == [runs(0)]


def test_a_flood_of_errors_is_bounded_and_its_rest_counted() -> None:
    flood = {f"key_{number:04}": "\x01" * 500 for number in range(1000)}
    change, event = applied(machine(), 7, flood, NOW)
    assert isinstance(change, Patch)
    assert isinstance(event, EventHappened)
    errors = change.values["config_errors"]
    assert (len(errors), {len(why) for why in errors.values()}) == (64, {200})
    told = event.params["errors"]
    assert told
    assert not too_large(event.params)
    assert len(told) + event.params["more"] == 1000
    known = machine(config_version=7, config_errors=dict(errors))
    assert applied(known, 7, flood, NOW) == [], "the same flood again is no news"
    _, event = applied(machine(), 7, {"k" * 100: "é" * 200, "a": "b"}, NOW)
    assert isinstance(event, EventHappened)
    assert event.params == {"version": 7, "errors": {"k" * 100: "é" * 200, "a": "b"}}


def test_a_machine_that_runs_by_its_own_file_is_no_event() -> None:
    assert applied(machine(), 0, {}, NOW) == []
    assert applied(machine(config_version=7), 0, {}, NOW) == [runs(0)]


def test_what_its_file_sets_is_a_change_and_no_event() -> None:
    own = {"metrics_interval": 60.0}
    assert applied(machine(), 0, {}, NOW, own) == [runs(0, own)]
    known = machine(config_version=7, config_own=own)
    assert applied(known, 7, {}, NOW, own) == []
    assert applied(known, 7, {}, NOW, {}) == [runs(7)]
    change, event = applied(known, 8, {}, NOW)
    assert isinstance(change, Patch)
    assert isinstance(event, EventHappened)
    assert change.values["config_own"] == own, "a hello says nothing of it"


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics_interval": "often"}, {"cpu_threshold": 101}, {"timezone_api_url": "file:///etc/passwd"},
        {"api_token": "rvmk_secret"}, {"myrvm-base-url": "http://x"}, {"Wrong Key": 1}, {"deep": {"a": 1}},
        {"pinned_timezone": "Asia/../../etc"}, {"version": 3}, {"values": 3}, {"metrics_interval": None},
    ],
)  # fmt: skip
def test_what_no_setting_can_be_is_left_out_and_counted(wrong: dict[str, Any]) -> None:
    assert readable({"upload-interval": 60, **wrong}) == ({"upload_interval": 60.0}, 1)


def test_what_a_machine_reports_is_bounded() -> None:
    found, left_out = readable({f"key_{n}": n for n in range(130)} | {"metrics_interval": 60})
    assert (len(found), left_out) == (101, 30)
    assert readable(None) == ({}, 0)
