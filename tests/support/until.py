"""Waiting for something that tells nobody when it happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(true: Callable[[], object], within: float = 10.0) -> None:
    """Give the event loop to others until `true()`; fails after `within` seconds."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + within
    while not true():
        assert loop.time() < ends, f"not within {within:g} s: {true}"
        await asyncio.sleep(0.005)
