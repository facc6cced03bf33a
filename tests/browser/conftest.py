"""A hub with three machines for each test; one Chromium for all of them, and a context of its own for each tab."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.support.browser import ZONE, chromium
from tests.support.browser_client import BrowserClient
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.hub_people import MachineKey
from tests.support.lively_machine import LivelyMachine, lively

HERE = Path(__file__).parent
CAPABILITIES = ["ping", "set_status", "sync_timezone", "restart_service", "reboot"]
expect.set_options(timeout=60_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser lives in the event loop of the whole run, and so must whoever talks to it."""
    for item in items:
        if HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@dataclass
class Stage:
    """`keys`: of a lively machine that can do all, a `full` one with old software, one that never connected."""

    hub: ForkedHub
    browser: Browser
    keys: list[MachineKey]
    machine: LivelyMachine


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as made:
        yield made


@pytest.fixture(params=[ZONE, "America/New_York"])
def zone(request: pytest.FixtureRequest) -> str:
    """Where time is the subject: the browser on site, and far from it."""
    return str(request.param)


@asynccontextmanager
async def staged(folder: Path, browser: Browser) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(forked_hub(folder))
        keys = [await hub.add_machine(f"RVM-00{number}") for number in (1, 2)]
        keys.append(await hub.people.add_machine("RVM-003", ago=timedelta(hours=1)))
        machine = await stack.enter_async_context(lively(hub, keys[0], capabilities=CAPABILITIES))
        await stack.enter_async_context(lively(hub, keys[1], status="full", capacity=100))
        async with BrowserClient.open(hub) as page:
            await page.shows(lambda: keys[2].id in page.machines, 20)
            await page.shows(lambda: all(page.machines[key.id]["readings"] for key in keys[:2]), 20)
        yield Stage(hub, browser, keys, machine)


@pytest_asyncio.fixture(loop_scope="session")
async def stage(tmp_path: Path, browser: Browser) -> AsyncIterator[Stage]:
    async with staged(tmp_path, browser) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def seen_stage(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> AsyncIterator[Stage]:
    """One for all tests of a file that only look at it."""
    async with staged(tmp_path_factory.mktemp("seen"), browser) as made:
        yield made
