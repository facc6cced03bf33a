"""`reboot` and `restart_service` on a real bus: permission, return sessions, force, delays, a new life."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from device.commands.jobs import Reboots, ServiceRestarts, WorkHandler
from device.commands.work import CommandWork
from device.journal.keeper import StateKeeper
from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.system.bus import HELP, SystemBus
from device.texts import texts_in
from protocol.commands import Reboot, RestartService
from protocol.messages import CommandUpdate
from tests.support.system_bus import PrivateBus, needs_bus, private_bus
from tests.support.until import until

pytestmark = needs_bus


class Agent:
    """The work of an agent without its link: one boot of one machine, as often as it is opened."""

    def __init__(self, folder: Path, boot: str = "boot-1", *, allowed: bool = True) -> None:
        self.disk = WorkerThread("disk")
        self.keeper = StateKeeper(folder / "journal", self.disk, lambda: None)
        self.said: list[CommandUpdate] = []
        self.out = io.StringIO()
        self.busy = False
        log = Log(texts_in("en"), "", {}, self.out)
        bus = SystemBus(allowed=allowed)
        restarts = ServiceRestarts(bus, ["camera.service", "screen", "agent.service"], "agent.service")
        reboots = Reboots(bus, self.is_busy, log)
        handlers = {
            "restart_service": WorkHandler(restarts.run, begins_itself=True),
            "reboot": WorkHandler(reboots.run, begins_itself=True),
        }
        self.work = CommandWork(self.keeper, boot, log, self.said.append, handlers)

    async def is_busy(self) -> bool:
        return self.busy

    async def ask(self, name: str, arguments: Any, lasts_s: float = 10.0) -> None:
        await self.work.accept("c1", name, arguments, time.monotonic() + lasts_s)

    async def end(self) -> tuple[str, str | None]:
        await until(lambda: self.keeper.memory.answer_to("c1"))
        update = self.keeper.memory.answer_to("c1")
        assert update is not None
        return update.state, None if update.error is None else update.error.code

    def phases(self) -> list[str]:
        return [update.progress.phase for update in self.said if update.progress]


@contextlib.asynccontextmanager
async def working(folder: Path, *parts: Any, **options: Any) -> AsyncIterator[Agent]:
    agent = Agent(folder, *parts, **options)
    await agent.keeper.open()
    await agent.work.settle_interrupted()
    running = asyncio.ensure_future(agent.work.run())
    try:
        yield agent
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        agent.disk.stop()


@pytest_asyncio.fixture
async def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PrivateBus]:
    async with private_bus(tmp_path / "bus") as running:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", running.address)
        yield running


async def test_only_the_named_services_are_started_anew(system: PrivateBus, tmp_path: Path) -> None:
    async with working(tmp_path) as agent:
        await agent.ask("restart_service", RestartService(service="ssh.service"))
        assert await agent.end() == ("rejected", "not_allowed")
    assert system.calls == []
    async with working(tmp_path / "second") as agent:
        await agent.ask("restart_service", RestartService(service="screen"))
        assert await agent.end() == ("succeeded", None)
    assert system.calls == [["RestartUnit", "screen.service", "replace"]]


@pytest.mark.parametrize(
    ("mood", "end"),
    [("deny", "not_permitted"), ("ask", "not_permitted"), ("down", "system"), ("unknown", "no_such_service")],
)
async def test_what_the_system_refuses_is_reported(system: PrivateBus, tmp_path: Path, mood: str, end: str) -> None:
    system.mood = mood
    async with working(tmp_path) as agent:
        await agent.ask("restart_service", RestartService(service="camera.service"))
        assert await agent.end() == ("failed", end)
        update = agent.keeper.memory.answer_to("c1")
        assert update is not None
        assert update.error is not None
        assert (HELP in update.error.message) == (end == "not_permitted")


@pytest.mark.parametrize("name", ["restart_service", "reboot"])
async def test_a_hang_ends_within_the_deadline(system: PrivateBus, tmp_path: Path, name: str) -> None:
    system.mood = "hang"
    arguments = RestartService(service="camera.service") if name == "restart_service" else Reboot()
    async with working(tmp_path) as agent:
        await agent.ask(name, arguments, lasts_s=0.8)
        started = time.monotonic()
        state, code = await agent.end()
        assert (state, code) in (("failed", "timeout"), ("failed", "deadline"))
        assert time.monotonic() - started < 20, "D-Bus itself would wait for 25 s"


@pytest.mark.parametrize("mood", ["deny", "ask"])
async def test_a_reboot_that_is_refused_fails_and_the_machine_stays(
    system: PrivateBus, tmp_path: Path, mood: str
) -> None:
    system.mood = mood
    async with working(tmp_path) as agent:
        await agent.ask("reboot", Reboot())
        assert await agent.end() == ("failed", "not_permitted")
        assert not agent.work.goes_down
    async with working(tmp_path, "boot-2") as agent:
        assert await agent.end() == ("failed", "not_permitted"), "a later boot is not this command's"


async def test_system_control_off_touches_nothing(system: PrivateBus, tmp_path: Path) -> None:
    async with working(tmp_path, allowed=False) as agent:
        await agent.ask("reboot", Reboot())
        assert await agent.end() == ("failed", "not_permitted")
    assert system.calls == []


async def test_a_reboot_has_succeeded_when_the_next_boot_says_so(system: PrivateBus, tmp_path: Path) -> None:
    async with working(tmp_path) as agent:
        await agent.ask("reboot", Reboot())
        await until(lambda: system.calls)
        await until(lambda: "rebooting" in agent.phases())
        assert agent.work.goes_down
    async with working(tmp_path, "boot-2") as agent:
        assert await agent.end() == ("succeeded", None)
        assert agent.keeper.memory.outbox.entries(), "the hub will hear of it"
        assert not agent.work.goes_down
    assert system.calls == [["Reboot", False]]


async def test_an_agent_that_only_started_anew_says_that_it_was_interrupted(system: PrivateBus, tmp_path: Path) -> None:
    async with working(tmp_path) as agent:
        await agent.ask("reboot", Reboot())
        await until(lambda: system.calls)
    async with working(tmp_path) as agent:
        assert await agent.end() == ("failed", "interrupted")
    assert len(system.calls) == 1, "and does not do it again"


async def test_the_agents_own_service_is_answered_by_the_next_agent(system: PrivateBus, tmp_path: Path) -> None:
    system.mood = "never"
    async with working(tmp_path) as agent:
        await agent.ask("restart_service", RestartService(service="agent"))
        await until(lambda: system.calls)
    async with working(tmp_path) as agent:
        assert await agent.end() == ("succeeded", None)


async def test_a_reboot_waits_for_the_end_of_a_return_session(system: PrivateBus, tmp_path: Path) -> None:
    async with working(tmp_path) as agent:
        agent.busy = True
        await agent.ask("reboot", Reboot())
        await until(lambda: "return_session" in agent.phases())
        assert not agent.keeper.memory.begun, "nothing has happened yet"
        assert system.calls == []
        agent.busy = False
        await until(lambda: system.calls)


async def test_a_return_session_that_does_not_end_is_reported_at_the_deadline(
    system: PrivateBus, tmp_path: Path
) -> None:
    async with working(tmp_path) as agent:
        agent.busy = True
        await agent.ask("reboot", Reboot(), lasts_s=1.0)
        assert await agent.end() == ("failed", "return_session_open")
    assert system.calls == []


async def test_force_does_not_wait_and_is_logged(system: PrivateBus, tmp_path: Path) -> None:
    async with working(tmp_path) as agent:
        agent.busy = True
        await agent.ask("reboot", Reboot(force=True))
        await until(lambda: system.calls)
        assert "forced" in agent.out.getvalue()
    async with working(tmp_path / "quiet") as agent:
        await agent.ask("reboot", Reboot(force=True))
        await until(lambda: len(system.calls) == 2)
        assert "forced" not in agent.out.getvalue(), "nothing was overridden"


async def test_a_waiting_reboot_can_be_withdrawn(system: PrivateBus, tmp_path: Path) -> None:
    async with working(tmp_path) as agent:
        await agent.ask("reboot", Reboot(delay=5))
        await until(lambda: "delay" in agent.phases())
        assert agent.work.cancel("c1")
        assert await agent.end() == ("rejected", "cancelled")
    assert system.calls == []


async def test_a_delay_beyond_the_deadline_is_refused_at_once(system: PrivateBus, tmp_path: Path) -> None:
    async with working(tmp_path) as agent:
        await agent.ask("reboot", Reboot(delay=60), lasts_s=10)
        assert await agent.end() == ("rejected", "invalid")
