"""Commands without a link: order, deadlines, repetition, cancellation, broken handlers and disks."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from device.commands.jobs import WorkHandler
from device.commands.router import HANDLERS, MAX_WAITING, CommandRouter
from device.commands.work import CommandWork
from device.journal.keeper import Journal, StateKeeper
from device.journal.rules import MAX_RESULTS, Fact
from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.link.rules import HubClock, Moment
from device.status.rules import MachineState
from device.texts import texts_in
from protocol.messages import Cancel, Command, CommandUpdate


def command(name: str, args: dict[str, Any] | None = None, *, id: str = "c1", lasts_s: float = 3600) -> Command:  # noqa: A002
    now = datetime.now(timezone.utc)
    expires = (now + timedelta(seconds=lasts_s)).isoformat()
    return Command(id=id, name=name, args=args or {}, issued_at=now.isoformat(), expires_at=expires)


class Bench:
    """A router with a journal on disk; `replies` is what it said outside of the outbox."""

    def __init__(self, folder: Path, handlers: Any = HANDLERS, work: dict[str, WorkHandler] | None = None) -> None:
        self.disk = WorkerThread("disk")
        self.replies: list[CommandUpdate] = []
        self.out = io.StringIO()
        self.news = asyncio.Event()
        self.keeper = StateKeeper(folder / "journal", self.disk, self.news.set)
        log = Log(texts_in("en"), "", {}, self.out)
        self.work = CommandWork(self.keeper, "boot-1", log, self.reply, work or {})
        self.router = CommandRouter(self.keeper, HubClock(), log, self.reply, self.work, handlers)

    def reply(self, update: CommandUpdate) -> None:
        self.replies.append(update)
        self.news.set()

    def answer(self, command_id: str = "c1") -> tuple[str, str | None]:
        update = self.keeper.memory.answer_to(command_id)
        assert update is not None
        return update.state, update.error.code if update.error else None


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    await made.keeper.open()
    yield made
    made.disk.stop()


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (command("ping"), ("succeeded", None)),
        (command("set_status", {"status": "full"}), ("succeeded", None)),
        (command("set_status", {"status": "full", "colour": "red"}), ("succeeded", None)),
        (command("set_status", {}), ("rejected", "invalid")),
        (command("set_status", {"status": "full", "capacity": 101}), ("rejected", "invalid")),
        (command("start_backup", {}), ("rejected", "unsupported")),
        (command("future_command"), ("rejected", "unsupported")),
        (command("ping", lasts_s=-0.1), ("rejected", "expired")),
        (Command(id="c1", name="ping", args={}, issued_at="now", expires_at="soon"), ("rejected", "invalid")),
    ],
)
async def test_each_command_gets_its_answer(bench: Bench, asked: Command, answer: tuple[str, str | None]) -> None:
    await bench.router.handle(asked)
    assert bench.answer() == answer
    assert len(bench.keeper.memory.outbox) == 1


async def test_a_command_that_came_before_is_answered_from_memory_even_after_it_expired(bench: Bench) -> None:
    await bench.router.handle(command("set_status", {"status": "full"}))
    await bench.router.handle(command("set_status", {"status": "active"}, id="c2"))
    await bench.router.handle(command("set_status", {"status": "full"}, lasts_s=-5))
    assert bench.keeper.state.status == "active"
    assert [(r.id, r.state) for r in bench.replies] == [("c1", "succeeded")]


async def test_a_rejected_command_changes_nothing(bench: Bench) -> None:
    await bench.router.handle(command("set_status", {"status": "asleep"}))
    assert bench.keeper.state == MachineState()


async def run_until_answered(bench: Bench, count: int) -> None:
    """Let the router work until `count` commands have their answer."""
    task = asyncio.ensure_future(bench.router.run())
    while len(bench.keeper.memory) + len(bench.replies) < count:
        bench.news.clear()
        await asyncio.wait_for(bench.news.wait(), 60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_waiting_command_can_be_cancelled_and_a_done_one_cannot(bench: Bench) -> None:
    bench.router.offer(command("set_status", {"status": "full"}))
    bench.router.offer(command("set_status", {"status": "error"}, id="c2"))
    bench.router.offer(Cancel(id="c2"))
    await run_until_answered(bench, 2)
    await bench.router.handle(Cancel(id="c1"))
    assert (bench.answer("c1"), bench.answer("c2")) == (("succeeded", None), ("rejected", "cancelled"))
    assert bench.keeper.state.status == "full"


async def test_too_many_at_once_are_refused(bench: Bench) -> None:
    for n in range(MAX_WAITING + 1):
        bench.router.offer(command("ping", id=f"c{n}"))
    assert [r.error.code for r in bench.replies if r.error] == ["busy"]


async def test_results_nobody_receives_refuse_new_commands(bench: Bench) -> None:
    for n in range(MAX_RESULTS):
        bench.keeper.memory.apply(Fact(at=0.0, answered=CommandUpdate(id=f"x{n}", state="succeeded")))
    bench.router.offer(command("ping"))
    assert [r.error.code for r in bench.replies if r.error] == ["busy"]


async def test_a_broken_handler_fails_its_command_and_nothing_else(tmp_path: Path) -> None:
    def explode(state: MachineState, args: Any, now: Moment) -> tuple[MachineState, dict[str, object]]:
        raise RuntimeError("inside")

    bench = Bench(tmp_path, {**HANDLERS, "ping": explode})
    await bench.keeper.open()
    bench.router.offer(command("ping"))
    bench.router.offer(command("set_status", {"status": "full"}, id="c2"))
    await run_until_answered(bench, 2)
    (update,) = bench.replies
    assert update.error is not None
    assert (update.state, update.error.code) == ("failed", "internal")
    assert "inside" not in update.error.message, "no internal text to the hub"
    assert bench.answer("c2") == ("succeeded", None)


async def test_a_full_disk_fails_the_command_honestly(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(journal: Journal, fact: Fact, *, durable: bool = True) -> None:
        raise OSError("full")

    monkeypatch.setattr(Journal, "append", refuse)
    await bench.router.handle(command("set_status", {"status": "full"}))
    await bench.router.handle(command("set_status", {"status": "full"}))
    assert bench.keeper.state.status == "active"
    assert [(r.state, r.error and r.error.code) for r in bench.replies] == [("failed", "disk")] * 2
