"""Tasks that live and die together, for Python 3.10: the first to end, however it ends, ends them all."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def until_one_ends(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all; when one returns or raises, cancel the others, wait for them, and raise what it raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        ended = [task for task in tasks if task.done()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def wait_at_most(event: asyncio.Event, seconds: float) -> bool:
    """Wait until `event` is set, but no longer; whether it was."""
    try:
        await asyncio.wait_for(event.wait(), None if seconds == float("inf") else max(0.0, seconds))
    except (TimeoutError, asyncio.TimeoutError):  # two types before Python 3.11
        return False
    return True
