"""A naive time about a machine whose computer runs in another zone than its place: a person means the place, the
machine its own clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from db.records import MachineRow, StatusRow
from hub.model.changes import Patch, Put
from tests.support.api_hub import ApiHub

PLACE, CLOCK = ZoneInfo("Asia/Jayapura"), ZoneInfo("America/New_York")
AHEAD: Final = timedelta(days=3)


def naive(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).replace(tzinfo=None).isoformat(timespec="seconds")


@pytest_asyncio.fixture
async def parted(any_hub: ApiHub) -> ApiHub:
    await any_hub.context.announce(Patch(MachineRow, 1, {"timezone": str(CLOCK)}))
    async with any_hub.of("admin") as admin:
        pinned = await admin.patch("/api/v2/rvms/1/config", json={"pinned_timezone": str(PLACE)})
        assert pinned.status_code == 200, pinned.text
    return any_hub


async def answer(hub: ApiHub, name: str, method: str, path: str, **given: Any) -> Any:
    async with hub.of(name) as client:
        found = await client.request(method, path, **given)
    assert found.status_code in (200, 202), found.text
    return found.json()["data"]


async def test_until_is_a_time_of_the_place_for_a_person_and_of_its_clock_for_the_machine(parted: ApiHub) -> None:
    at = (parted.context.clock() + AHEAD).replace(microsecond=0)
    asked = {"status": "maintenance", "reason": "belt", "until": naive(at, PLACE)}
    stored = f"{at:%Y-%m-%dT%H:%M:%S.000Z}"
    made = await answer(parted, "operator", "PATCH", "/api/v2/rvms/1/status", json=asked)
    assert made["command"]["args"]["until"] == stored
    made = await answer(
        parted, "operator", "POST", "/api/v2/rvms/1/commands", json={"name": "set_status", "args": asked}
    )
    assert made["args"]["until"] == stored
    own = await answer(parted, "one", "PATCH", "/api/v2/rvms/1/status", json=asked | {"until": naive(at, CLOCK)})
    assert own["status_until"] == stored


@pytest.mark.parametrize(("name", "zone", "other"), [("viewer", PLACE, CLOCK), ("one", CLOCK, PLACE)])
async def test_lists_of_one_machine_begin_where_the_caller_means(
    parted: ApiHub, name: str, zone: ZoneInfo, other: ZoneInfo
) -> None:
    at = (parted.context.clock() - AHEAD).replace(microsecond=0)
    history = StatusRow(rvm_id=1, status="full", capacity=97, since=at, by="machine:1")
    await parted.context.announce(Put(history))
    path = "/api/v2/rvms/1/status/history"
    held = await answer(parted, name, "GET", path, params={"to": naive(at + timedelta(minutes=1), zone)})
    assert [row["status"] for row in held if row["status"] == "full"] == ["full"]
    before = await answer(parted, name, "GET", path, params={"to": naive(at, zone)})
    assert all(row["status"] != "full" for row in before)
    data = await answer(parted, name, "GET", "/api/v2/rvms/1/metrics", params={"from": naive(at, zone)})
    assert data["from"] == f"{at:%Y-%m-%dT%H:%M:%S.000Z}"
    assert naive(at, zone) != naive(at, other)


async def test_the_audit_log_of_one_machine_begins_there_too(parted: ApiHub) -> None:
    async with parted.of("operator") as client:
        await client.post("/api/v2/rvms/1/commands", json={"name": "sync_timezone"})
    events = await answer(parted, "viewer", "GET", "/api/v2/rvms/1/events", params={"code": "command.issued"})
    at = datetime.fromisoformat(events[0]["at"].replace("Z", "+00:00"))
    for path, more in (("/api/v2/rvms/1/events", {}), ("/api/v2/events", {"rvm": "1"})):
        for shift, seen in ((-1, True), (1, False)):
            since = naive(at + timedelta(seconds=shift), PLACE)
            params = {"code": "command.issued", "from": since, **more}
            assert bool(await answer(parted, "viewer", "GET", path, params=params)) is seen, path
