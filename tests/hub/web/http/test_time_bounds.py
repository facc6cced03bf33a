"""Bounds of a search are taken as written: 1970 is 1970, and no clock that was never set."""

from __future__ import annotations

from hub.model.changes import EventHappened
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


async def test_what_programs_say_for_always_and_never_is_taken(hub: ApiHub) -> None:
    """The zero of Go, the least and the most of .NET, with and without an offset."""
    event = EventHappened(at=hub.context.clock(), code="test.happened", actor="system", rvm_id=1)
    await hub.context.announce(event)
    async with hub.of("admin") as admin:
        for least, most in (
            ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z"),
            ("0001-01-01T00:00:00", "9999-12-31T23:59:59"),
            ("0001-01-01", "9999-12-31"),
            ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"),
            ("0999-01-01T00:00:00Z", "9998-12-31T23:59:59Z"),
        ):
            for bounds, count in (({"from": least, "to": most}, 1), ({"to": least}, 0), ({"from": most}, 0)):
                found = await admin.get("/api/v2/events", params={"code": "test.happened", **bounds})
                assert len(found.json()["data"]) == count, bounds
            assert (await admin.get("/events", params={"from": least, "to": most})).status_code == 200
            until = {"status": "maintenance", "reason": "x", "until": most}
            assert (await admin.patch("/api/v2/rvms/1/status", json=until)).status_code == 422, "no end is left out"


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
