"""Samples by HTTP: the fallback of a real agent, and what an earlier boot left behind."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from device.api_client import ApiClient
from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.link.rules import End, FallbackRules, Kind
from device.samples import uploader as uploader_module
from device.samples.spool import SampleSpool
from device.samples.uploader import Uploader, numbered
from device.texts import texts_in
from tests.device.agent_process import running_agent
from tests.support.fake_hub import KEY, fake_hub
from tests.support.fake_rest import fake_rest
from tests.support.until import PATIENCE_S, until

PAYLOAD = b'{"timestamp":"2026-11-23T09:00:00Z","cpu_usage":5.0}'


class Bench:
    def __init__(self, folder: Path, url: str) -> None:
        self.rules = FallbackRules()
        self.ended = asyncio.Event()
        self.live = False
        self.disk = WorkerThread("disk")
        self.spool = SampleSpool(folder, "this-boot")
        self.out = io.StringIO()
        client = ApiClient(url, KEY, "rvm-1", attempts=1)
        log = Log(texts_in("en"), KEY, {}, self.out)
        self.uploader = Uploader(client, self.spool, self.disk, self.rules, 0.2, log, lambda: self.live, self.ended)


def left_behind(folder: Path, count: int) -> None:
    spool = SampleSpool(folder, "earlier-boot")
    for _ in range(count):
        spool.append(PAYLOAD)
    spool.close()


async def test_what_an_earlier_boot_left_travels_by_http_with_its_own_numbers(tmp_path: Path) -> None:
    left_behind(tmp_path, 250)
    with fake_rest() as rest:
        bench = Bench(tmp_path, rest.url)
        bench.spool.append(PAYLOAD)
        bench.uploader.went_live.set()
        await asyncio.wait_for(bench.uploader._clear_leftovers(), PATIENCE_S)
        assert rest.kept == {("earlier-boot", n): 1 for n in range(1, 251)}
        assert rest.keys == {f"Bearer {KEY}"}
    assert bench.spool.pending() == 1, "this boot's samples belong to the link"
    again = SampleSpool(tmp_path, "this-boot")
    assert again.read_leftovers(10, 1000) is None


async def test_one_unacceptable_sample_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_behind(tmp_path, 20)
    monkeypatch.setattr(uploader_module, "PACE_S", 0.0)
    with fake_rest() as rest:
        rest.refuse = {7: 422}
        bench = Bench(tmp_path, rest.url)
        bench.uploader.went_live.set()
        await asyncio.wait_for(bench.uploader._clear_leftovers(), PATIENCE_S)
        assert sorted(seq for _, seq in rest.kept) == [n for n in range(1, 21) if n != 7]
        assert "422" in bench.out.getvalue()


async def test_a_refused_batch_stays_until_it_is_taken(tmp_path: Path) -> None:
    left_behind(tmp_path, 3)
    with fake_rest() as rest:
        rest.refuse = {2: 503}
        bench = Bench(tmp_path, rest.url)
        assert not await bench.uploader._upload_all(bench.spool.read_leftovers)
        assert bench.spool.pending() == 3
        rest.refuse = {}
        assert await bench.uploader._upload_all(bench.spool.read_leftovers)
        assert bench.spool.pending() == 0


async def test_the_fallback_ends_when_the_link_is_back(tmp_path: Path) -> None:
    with fake_rest() as rest:
        bench = Bench(tmp_path, rest.url)
        bench.spool.append(PAYLOAD)
        task = asyncio.ensure_future(bench.uploader._fall_back())
        try:
            for _ in range(3):
                bench.rules.ended(End(Kind.UPGRADE_FAILED, "HTTP 200"))
            bench.ended.set()
            await until(lambda: rest.kept)
            bench.live = True
            bench.rules.went_live()
            bench.uploader.went_live.set()
            bench.spool.append(PAYLOAD)
            await asyncio.sleep(0.5)  # two intervals in which nothing may be uploaded
            assert len(rest.kept) == 1
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_another_interval_cuts_the_pause_short(tmp_path: Path) -> None:
    with fake_rest() as rest:
        bench = Bench(tmp_path, rest.url)
        bench.uploader.set_interval(3600)
        bench.spool.append(PAYLOAD)
        task = asyncio.ensure_future(bench.uploader._fall_back())
        try:
            for _ in range(3):
                bench.rules.ended(End(Kind.UPGRADE_FAILED, "HTTP 200"))
            bench.ended.set()
            await until(lambda: len(rest.kept) == 1)
            bench.spool.append(PAYLOAD)
            bench.uploader.set_interval(0.1)
            await until(lambda: len(rest.kept) == 2)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_real_agent_behind_a_proxy_without_websocket(tmp_path: Path) -> None:
    with fake_rest() as rest:
        async with running_agent(
            tmp_path, rest.url, metrics_interval=0.1, upload_interval=0.3, retry_delay=0.1
        ) as agent:
            await until(lambda: len(rest.kept) >= 10)
            tried = rest.upgrades
            await until(lambda: rest.upgrades > tried)  # it keeps trying WebSocket
            assert "by HTTP meanwhile" in agent.log
        assert set(rest.kept.values()) == {1}


async def test_a_reboot_with_an_unsent_backlog_loses_nothing(tmp_path: Path) -> None:
    """The spool of an earlier boot: this boot's samples go by the link, the earlier ones by HTTP on the same hub."""
    left_behind(tmp_path / "machine.json.state" / "spool", 5)
    async with fake_hub() as hub, running_agent(tmp_path, hub.url) as agent:
        await hub.until(lambda: hub.kept)
        assert hub.link.hello is not None
        assert {boot for boot, _ in hub.kept} == {hub.link.hello.boot_id}
        await until(lambda: "HTTP upload failed" in agent.log)  # this fake hub has no REST: they wait
        assert "5 samples waiting" in agent.log


def test_each_sample_carries_its_boot_and_number(tmp_path: Path) -> None:
    left_behind(tmp_path, 3)
    batch = SampleSpool(tmp_path, "now").read_leftovers(2, 10_000)
    assert batch is not None
    assert [(s["boot_id"], s["seq"], s["cpu_usage"]) for s in numbered(batch)] == [
        ("earlier-boot", 1, 5.0),
        ("earlier-boot", 2, 5.0),
    ]
