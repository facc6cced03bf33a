"""Blocking work beside the loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from device.kernel.worker_thread import WorkerThread


async def test_calls_run_in_order_and_answer_in_the_loop() -> None:
    worker = WorkerThread("test")
    seen: list[int] = []
    await asyncio.gather(*(worker.call(seen.append, n) for n in range(20)))
    assert seen == list(range(20))
    assert await worker.call(max, 3, 4) == 4
    worker.stop()


async def test_an_error_belongs_to_its_caller_and_the_thread_goes_on() -> None:
    worker = WorkerThread("test")
    with pytest.raises(ZeroDivisionError):
        await worker.call(lambda: 1 // 0)
    assert await worker.call(lambda: 2) == 2
    worker.stop()


async def test_a_caller_that_stopped_waiting_harms_nobody() -> None:
    worker = WorkerThread("test")
    gate = threading.Event()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(worker.call(gate.wait), 0.01)
    assert worker.busy_s() > 0
    gate.set()
    assert await worker.call(lambda: "after") == "after"
    assert worker.busy_s() == 0 or worker.busy_s() < 1
    worker.stop()


def test_a_hanging_call_does_not_keep_the_process() -> None:
    assert WorkerThread("test")._thread.daemon


async def test_what_is_posted_is_done_in_order_and_its_failure_is_nobodys() -> None:
    worker = WorkerThread("test")
    seen: list[str] = []

    def fails() -> None:
        seen.append("posted")
        raise OSError

    worker.post(fails)
    await worker.call(seen.append, "called")
    assert seen == ["posted", "called"]
    worker.stop()
