"""The real agent and its time zone: at start, on command in steps, pinned by a push, refused, and without a bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from protocol import messages as m
from tests.device.agent_process import AgentProcess
from tests.support.fake_hub import FakeHub, fake_hub
from tests.support.system_bus import PrivateBus, needs_bus, private_bus
from tests.support.zone_server import ZoneServer, zone_server

pytestmark = needs_bus
SLOW_S = 40.0
"""The first look-up loads the HTTP client, which takes its time on a busy computer."""


@pytest.fixture
def server() -> Iterator[ZoneServer]:
    with zone_server() as running:
        yield running


@pytest_asyncio.fixture
async def hub() -> AsyncIterator[FakeHub]:
    async with fake_hub() as running:
        yield running


@pytest_asyncio.fixture
async def bus(tmp_path: Path) -> AsyncIterator[PrivateBus]:
    async with private_bus(tmp_path / "bus") as running:
        yield running


class Machine:
    """An agent that may look up and set, in a root folder of its own."""

    def __init__(self, folder: Path, hub: FakeHub, server: ZoneServer, bus: PrivateBus, **settings: Any) -> None:
        values = {"timezone_api_url": server.url("honest"), "sensor_root": str(bus.root), **settings}
        self.agent = AgentProcess(folder, hub.url, **{"system_control": True, "auto_sync_enabled": True, **values})
        self.agent.environ = dict(bus.environ)

    async def __aenter__(self) -> AgentProcess:
        await self.agent.start()
        return self.agent

    async def __aexit__(self, *_: object) -> None:
        await self.agent.kill()


async def test_the_zone_is_right_after_the_start_and_reported_on_every_link(
    tmp_path: Path, hub: FakeHub, server: ZoneServer, bus: PrivateBus
) -> None:
    async with Machine(tmp_path, hub, server, bus):
        link = await hub.connected()
        assert link.hello is not None
        assert "sync_timezone" in link.hello.capabilities
        assert link.hello.ntp in (True, False, None)
        await hub.until(lambda: hub.zones, SLOW_S)
        first = hub.zones[0]
        assert (first.timezone, first.source, first.sync_method) == ("Asia/Jakarta", "lookup", "automatic")
        assert (first.system_timezone, first.applied, bus.zone) == ("Asia/Jakarta", True, "Asia/Jakarta")
        assert first.clock_offset is not None
        assert abs(first.clock_offset) < 2
        link.socket.transport.abort()
        await hub.connected(2)
        await hub.until(lambda: len(hub.zones) == 2)
        assert hub.zones[1].timestamp == first.timestamp


async def test_the_button_asks_sets_verifies_and_names_what_wants_a_restart(
    tmp_path: Path, hub: FakeHub, server: ZoneServer, bus: PrivateBus
) -> None:
    bus.started(camera=0.001)
    quiet = {"auto_sync_enabled": False, "timezone_services": ["camera.service"]}
    async with Machine(tmp_path, hub, server, bus, **quiet):
        link = await hub.connected()
        command = hub.command("sync_timezone", {"trigger": "dashboard_button"})
        await link.say(command)
        update = await hub.answer(command, seconds=SLOW_S)
        phases = [u.progress.phase for u in link.of(m.CommandUpdate) if u.state == "running" and u.progress]
        assert phases == ["asking", "setting", "verifying"]
        assert update.state == "succeeded"
        assert update.result is not None
        assert (update.result["timezone"], update.result["source"]) == ("Asia/Jakarta", "lookup")
        assert update.result["restart"] == ["camera.service"]
        (report,) = hub.zones
        assert (report.sync_method, report.restart) == ("manual", ["camera.service"])


async def test_a_pin_from_the_hub_is_set_without_asking_for_it_and_no_guess_comes_between(
    tmp_path: Path, hub: FakeHub, server: ZoneServer, bus: PrivateBus
) -> None:
    hub.configuration = m.Configuration(version=4, values={"pinned_timezone": "Asia/Makassar"})
    async with Machine(tmp_path, hub, server, bus):
        await hub.until(lambda: hub.zones, SLOW_S)
        assert (hub.zones[0].timezone, hub.zones[0].guess) == ("Asia/Makassar", "Asia/Jakarta")
        await hub.configure(5, pinned_timezone="Asia/Jayapura")
        await hub.until(lambda: hub.zones[-1].timezone == "Asia/Jayapura")
        assert [zone for _, zone, _ in bus.calls] == ["Asia/Makassar", "Asia/Jayapura"]


@pytest.mark.parametrize(
    ("settings", "args", "state", "code"),
    [
        ({"manual_sync_enabled": False}, {}, "rejected", "manual_sync_disabled"),
        ({}, {"timezone": "Asia/../../etc"}, "rejected", "unknown_zone"),
        ({"pinned_timezone": "Asia/Makassar"}, {"timezone": "Asia/Jayapura"}, "rejected", "pinned"),
        ({"system_control": False}, {}, "failed", "not_permitted"),
        ({"timezone_api_url": "http://127.0.0.1:1/json"}, {}, "failed", "lookup_failed"),
        (
            {"timezone_api_url": "http://127.0.0.1:1/json", "system_control": False},
            {},
            "failed",
            "lookup_failed",
        ),
    ],
)
async def test_what_cannot_be_done_says_why(
    tmp_path: Path, hub: FakeHub, server: ZoneServer, bus: PrivateBus,
    settings: dict[str, Any], args: dict[str, Any], state: str, code: str,
) -> None:  # fmt: skip
    async with Machine(tmp_path, hub, server, bus, auto_sync_enabled=False, **settings):
        link = await hub.connected()
        command = hub.command("sync_timezone", {"trigger": "test", **args})
        await link.say(command)
        update = await hub.answer(command, seconds=SLOW_S)
        assert (update.state, update.error and update.error.code) == (state, code)
        if code == "pinned":
            assert update.error is not None
            assert "Asia/Makassar is pinned in this machine's settings" in update.error.message
            assert bus.calls == []
        if state == "failed":
            await hub.until(lambda: hub.zones, SLOW_S)  # zone and clock are reported all the same
            assert hub.zones[0].error is not None
            assert hub.zones[0].ntp in (True, False, None)


async def test_a_machine_where_no_bus_is_still_reports_its_zone(
    tmp_path: Path, hub: FakeHub, server: ZoneServer, bus: PrivateBus
) -> None:
    machine = Machine(tmp_path, hub, server, bus)
    machine.agent.environ = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/nobody"}
    async with machine:
        await hub.until(lambda: hub.zones, SLOW_S)
        (report,) = hub.zones
        assert report.error is not None
        assert (report.timezone, report.error.code) == ("Asia/Jakarta", "not_permitted")
        assert report.error.message.startswith("not permitted: install the helper")


async def test_a_machine_half_a_century_behind_its_hub_connects_obeys_and_reports_its_offset(
    tmp_path: Path, hub: FakeHub, server: ZoneServer, bus: PrivateBus
) -> None:
    """What a machine that boots in 1970 is to its hub."""
    hub.clock_ahead = timedelta(days=56 * 365)
    async with Machine(tmp_path, hub, server, bus, metrics_interval=0.2) as agent:
        link = await hub.connected()
        await hub.until(lambda: hub.zones, SLOW_S)
        (report,) = hub.zones
        assert report.clock_offset == pytest.approx(-hub.clock_ahead.total_seconds(), abs=5)
        assert report.timestamp[:4] == str(hub.now().year), "dated by the hub's clock"
        ping = hub.command("ping", lasts_s=30)
        await link.say(ping)
        assert (await hub.answer(ping)).state == "succeeded"
        late = hub.command("ping", lasts_s=-1)
        await link.say(late)
        update = await hub.answer(late)
        assert update.error is not None
        assert update.error.code == "expired"
        await agent.kill()
        await agent.start()
        await hub.connected(2)
        await hub.link.say(ping)
        assert (await hub.answer(ping, count=2)).state == "succeeded"
        assert agent.log.count(f"({ping.id}): succeeded") == 1, "the journal knows it"
        await hub.until(lambda: len(hub.kept) >= 3)
