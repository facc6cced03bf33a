"""Settings and zones over real sockets: what a machine is told, when, and what becomes of what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hub.kernel.loading import load_fleet
from hub.links import link as link_module
from hub.links.links import Links
from hub.machine_settings import service
from hub.remote.service import RemoteSessions
from protocol import configuration as table
from protocol import messages as m
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubHere, hub_here
from tests.support.machine_client import MachineClient
from tests.support.until import until

MANY = 5


@pytest_asyncio.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[HubHere]:
    async with hub_here(tmp_path, database_url=database_url) as here:
        yield here


@pytest_asyncio.fixture
async def key(hub: HubHere) -> MachineKey:
    return await hub.add_machine("Lobby")


def data(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


async def test_settings_travel_in_the_welcome_and_at_once_when_they_change(hub: HubHere, key: MachineKey) -> None:
    path = f"/api/v2/rvms/{key.id}/config"
    async with hub.client() as admin:
        async with MachineClient.connect(hub.websocket_url, key) as machine:
            welcome = await machine.say_hello()
            assert (welcome.config.version, welcome.config.values) == (0, {}), "nobody wrote anything: its file holds"
            data(await admin.patch("/api/v2/config", json={"cpu_threshold": 80}))
            pushed = await machine.hear(m.Config)
            assert (pushed.version, pushed.values) == (1, {"cpu_threshold": 80.0}), "no default pushes a file aside"
            answer = await admin.patch(path, json={"confidence_threshold": 0.6})
            assert answer.json()["message"] == "Recorded, and on its way to the machine."
            pushed = await machine.hear(m.Config)
            assert (pushed.version, pushed.values) == (2, {"cpu_threshold": 80.0, "confidence_threshold": 0.6})
            data(await admin.patch(path, json={"confidence_threshold": 0.6}))
        await until(lambda: hub.context[Links].get(key.id) is None)
        data(await admin.patch("/api/v2/config", json={"cpu_threshold": None}))
        async with MachineClient.connect(hub.websocket_url, key) as machine:
            welcome = await machine.say_hello(config_version=2)
            assert welcome.config.version == 3
            assert welcome.config.values == {"confidence_threshold": 0.6}


def waited(hub: HubHere, key: MachineKey) -> Callable[[], bool]:
    """Whether somebody waits for the settings of the link that is there now."""
    link = hub.context[Links].get(key.id)
    assert link is not None
    return lambda: bool(link.reported._waiters)


async def test_a_remote_session_in_a_machines_first_moments_waits_for_its_settings(
    hub: HubHere, key: MachineKey
) -> None:
    path = f"/api/v2/rvms/{key.id}/remote-access/start"
    async with hub.client() as admin:
        for own, status in (({"admin_ips": ["127.0.0.1"]}, 201), ({"remote_access_enabled": False}, 409)):
            async with MachineClient.connect(hub.websocket_url, key) as machine:
                await machine.say_hello(capabilities=["remote_access"])
                asked = asyncio.ensure_future(admin.post(path, json={}))
                await until(waited(hub, key))
                assert not asked.done()
                await machine.say(m.ConfigApplied(version=0, own=own))
                assert (await asked).status_code == status, (await asked).text
            await until(lambda: hub.context[Links].get(key.id) is None)
            for session_id in list(hub.context.fleet.machines[key.id].remote_sessions):
                await hub.context[RemoteSessions].end(session_id, "stopped")


async def test_a_remote_session_waits_no_longer_than_settings_may_take_to_come(
    hub: HubHere, key: MachineKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "SETTINGS_WITHIN_S", 0.05)
    async with hub.client() as admin:
        refused = await admin.post(f"/api/v2/rvms/{key.id}/remote-access/start", json={})
        assert refused.json()["code"] == "machine_offline", "before it was ever here, too"
    async with hub.client() as admin, MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello(capabilities=["remote_access"])
        refused = await admin.post(f"/api/v2/rvms/{key.id}/remote-access/start", json={})
        assert (refused.status_code, refused.json()["code"]) == (409, "settings_unknown"), "the defaults decide nothing"
        data(await admin.patch(f"/api/v2/rvms/{key.id}/config", json={"admin_ips": ["127.0.0.1"]}))
        begun = await admin.post(f"/api/v2/rvms/{key.id}/remote-access/start", json={})
        assert begun.status_code == 201, "what was written here decides for a machine that says nothing"


async def test_what_the_machines_file_sets_is_shown_and_effective(hub: HubHere, key: MachineKey) -> None:
    path, own = f"/api/v2/rvms/{key.id}/config", {"metrics_interval": 60, "cpu_threshold": 70.0}
    seen = hub.context.fleet.machines[key.id]
    async with MachineClient.connect(hub.websocket_url, key) as machine, hub.client() as admin:
        await machine.say_hello()
        odd = {"api_token": "rvmk_x", "memory_threshold": "much", "state dir": 1}
        await machine.say(m.ConfigApplied(version=0, own={**own, **odd}))
        await until(lambda: seen.row.config_own)
        assert seen.row.config_own == {"metrics_interval": 60.0, "cpu_threshold": 70.0}, "what is none is never stored"
        assert hub.context[Links].tally["left_out"] == 3
        found = data(await admin.get(path))
        assert (found["values"]["metrics_interval"], found["origins"]["metrics_interval"]) == (60.0, "file")
        assert data(await admin.get(f"/api/v2/rvms/{key.id}"))["expected_interval_s"] == 60.0
        found = data(await admin.patch(path, json={"pinned_timezone": "Asia/Makassar", "cpu_threshold": 80}))
        assert (await machine.hear(m.Config)).values == {"pinned_timezone": "Asia/Makassar", "cpu_threshold": 80.0}
        assert (found["values"]["metrics_interval"], found["values"]["cpu_threshold"]) == (60.0, 80.0)
        assert found["origins"] == dict.fromkeys(table.SETTINGS, "default") | {
            "metrics_interval": "file", "pinned_timezone": "machine", "cpu_threshold": "machine",
        }  # fmt: skip
        assert found["inherited"] == {"pinned_timezone": "", "cpu_threshold": 70.0}
        found = data(await admin.patch(path, json={"cpu_threshold": None}))
        assert (found["values"]["cpu_threshold"], found["origins"]["cpu_threshold"]) == (70.0, "file")
    again = await load_fleet(hub.context.store, hub.context.fleet.settings.base)
    assert dict(again.machines[key.id].effective_settings.values) == dict(seen.effective_settings.values), (
        "and after a restart"
    )


async def test_a_value_of_the_environment_is_effective_whatever_was_written(hub: HubHere, key: MachineKey) -> None:
    path = f"/api/v2/rvms/{key.id}/config"
    seen = hub.context.fleet.machines[key.id]
    async with MachineClient.connect(hub.websocket_url, key) as machine, hub.client() as admin:
        await machine.say_hello()
        data(await admin.patch(path, json={"metrics_interval": 20}))
        why = {"metrics_interval": "environment: RVM_METRICS_INTERVAL sets it"}
        await machine.say(m.ConfigApplied(version=1, errors=why, own={"metrics_interval": 60.0}))
        await until(lambda: seen.row.config_own)
        found = data(await admin.get(path))
        assert (found["values"]["metrics_interval"], found["origins"]["metrics_interval"]) == (60.0, "file")
        assert (found["written"], found["inherited"]) == ({"metrics_interval": 20.0}, {"metrics_interval": 60.0})
        one = data(await admin.get(f"{path}/metrics-interval"))
        assert (one["value"], one["origin"], one["inherited"]) == (60.0, "file", 60.0)
        assert data(await admin.get(f"/api/v2/rvms/{key.id}"))["expected_interval_s"] == 60.0
        await machine.say(m.ConfigApplied(version=1))
        await until(lambda: seen.row.config_own is None)
        found = data(await admin.get(path))
        assert (found["values"]["metrics_interval"], found["origins"]["metrics_interval"]) == (20.0, "machine")


async def test_wanted_and_running_versions_stand_beside_each_other(hub: HubHere, key: MachineKey) -> None:
    path = f"/api/v2/rvms/{key.id}/config"
    async with MachineClient.connect(hub.websocket_url, key) as machine, hub.client() as admin:
        await machine.say_hello()
        data(await admin.patch(path, json={"metrics_interval": 20}))
        found = data(await admin.get(path))
        assert (found["version"], found["applied_version"], found["applied_at"]) == (1, 0, None)
        why = {"metrics_interval": "environment: METRICS_INTERVAL sets it"}
        await machine.say(m.ConfigApplied(version=2))
        refused = await machine.hear(m.Error)
        assert (refused.code, refused.message[:8], refused.ref) == ("invalid", "version:", "config_applied")
        await machine.say(m.ConfigApplied(version=1, errors=why))
        seen = hub.context.fleet.machines[key.id]
        await until(lambda: seen.row.config_version == 1)
        found = data(await admin.get(path))
        assert (found["applied_version"], found["applied_errors"]) == (1, why)
        assert found["applied_at"] is not None
        shown = data(await admin.get(f"/api/v2/rvms/{key.id}"))
        assert (shown["config_wanted"], shown["config_version"], shown["config_errors"]) == (1, 1, why)
        assert shown["expected_interval_s"] == 300.0, "what it refused is not expected of it"
        await machine.say(m.ConfigApplied(version=1, errors=why))
        await machine.say(m.ConfigApplied(version=1))
        await until(lambda: seen.row.config_errors is None)
        assert data(await admin.get(f"/api/v2/rvms/{key.id}"))["expected_interval_s"] == 20.0
        codes = {"code": "config.applied,config.refused"}
        events: Any = data(await admin.get("/api/v2/events", params=codes))
    assert [(e["code"], e["actor"]) for e in events] == [
        ("config.applied", f"machine:{key.id}"), ("config.refused", f"machine:{key.id}"),
    ]  # fmt: skip
    assert events[1]["params"] == {"version": 1, "errors": why}


async def test_a_setting_that_stays_refused_is_one_line_of_the_record(hub: HubHere, key: MachineKey) -> None:
    why = {"metrics_interval": "environment: METRICS_INTERVAL sets it"}
    seen = hub.context.fleet.machines[key.id]
    async with hub.client() as admin:
        for version, cached in ((1, 0), (2, 1), (3, 3)):
            data(await admin.patch("/api/v2/config", json={"metrics_interval": 20 + version}))
            async with MachineClient.connect(hub.websocket_url, key) as machine:
                await machine.say_hello(config_version=cached)
                await machine.say(m.ConfigApplied(version=version, errors=why))
                await until(lambda: seen.row.config_version == version and seen.row.config_errors == why)
            await until(lambda: hub.context[Links].get(key.id) is None)
        events: Any = data(await admin.get("/api/v2/events", params={"code": "config.applied,config.refused"}))
    told = [(event["code"], event["params"]["version"]) for event in events]
    assert told == [("config.applied", 3), ("config.applied", 2), ("config.refused", 1)]


async def test_a_hello_reports_which_version_is_effective_though_the_answer_was_lost(
    hub: HubHere, key: MachineKey
) -> None:
    async with hub.client() as admin, MachineClient.connect(hub.websocket_url, key) as machine:
        data(await admin.patch("/api/v2/config", json={"cpu_threshold": 80}))
        await machine.say_hello(config_version=1)
        await until(lambda: hub.context.fleet.machines[key.id].row.config_applied_at)
        found = data(await admin.get(f"/api/v2/rvms/{key.id}/config"))
        assert (found["version"], found["applied_version"]) == (1, 1)


async def test_a_whole_fleet_is_notified_in_slices(hub: HubHere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SLICE", 2)
    keys = [await hub.add_machine(f"M{n}") for n in range(MANY)]
    async with AsyncExitStack() as links, hub.client() as admin:
        machines = [await links.enter_async_context(MachineClient.connect(hub.websocket_url, k)) for k in keys]
        for machine in machines:
            await machine.say_hello()
        data(await admin.patch(f"/api/v2/rvms/{keys[0].id}/config", json={"cpu_threshold": 60}))
        data(await admin.patch("/api/v2/config", json={"cpu_threshold": 80}))
        assert (await machines[0].hear(m.Config)).version == 1
        told = [await machine.hear(m.Config) for machine in machines]
    assert {config.version for config in told} == {2}
    assert [config.values["cpu_threshold"] for config in told] == [60.0, *[80.0] * (MANY - 1)]


async def test_a_zone_report_is_recorded_once_however_often_it_is_reported(hub: HubHere, key: MachineKey) -> None:
    said = m.TimezoneReport(
        timezone="Asia/Makassar", timestamp="2026-01-02T10:00:00+08:00", sync_method="automatic", country="Indonesia",
        city="Denpasar", ip="203.0.113.7", clock_offset=1.25, ntp=True, source="lookup", applied=True,
        system_timezone="Asia/Makassar",
    )  # fmt: skip
    async with hub.client() as admin:
        for boot in ("a", "b"):
            async with MachineClient.connect(hub.websocket_url, key) as machine:
                await machine.say_hello(boot_id=boot)
                await machine.say(said)
                await machine.say(said)
                await until(lambda: hub.context.fleet.machines[key.id].row.timezone == "Asia/Makassar")
        found = data(await admin.get(f"/api/v2/timezone/status/{key.id}"))
        assert (found["abbreviation"], found["in_step"], found["source"]) == ("WITA", True, "lookup")
        assert found["counts"] == {"automatic": 1, "manual": 0, "failed": 0, "changed": 0}
        events: Any = data(await admin.get("/api/v2/events", params={"code": "timezone.synced"}))
    assert len(events) == 1


@pytest.mark.parametrize("hostile", ["Asia/../../etc", "; reboot", "/etc/passwd", "Mars/Phobos"])
async def test_a_hostile_zone_is_refused_and_the_link_lives(hub: HubHere, key: MachineKey, hostile: str) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello()
        at = "2026-01-02T10:00:00Z"
        await machine.say(m.TimezoneReport(timezone=hostile, timestamp=at, sync_method="manual"))
        error = await machine.hear(m.Error)
        assert (error.code, error.ref) == ("invalid", "timezone")
        assert error.message.startswith("timezone: not a name of")
        await machine.say(m.TimezoneReport(timezone="Asia/Jakarta", guess=hostile, timestamp=at, sync_method="manual"))
        assert (await machine.hear(m.Error)).message.startswith("guess: not a name of")
        await machine.samples(1.0, seq=1)
        await machine.hear(m.MetricsAck)
    assert hub.context.fleet.machines[key.id].zone is None


async def test_an_impossible_distance_of_clocks_is_left_out_and_named(hub: HubHere, key: MachineKey) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello()
        at = "2026-01-02T10:00:00Z"
        for offset in (1e300, -1.1e10):
            said = m.TimezoneReport(timezone="Asia/Makassar", timestamp=at, sync_method="manual", clock_offset=offset)
            await machine.say(said)
            error = await machine.hear(m.Error)
            assert (error.code, error.ref) == ("invalid", "timezone")
            assert error.message.startswith("clock_offset: left out")
        await until(lambda: hub.context.fleet.machines[key.id].row.timezone == "Asia/Makassar")
        assert abs(hub.context.fleet.machines[key.id].row.clock_offset_s or 0) < 1e10


async def test_an_older_report_on_the_wire_overrides_no_newer_one(hub: HubHere, key: MachineKey) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine, hub.client() as admin:
        await machine.say_hello()
        for zone, at in (("Asia/Jayapura", "2026-01-02"), ("Europe/London", "2025-11-01")):
            said = m.TimezoneReport(timezone=zone, timestamp=f"{at}T10:00:00Z", sync_method="automatic")
            await machine.say(said)
        await machine.samples(1.0, seq=1)
        await machine.hear(m.MetricsAck)
        await until(lambda: hub.context.fleet.machines[key.id].zone)
        found = data(await admin.get(f"/api/v2/timezone/status/{key.id}"))
        assert (found["current_timezone"], found["last_sync"][:10]) == ("Asia/Jayapura", "2026-01-02")


async def test_a_machine_that_boots_in_1970_connects_reports_and_is_flagged(hub: HubHere, key: MachineKey) -> None:
    said = m.TimezoneReport(
        timezone="Asia/Jakarta", timestamp="1970-01-01T00:00:30Z", sync_method="automatic", ntp=False,
        clock_offset=-1.7e9,
    )  # fmt: skip
    async with hub.client() as admin:
        for _ in range(2):
            async with MachineClient.connect(hub.websocket_url, key) as machine:
                await machine.say_hello(time="1970-01-01T00:00:20Z", ntp=False)
                await machine.say(said)
                await machine.samples(1.0, seq=1)
                await machine.hear(m.MetricsAck)
                await until(lambda: hub.context.fleet.machines[key.id].zone)
        shown = data(await admin.get(f"/api/v2/rvms/{key.id}"))
        assert (shown["ntp"], shown["timezone"]) == (False, "Asia/Jakarta")
        assert shown["clock_offset_s"] < -1.6e9
        found = data(await admin.get(f"/api/v2/timezone/status/{key.id}"))
        assert found["counts"]["automatic"] == 1, "an impossible clock does not make one attempt two"
        assert found["last_sync"] > "2020"


async def test_the_button_reaches_a_machine_that_comes_back_and_what_it_did_is_shown(
    hub: HubHere, key: MachineKey
) -> None:
    async with hub.client() as admin:
        request = {"device_id": key.device_id, "trigger": "dashboard_button", "timezone": "Asia/Jayapura"}
        asked = data(await admin.post("/api/v2/timezone/sync/manual", json=request))
        assert asked["state"] == "queued"
        async with MachineClient.connect(hub.websocket_url, key) as machine:
            await machine.say_hello(capabilities=["sync_timezone"])
            command = await machine.hear(m.Command)
            assert (command.id, command.name, command.args["timezone"]) == (
                asked["id"],
                "sync_timezone",
                "Asia/Jayapura",
            )
            at = "2026-01-02T10:00:00Z"
            await machine.say(m.TimezoneReport(timezone="Asia/Jayapura", timestamp=at, sync_method="manual"))
            await machine.say(m.CommandUpdate(id=command.id, state="succeeded", result={"timezone": "Asia/Jayapura"}))
            await machine.hear(m.Received)
        found = data(await admin.get(f"/api/v2/timezone/status/{key.device_id}"))
    assert (found["pending"], found["abbreviation"], found["counts"]["manual"]) == (None, "WIT", 1)
