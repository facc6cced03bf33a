"""The keeper of sessions: their time, the link's grace, what it does when the disk is full or the work fails."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from device.journal import keeper
from device.journal.keeper import StateKeeper
from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.remote.access import GRACE_S, RemoteAccessServer, RunningSession
from device.settings import AgentSettings, load
from device.status.rules import RefusedError
from device.texts import texts_in
from protocol.commands import StartRemoteAccess
from protocol.messages import RemoteAccessReport
from tests.support.fake_hub import KEY
from tests.support.until import until


def settings(**values: Any) -> AgentSettings:
    given = {f"RVM_{key.upper()}": str(value) for key, value in values.items()}
    return load(None, {"RVM_API_TOKEN": KEY, "RVM_MYRVM_BASE_URL": "https://hub.test", **given})


def asked(number: int = 7, **members: Any) -> StartRemoteAccess:
    given = {"admin_ip": "10.0.0.9", "ports": [], "duration": 600.0, "ticket": "t", **members}
    return StartRemoteAccess(session_id=number, **given)


class Room:
    """A keeper of sessions with a clock of its own."""

    def __init__(self, folder: Path, boot: str = "boot-1", **values: Any) -> None:
        self.now = 1000.0
        self.working: dict[int, str] = {}
        self.outcome: dict[int, str | Exception] = {}
        self.finished = asyncio.Event()
        self.log = io.StringIO()
        self.keeper = StateKeeper(folder / "journal", WorkerThread("disk"), lambda: None)
        log = Log(texts_in("en"), KEY, {}, self.log)
        self.server = RemoteAccessServer(settings(**values), self.keeper, boot, log, self.work, lambda: self.now)
        self.tasks: list[asyncio.Task[None]] = []

    async def work(self, running: RunningSession, ticket: str) -> str:
        number = running.session.id
        self.working[number] = ticket
        try:
            await self.finished.wait()
            outcome = self.outcome[number]
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        finally:
            del self.working[number]

    async def begin(self) -> None:
        await self.keeper.open()
        await self.server.open()
        self.tasks.append(asyncio.ensure_future(self.server.run()))

    def pass_time(self, seconds: float) -> None:
        """The clock goes on, and the keeper looks at it."""
        self.now += seconds
        self.server.link_is_up() if self.server._lost_at is None else self.server.link_is_lost()

    def ends(self) -> dict[int, str | None]:
        entries = self.keeper.memory.outbox.entries()
        return {e.session_id: e.reason for e in entries if isinstance(e, RemoteAccessReport)}

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest_asyncio.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    made = Room(tmp_path, max_concurrent_sessions=3)
    await made.begin()
    yield made
    await made.end()


async def test_a_session_has_its_ticket_its_work_and_its_time(room: Room) -> None:
    session = await room.server.start_remote_access(asked(duration=60.0, ticket="canary"))
    assert session.duration == 60
    await until(lambda: room.working == {7: "canary"})
    assert room.keeper.state.special_status == "maintenance"
    room.pass_time(59)
    assert 7 in room.server.open_sessions
    room.pass_time(1)
    await until(lambda: room.ends() == {7: "timed_out"})
    await until(lambda: room.working == {})
    assert room.keeper.state.special_status is None
    assert "canary" not in room.log.getvalue()


async def test_a_link_that_comes_back_within_its_grace_ends_nothing(room: Room) -> None:
    await room.server.start_remote_access(asked())
    room.server.link_is_lost()
    room.pass_time(GRACE_S - 1)
    room.server.link_is_up()
    room.pass_time(GRACE_S)
    room.server.link_is_lost()
    room.pass_time(GRACE_S - 1)
    await asyncio.sleep(0.05)  # in which nothing may end
    assert room.ends() == {}
    room.pass_time(1)
    await until(lambda: room.ends() == {7: "link_lost"})


async def test_sessions_end_each_at_its_own_time_and_the_last_gives_back(room: Room) -> None:
    await room.server.start_remote_access(asked(7, duration=60.0))
    await room.server.start_remote_access(asked(8, duration=120.0))
    room.pass_time(60)
    await until(lambda: room.ends() == {7: "timed_out"})
    assert room.keeper.state.special_status == "maintenance"
    await room.server.stop_remote_access(8)
    assert room.ends() == {7: "timed_out", 8: "stopped"}
    assert room.keeper.state.special_status is None


@pytest.mark.parametrize(
    ("outcome", "reason"), [("protocol_error", "protocol_error"), (ValueError("a bug"), "start_failed")]
)
async def test_work_that_ends_ends_its_session(room: Room, outcome: str | Exception, reason: str) -> None:
    room.outcome[7] = outcome
    await room.server.start_remote_access(asked())
    room.finished.set()
    await until(lambda: room.ends() == {7: reason})


async def test_a_full_disk_keeps_nobody_in_a_session_and_is_asked_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.server.start_remote_access(asked())
    await until(lambda: bool(room.working))
    write = keeper._write_whole

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keeper, "_write_whole", full)
    with pytest.raises(OSError, match="No space"):
        await room.server.stop_remote_access(7)
    await until(lambda: room.working == {})
    monkeypatch.setattr(keeper, "_write_whole", write)
    await until(lambda: room.ends() == {7: "stopped"})
    with monkeypatch.context() as patched:
        patched.setattr(keeper, "_write_whole", full)
        with pytest.raises(OSError, match="No space"):
            await room.server.start_remote_access(asked(9))
    assert room.working == {}


@pytest.mark.parametrize(("boot", "reason"), [("boot-1", "agent_restarted"), ("boot-2", "machine_rebooted")])
async def test_the_next_life_ends_what_was_open(tmp_path: Path, boot: str, reason: str) -> None:
    first = Room(tmp_path)
    await first.begin()
    await first.server.start_remote_access(asked())
    await first.end()
    second = Room(tmp_path, boot)
    await second.begin()
    assert second.ends() == {7: reason}
    assert second.keeper.state.special_status is None
    await second.end()


async def test_settings_are_obeyed_at_once(room: Room) -> None:
    await room.server.start_remote_access(asked())
    room.server.configure(settings(remote_access_enabled="false"))
    await until(lambda: room.ends() == {7: "revoked"})
    with pytest.raises(RefusedError):
        await room.server.start_remote_access(asked(8))
