"""What the machine's file may say about remote access, as it is read."""

from __future__ import annotations

import pytest

from device.settings.values import OnDemand, on_demand, remote_value


def test_ports_and_folders_are_named_once() -> None:
    assert remote_value("ports", [5001, 5000, 5001]) == [5001, 5000]
    assert remote_value("folders", ["/a", "/b", "/a"]) == ["/a", "/b"]


def test_a_command_may_say_a_word_twice() -> None:
    assert remote_value("argv", ["env", "-u", "A", "-u", "B"]) == ["env", "-u", "A", "-u", "B"]


def test_services_are_found_by_port() -> None:
    written = {"5000": {"start": ["camera", "--port", "5000"], "ready_timeout": 3}}
    kept = remote_value("on_demand", written)
    assert on_demand(kept) == {5000: OnDemand(start=["camera", "--port", "5000"], ready_timeout=3)}


@pytest.mark.parametrize("port", ["0", "70000", "05000", "", "five", "\u0665"])
def test_what_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(ValueError, match="port"):
        on_demand({port: {"start": ["x"]}})
