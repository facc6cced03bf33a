"""Sampling with sensors that work, hang, or fail."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.samples import sampler as sampler_module
from device.samples.rules import SamplingPlan
from device.samples.sampler import Sampler
from device.samples.spool import SampleSpool
from device.system_monitor import SystemMonitor
from device.texts import texts_in
from protocol.messages import Sample
from tests.support.until import until


class FakeMonitor(SystemMonitor):
    """Hands out numbered samples; waits for `gate` and raises `error` when told to."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"))
        self.count = self.primed = 0
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def prime(self) -> None:
        self.primed += 1

    def collect_metrics(self) -> Sample:
        self.gate.wait()
        if self.error is not None:
            raise self.error
        self.count += 1
        return Sample(timestamp=float(self.count), cpu_usage=1.0)


class Bench:
    def __init__(self, folder: Path, interval: float) -> None:
        self.history, self.present = FakeMonitor(), FakeMonitor()
        self.spool = SampleSpool(folder, "b")
        self.live: list[Sample] = []
        self.out = io.StringIO()
        self.disk, self.sensors = WorkerThread("disk"), WorkerThread("sensors")
        self.sampler = Sampler(
            SamplingPlan(interval, time.monotonic()), (self.history, self.present), self.sensors, self.disk,
            self.spool, Log(texts_in("en"), "", {}, self.out), lambda: None, self.live.append,
        )  # fmt: skip

    def kept(self) -> list[Sample]:
        batch = self.spool.read(0, 1000, 10**6)
        return [msgspec.json.decode(p, type=Sample) for p in batch.payloads] if batch else []


@contextlib.asynccontextmanager
async def sampling(folder: Path, interval: float) -> AsyncIterator[Bench]:
    bench = Bench(folder, interval)
    task = asyncio.ensure_future(bench.sampler.run())
    try:
        yield bench
    finally:
        task.cancel()
        bench.history.gate.set()
        bench.present.gate.set()
        await asyncio.gather(task, return_exceptions=True)


async def test_kept_samples_go_to_the_spool_and_live_ones_do_not(tmp_path: Path) -> None:
    async with sampling(tmp_path, 0.05) as bench:
        await until(lambda: len(bench.kept()) >= 3)
        assert bench.live == []
        bench.sampler.watch(0.05)
        await until(lambda: len(bench.live) >= 3)
        bench.sampler.watch(0)
        await until(lambda: "no longer watched" in bench.out.getvalue())
        assert bench.history.primed == bench.present.primed == 1
        assert all(sample.cpu_usage == 1.0 for sample in bench.kept())
    assert "watched: one sample every 1 s" in bench.out.getvalue()
    assert "no longer watched" in bench.out.getvalue()


async def test_a_hub_that_changes_its_mind_all_the_time_costs_little(tmp_path: Path) -> None:
    """Looks at the sensors and lines of the log are counted, not what is asked for."""
    async with sampling(tmp_path, 3600) as bench:
        await until(lambda: bench.kept())
        began, asked = time.monotonic(), 0
        while time.monotonic() - began < 1.0:
            bench.sampler.watch(1e-9 if asked % 2 == 0 else 0.0)
            asked += 1
            await asyncio.sleep(0)
        took = time.monotonic() - began
        turns = took / sampler_module.SETTLE_S + 2
        assert asked > 10 * turns
        assert bench.present.primed <= turns
        assert bench.out.getvalue().count("watched") <= turns


async def test_everything_kept_is_synced_again_and_again(tmp_path: Path) -> None:
    async with sampling(tmp_path, 0.05) as bench:
        await until(lambda: bench.kept())
        await until(lambda: bench.sampler.beats >= 2)
        position = tmp_path / "position"
        assert position.exists()


async def test_a_stuck_sensor_costs_readings_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_module, "SENSOR_TIMEOUT_S", 0.1)
    async with sampling(tmp_path, 0.05) as bench:
        await until(lambda: bench.kept())
        bench.history.gate.clear()
        await until(lambda: bench.kept()[-1].cpu_usage is None)
        assert "did not answer" in str(bench.kept()[-1].reasons)
        beats = bench.sampler.beats
        await until(lambda: bench.sampler.beats > beats)
        bench.history.gate.set()
        await until(lambda: bench.kept()[-1].cpu_usage == 1.0)
    assert bench.out.getvalue().count("did not answer") == 1


async def test_a_failing_sensor_stops_nothing(tmp_path: Path) -> None:
    async with sampling(tmp_path, 0.05) as bench:
        bench.history.error = RuntimeError("bad kernel")
        await until(lambda: len(bench.kept()) >= 2)
        assert bench.kept()[-1].cpu_usage is None
        bench.history.error = None
        await until(lambda: bench.kept()[-1].cpu_usage == 1.0)
    assert "bad kernel" in bench.out.getvalue()


async def test_another_interval_needs_no_restart(tmp_path: Path) -> None:
    async with sampling(tmp_path, 3600) as bench:
        await until(lambda: len(bench.kept()) == 1)
        bench.sampler.set_monitoring(True, 0.05)
        await until(lambda: len(bench.kept()) >= 4)


async def test_no_sensor_is_read_while_monitoring_is_off_whoever_watches(tmp_path: Path) -> None:
    async with sampling(tmp_path, 0.05) as bench:
        bench.sampler.watch(0.2)
        await until(lambda: bench.live and bench.kept())
        bench.sampler.set_monitoring(False, 0.05)
        bench.sampler.watch(0.2)
        before = (bench.history.count, bench.present.count)
        await asyncio.sleep(0.5)  # ten intervals in which nothing may be read but what has begun
        assert bench.history.count <= before[0] + 1
        assert bench.present.count <= before[1] + 1
        primed = bench.history.primed
        bench.sampler.set_monitoring(True, 0.05)
        await until(lambda: bench.history.count > before[0] and bench.present.count > before[1])
        assert bench.history.primed == primed + 1, "rates begin anew"
