"""Commands that take their time: their words in order, progress, withdrawal, deadlines, repetition, many at once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from device.commands.jobs import Job, Result, WorkFailedError, WorkHandler
from device.commands.router import HANDLERS
from device.commands.work import MAX_JOBS, MAX_WAITING
from device.journal.keeper import Journal
from device.journal.rules import Fact
from protocol.messages import Cancel, Command, CommandUpdate
from tests.device.commands.test_router import Bench
from tests.device.commands.test_router import command as any_command
from tests.support.until import until


class Workshop:
    """Stands for whatever takes its time: counts its beginnings, and ends when it is let."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.let_go = asyncio.Event()
        self.ends: Callable[[Job], Result] = lambda job: {"done": True}

    async def run(self, args: Any, job: Job) -> Result:
        self.jobs.append(job)
        await self.let_go.wait()
        return self.ends(job)


def command(id: str = "c1", lasts_s: float = 3600) -> Command:  # noqa: A002
    return any_command("restart_service", {"service": "a.service"}, id=id, lasts_s=lasts_s)


@contextlib.asynccontextmanager
async def working(folder: Path, handler: WorkHandler) -> AsyncIterator[Bench]:
    bench = Bench(folder, HANDLERS, {"restart_service": handler})
    await bench.keeper.open()
    await bench.work.settle_interrupted()
    running = asyncio.ensure_future(bench.router.run())
    try:
        yield bench
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        bench.disk.stop()


async def test_what_can_no_longer_be_taken_back_may_outlast_its_deadline(tmp_path: Path) -> None:
    shop = Workshop()

    async def goes_down(args: Any, job: Job) -> Result:
        job.prolong(60)
        return await shop.run(args, job)

    async with working(tmp_path, WorkHandler(goes_down)) as bench:
        bench.router.offer(command(lasts_s=0.3))
        await until(lambda: shop.jobs)
        await until(lambda: time.monotonic() > asked_until(shop))
        assert words(bench) == ["accepted", "running"], "it goes on behind the deadline it was given"
        shop.let_go.set()
        await until(ends(bench))
        assert ends(bench)().state == "succeeded"  # type: ignore[union-attr]


def asked_until(shop: Workshop) -> float:
    """A moment behind the deadline the command came with (0.3 s), which the job no longer has."""
    return shop.jobs[0].deadline - 60 + 0.5


def words(bench: Bench) -> list[str]:
    return [update.state for update in bench.replies]


def ends(bench: Bench, command_id: str = "c1") -> Callable[[], CommandUpdate | None]:
    return lambda: bench.keeper.memory.answer_to(command_id)


async def test_it_is_accepted_then_runs_and_each_word_is_on_disk_before_it_is_reported(tmp_path: Path) -> None:
    shop = Workshop()
    async with working(tmp_path, WorkHandler(shop.run)) as bench:
        bench.router.offer(command())
        await until(lambda: shop.jobs)
        assert words(bench) == ["accepted", "running"]
        facts = Journal(tmp_path / "journal").load()
        assert [fact.accepted or (fact.begun and fact.begun.id) for fact in facts] == ["c1", "c1"]
        shop.jobs[0].progress("halfway", 1, 2)
        assert bench.replies[-1].progress is not None
        shop.let_go.set()
        await until(ends(bench))
        update = bench.keeper.memory.answer_to("c1")
        assert update is not None
        assert (update.state, update.result) == ("succeeded", {"done": True})
        assert not bench.keeper.memory.begun


async def test_what_takes_its_time_does_not_keep_the_others_waiting(tmp_path: Path) -> None:
    shop = Workshop()
    async with working(tmp_path, WorkHandler(shop.run)) as bench:
        bench.router.offer(command())
        bench.router.offer(any_command("ping", id="c2"))
        await until(ends(bench, "c2"))
        assert bench.keeper.memory.answer_to("c1") is None


async def test_a_repeated_id_is_answered_with_its_progress_and_runs_once(tmp_path: Path) -> None:
    shop = Workshop()
    async with working(tmp_path, WorkHandler(shop.run)) as bench:
        for _ in range(3):
            bench.router.offer(command())
        await until(lambda: len(bench.replies) == 4)
        assert len(shop.jobs) == 1
        shop.let_go.set()
        await until(ends(bench))
        bench.router.offer(command())
        await until(lambda: words(bench)[-1] == "succeeded")
        assert len(shop.jobs) == 1


async def test_at_most_eight_run_and_a_mad_hub_cannot_fill_the_memory(tmp_path: Path) -> None:
    shop = Workshop()
    async with working(tmp_path, WorkHandler(shop.run)) as bench:
        for n in range(1000):
            bench.router.offer(command(f"c{n}"))
            if n % 50 == 0:
                await asyncio.sleep(0)
        await until(lambda: len(bench.replies) + len(bench.keeper.memory) >= 1000)
        assert len(shop.jobs) == MAX_JOBS
        held = len(bench.keeper.memory.begun) + len(bench.keeper.memory.accepted)
        assert held <= MAX_JOBS + MAX_WAITING


@pytest.mark.parametrize("begins_itself", [True, False])
async def test_a_handler_that_hangs_ends_at_its_deadline(tmp_path: Path, begins_itself: bool) -> None:
    shop = Workshop()
    async with working(tmp_path, WorkHandler(shop.run, begins_itself)) as bench:
        bench.router.offer(command(lasts_s=0.3))
        await until(ends(bench))
        update = bench.keeper.memory.answer_to("c1")
        assert update is not None
        assert update.error is not None
        # What had no effect expired; what may have had one failed.
        wanted = ("rejected", "expired") if begins_itself else ("failed", "deadline")
        assert (update.state, update.error.code) == wanted


async def test_those_that_wait_for_a_place_expire_or_are_withdrawn_without_being_begun(tmp_path: Path) -> None:
    shop = Workshop()
    async with working(tmp_path, WorkHandler(shop.run)) as bench:
        for n in range(MAX_JOBS):
            bench.router.offer(command(f"c{n}"))
        await until(lambda: len(shop.jobs) == MAX_JOBS)
        bench.router.offer(command("late", lasts_s=0.1))
        bench.router.offer(command("unwanted"))
        await until(lambda: len(bench.keeper.memory.accepted) == 2)
        bench.router.offer(Cancel(id="unwanted"))
        await asyncio.sleep(0.15)  # the deadline of `late` has to pass
        shop.let_go.set()
        await until(lambda: ends(bench, "late")() and ends(bench, "unwanted")())
        assert (bench.answer("late"), bench.answer("unwanted")) == (("rejected", "expired"), ("rejected", "cancelled"))
        assert len(shop.jobs) == MAX_JOBS


async def test_one_that_minds_its_withdrawal_ends_cancelled_and_one_that_cannot_ends_as_it_ends(tmp_path: Path) -> None:
    async def patient(args: Any, job: Job) -> Result:
        await job.pause(3600)
        raise AssertionError("nobody waited")

    async with working(tmp_path, WorkHandler(patient, begins_itself=True)) as bench:
        bench.router.offer(command())
        await until(lambda: words(bench) == ["accepted", "running"])
        bench.router.offer(Cancel(id="c1"))
        await until(ends(bench))
        assert bench.answer() == ("rejected", "cancelled")
    shop = Workshop()
    async with working(tmp_path / "other", WorkHandler(shop.run)) as bench:
        bench.router.offer(command())
        await until(lambda: shop.jobs)
        bench.router.offer(Cancel(id="c1"))
        shop.let_go.set()
        await until(ends(bench))
        assert bench.answer() == ("succeeded", None)


async def test_the_withdrawal_of_an_id_never_seen_is_journaled_so_that_it_never_runs(tmp_path: Path) -> None:
    shop = Workshop()
    async with working(tmp_path, WorkHandler(shop.run)) as bench:
        bench.router.offer(Cancel(id="c1"))
        await until(ends(bench))
        assert bench.answer() == ("rejected", "cancelled")
        bench.router.offer(command())
        await until(lambda: words(bench) == ["rejected"])
    assert shop.jobs == []


async def test_failures_are_reported_with_their_code_and_bugs_without_their_text(tmp_path: Path) -> None:
    shop = Workshop()
    shop.let_go.set()

    def fail(job: Job) -> Result:
        if job.id == "c1":
            raise WorkFailedError("not_permitted", "not permitted: install the helper")
        raise RuntimeError("inside")

    shop.ends = fail
    async with working(tmp_path, WorkHandler(shop.run)) as bench:
        bench.router.offer(command())
        bench.router.offer(command("c2"))
        await until(lambda: ends(bench)() and ends(bench, "c2")())
        assert (bench.answer(), bench.answer("c2")) == (("failed", "not_permitted"), ("failed", "internal"))
        assert "inside" not in repr(bench.keeper.memory.answer_to("c2"))


async def test_a_disk_that_fills_up_while_it_runs_is_no_reason_to_do_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Workshop()
    async with working(tmp_path, WorkHandler(shop.run)) as bench:
        bench.router.offer(command())
        await until(lambda: shop.jobs)

        def refuse(journal: Journal, fact: Fact, *, durable: bool = True) -> None:
            raise OSError("full")

        monkeypatch.setattr(Journal, "append", refuse)
        shop.let_go.set()
        await until(lambda: words(bench)[-1] == "succeeded")
        bench.router.offer(command())
        await until(lambda: words(bench)[-2:] == ["succeeded"] * 2)
        bench.router.offer(command("c2"))
        await until(lambda: bench.replies[-1].id == "c2")
        assert bench.replies[-1].error is not None
        assert (bench.replies[-1].state, bench.replies[-1].error.code) == ("failed", "disk")
    assert len(shop.jobs) == 1
