"""One hub with three machines and one Chromium for each test; both are real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser

from tests.support.browser import chromium
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubProcess, hub_process
from tests.support.lively_machine import LivelyMachine, lively

CAPABILITIES = ["ping", "set_status", "sync_timezone", "restart_service", "reboot"]


@dataclass
class Stage:
    """`keys`: of a lively machine that can do all, a `full` one with old software, one that never connected."""

    hub: HubProcess
    browser: Browser
    keys: list[MachineKey]
    machine: LivelyMachine


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(chromium())
        hub = await stack.enter_async_context(hub_process(tmp_path))
        keys = [await hub.add_machine(f"RVM-00{number}") for number in (1, 2, 3)]
        machine = await stack.enter_async_context(lively(hub, keys[0], capabilities=CAPABILITIES))
        await stack.enter_async_context(lively(hub, keys[1], status="full", capacity=100))
        yield Stage(hub, browser, keys, machine)
