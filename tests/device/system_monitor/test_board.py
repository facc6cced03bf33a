"""Rails with their limits, what slows a board down, and its fans."""

from __future__ import annotations

from pathlib import Path

from device.system_monitor import board
from protocol.board import BoardFan, BoardRail, BoardThrottle
from tests.device import trees

CHIP = "sys/bus/i2c/devices/1-0040/hwmon/hwmon3"


def rail(root: Path) -> BoardRail:
    (found,) = board.rails(root)
    return found


def test_the_lower_limit_of_a_rail_counts(tmp_path: Path) -> None:
    trees.ina3221(tmp_path, "1-0040", {"VDD_IN": (5000, 1000)})
    assert rail(tmp_path) == BoardRail(name="VDD_IN", watts=5.0)
    trees.write(tmp_path / CHIP, {"curr1_crit": "4984", "curr1_max": "4000"})
    assert rail(tmp_path).limit_w == 20.0
    trees.write(tmp_path / CHIP, {"curr1_crit": "32760", "curr1_max": "0"})
    assert rail(tmp_path).limit_w is None


def test_a_rail_that_does_not_answer_or_says_nonsense_has_a_reason(tmp_path: Path) -> None:
    trees.ina3221(tmp_path, "1-0040", {"VDD_IN": (5000, 1000)})
    trees.write(tmp_path / CHIP, {"in1_input": "99999999", "curr1_input": "99999999"})
    assert rail(tmp_path) == BoardRail(name="VDD_IN", reason="impossible")
    trees.write(tmp_path / CHIP, {"in1_input": ""})
    assert rail(tmp_path) == BoardRail(name="VDD_IN", reason="unreadable")
    (tmp_path / CHIP / "in1_input").unlink()
    assert rail(tmp_path) == BoardRail(name="VDD_IN", reason="absent")


def test_what_slows_down_now_comes_first_then_what_was_counted(tmp_path: Path) -> None:
    trees.cooling(tmp_path, {"cpu-throttle-alert": "0", "gpu-throttle-alert": "1", "pwm-fan": "3"})
    trees.write(tmp_path / "sys/class/hwmon/hwmon3", {"oc1_event_cnt": "0", "oc3_event_cnt": "7", "oc2_event_cnt": "x"})
    assert board.throttling(tmp_path) == [
        BoardThrottle(name="gpu-throttle-alert", active=True),
        BoardThrottle(name="oc1", events=0),
        BoardThrottle(name="oc3", events=7),
        BoardThrottle(name="cpu-throttle-alert", active=False),
    ]


def test_a_tachometer_belongs_to_the_only_fan(tmp_path: Path) -> None:
    chips = tmp_path / "sys/class/hwmon"
    trees.write(chips / "hwmon0", {"name": "pwm_tach", "rpm": "2100"})
    assert board.fans(tmp_path) == [BoardFan(name="pwm_tach", rpm=2100.0)]
    trees.write(chips / "hwmon1", {"name": "pwmfan", "pwm1": "255"})
    assert board.fans(tmp_path) == [BoardFan(name="pwmfan", percent=100.0, rpm=2100.0)]
    trees.write(chips / "hwmon2", {"name": "second", "pwm1": "", "fan1_input": "900"})
    assert board.fans(tmp_path) == [
        BoardFan(name="pwmfan", percent=100.0),
        BoardFan(name="second", rpm=900.0, reason="unreadable"),
    ]
    trees.write(chips / "hwmon2", {"pwm1": "999", "fan1_input": "-5"})
    assert board.fans(tmp_path)[1] == BoardFan(name="second", percent=100.0)
