"""What one person may have read: slowed when it is much, refused when it is far too much, and nobody else's affair."""

from __future__ import annotations

import asyncio

import pytest
from starlette.routing import Route

from hub.model.budgets import TokenBuckets
from hub.routes import page_routes
from hub.web.auth.limits import (
    MAX_READERS,
    MAX_WAIT_S,
    OF_FLEET_PAGE,
    OF_PAGE,
    OF_PARTS,
    OF_SNAPSHOT,
    READS_AT_ONCE,
    READS_PER_S,
    ReadBudget,
)
from hub.web.http.problems import Problem
from hub.web.shell.page import WebPage
from tests.support.api_hub import ApiHub


class Time:
    """A clock that a sleep moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_a_burst_is_free_and_what_follows_waits_for_its_share() -> None:
    time = Time()
    budget = ReadBudget(time.clock, time.sleep)
    for _ in range(int(READS_AT_ONCE / OF_FLEET_PAGE)):
        await budget.take("user:1", OF_FLEET_PAGE)
    assert time.now == 100.0
    for _ in range(30):  # pages that reload themselves
        await budget.take("user:1", OF_FLEET_PAGE)
    assert time.now - 100.0 == pytest.approx(30 * OF_FLEET_PAGE / READS_PER_S)
    before = time.now
    await budget.take("user:2", READS_AT_ONCE)
    assert time.now == before, "others have their own"


async def test_who_would_wait_too_long_is_refused_with_the_time_and_has_waited() -> None:
    time = Time()
    budget = ReadBudget(time.clock, time.sleep)
    await budget.take("user:1", READS_AT_ONCE)
    with pytest.raises(Problem) as refused:
        await budget.take("user:1", READS_PER_S * 10)
    assert refused.value.status == 429
    assert refused.value.headers == {"Retry-After": "7"}
    assert time.now == 100.0 + MAX_WAIT_S
    await budget.take("user:1", READS_PER_S * 10, float("inf"))
    assert time.now == pytest.approx(110.0)


async def test_a_thousand_who_wait_are_woken_once_each() -> None:
    slept: list[float] = []
    wake = asyncio.Event()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await wake.wait()

    budget = ReadBudget(lambda: 100.0, sleep)
    await budget.take("user:1", READS_AT_ONCE)
    asking = [asyncio.create_task(budget.take("user:1", OF_PAGE)) for _ in range(1000)]
    await asyncio.sleep(0)
    wake.set()
    ends = await asyncio.gather(*asking, return_exceptions=True)
    served = int(MAX_WAIT_S * READS_PER_S / OF_PAGE)
    assert [isinstance(end, Problem) for end in ends] == [False] * served + [True] * (1000 - served)
    assert slept[:served] == pytest.approx([OF_PAGE / READS_PER_S * (n + 1) for n in range(served)])
    assert len(slept) == 1000


async def test_a_wall_of_screens_and_ten_tabs_never_wait() -> None:
    time = Time()
    budget = ReadBudget(time.clock, time.sleep)
    for minute in range(30):
        for _ in range(20):  # a new version of the dashboard: every page loads again
            await budget.take("user:1", OF_FLEET_PAGE)
            await budget.take("user:1", OF_SNAPSHOT)
            await budget.take("user:1", OF_PAGE)
        assert time.now == 100.0 + minute * 60, "nobody waited"
        time.now += 60


async def test_it_holds_for_pages_lists_and_files(door: ApiHub) -> None:
    door.context[ReadBudget]._buckets = TokenBuckets(0.001, 2 * OF_FLEET_PAGE, MAX_READERS)
    door.context[ReadBudget]._sleep = lambda _: asyncio.sleep(0)
    async with door.browser(await door.add_session("viewer")) as viewer:
        viewer.headers["Accept-Language"] = "id"
        assert [(await viewer.get("/")).status_code for _ in range(2)] == [200, 200]
        refused = await viewer.get("/")
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        assert "Terlalu banyak permintaan" in refused.text
        assert 'href="/"' in refused.text
        for path in ("/api/v2/rvms?limit=500", "/api/v2/rvms/1/metrics", "/api/v2/events?limit=500"):
            answer = await viewer.get(path)
            assert (answer.status_code, answer.json()["status"]) == (429, 429)
        assert (await viewer.get("/api/v2/rvms/1")).status_code == 200
        assert (await viewer.get("/api/v2/auth/me")).status_code == 200
    async with door.of("operator") as other:
        assert (await other.get("/api/v2/rvms")).status_code == 200


async def test_one_list_of_a_person_is_written_at_a_time(door: ApiHub) -> None:
    async with door.of("viewer") as viewer, door.of("operator") as other:
        actor = f"user:{(await viewer.get('/api/v2/auth/me')).json()['data']['id']}"
        async with door.context[ReadBudget].turn(actor):
            asked = asyncio.create_task(viewer.get("/api/v2/rvms?limit=500"))
            assert (await other.get("/api/v2/rvms?limit=500")).status_code == 200
            assert (await viewer.get("/api/v2/rvms/1")).status_code == 200
            assert not asked.done()
        assert (await asked).status_code == 200


def test_every_page_costs_something() -> None:
    found = [r.endpoint for r in page_routes() if isinstance(r, Route) and isinstance(r.endpoint, WebPage)]
    assert found
    assert all(page.cost >= OF_PARTS for page in found)
