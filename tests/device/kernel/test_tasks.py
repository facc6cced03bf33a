"""Tasks that live and die together."""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest

from device.kernel.tasks import until_one_ends, wait_at_most, within


async def test_the_first_to_fail_ends_all_and_its_error_is_raised() -> None:
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waits")

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        await until_one_ends(waits(), fails())
    assert ended == ["waits"]


async def test_the_first_to_return_ends_all() -> None:
    async def returns() -> None:
        await asyncio.sleep(0)

    await until_one_ends(asyncio.Event().wait(), returns())  # type: ignore[arg-type]


async def test_cancelling_it_cancels_all() -> None:
    inner = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            inner.set()

    task = asyncio.ensure_future(until_one_ends(waits()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert inner.is_set()


async def test_waiting_has_an_end() -> None:
    event = asyncio.Event()
    assert not await wait_at_most(event, 0.0)
    event.set()
    assert await wait_at_most(event, float("inf"))


async def test_a_task_that_loses_its_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device.kernel.tasks.CANCEL_AGAIN_S", 0.01)
    lost = 0

    async def loses_two() -> None:
        nonlocal lost
        while lost < 3:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            lost += 1

    async def returns() -> None:
        await asyncio.sleep(0)

    await asyncio.wait_for(until_one_ends(loses_two(), returns()), 60)
    assert lost == 3


async def test_waiting_does_not_lose_a_cancellation_that_comes_with_the_event() -> None:
    event = asyncio.Event()
    task = asyncio.ensure_future(wait_at_most(event, 10))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    event.set()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_second_cancellation_leaves_no_error_unseen() -> None:
    unseen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
    begun = asyncio.Event()

    async def breaks() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            raise ValueError

    task = asyncio.ensure_future(until_one_ends(breaks()))
    await begun.wait()
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    with contextlib.suppress(asyncio.CancelledError, ValueError):
        await task
    for _ in range(5):
        await asyncio.sleep(0)
    del task
    gc.collect()
    assert unseen == []


@pytest.mark.parametrize("turns", range(4))
async def test_a_cancellation_that_comes_with_the_result_is_not_lost(turns: int) -> None:
    news: asyncio.Queue[int] = asyncio.Queue()

    async def listen() -> None:
        while True:
            await within(60, news.get())

    listening = asyncio.ensure_future(listen())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    news.put_nowait(1)
    for _ in range(turns):
        await asyncio.sleep(0)
    listening.cancel()
    done, _ = await asyncio.wait([listening], timeout=5)
    assert done
    assert listening.cancelled()


async def test_what_takes_too_long_is_cancelled_and_what_it_raises_comes_through() -> None:
    ended = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fails() -> None:
        raise ValueError("its own")

    with pytest.raises(asyncio.TimeoutError):
        await within(0.0, asyncio.Event().wait())
    with pytest.raises(asyncio.TimeoutError):
        await within(0.01, waits())
    assert ended.is_set()
    with pytest.raises(ValueError, match="its own"):
        await within(5, fails())
    assert await within(float("inf"), asyncio.sleep(0, "at once")) == "at once"
