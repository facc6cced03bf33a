"""Every subject on every tree: what is there is read, what is not is absent with a reason, and never 0."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from device.system_monitor import board, sensors
from device.system_monitor.reading import SensorReading
from tests.device import trees

TREES: dict[str, Callable[[Path], Path]] = {
    "nano6": trees.orin_nano_jetpack6,
    "agx5": trees.agx_orin_jetpack5,
    "pc": trees.ordinary_pc,
    "bare": trees.linux,
    "nothing": lambda root: root,
}
SUBJECTS: dict[str, Callable[[Path], SensorReading]] = {
    "memory": sensors.memory_usage,
    "gpu": sensors.gpu_usage,
    "thermal": sensors.temperature,
    "power": board.power,
    "throttle": board.throttled,
    "uptime": board.uptime,
}
EXPECTED = {
    "memory": {"nano6": 25.0, "agx5": 25.0, "pc": 25.0, "bare": 25.0, "nothing": None},
    "gpu": {"nano6": 23.7, "agx5": 100.0, "pc": None, "bare": None, "nothing": None},
    "thermal": {"nano6": 51.25, "agx5": 45.0, "pc": 46.5, "bare": None, "nothing": None},
    "power": {"nano6": 7.056, "agx5": 8.3, "pc": None, "bare": None, "nothing": None},
    "throttle": {"nano6": 0.0, "agx5": 1.0, "pc": 0.0, "bare": None, "nothing": None},
    "uptime": {"nano6": 86400.2, "agx5": 86400.2, "pc": 86400.2, "bare": 86400.2, "nothing": None},
}


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("tree", TREES)
def test_what_is_there_is_read_and_what_is_not_has_a_reason(subject: str, tree: str, tmp_path: Path) -> None:
    reading = SUBJECTS[subject](TREES[tree](tmp_path))
    assert reading.value == EXPECTED[subject][tree]
    assert (reading.value is None) == bool(reading.reason)


@pytest.mark.parametrize("content", ["", "\n", "garbage", "cpu", "MemTotal: x kB", "-1", "99999999999999999999", "\0"])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_kernel_file_may_hold_anything(subject: str, content: str, tmp_path: Path) -> None:
    root = trees.orin_nano_jetpack6(tmp_path)
    for path in [p for p in root.rglob("*") if p.is_file() and p.name not in ("type", "name")]:
        path.write_text(content)
    reading = SUBJECTS[subject](root)
    assert (reading.value is None) == bool(reading.reason)
    assert reading.value is None or 0 <= reading.value <= 1e10


def test_a_gpu_that_is_there_and_does_not_answer_says_so(tmp_path: Path) -> None:
    root = trees.agx_orin_jetpack5(tmp_path)
    (root / "sys/devices/platform/17000000.ga10b/load").write_text("")
    assert sensors.gpu_usage(root).reason == "the GPU does not answer"


def test_a_devfreq_device_that_is_no_gpu_is_passed_over(tmp_path: Path) -> None:
    trees.write(tmp_path / "sys/class/devfreq/memory/device", {"of_node/name": "emc", "load": "500"})
    assert sensors.gpu_usage(tmp_path).value is None


def test_memory_of_a_kernel_without_available(tmp_path: Path) -> None:
    text = "MemTotal: 1000 kB\nMemFree: 200 kB\nBuffers: 100 kB\nCached: 200 kB\n"
    trees.write(tmp_path, {"proc/meminfo": text})
    assert sensors.memory_usage(tmp_path).value == 50.0


@pytest.mark.parametrize(("milli", "value"), [("150000", 150.0), ("151000", None), ("-50000", -50.0), ("-60000", None)])
def test_only_possible_temperatures_count(tmp_path: Path, milli: str, value: float | None) -> None:
    assert sensors.temperature(trees.zones(tmp_path, {"cpu-thermal": milli})).value == value


def test_the_disk_is_measured_as_df_does(tmp_path: Path) -> None:
    reading = sensors.disk_usage(tmp_path)
    assert reading.value is not None
    assert 0 <= reading.value <= 100
    assert sensors.disk_usage(tmp_path / "absent").reason == "no answer from the disk: No such file or directory"


def test_a_pmic_that_always_says_the_same_is_no_temperature(tmp_path: Path) -> None:
    assert sensors.temperature(trees.zones(tmp_path, {"PMIC-Die": "100000"})).value is None
    assert sensors.temperature(trees.zones(tmp_path / "b", {"PMIC-Die": "100000", "battery": "31000"})).value == 31.0
