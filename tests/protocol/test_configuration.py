"""The table of dynamic settings: every default is legal, what is not is refused by name, free keys keep their kind."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import configuration as c
from protocol.status_rules import refusal
from protocol.zones import is_zone


def test_every_default_is_its_own_checked_value() -> None:
    assert {key: c.checked(key, value) for key, value in c.defaults().items()} == c.defaults()


def test_defaults_are_the_callers_own() -> None:
    c.defaults()["admin_ips"].append("0.0.0.0/0")  # type: ignore[union-attr]
    assert "0.0.0.0/0" not in c.defaults()["admin_ips"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("remote_access_enabled", 1, "wrong_switch"), ("remote_access_port", 70000, "out_of_bounds"),
        ("remote_access_port", 5001.5, "wrong_whole"), ("session_timeout", "60", "wrong_number"),
        ("session_timeout", True, "wrong_number"), ("cpu_threshold", float("nan"), "wrong_number"),
        ("admin_ips", "10.0.0.0/8", "wrong_networks"), ("admin_ips", ["10.0.0.0/99"], "wrong_networks"),
        ("admin_ips", [10], "wrong_networks"), ("default_timezone", "", "wrong_zone"),
        ("default_timezone", "Asia/../../etc", "wrong_zone"), ("pinned_timezone", "; reboot", "wrong_zone"),
        ("timezone_api_url", "file:///etc/passwd", "wrong_addresses"), ("timezone_api_url", "", "wrong_addresses"),
        ("timezone_api_url", "http://user:pw@host/json", "wrong_addresses"),
        ("confidence_threshold", None, "wrong_free"), ("confidence_threshold", {"a": 1}, "wrong_free"),
        ("labels", [["deep"]], "wrong_free"), ("note", "a\x00b", "wrong_free"), ("big", 2**60, "wrong_free"),
        ("big", 10**400, "wrong_free"), ("list", [10**400], "wrong_free"), ("cpu_threshold", 10**400, "wrong_number"),
        ("backup_window", "01:00", "wrong_window"), ("backup_window", "1:00-5:00", "wrong_window"),
        ("backup_window", "24:00-05:00", "wrong_window"), ("backup_window", 5, "wrong_window"),
        ("backup_window", "01:00-24:01", "wrong_window"), ("backup_compression", "xz", "wrong_compression"),
        ("backup_compression", ["gzip"], "wrong_compression"), ("backup_chain", 0, "out_of_bounds"),
        ("backup_rate", 1.5, "wrong_whole"), ("backup_read_all", "yes", "wrong_switch"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_its_code(key: str, value: Any, code: str) -> None:
    with pytest.raises(c.WrongValueError) as refused:
        c.checked(key, value)
    assert refused.value.code == code


def test_values_are_stored_in_one_form() -> None:
    assert c.checked("session_timeout", 60) == 60.0
    assert c.checked("admin_ips", ["10.1.2.3/8"]) == ["10.0.0.0/8"]
    assert c.checked("timezone_api_url", "http://a/json,https://b/json") == "http://a/json, https://b/json"
    assert c.checked("pinned_timezone", "") == ""
    assert c.checked("confidence_threshold", 0.8) == 0.8
    assert c.checked("backup_window", " 22:00 - 02:00") == "22:00-02:00"


@pytest.mark.parametrize(
    ("window", "begin", "lasts"),
    [("01:00-05:00", 60, 240), ("22:30-02:00", 1350, 210), ("00:00-24:00", 0, 1440), ("03:00-03:00", 180, 1440),
     ("23:59-00:00", 1439, 1), ("00:00-00:01", 0, 1)],
)  # fmt: skip
def test_a_window_lasts_from_a_minute_to_a_day_and_may_go_over_midnight(window: str, begin: int, lasts: int) -> None:
    assert c.checked("backup_window", window) == window
    assert c.window_minutes(window) == (begin, lasts)


def test_a_free_key_keeps_the_kind_of_its_first_value() -> None:
    assert c.checked("confidence_threshold", 1, before=0.8) == 1
    with pytest.raises(c.WrongValueError) as refused:
        c.checked("confidence_threshold", "high", before=0.8)
    assert (refused.value.code, refused.value.params) == ("wrong_kind", {"kind": "number"})


def test_dashes_and_underscores_are_alike_and_other_names_refused() -> None:
    assert c.key_of("confidence-threshold") == c.key_of("confidence_threshold") == "confidence_threshold"
    for name, code in (("api_token", "static_key"), ("rvm-id", "static_key"), ("A", "wrong_key"), ("a b", "wrong_key"),
                       ("a" * 65, "wrong_key"), ("", "wrong_key"), ("_a", "wrong_key")):  # fmt: skip
        with pytest.raises(c.WrongValueError) as refused:
            c.key_of(name)
        assert refused.value.code == code


@pytest.mark.parametrize(
    "key",
    ["confidence_threshold", "camera_threshold", "gpu_threshold", "cpu_limit", "timezone_note", "include_videos",
     "image_interval", "sync_enabled", "session_limit", *c.SETTINGS],
)  # fmt: skip
def test_a_name_of_ones_own_is_no_slip(key: str) -> None:
    assert c.slip_of(key) is None


@pytest.mark.parametrize(
    ("key", "near"),
    [("metrics_intervl", "metrics_interval"), ("metric_interval", "metrics_interval"), ("admin_ip", "admin_ips"),
     ("cpu_treshold", "cpu_threshold"), ("temprature_threshold", "temperature_threshold")],
)  # fmt: skip
def test_a_slip_is_answered_with_what_was_meant(key: str, near: str) -> None:
    assert c.slip_of(key) == near


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(key=st.sampled_from([*c.SETTINGS, "free"]), value=_ANYTHING)
def test_whatever_comes_is_a_legal_value_or_a_named_refusal(key: str, value: Any) -> None:
    try:
        taken = c.checked(key, value)
    except c.WrongValueError:
        return
    assert c.checked(key, taken) == taken


def test_only_names_of_the_database_are_zones() -> None:
    assert is_zone("Asia/Jakarta")
    assert is_zone("Asia/Makassar")
    assert is_zone("UTC")
    for word in ("asia/jakarta", " Asia/Jakarta", "Asia/Jakarta\n", "Asia", "localtime", "../etc/passwd", "", "WIB"):
        assert not is_zone(word)


def test_what_is_physically_not_so_is_refused_with_a_reason() -> None:
    still_full = refusal("active", 100)
    not_full = refusal("full", 0)
    assert still_full is not None
    assert still_full.code == "still_full"
    assert not_full is not None
    assert not_full.code == "not_full"
    assert refusal("active", 99) is refusal("active", None) is refusal("full", 40) is refusal("full", None) is None
    assert refusal("maintenance", 100) is refusal("error", 100) is None


@pytest.mark.parametrize(
    "value",
    [
        ["5000 Kamera pintu", " 5001   Panel "],
        {"5000": "Kamera pintu", "5001": " Panel"},
    ],
)
def test_pages_are_named_a_line_each_or_by_an_object_of_the_machines_file(value: object) -> None:
    found = c.checked("remote_page_names", value)
    assert found == ["5000 Kamera pintu", "5001 Panel"]
    assert c.checked("remote_page_names", found) == found
    assert c.page_names(found) == {"5000": "Kamera pintu", "5001": "Panel"}
    assert c.page_names(None) == {}


@pytest.mark.parametrize(
    "value",
    [
        "5000 Camera", ["5000"], ["5000 "], ["Camera"], ["0 x"], ["05000 x"], ["65536 x"], ["123456 x"], [5000],
        ["5000 " + "x" * 61], ["5000 a\nb"], ["5000 a\x00b"], ["\u0665 x"], {"5000": " "}, {"camera": "x"},
        [f"{port} x" for port in range(1, 34)],
    ],
)  # fmt: skip
def test_what_names_no_page_is_refused(value: object) -> None:
    with pytest.raises(c.WrongValueError) as wrong:
        c.checked("remote_page_names", value)
    assert wrong.value.code == "wrong_page_names"
