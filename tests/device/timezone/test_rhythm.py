"""When the zone is looked up, and when its report is said: at start, every interval, on links, when the clock moves."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from device.system.clock import rfc3339
from device.timezone import sync
from device.timezone.sync import FILE
from tests.support.system_bus import PrivateBus, needs_bus
from tests.support.until import until
from tests.support.zone_bench import ZoneBench, running
from tests.support.zone_server import ZoneServer

UTC = timezone.utc
pytestmark = needs_bus


async def test_at_start_every_interval_and_again_when_the_pin_changes(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer
) -> None:
    async with running(ZoneBench(tmp_path, bus, server)) as bench:
        await asyncio.sleep(0.2)  # in which nothing may be asked: the first link decides
        assert server.asked == []
        bench.client.went_live()
        await until(lambda: len(bench.said) == 1)
        bench.configure(pinned_timezone="Asia/Makassar")
        await until(lambda: len(bench.said) == 2)
        assert bus.zone == "Asia/Makassar"
        bench.configure(sync_interval=0.1)
        await until(lambda: len(bench.said) >= 5)
        assert {report.sync_method for report in bench.said} == {"automatic"}
        assert len({report.timestamp for report in bench.said}) >= 5


async def test_a_machine_without_a_hub_gets_its_zone_as_well(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "START_WITHIN_S", 0.1)
    async with running(ZoneBench(tmp_path, bus, server)) as bench:
        await until(lambda: bench.said)
    assert bus.zone == "Asia/Jakarta"


async def test_automatic_attempts_can_be_switched_off_and_on(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer
) -> None:
    async with running(ZoneBench(tmp_path, bus, server, auto_sync_enabled=False)) as bench:
        bench.client.went_live()
        await asyncio.sleep(0.3)  # in which nothing may be asked
        assert (server.asked, bench.said) == ([], [])
        await bench.sync()
        assert len(bench.said) == 1
        bench.configure(auto_sync_enabled=True, sync_interval=0.1)
        await until(lambda: len(bench.said) >= 3)


async def test_the_report_is_sent_again_on_every_link_and_after_a_restart(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer
) -> None:
    async with running(ZoneBench(tmp_path, bus, server, auto_sync_enabled=False)) as bench:
        report = await bench.sync()
        bench.client.went_live()
        await until(lambda: len(bench.said) == 2)
        assert bench.said[1] == report, "the same instant: it is recorded once"
    async with running(ZoneBench(tmp_path, bus, server, auto_sync_enabled=False)) as again:
        again.client.went_live()
        await until(lambda: again.said)
        assert again.said == [report]


async def test_a_damaged_memory_stops_nothing(tmp_path: Path, bus: PrivateBus, server: ZoneServer) -> None:
    await ZoneBench(tmp_path, bus, server).sync()
    (tmp_path / FILE).write_bytes(b"\x00" * 100)
    async with running(ZoneBench(tmp_path, bus, server)) as bench:
        bench.client.went_live()
        await until(lambda: bench.said)


async def test_a_clock_that_is_put_right_is_reported_at_once(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "CLOCK_LOOK_S", 0.05)
    bench = ZoneBench(tmp_path, bus, server, auto_sync_enabled=False)
    bench.ntp = False
    bench.hub_clock.synchronise("2080-01-01T00:00:00Z", time.monotonic())  # half a century away, as in 1970
    async with running(bench):
        first = await bench.sync()
        assert first.timestamp.startswith("2080-01-01T00:00:0"), "attempts are dated by the hub's clock"
        assert first.clock_offset is not None
        assert first.clock_offset < -(10**9)
        await asyncio.sleep(0.3)  # six looks in which nothing changes
        assert len(bench.said) == 1
        bench.ntp = True
        await until(lambda: len(bench.said) == 2)
        bench.hub_clock.synchronise(rfc3339(datetime.now(UTC)), time.monotonic())
        await until(lambda: len(bench.said) == 3)
        assert [report.timestamp for report in bench.said] == [first.timestamp] * 3
        assert abs(bench.said[2].clock_offset or 0) < 1


async def test_a_reason_for_not_setting_it_is_gone_when_somebody_else_has_set_it(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer
) -> None:
    bus.mood = "deny"
    async with running(ZoneBench(tmp_path, bus, server, auto_sync_enabled=False)) as bench:
        assert (await bench.sync()).error is not None
        etc = bus.root / "etc"
        etc.mkdir(parents=True)
        (etc / "localtime").symlink_to("/usr/share/zoneinfo/Asia/Jakarta")
        bench.client.went_live()
        await until(lambda: len(bench.said) == 2)
        assert (bench.said[1].applied, bench.said[1].error) == (True, None)
        bench.configure(timezone_api_url=server.url("broken"))
        error = (await bench.sync()).error
        assert error is not None
        assert "install the helper" not in error.message
