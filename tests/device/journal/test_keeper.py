"""Memory and journal in step, and the machine's own status beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from device.journal.keeper import Journal, StateKeeper
from device.journal.rules import Fact
from device.kernel.worker_thread import WorkerThread
from device.status.return_session import ReturnSession
from device.status.rules import IllegalStatusError
from device.status.service import RVMStatusChecker
from protocol.messages import CommandUpdate, StatusReport


@pytest.fixture
def disk() -> Iterator[WorkerThread]:
    thread = WorkerThread("disk")
    yield thread
    thread.stop()


@pytest_asyncio.fixture
async def keeper(tmp_path: Path, disk: WorkerThread) -> AsyncIterator[StateKeeper]:
    opened = StateKeeper(tmp_path / "journal", disk, lambda: None)
    await opened.open()
    yield opened


def checker_of(keeper: StateKeeper, **clock: Any) -> RVMStatusChecker:
    return RVMStatusChecker(keeper, ReturnSession(Path("nowhere"), 900), **clock)


async def reopened(tmp_path: Path, disk: WorkerThread) -> StateKeeper:
    keeper = StateKeeper(tmp_path / "journal", disk, lambda: None)
    await keeper.open()
    return keeper


async def test_a_status_is_declared_numbered_and_waits_for_the_hub(
    keeper: StateKeeper, tmp_path: Path, disk: WorkerThread
) -> None:
    checker = checker_of(keeper, wall=lambda: 5.0)
    assert checker.check_status().status == "active"
    state = await checker.update_status("full", capacity=100, reason="bin")
    assert (state.status, state.seq) == ("full", 1)
    again = await reopened(tmp_path, disk)
    assert again.state == state
    assert again.memory.outbox.entries() == [StatusReport(status="full", seq=1, capacity=100, reason="bin", busy=False)]
    await again.confirm(1)
    assert (await reopened(tmp_path, disk)).memory.outbox.entries() == []


async def test_a_declaration_has_a_number_above_those_of_an_agent_that_had_another_folder(
    keeper: StateKeeper, tmp_path: Path, disk: WorkerThread
) -> None:
    """Of the same boot: the hub takes a number that it has for a repetition, and the status would be lost."""
    await checker_of(keeper).update_status("inactive")
    for floor_seq, folder, number in ((60_000, "by-hand", 60_001), (120_000, ".", 120_001)):
        (tmp_path / folder).mkdir(exist_ok=True)
        opened = StateKeeper(tmp_path / folder / "journal", disk, lambda: None, floor_seq)
        await opened.open()
        assert (await checker_of(opened).update_status("full", capacity=100)).seq == number


async def test_an_illegal_status_changes_nothing(keeper: StateKeeper) -> None:
    with pytest.raises(IllegalStatusError):
        await checker_of(keeper).update_status("asleep")
    assert keeper.state.seq == 0


async def test_many_declarations_at_once_lose_none(keeper: StateKeeper) -> None:
    checker = checker_of(keeper)
    await asyncio.gather(*(checker.update_status(capacity=n) for n in range(20)))
    assert keeper.state.seq == 20
    assert [e.seq for e in keeper.memory.outbox.entries() if isinstance(e, StatusReport)] == list(range(1, 21))


async def test_what_the_disk_refuses_did_not_happen(keeper: StateKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(journal: Journal, fact: Fact, *, durable: bool = True) -> None:
        raise OSError("full")

    monkeypatch.setattr(Journal, "append", refuse)
    with pytest.raises(OSError, match="full"):
        await checker_of(keeper).update_status("full")
    assert keeper.state.status == "active"
    assert len(keeper.memory.outbox) == 0
    await keeper.confirm("c1")  # not worth an error


async def test_everybody_is_notified_after_the_disk_has_it(tmp_path: Path, disk: WorkerThread) -> None:
    seen: list[int] = []
    keeper = StateKeeper(tmp_path / "journal", disk, lambda: seen.append((tmp_path / "journal").stat().st_size))
    await keeper.open()
    await keeper.step(lambda state: Fact(at=1.0, answered=CommandUpdate(id="c", state="succeeded")))
    assert seen
    assert seen[0] > 0


async def test_a_damaged_journal_is_repaired_when_it_is_opened(tmp_path: Path, disk: WorkerThread) -> None:
    keeper = await reopened(tmp_path, disk)
    for _ in range(3):
        await checker_of(keeper).update_status("full")
    path = tmp_path / "journal"
    path.write_bytes(b"junk" + path.read_bytes()[:-2])
    damaged = await reopened(tmp_path, disk)
    assert damaged.was_damaged
    assert damaged.state.seq == 2
    assert not (await reopened(tmp_path, disk)).was_damaged
