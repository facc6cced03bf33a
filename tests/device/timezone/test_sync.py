"""TimezoneSyncClient against a look-up server and a real system bus: found, set, read again, reported."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from device.system.clock import rfc3339
from tests.support.system_bus import PrivateBus, needs_bus
from tests.support.zone_bench import ZoneBench
from tests.support.zone_server import ZoneServer

UTC = timezone.utc
pytestmark = needs_bus


async def test_a_zone_is_asked_for_set_verified_and_reported(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer
) -> None:
    bench = ZoneBench(tmp_path, bus, server)
    bench.hub_clock.synchronise(rfc3339(datetime.now(UTC) - timedelta(seconds=3)), time.monotonic())
    report = await bench.sync()
    assert bench.steps == ["asking", "setting", "verifying"]
    assert bus.calls == [["SetTimezone", "Asia/Jakarta", False]]
    assert (report.timezone, report.source, report.sync_method) == ("Asia/Jakarta", "lookup", "manual")
    assert (report.country, report.city, report.ip) == ("Indonesia", "Jakarta", "203.0.113.9")
    assert (report.system_timezone, report.applied, report.error) == ("Asia/Jakarta", True, None)
    assert report.ntp is True
    assert report.clock_offset == pytest.approx(3, abs=0.5)
    assert bench.said == [report]
    status = bench.client.get_timezone_status()
    assert (status.timezone, status.in_step, status.ntp, status.report) == ("Asia/Jakarta", True, True, report)


async def test_what_is_right_already_needs_no_privilege(tmp_path: Path, bus: PrivateBus, server: ZoneServer) -> None:
    bench = ZoneBench(tmp_path, bus, server)
    await bench.sync()
    bus.mood = "deny"
    report = await bench.sync()
    assert bench.steps == ["asking", "verifying"]
    assert (report.applied, report.error) == (True, None)
    assert len(bus.calls) == 1


@pytest.mark.parametrize(
    ("mood", "code"),
    [("deny", "not_permitted"), ("ask", "not_permitted"), ("fail", "not_set"), ("ignore", "not_verified")],
)
async def test_a_zone_that_cannot_be_set_is_reported_with_the_reason(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer, mood: str, code: str
) -> None:
    bus.mood = "obey"
    bench = ZoneBench(tmp_path, bus, server)
    await bench.sync("Asia/Jayapura")
    bus.mood = mood
    report = await bench.sync("Asia/Makassar")
    assert (report.timezone, report.system_timezone, report.applied) == ("Asia/Makassar", "Asia/Jayapura", False)
    assert report.error is not None
    assert report.error.code == code
    if code == "not_permitted":
        assert report.error.message.startswith("not permitted: install the helper")
    assert report.ntp is True, "zone and clock are told all the same"


async def test_where_the_owner_forbids_it_nothing_is_tried(tmp_path: Path, bus: PrivateBus, server: ZoneServer) -> None:
    bench = ZoneBench(tmp_path, bus, server, system_control=False)
    report = await bench.sync()
    assert report.error is not None
    assert (report.error.code, report.timezone) == ("not_permitted", "Asia/Jakarta")
    assert bus.calls == []


async def test_no_bus_at_all_is_not_permitted(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nobody")
    bench = ZoneBench(tmp_path, bus, server)
    report = await bench.sync()
    assert report.error is not None
    assert report.error.code == "not_permitted"
    assert "Asia/Jakarta (lookup)" in bench.out.getvalue()
    assert "{" not in bench.out.getvalue(), "no place of a sentence stays open"


async def test_a_pin_is_never_overridden_and_the_other_opinion_is_reported(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer
) -> None:
    bench = ZoneBench(tmp_path, bus, server, pinned_timezone="Asia/Makassar")
    report = await bench.sync()
    assert (report.timezone, report.source, report.guess) == ("Asia/Makassar", "pinned", "Asia/Jakarta")
    assert bus.zone == "Asia/Makassar"
    bench.configure(timezone_api_url=server.url("html"))
    report = await bench.sync()
    assert (report.source, report.guess, report.error) == ("pinned", None, None), "a pin needs no look-up"


async def test_a_zone_named_by_a_command_holds_until_the_configuration_pins_one(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer
) -> None:
    bench = ZoneBench(tmp_path, bus, server)
    await bench.sync("Asia/Jayapura")
    again = ZoneBench(tmp_path, bus, server)
    await again.client.open()
    report = await again.client.sync_timezone()
    assert (report.timezone, report.source, report.guess) == ("Asia/Jayapura", "pinned", "Asia/Jakarta")
    again.configure(pinned_timezone="Asia/Makassar")
    assert (await again.sync()).timezone == "Asia/Makassar"
    again.configure(pinned_timezone="")
    assert (await again.sync()).timezone == "Asia/Jakarta"


async def test_a_look_up_that_fails_undoes_no_zone_and_only_ignorance_takes_the_default(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer
) -> None:
    bench = ZoneBench(tmp_path, bus, server, timezone_api_url=server.url("shell"), default_timezone="Asia/Jayapura")
    first = await bench.sync()
    assert first.error is not None
    assert (first.timezone, first.source, first.error.code) == ("Asia/Jayapura", "default", "lookup_failed")
    assert (first.applied, bus.zone) == (True, "Asia/Jayapura")
    bench.configure(timezone_api_url=f"{server.url('traversal')}, {server.url('makassar')}")
    assert ((await bench.sync()).timezone, bus.zone) == ("Asia/Makassar", "Asia/Makassar")
    bench.configure(timezone_api_url=server.url("traversal"))
    kept = await bench.sync()
    assert kept.error is not None
    assert (kept.timezone, kept.source, kept.city, kept.applied) == ("Asia/Makassar", "kept", "Makassar", True)
    assert kept.error.code == "lookup_failed"
    assert "Asia/Makassar, which was found before, is wanted" in kept.error.message
    assert bus.zone == "Asia/Makassar"
    assert {zone for _, zone, _ in bus.calls} == {"Asia/Jayapura", "Asia/Makassar"}, "no other word reached the system"


async def test_a_failed_look_up_is_reported_first_where_the_zone_cannot_be_set_either(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer
) -> None:
    await ZoneBench(tmp_path / "other", bus, server).sync("Asia/Makassar")
    bus.mood = "deny"
    urls = f"{server.url('broken')}, {server.url('traversal')}"
    bench = ZoneBench(tmp_path, bus, server, timezone_api_url=urls)
    report = await bench.sync()
    assert report.error is not None
    assert (report.source, report.applied, report.error.code) == ("default", False, "lookup_failed")
    assert f"http://127.0.0.1:{server.port}: HTTP 500; http://" in report.error.message
    assert "names no zone of the IANA database" in report.error.message
    assert "; not permitted: install the helper" in report.error.message
    lines = bench.out.getvalue().splitlines()
    assert any("no look-up answered" in line and "HTTP 500" in line for line in lines)
    assert any("install the helper" in line for line in lines)


async def test_of_a_pin_that_is_taken_away_while_no_look_up_answers_nothing_stays(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer
) -> None:
    values = {"timezone_api_url": server.url("broken"), "default_timezone": "Asia/Jayapura"}
    bench = ZoneBench(tmp_path, bus, server, pinned_timezone="Asia/Makassar", **values)
    assert (await bench.sync()).error is None
    assert "HTTP 500" in bench.out.getvalue(), "the log has it, even where a pin needs no look-up"
    bench.configure(pinned_timezone="")
    report = await bench.sync()
    assert report.error is not None
    assert (report.timezone, report.source, report.error.code) == ("Asia/Jayapura", "default", "lookup_failed")
    bench.configure(timezone_api_url=server.url("honest"), pinned_timezone="Asia/Makassar")
    assert (await bench.sync()).guess == "Asia/Jakarta"
    bench.configure(timezone_api_url=server.url("broken"), pinned_timezone="")
    report = await bench.sync()
    assert (report.timezone, report.source, bus.zone) == ("Asia/Jakarta", "kept", "Asia/Jakarta")


async def test_no_command_names_another_zone_than_the_configured_pin(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer
) -> None:
    bench = ZoneBench(tmp_path, bus, server, pinned_timezone="Asia/Makassar")
    assert (await bench.sync("Asia/Jayapura")).timezone == "Asia/Makassar"
    assert [zone for _, zone, _ in bus.calls] == ["Asia/Makassar"]
    bench.configure(pinned_timezone="")
    assert (await bench.sync()).source == "lookup"


async def test_services_started_before_the_change_want_a_restart(
    tmp_path: Path, bus: PrivateBus, server: ZoneServer
) -> None:
    names = ["camera", "door.service", "absent.service"]
    bench = ZoneBench(tmp_path, bus, server, timezone_services=names)
    bus.started(camera=time.monotonic() - 60, door=time.monotonic() + 60)
    assert (await bench.sync()).restart == ["camera"]
    bus.started(camera=time.monotonic() + 60, door=time.monotonic() + 60)
    assert (await bench.sync()).restart is None
    bus.started(camera=time.monotonic() - 60, door=time.monotonic() - 60)
    assert (await bench.sync()).restart == ["camera", "door.service"], "they run in the old zone as long as they run"
    again = ZoneBench(tmp_path, bus, server, boot="boot-2", timezone_services=names)
    await again.client.open()
    assert (await again.sync()).restart is None, "a reboot starts everything in the zone that is set"
