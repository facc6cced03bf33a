"""Waiting for something that tells nobody when it happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

PATIENCE_S = 90.0
"""A computer that has ten times the work is late with everything: the test's own time is what ends it."""


async def until(true: Callable[[], object], within: float = PATIENCE_S) -> None:
    """Give the event loop to others until `true()`; fails after `within` seconds."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + within
    while not true():
        assert loop.time() < ends, f"not within {within:g} s: {true}"
        await asyncio.sleep(0.005)


async def until_answered(true: Callable[[], Awaitable[object]], within: float = PATIENCE_S, every: float = 0.1) -> None:
    """Ask again and again until the answer is true; fails after `within` seconds."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + within
    while not await true():
        assert loop.time() < ends, f"not within {within:g} s: {true}"
        await asyncio.sleep(every)


def wait_until(true: Callable[[], object], within: float = PATIENCE_S) -> None:
    """Where there is no event loop: look at another process until `true()`; fails after `within` seconds."""
    ends = time.monotonic() + within
    while not true():
        assert time.monotonic() < ends, f"not within {within:g} s: {true}"
        time.sleep(0.05)
