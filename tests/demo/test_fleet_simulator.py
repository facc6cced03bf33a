"""The fleet simulator against a small hub over real WebSockets, and as the process the demo starts."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import anyio.abc
import pytest

from demo import fleet_simulator, simulated_status
from demo.fleet_simulator import SimulatedLink, main
from demo.simulated_machine import SimulatedMachine, SimulatedSpool
from demo.simulated_plan import Plan
from protocol import messages as m
from tests.bench.fake_hub import FakeHub, Link, fake_hub


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    async with fake_hub() as hub:
        yield hub


def configuration(folder: Path, url: str, *roles: str) -> Path:
    machines = [{"device_id": f"sim-{role}", "api_key": f"rvmk_{role}", "role": role, "name": role} for role in roles]
    path = folder / "fleet.json"
    path.write_text(json.dumps({"url": url, "machines": machines}))
    return path


class Running(NamedTuple):
    """The simulator as a process that follows this one."""

    process: anyio.abc.Process

    async def leave(self) -> int:
        assert self.process.stdin is not None
        await self.process.stdin.aclose()
        with anyio.fail_after(10):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def simulator(config: Path) -> AsyncIterator[Running]:
    command = [sys.executable, "-m", "demo.fleet_simulator", "--config", str(config), "--exit-with-parent"]
    process = await anyio.open_process(command, stdin=subprocess.PIPE, stdout=None, stderr=subprocess.PIPE)
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()


def by_role(links: list[Link]) -> dict[str, Link]:
    return {link.key.partition("rvmk_")[2]: link for link in links}


async def command(link: Link, name: str, args: dict[str, Any]) -> m.CommandUpdate:
    order = m.Command(
        id=name, name=name, args=args, issued_at="2026-11-23T00:00:00Z", expires_at="2999-01-01T00:00:00Z"
    )
    count = len([each for each in link.heard if isinstance(each, m.CommandUpdate)])
    await link.say(order)
    update = await link.expect(m.CommandUpdate, count + 1)
    return update if update.state == "rejected" else await link.expect(m.CommandUpdate, count + 2)


async def test_machines_of_every_role_say_hello_and_bye(hub: FakeHub, tmp_path: Path) -> None:
    roles = ("normal", "full", "hot", "late", "maintenance")
    async with simulator(configuration(tmp_path, hub.url, *roles)) as running:
        links = by_role([await hub.link(n) for n in range(1, 6)])
        assert set(links) == set(roles)
        for role, link in links.items():
            hello = await link.expect(m.Hello)
            assert (hello.device_id, "simulated" in hello.capabilities) == (f"sim-{role}", True)
            assert len((await link.expect(m.Metrics)).samples) >= 12
        assert await running.leave() == 0
        for link in links.values():
            assert (await link.expect(m.Bye)).reason == "shutdown"


async def test_commands_are_answered_and_live_samples_come_while_asked(hub: FakeHub, tmp_path: Path) -> None:
    async with simulator(configuration(tmp_path, hub.url, "normal")) as running:
        link = await hub.link()
        await link.expect(m.Metrics)
        assert (await command(link, "ping", {})).state == "succeeded"
        changed = await command(link, "set_status", {"status": "maintenance"})
        assert (changed.result or {})["status"] == "maintenance"
        assert (await command(link, "levitate", {})).state == "rejected"
        zone = await link.expect(m.TimezoneReport)
        assert (zone.timezone, zone.applied) == ((await link.expect(m.Hello)).timezone, True)
        await link.say(m.Live(interval=0.05))
        assert (await link.expect(m.Metrics, 4)).live
        await link.say(m.Live(interval=0))
        assert await running.leave() == 0


async def test_kept_samples_follow_the_interval_and_come_again_until_acknowledged(hub: FakeHub, tmp_path: Path) -> None:
    hub.metrics_interval = 1.0
    async with simulator(configuration(tmp_path, hub.url, "normal")) as running:
        link = await hub.link()
        first = await link.expect(m.Metrics)
        second = await link.expect(m.Metrics, 2)
        assert (second.seq, len(second.samples)) == (first.seq + 1, 1)
        await link.say(m.MetricsAck(seq=first.seq))
        await link.say(m.Restarting(reconnect_in=(0.0, 0.1)))
        await link.socket.close(1012)
        again = await hub.link(2)
        repeated = await again.expect(m.Metrics)
        assert repeated.seq - len(repeated.samples) == first.seq
        assert (await again.expect(m.Hello)).boot_id == (await link.expect(m.Hello)).boot_id
        assert await running.leave() == 0


async def test_an_offline_machine_leaves_by_itself(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with simulator(configuration(tmp_path, hub.url, "offline")) as running:
        link = await hub.link()
        await link.expect(m.Bye, seconds=10)
        with anyio.fail_after(5):
            await link.ended.wait()
        assert len(hub.links) == 1
        assert await running.leave() == 0


async def test_it_waits_for_a_hub_that_is_not_there_and_still_leaves_with_its_parent(tmp_path: Path) -> None:
    async with simulator(configuration(tmp_path, "ws://127.0.0.1:9/ws/device", "normal")) as running:
        assert await running.leave() == 0


async def test_a_reboot_is_a_goodbye_another_boot_and_the_end_of_its_command(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_simulator, "REBOOT_S", (0.1, 0.2))
    machine, stopping = SimulatedMachine(Plan(device_id="rvm-1", api_key="k"), time.time()), anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(SimulatedLink(hub.url, machine, stopping).run)
        link = await hub.link()
        await link.expect(m.Metrics)
        await link.say(
            m.Command(
                id="c1", name="reboot", args={}, issued_at="2026-11-23T00:00:00Z", expires_at="2999-01-01T00:00:00Z"
            )
        )
        assert [(await link.expect(m.CommandUpdate, n)).state for n in (1, 2)] == ["accepted", "running"]
        assert (await link.expect(m.Bye)).reason == "reboot"
        again = await hub.link(2)
        assert (await again.expect(m.Hello)).boot_id != (await link.expect(m.Hello)).boot_id
        done = await again.expect(m.CommandUpdate)
        assert (done.id, done.state, done.result) == ("c1", "succeeded", {"boot_id": machine.boot_id})
        repeated = await again.expect(m.Metrics)
        assert repeated.seq == len(repeated.samples), "the numbers of a boot begin with one"
        stopping.set()


@pytest.mark.parametrize("text", ["{", '{"url":1}', '{"url":"ws://x","machines":[{"device_id":"a"}]}'])
def test_a_wrong_configuration_is_named(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fleet.json"
    path.write_text(text)
    assert main(["--config", str(path)]) == 2
    assert "fleet.json" in capsys.readouterr().err


@pytest.mark.parametrize("role", ["full", "maintenance", "normal"])
async def test_a_machine_with_nothing_to_do_rests(hub: FakeHub, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    looks = 0

    class Counting(SimulatedSpool):
        def unsent(self, after: int) -> m.Metrics | None:
            nonlocal looks
            looks += 1
            return super().unsent(after)

    monkeypatch.setattr(simulated_status, "FILL_EVERY_S", 0.2)
    monkeypatch.setattr("demo.simulated_machine.SimulatedSpool", Counting)
    machine, stopping = SimulatedMachine(Plan(device_id="rvm-1", api_key="k", role=role), time.time()), anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(SimulatedLink(hub.url, machine, stopping).run)
        link = await hub.link()
        await link.expect(m.Metrics)
        with anyio.move_on_after(1.0):
            await link.ended.wait()
        stopping.set()
    assert looks < 30


def test_a_renewed_key_is_there_at_the_next_start(tmp_path: Path) -> None:
    file = fleet_simulator.FleetFile(configuration(tmp_path, "ws://127.0.0.1:1/ws/device", "normal", "hot"))
    file.keep("sim-hot", "rvmk_new")
    assert [plan.api_key for plan in file.read().machines] == ["rvmk_normal", "rvmk_new"]
    assert (tmp_path / "fleet.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["fleet.json"]
    (tmp_path / "fleet.json").unlink()
    file.keep("sim-hot", "rvmk_newer")
    assert list(tmp_path.iterdir()) == []
