"""Precedence key by key: environment, hub, file, default; and a word about every key that is not in force."""

from __future__ import annotations

from device.settings.rules import EffectiveValues, HubSettings, effective_values, set_here
from protocol import configuration as table

OWN = {"metrics_interval": 60.0, "upload_interval": 30.0, "cpu_threshold": 90.0, "state_dir": ""}
ORIGINS = {
    "metrics_interval": "environment RVM_METRICS_INTERVAL",
    "upload_interval": "file",
    "cpu_threshold": "default",
    "state_dir": "default",
}
STATIC = {"state_dir", "services", "rvm_id"}


def push(version: int = 3, /, **values: object) -> EffectiveValues:
    return effective_values(HubSettings(version=version, values=values), OWN, ORIGINS, STATIC)


def test_the_hub_beats_file_and_default() -> None:
    found = push(upload_interval=10, cpu_threshold=80)
    assert found.values == {"upload_interval": 10.0, "cpu_threshold": 80.0}
    assert set(found.origins.values()) == {"hub"}
    assert found.errors == {}


def test_the_environment_beats_the_hub_and_says_which_variable() -> None:
    found = push(metrics_interval=5)
    assert found.values == {}
    assert found.errors["metrics_interval"].code == "environment"
    assert found.errors["metrics_interval"].params == {"variable": "RVM_METRICS_INTERVAL"}


def test_what_the_environment_says_as_well_is_no_error() -> None:
    assert push(metrics_interval=60).errors == {}


def test_a_wrong_value_costs_its_own_key_only() -> None:
    found = push(upload_interval="often", cpu_threshold=101, memory_threshold=70, default_timezone="Asia/../../etc")
    assert found.values == {"memory_threshold": 70.0}
    assert {key: wrong.code for key, wrong in found.errors.items()} == {
        "upload_interval": "wrong_number",
        "cpu_threshold": "out_of_bounds",
        "default_timezone": "wrong_zone",
    }


def test_what_only_the_owner_decides_is_never_overridden() -> None:
    found = push(state_dir="/tmp/x", services=["sshd.service"], rvm_id=2, api_token="stolen", myrvm_base_url="http://x")
    assert found.values == {}
    assert {wrong.code for wrong in found.errors.values()} == {"static_key"}


def test_further_keys_are_taken_with_dashes_or_underscores() -> None:
    found = push(3, **{"confidence-threshold": 0.8, "belts": ["a", 1], "Wrong Key": 1, "deep": {"a": 1}})
    assert found.values == {"confidence_threshold": 0.8, "belts": ["a", 1]}
    assert {key: wrong.code for key, wrong in found.errors.items()} == {"Wrong Key": "wrong_key", "deep": "wrong_free"}


def test_further_keys_are_bounded() -> None:
    found = push(3, **{f"key_{n}": n for n in range(130)})
    assert len(found.values) == 100
    assert {wrong.code for wrong in found.errors.values()} == {"too_many"}


def test_a_key_that_nobody_wrote_at_the_hub_stays_the_files() -> None:
    assert push(0) == EffectiveValues({}, {}, {})
    assert push(4, cpu_threshold=70).values == {"cpu_threshold": 70.0}


def test_the_hub_may_know_what_file_and_environment_set_and_no_secret() -> None:
    values: dict[str, table.Value] = {**table.defaults(), "state_dir": "/x", "myrvm_base_url": "https://hub"}
    values |= {"metrics_interval": 60.0, "cpu_threshold": 70.0, "monitoring_enabled": True}
    values["timezone_api_url"] = "https://pro.ip-api.com/json?key=SECRET&x=1, http://10.0.0.5/json"
    origins = dict.fromkeys(values, "default") | dict.fromkeys(["state_dir", "myrvm_base_url"], "file")
    origins |= dict.fromkeys(["metrics_interval", "timezone_api_url", "monitoring_enabled"], "file")
    origins["cpu_threshold"] = "environment RVM_CPU_THRESHOLD"
    found = set_here(values, origins)
    assert found == {
        "metrics_interval": 60.0, "cpu_threshold": 70.0, "monitoring_enabled": True,
        "timezone_api_url": "https://pro.ip-api.com/json?..., http://10.0.0.5/json",
    }  # fmt: skip
    assert {key: table.checked(key, value) for key, value in found.items()} == found, "the hub can read all of it"


def test_a_key_that_only_the_file_may_set_is_refused_from_the_hub() -> None:
    assert push(state_dir="/elsewhere").errors["state_dir"].code == "static_key"


def test_a_key_that_is_the_owners_of_this_machine_is_refused_though_the_product_does_not_know_it() -> None:
    pushed = HubSettings(version=1, values={"door_code": 4})
    assert effective_values(pushed, OWN, ORIGINS, {"door_code"}).errors["door_code"].code == "static_key"
    assert effective_values(pushed, OWN, ORIGINS, STATIC).values == {"door_code": 4}
