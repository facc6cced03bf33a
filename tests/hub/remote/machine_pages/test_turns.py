"""Whose turn it is: one piece at a time, leases by turns, and rest behind work."""

from __future__ import annotations

import time

import anyio
import pytest

from hub.remote.machine_pages.open_pages import REQUEST_S, REST, PageTurns, SessionTurns


async def test_a_session_with_much_to_do_has_one_place_among_all() -> None:
    turns = PageTurns()
    busy, calm = SessionTurns(turns), SessionTurns(turns)
    done: list[str] = []

    async def work(lease: SessionTurns, name: str) -> None:
        await lease.run(lambda: done.append(name))

    async with anyio.create_task_group() as tasks:
        for _ in range(24):
            tasks.start_soon(work, busy, "busy")
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(work, calm, "calm")
    assert done.index("calm") <= 2


async def test_behind_work_there_is_rest() -> None:
    turns = SessionTurns(PageTurns())

    def work() -> None:
        ends = time.thread_time() + 0.01
        while time.thread_time() < ends:
            pass

    began = time.monotonic()
    for _ in range(5):
        await turns.run(work)
    assert time.monotonic() - began >= 4 * (1 + REST) * 0.01


async def test_behind_requests_there_is_rest_too() -> None:
    turns = SessionTurns(PageTurns())
    began = time.monotonic()
    for _ in range(20):
        await turns.begin()
    assert time.monotonic() - began >= 19 * REST * REQUEST_S


async def test_work_that_fails_ends_its_turn() -> None:
    turns = SessionTurns(PageTurns())
    with pytest.raises(ZeroDivisionError):
        await turns.run(lambda: 1 // 0)
    assert await turns.run(lambda: 1) == 1
