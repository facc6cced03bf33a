"""The little lines beside numbers: hours of samples, out of the database and then from memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from db.errors import Unavailable
from hub.metrics import service as metrics_service
from hub.model.trend import STEP_MS, STEPS
from tests.support.api_hub import ApiHub


async def keep(hub: ApiHub, minutes_ago: list[int]) -> None:
    now = hub.context.clock()
    kept = [{"timestamp": (now - timedelta(minutes=m)).isoformat(), "cpu_usage": 20 + m / 10} for m in minutes_ago]
    async with hub.of("one") as machine:
        assert (await machine.post("/api/v2/rvms/1/metrics", json=kept)).status_code == 201


async def test_what_was_kept_for_hours_is_drawn_at_the_first_look(any_hub: ApiHub) -> None:
    await keep(any_hub, [600, 230, 120, 60, 30])
    one, two = any_hub.context.fleet.machines[1], any_hub.context.fleet.machines[2]
    now = any_hub.context.clock()
    await metrics_service.complete_trends(any_hub.context, [1, 2])
    assert (one.trend.complete, two.trend.complete) == (True, True)
    points = one.trend.points("cpu_usage", int(now.timestamp() * 1000))
    assert [round(point.newest, 1) for point in points] == [43.0, 32.0, 26.0, 23.0]
    assert all(0 <= now.timestamp() * 1000 - point.at < STEPS * STEP_MS for point in points)
    assert two.trend.points("cpu_usage", int(now.timestamp() * 1000)) == []
    async with any_hub.browser(await any_hub.add_session("viewer")) as browser:
        page = (await browser.get("/")).text
        row = page.partition('<tr data-id="1"')[2].partition("</tr>")[0]
        assert row.partition('<path d="')[2].count("M") == 4
        tile = (await browser.get("/machines/1")).text.partition('data-m="cpu_usage"')[2]
        assert "23 – 43 in 4\u202fh" in tile


async def test_without_a_database_the_page_comes_without_lines(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> None:
        raise Unavailable("away")

    monkeypatch.setattr("db.queries.samples.spreads", away)
    async with hub.browser(await hub.add_session("viewer")) as browser:
        assert (await browser.get("/")).status_code == 200
    assert not hub.context.fleet.machines[1].trend.complete
