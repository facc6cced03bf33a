"""Bounds of a search are taken as written: 1970 is 1970, and no clock that was never set."""

from __future__ import annotations

from hub.core.changes import EventHappened
from tests.support.api_hub import ApiHub


async def test_bounds_of_a_status_history_are_taken_as_written(any_hub: ApiHub) -> None:
    async with any_hub.of("one") as machine:
        assert (await machine.patch("/api/v2/rvms/1/status", json={"status": "full"})).status_code == 200
    async with any_hub.of("viewer") as viewer:
        for old in ("1970-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "1000-06-01T00:00:00Z"):
            after, before = [
                (await viewer.get("/api/v2/rvms/1/status/history", params={bound: old})).json()["data"]
                for bound in ("from", "to")
            ]
            assert (len(after) > 0, before) == (True, []), old


async def test_bounds_of_the_record_are_taken_as_written(any_hub: ApiHub) -> None:
    for _ in range(2):
        event = EventHappened(at=any_hub.context.clock(), code="test.happened", actor="system", rvm_id=1)
        await any_hub.context.announce(event)
    async with any_hub.of("admin") as admin:
        for old in ("1970-01-01T00:00:00Z", "1969-07-21T02:56:00Z", "1999-01-01T00:00:00Z", "1000-06-01T00:00:00Z"):
            found = [
                (await admin.get("/api/v2/events", params={"code": "test.happened", bound: old})).json()["data"]
                for bound in ("from", "to")
            ]
            assert [len(events) for events in found] == [2, 0], old


async def test_bounds_of_a_chart_are_taken_as_written(hub: ApiHub) -> None:
    async with hub.of("one") as machine:
        await machine.post(
            "/api/v2/rvms/1/metrics", json={"timestamp": int(hub.context.clock().timestamp()), "cpu_usage": 5}
        )
        query = "from=1970-01-01T00:00:00Z&to=1970-06-01T00:00:00Z"
        found = (await machine.get(f"/api/v2/rvms/1/metrics?{query}")).json()["data"]
    assert (found["from"], found["to"], found["samples"]) == (
        "1970-01-01T00:00:00.000Z",
        "1970-06-01T00:00:00.000Z",
        [],
    )
