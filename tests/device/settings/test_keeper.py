"""The pushed configuration: in force at once, on disk, back after a restart, answered with an error for each key."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from device.kernel import state_file
from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.settings import AgentSettings, load
from device.settings.keeper import FILE, SettingsKeeper, cached_configuration, effective_settings
from device.texts import texts_in
from protocol import limits
from protocol import messages as m
from protocol.codec import encode
from tests.support.fake_hub import KEY
from tests.support.until import until

ENVIRON = {"RVM_API_TOKEN": KEY, "RVM_MYRVM_BASE_URL": "https://hub.test"}


class Bench:
    def __init__(self, folder: Path, **environ: str) -> None:
        self.out = io.StringIO()
        self.applied: list[AgentSettings] = []
        self.replies: list[m.ConfigApplied] = []
        settings = load(None, {**ENVIRON, "RVM_STATE_DIR": str(folder), **environ})
        self.disk = WorkerThread("disk")
        log = Log(texts_in("id"), KEY, {}, self.out)
        self.keeper = SettingsKeeper(settings, self.disk, log, self.applied.append, self.replies.append)

    async def push(self, version: int, **values: Any) -> m.ConfigApplied:
        before = len(self.replies)
        self.keeper.offer(version, values)
        await until(lambda: len(self.replies) > before)
        return self.replies[-1]


@contextlib.asynccontextmanager
async def keeping(folder: Path, **environ: str) -> AsyncIterator[Bench]:
    bench = Bench(folder, **environ)
    await bench.keeper.open()
    task = asyncio.ensure_future(bench.keeper.run())
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        bench.disk.stop()


async def test_settings_of_the_hub_are_effective_answered_and_back_after_a_restart(tmp_path: Path) -> None:
    async with keeping(tmp_path) as bench:
        assert bench.keeper.version == 0
        answer = await bench.push(7, metrics_interval=5, confidence_threshold=0.8)
        assert answer == m.ConfigApplied(version=7)
        assert bench.applied[-1].number("metrics_interval") == 5
        assert bench.keeper.settings.values["confidence_threshold"] == 0.8
        assert bench.keeper.settings.origins["metrics_interval"] == "hub"
        assert "konfigurasi 7" in bench.out.getvalue()
    async with keeping(tmp_path) as again:
        assert again.keeper.version == 7
        assert [settings.number("metrics_interval") for settings in again.applied] == [5]
        assert effective_settings(again.keeper._own).values["confidence_threshold"] == 0.8


@pytest.mark.parametrize("content", [b"", b"junk", b"00000000\n{}\n", b"\xff" * 5000, None])
async def test_a_damaged_cache_is_as_good_as_none(tmp_path: Path, content: bytes | None) -> None:
    async with keeping(tmp_path) as bench:
        await bench.push(7, metrics_interval=5)
    file = tmp_path / FILE
    file.write_bytes(file.read_bytes()[:-3] if content is None else content)
    async with keeping(tmp_path) as again:
        assert (again.keeper.version, again.applied) == (0, [])
        assert again.keeper.settings.number("metrics_interval") == 300
        assert await again.push(7, metrics_interval=5) == m.ConfigApplied(version=7)
    assert cached_configuration(tmp_path) is not None


async def test_every_link_is_answered_but_only_news_is_applied_and_written(tmp_path: Path) -> None:
    async with keeping(tmp_path) as bench:
        await bench.push(7, metrics_interval=5)
        written = (tmp_path / FILE).stat().st_mtime_ns
        await bench.push(7, metrics_interval=5)
        assert (len(bench.replies), len(bench.applied)) == (2, 1)
        assert (tmp_path / FILE).stat().st_mtime_ns == written


async def test_the_hubs_word_counts_also_when_its_number_is_smaller(tmp_path: Path) -> None:
    """A hub whose database was restored, or another hub."""
    async with keeping(tmp_path) as bench:
        await bench.push(7, metrics_interval=5)
        assert (await bench.push(2, metrics_interval=9)).version == 2
        assert bench.keeper.settings.number("metrics_interval") == 9
        assert (await bench.push(0, metrics_interval=300)).version == 0
        assert bench.keeper.settings.origins["metrics_interval"] == "default"


async def test_errors_come_back_key_by_key_and_begin_with_their_code(tmp_path: Path) -> None:
    async with keeping(tmp_path, RVM_METRICS_INTERVAL="60") as bench:
        answer = await bench.push(8, metrics_interval=5, cpu_threshold=500, memory_threshold=70, rvm_id=3)
        assert answer.errors is not None
        assert set(answer.errors) == {"metrics_interval", "cpu_threshold", "rvm_id"}
        assert answer.errors["metrics_interval"].startswith("environment: metrics_interval is set by the environment")
        assert "RVM_METRICS_INTERVAL" in answer.errors["metrics_interval"]
        assert answer.errors["cpu_threshold"] == "out_of_bounds: cpu_threshold: write a number from 0 to 100."
        assert bench.keeper.settings.number("metrics_interval") == 60
        assert bench.keeper.settings.number("memory_threshold") == 70
        assert "environment agen mesin" in bench.out.getvalue()


async def test_the_answer_to_a_hostile_push_fits_into_one_frame(tmp_path: Path) -> None:
    async with keeping(tmp_path) as bench:
        hostile: dict[str, Any] = {"\U0001f98b" * 120 + str(n): {} for n in range(500)} | {"": 1, "\x1b[2J": 2}
        answer = await bench.push(8, **hostile)
    text = encode(answer)
    assert len(text.encode()) < limits.MAX_MESSAGE_BYTES
    assert msgspec.json.decode(text, type=m.ConfigApplied) == answer
    assert "\x1b" not in bench.out.getvalue()


async def test_a_disk_that_refuses_costs_the_cache_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, value: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state_file, "write_value", refuse)
    async with keeping(tmp_path) as bench:
        assert await bench.push(7, metrics_interval=5) == m.ConfigApplied(version=7)
        assert bench.keeper.settings.number("metrics_interval") == 5
        assert "No space left" in bench.out.getvalue()


async def test_only_the_newest_of_a_burst_is_taken(tmp_path: Path) -> None:
    async with keeping(tmp_path) as bench:
        for version in range(1, 50):
            bench.keeper.offer(version, {"metrics_interval": float(version)})
        await until(lambda: bench.replies and bench.replies[-1].version == 49)
        assert len(bench.replies) <= 2
