"""Two thousand machines, and people who look: nothing that one of them may ask for holds up the others."""

from __future__ import annotations

import asyncio
import contextlib
import re
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from starlette.routing import Route

from hub import routes
from hub.routes import EVERYTHING
from hub.web.shell.page import WebPage
from hub.web.sockets import MAX_SOCKETS_PER_USER
from tests.support.browser_client import BrowserClient
from tests.support.great_fleet import great_fleet
from tests.support.hub_people import Person
from tests.support.hub_process import HubProcess

LONGEST_BLOCK_S = 0.1
LONGEST_OF_A_PAGE_S = 0.05
SLOWER_AT_MOST = 3.0
GROWN_AT_MOST = 50 * 2**20
LEAST_S = 0.002
"""Below this a ratio of latencies measures the scheduler."""
LOOK_S = 0.12
"""The hub looks at its loop every 50 ms: after two looks it has seen what a request did."""
MOST = {"limit": "500", "q": "a", "days": "366", "points": "5000", "language": "id"}
"""The most that each operation may be asked for."""


def addresses() -> Iterator[str]:
    """Every GET: of the API with the most it takes, and of the dashboard."""
    for operation in EVERYTHING:
        if operation.method == "GET":
            most = {name: value for name, value in MOST.items() if name in operation.query.__struct_fields__}
            yield str(httpx.URL(f"/api{_filled(operation.path)}", params=most))
            if most:
                yield f"/api{_filled(operation.path)}?{'limit=500' if 'limit' in most else 'days=1'}"
            if "format" in operation.query.__struct_fields__:
                yield f"/api{_filled(operation.path)}?format=csv"
    for route in routes.page_routes():
        if isinstance(route, Route) and isinstance(route.endpoint, WebPage):
            yield _filled(route.path)
    yield from ("/?page=20", "/?q=mall", "/?sort=-cpu", "/?sort=seen", "/jobs?q=mall", "/events?machine=1&q=mall")


def _filled(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "1", path)


def person(hub: HubProcess, who: Person | None = None) -> httpx.AsyncClient:
    """A browser of theirs."""
    cookie = {"Cookie": f"rvm_session={(who or hub.admin).session}"}
    return httpx.AsyncClient(base_url=hub.url, headers=cookie, timeout=60, trust_env=False)


@pytest.mark.alone
@pytest.mark.timeout(180)
async def test_nothing_a_person_may_look_at_blocks_the_loop(tmp_path: Path) -> None:
    async with great_fleet(tmp_path) as hub, person(hub) as admin:
        # The first page waits for templates and files, in a thread that shares the interpreter.
        await admin.get("/help")
        await admin.get("/")
        took: dict[str, float] = {}
        for address in addresses():
            answer = await admin.get(address)
            assert answer.status_code < 500, f"{address}: {answer.text[:500]}"
            if hub.longest_block_s > max(took.values(), default=0.0):
                took[address] = hub.longest_block_s  # by this one or the one before
        await asyncio.sleep(LOOK_S)
        print(took)
        assert hub.longest_block_s <= LONGEST_BLOCK_S, took


async def p50_s(client: httpx.AsyncClient, seconds: float) -> float:
    """Of somebody else's requests, one after the other."""
    took, ends = [], time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.monotonic()
        assert (await client.get("/api/v2/rvms/1")).status_code == 200
        took.append(time.monotonic() - began)
        await asyncio.sleep(0.005)  # somebody, not a flood
    return statistics.median(took)


class Noticed(NamedTuple):
    """What somebody else has of the hub meanwhile, and what the hub keeps."""

    p50_s: float
    memory_bytes: int

    @classmethod
    async def of(cls, hub: HubProcess, other: httpx.AsyncClient, seconds: float = 2) -> Noticed:
        return cls(await p50_s(other, seconds), hub.memory_bytes())


def assert_little_is_noticed(hub: HubProcess, quiet: Noticed, during: Noticed) -> None:
    grown = during.memory_bytes - quiet.memory_bytes
    print(f"p50 {quiet.p50_s * 1000:.1f} -> {during.p50_s * 1000:.1f} ms, memory +{grown / 2**20:.0f} MiB")
    assert during.p50_s <= SLOWER_AT_MOST * max(quiet.p50_s, LEAST_S)
    assert grown <= GROWN_AT_MOST
    assert hub.longest_block_s <= LONGEST_OF_A_PAGE_S


async def ask(page: BrowserClient) -> None:
    """For a picture as often as a page may."""
    while True:
        await page.socket.send('{"type":"snapshot"}')
        await asyncio.sleep(1.1)  # the rate that is allowed


@pytest.mark.alone
@pytest.mark.timeout(180)
async def test_the_pictures_of_one_person_slow_nobody_else(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        hub = await stack.enter_async_context(great_fleet(tmp_path))
        greedy, other = await hub.people.add("viewer"), await stack.enter_async_context(hub.client())
        quiet = await Noticed.of(hub, other)
        opened = [BrowserClient.open(hub, greedy) for _ in range(MAX_SOCKETS_PER_USER)]
        busy = [asyncio.ensure_future(ask(await stack.enter_async_context(page))) for page in opened]
        during = await Noticed.of(hub, other, 5)
        for task in busy:
            task.cancel()
        assert_little_is_noticed(hub, quiet, during)


@pytest.mark.alone
@pytest.mark.timeout(180)
async def test_three_tabs_that_reload_the_machines_page_slow_nobody_else(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        hub = await stack.enter_async_context(great_fleet(tmp_path))
        greedy, other = await hub.people.add("viewer"), await stack.enter_async_context(hub.client())
        quiet = await Noticed.of(hub, other)
        command = ["-m", "tests.support.reloading_tabs", f"{hub.url}/", f"rvm_session={greedy.session}", "3"]
        tabs = await asyncio.create_subprocess_exec(sys.executable, *command)
        try:
            during = await Noticed.of(hub, other, 6)
            assert tabs.returncode is None
        finally:
            tabs.kill()
            await tabs.wait()
        assert_little_is_noticed(hub, quiet, during)
