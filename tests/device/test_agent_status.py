"""The agent's status in time, as a process against a hub: what is given back, return sessions, and a reboot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from device.cli.main import main
from protocol import messages as m
from tests.device.agent_process import AgentProcess, running_agent
from tests.support.fake_hub import FakeHub, fake_hub, rfc3339
from tests.support.system_bus import needs_bus, private_bus
from tests.support.until import until


@pytest_asyncio.fixture
async def hub() -> AsyncIterator[FakeHub]:
    async with fake_hub() as running:
        yield running


async def held_for(hub: FakeHub, seconds: float, **args: Any) -> m.Command:
    wanted = {
        "status": "maintenance",
        "reason": "belt",
        **args,
        "until": rfc3339(hub.now() + timedelta(seconds=seconds)),
    }
    command = hub.command("set_status", wanted)
    await hub.link.say(command)
    assert (await hub.answer(command)).state == "succeeded"
    return command


async def declare(agent: AgentProcess, *words: str) -> None:
    assert await asyncio.to_thread(main, [*words, "--config", str(agent.config)], {}) == 0


async def test_the_machine_gives_back_by_itself_by_the_hubs_clock(hub: FakeHub, tmp_path: Path) -> None:
    hub.clock_ahead = timedelta(days=-400)  # the machine's own clock is more than a year ahead
    async with running_agent(tmp_path, hub.url):
        await hub.connected()
        await held_for(hub, 1.0)
        await hub.until(lambda: hub.reports)
        (back,) = hub.reports
        assert (back.status, back.reason, back.until) == ("active", None, None)


async def test_an_end_is_remembered_over_a_kill(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url) as agent:
        await hub.connected()
        await held_for(hub, 3.0, status="active", special_status="maintenance")
        await agent.kill()
        await agent.start()
        hello = (await hub.connected(2)).hello
        assert hello is not None
        await hub.until(lambda: hub.reports)
        assert (hub.reports[-1].status, hub.reports[-1].special_status) == ("active", None)


async def test_what_another_program_declares_keeps_what_a_command_set(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url) as agent:
        await hub.connected()
        command = await held_for(hub, 3600, status="active", special_status="maintenance")
        await declare(agent, "status", "full", "--capacity", "100")
        await hub.until(lambda: hub.reports)
        (said,) = hub.reports
        assert (said.status, said.special_status, said.capacity, said.reason) == ("full", "maintenance", 100, "belt")
        assert said.until == command.args["until"]
        await declare(agent, "status", "--special-status", "none")
        await hub.until(lambda: len(hub.reports) == 2)
        assert (hub.reports[1].special_status, hub.reports[1].until) == (None, None)


async def test_a_return_session_travels_in_hello_and_status(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url) as agent:
        hello = (await hub.connected()).hello
        assert hello is not None
        assert hello.busy is False
        await declare(agent, "busy", "on")
        await hub.until(lambda: hub.reports)
        assert hub.reports[0].busy is True
        await agent.kill()
        await agent.start()
        again = (await hub.connected(2)).hello
        assert again is not None
        assert again.busy is True
        await declare(agent, "busy", "off")
        await hub.until(lambda: hub.reports[-1].busy is False)


async def test_a_session_that_died_with_the_agent_is_not_reported_as_open(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url) as agent:
        await hub.connected()
        hub.confirms = False
        await declare(agent, "busy", "on")
        await hub.until(lambda: hub.reports)
        await agent.kill()
        await declare(agent, "busy", "off")
        await agent.start()
        hello = (await hub.connected(2)).hello
        assert hello is not None
        assert hello.busy is False
        await hub.until(lambda: len(hub.reports) >= 3)
        assert [report.busy for report in hub.reports][-2:] == [True, False], "the old word, then the present one"


def booted(root: Path, boot: str) -> None:
    kernel = root / "proc/sys/kernel/random"
    kernel.mkdir(parents=True, exist_ok=True)
    (kernel / "boot_id").write_text(f"{boot}\n")


@needs_bus
async def test_a_reboot_waits_for_people_and_is_answered_by_the_next_boot(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    booted(tmp_path / "root", "first")
    async with private_bus(tmp_path / "bus") as system:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", system.address)
        options = {"system_control": True, "sensor_root": str(tmp_path / "root")}
        async with running_agent(tmp_path, hub.url, **options) as agent:
            link = await hub.connected()
            await declare(agent, "busy", "on")
            await hub.until(lambda: hub.reports)
            command = hub.command("reboot", {"delay": 0})
            await link.say(command)
            await hub.until(lambda: "return_session" in phases(link, command))
            assert system.calls == []
            await declare(agent, "busy", "off")
            await until(lambda: system.calls)
            await hub.until(lambda: "rebooting" in phases(link, command))
            assert await agent.stop() == 0
            await hub.until(lambda: hub.goodbyes)
            assert hub.goodbyes[0].reason == "reboot"
            booted(tmp_path / "root", "second")
            await agent.start()
            assert (await hub.answer(command)).state == "succeeded"
            await (await hub.connected(2)).say(command)
            await hub.answer(command, count=2)
        assert system.calls == [["Reboot", False]], "once"


def phases(link: Any, command: m.Command) -> list[str]:
    return [u.progress.phase for u in link.of(m.CommandUpdate) if u.id == command.id and u.progress]
