"""What the machine's own software says is on every dashboard within a second, by every way it may say it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from device.api_client import ApiClient
from tests.device.agent_process import ROOT
from tests.end_to_end.test_hub_and_agent import SEEN_WITHIN_S, Operator
from tests.support.browser_client import BrowserClient
from tests.support.door_agent import DoorAgent, door_agent
from tests.support.door_hub import door_hub
from tests.support.hub_people import MachineKey

WITHIN_S = 1.0
START_S = 1.0
"""What a Python process needs to start on a busy computer is not the product's."""


async def door(agent: DoorAgent, *words: str) -> None:
    """Another program on the machine: `run_device.py`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "run_device.py"), *words, "--config", str(agent.config), cwd=ROOT,
        env={"RVM_BOOTSTRAP": "off", "LANG": "C"}, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0


async def seen(pages: list[BrowserClient], key: MachineKey, what: Callable[[dict[str, Any]], bool]) -> float:
    """Seconds until every page shows it."""

    async def shows(page: BrowserClient) -> None:
        await page.shows(lambda: what(page.machines[key.id]), SEEN_WITHIN_S)

    began = time.monotonic()
    await asyncio.gather(*map(shows, pages))
    return time.monotonic() - began


@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_a_change_made_on_the_machine_is_on_every_dashboard_within_a_second(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(door_hub(tmp_path / "data"))
        browser = await stack.enter_async_context(hub.signed_in())
        operator = Operator(hub, browser)
        key = await operator.add_machine()
        agent = await stack.enter_async_context(door_agent(tmp_path / "agent", hub.url, key))
        pages = [await stack.enter_async_context(operator.watching()) for _ in range(3)]
        await seen(pages, key, lambda m: m["connection"] == "live")

        await door(agent, "status", "full", "--capacity", "100", "--reason", "penuh")
        took = [await seen(pages, key, lambda m: (m["status"], m["capacity"]) == ("full", 100))]
        await door(agent, "busy", "on")
        took.append(await seen(pages, key, lambda m: m["busy"] is True))
        await door(agent, "busy", "off")
        took.append(await seen(pages, key, lambda m: m["busy"] is False))

        client = ApiClient(hub.url, key.api_key, key.id)
        calling = asyncio.create_task(
            asyncio.to_thread(client.update_status, "maintenance", capacity=20, reason="belt")
        )
        took.append(await seen(pages, key, lambda m: (m["status"], m["capacity"]) == ("maintenance", 20)))
        await calling
        await seen(pages, key, lambda m: m["pending"] == [])
        assert max(took) < WITHIN_S + START_S, took
        assert sorted(took)[1] < WITHIN_S, took

        await agent.kill()
        await agent.start()
        await seen(pages, key, lambda m: m["connection"] == "live")
        shown = await operator.get(f"/api/v2/rvms/{key.id}/status")
        assert (shown["status"], shown["status_reason"]) == ("maintenance", "belt"), "the agent knows it as well"
        history = await operator.get(f"/api/v2/rvms/{key.id}/status/history")
        assert [row["status"] for row in history] == ["maintenance", "full", "active"]
        client.close()


def is_filled(capacity: int, machine: dict[str, Any]) -> bool:
    return bool(machine["capacity"] == capacity)


@pytest.mark.timeout(120)
async def test_an_agent_with_another_folder_in_the_same_boot_is_believed(tmp_path: Path) -> None:
    """Tried by hand, then installed as a service: one key and one boot, and two folders that number for themselves."""
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(door_hub(tmp_path / "data"))
        browser = await stack.enter_async_context(hub.signed_in())
        operator = Operator(hub, browser)
        key = await operator.add_machine()
        pages = [await stack.enter_async_context(operator.watching())]
        capacities = iter(range(1, 100))
        for folder, times in (("by-hand", 3), ("service", 1), ("by-hand", 1)):
            async with door_agent(tmp_path / folder, hub.url, key) as agent:
                await seen(pages, key, lambda m: m["connection"] == "live")
                for _ in range(times):
                    capacity = next(capacities)
                    await door(agent, "status", "active", "--capacity", str(capacity))
                    await seen(pages, key, partial(is_filled, capacity))
                await agent.stop(seconds=60.0)  # it says bye, so that the next one's link is seen to begin
                await seen(pages, key, lambda m: m["connection"] == "offline")
