"""One sample of a whole machine, and its way into history."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from device.system_monitor import SystemMonitor
from device.system_monitor.jtop import JtopAdapter
from protocol.messages import Sample
from tests.device import trees


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def monitor(root: Path, clock: Clock, **more: Any) -> SystemMonitor:
    wall = datetime(2026, 11, 23, 9, 0, tzinfo=timezone.utc)
    return SystemMonitor(root, monotonic=clock, wall=lambda: wall, **more)


def test_a_jetson_gives_everything(tmp_path: Path) -> None:
    clock = Clock()
    root = trees.orin_nano_jetpack6(tmp_path)
    eyes = monitor(root, clock)
    eyes.prime()
    clock.now += 2
    trees.write(root, {"proc/stat": trees.STAT.replace("cpu  1000", "cpu  1200").replace("8000", "8600")})
    trees.write(root, {"proc/net/dev": trees.NET.replace("1000000", "1004000")})
    sample = eyes.collect_metrics()
    assert sample.timestamp == "2026-11-23T09:00:00.000Z"
    assert (sample.cpu_usage, sample.gpu_usage, sample.temperature) == (25.0, 23.7, 51.25)
    assert (sample.network_rx_bytes_s, sample.power_w, sample.throttled) == (2000.0, 7.056, False)
    assert sample.reasons is None


def test_what_is_absent_is_null_with_its_reason_and_fits_the_wire(tmp_path: Path) -> None:
    sample = monitor(tmp_path / "nothing", Clock(), disk_path=tmp_path).collect_metrics()
    assert sample.disk_usage is not None
    assert sample.reasons is not None
    absent = {"cpu_usage", "memory_usage", "gpu_usage", "temperature", "power_w", "throttled"}
    assert absent <= sample.reasons.keys()
    assert all(getattr(sample, name) is None for name in absent)
    assert msgspec.json.decode(msgspec.json.encode(sample), type=Sample) == sample


def test_looks_too_close_together_keep_the_older_one(tmp_path: Path) -> None:
    clock = Clock()
    root = trees.linux(tmp_path)
    eyes = monitor(root, clock)
    eyes.prime()
    clock.now += 0.001
    eyes.collect_metrics()
    clock.now += 1
    trees.write(root, {"proc/stat": trees.STAT.replace("cpu  1000", "cpu  1100")})
    assert eyes.collect_metrics().cpu_usage == 100.0


def test_upload_hands_the_sample_on(tmp_path: Path) -> None:
    kept: list[Sample] = []

    def keep(sample: Sample) -> int:
        kept.append(sample)
        return len(kept)

    eyes = monitor(trees.linux(tmp_path), Clock(), keep=keep)
    assert eyes.upload_metrics() == 1
    assert eyes.upload_metrics(kept[0]) == 2
    with pytest.raises(RuntimeError):
        monitor(tmp_path, Clock()).upload_metrics()


def test_jtop_is_asked_only_for_what_the_kernel_does_not_show(tmp_path: Path) -> None:
    class Client:
        stats: ClassVar = {"time": 1, "GPU": 55, "Power TOT": 9000}

    clock = Clock()
    adapter = JtopAdapter(clock, lambda _: Client())
    on_jetson = monitor(trees.orin_nano_jetpack6(tmp_path / "a"), clock, jtop=adapter).collect_metrics()
    assert (on_jetson.gpu_usage, on_jetson.power_w) == (23.7, 7.056)
    elsewhere = monitor(trees.linux(tmp_path / "b"), clock, jtop=adapter).collect_metrics()
    assert (elsewhere.gpu_usage, elsewhere.power_w) == (55.0, 9.0)
