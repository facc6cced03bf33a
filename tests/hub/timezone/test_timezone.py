"""/timezone on both databases: the three rows of the requirements, and what they may not do."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hub.kernel.loading import load_fleet
from hub.machines.rules import edited, removed
from tests.support.api_hub import ApiHub

SYNC, NOW_PLEASE = "/api/v2/timezone/sync", "/api/v2/timezone/sync/manual"
REPORT = {
    "device_id": "dev-one", "timezone": "Asia/Makassar", "country": "Indonesia", "city": "Denpasar",
    "ip": "203.0.113.7", "timestamp": "2026-01-02T10:00:00", "sync_method": "automatic",
}  # fmt: skip


def status_of(machine: str | int) -> str:
    return f"/api/v2/timezone/status/{machine}"


def data(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


async def test_before_the_first_report_nothing_is_made_up(any_hub: ApiHub) -> None:
    async with any_hub.of("viewer") as viewer:
        found = data(await viewer.get(status_of(1)))
    assert found["counts"] == {"automatic": 0, "manual": 0, "failed": 0, "changed": 0}
    known = {name for name, value in found.items() if value is not None}
    assert known == {"device_id", "counts", "restart"}


async def test_a_machines_report_is_its_zone_from_now_on(any_hub: ApiHub) -> None:
    async with any_hub.of("one") as own, any_hub.of("operator") as operator:
        found = data(await own.post(SYNC, json=REPORT))
        assert (found["current_timezone"], found["abbreviation"], found["city"]) == (
            "Asia/Makassar",
            "WITA",
            "Denpasar",
        )
        assert found["last_sync"] == "2026-01-02T02:00:00.000Z", "a naive time is the machine's own"
        assert data(await own.post(SYNC, json=REPORT | {"device_id": 1}))["counts"]["automatic"] == 1
        found = data(await own.post(SYNC, json=REPORT | {"restart": ["cron.service"]}))
        assert (found["counts"]["automatic"], found["restart"]) == (1, ["cron.service"]), "news of the same attempt"
        await operator.post(SYNC, json=REPORT | {"timezone": "Asia/Jayapura", "sync_method": "manual"})
        for name in (1, "dev-one", "1"):
            found = data(await own.get(status_of(name)))
            assert (found["current_timezone"], found["abbreviation"]) == ("Asia/Jayapura", "WIT")
            assert found["counts"] == {"automatic": 1, "manual": 1, "failed": 0, "changed": 1}
        events = (await operator.get("/api/v2/events", params={"code": "timezone.synced"})).json()["data"]
    assert [(e["actor"], e["before"], e["after"]) for e in events] == [
        (f"user:{any_hub.users['operator']}", {"timezone": "Asia/Makassar"}, {"timezone": "Asia/Jayapura"}),
        ("machine:1", {"timezone": None}, {"timezone": "Asia/Makassar"}),
    ]
    again = await load_fleet(any_hub.context.store, any_hub.context.fleet.settings.base)
    assert again.machines[1].zone == any_hub.context.fleet.machines[1].zone
    assert again.machines[1].row.timezone == "Asia/Jayapura"


async def test_an_older_report_is_recorded_and_overrides_no_newer_one(any_hub: ApiHub) -> None:
    async with any_hub.of("one") as own:
        await own.post(SYNC, json=REPORT)
        newer = REPORT | {"timezone": "Asia/Jayapura", "timestamp": "2026-01-02T12:00"}
        newest = data(await own.post(SYNC, json=newer))
        assert newest["counts"]["changed"] == 1
        old = REPORT | {"timezone": "Europe/London", "timestamp": "2025-11-01T00:00", "clock_offset": 7.0, "ntp": True}
        for _ in range(2):
            found = data(await own.post(SYNC, json=old))
        assert found == newest | {"counts": newest["counts"] | {"automatic": 3}}
        assert data(await own.get("/api/v2/rvms/1"))["timezone"] == "Asia/Jayapura"
    again = await load_fleet(any_hub.context.store, any_hub.context.fleet.settings.base)
    assert again.machines[1].zone == any_hub.context.fleet.machines[1].zone
    assert again.machines[1].row.timezone == "Asia/Jayapura"


async def test_a_failure_says_why_and_leaves_the_clock_where_it_is(any_hub: ApiHub) -> None:
    failure = {"code": "not_permitted", "message": "not permitted: install the helper"}
    said = REPORT | {
        "applied": False, "error": failure, "system_timezone": "Europe/Berlin", "restart": ["cron.service"],
        "clock_offset": -3.5, "ntp": False,
    }  # fmt: skip
    async with any_hub.of("one") as own:
        found = data(await own.post(SYNC, json=said))
    assert (found["current_timezone"], found["sync_status"], found["in_step"]) == ("Europe/Berlin", "failed", False)
    assert found["error"] == failure | {"timezone": "Asia/Makassar"}
    assert found["abbreviation"] in ("UTC+1", "UTC+2")
    assert (found["clock_offset_s"], found["ntp"], found["restart"]) == (-3.5, False, ["cron.service"])
    assert (found["counts"]["failed"], found["counts"]["changed"]) == (1, 0)


async def test_a_pinned_zone_stays_and_the_guess_is_kept(any_hub: ApiHub) -> None:
    async with any_hub.of("one") as own, any_hub.of("admin") as admin:
        await admin.patch("/api/v2/rvms/1/config", json={"pinned_timezone": "Asia/Jakarta"})
        found = data(await own.post(SYNC, json=REPORT))
        assert (found["current_timezone"], found["pinned_timezone"], found["guess"]) == (
            "Asia/Jakarta", "Asia/Jakarta", "Asia/Makassar",
        )  # fmt: skip


async def test_naive_samples_are_read_in_the_zone_that_was_synced(any_hub: ApiHub) -> None:
    sample = {"timestamp": "2026-01-02T10:00:00", "cpu_usage": 1.0}
    span = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-03T00:00:00Z"}

    async def taken() -> list[str]:
        async with any_hub.of("one") as own:
            assert (await own.post("/api/v2/rvms/1/metrics", json=sample)).status_code == 201
            newest = any_hub.context.fleet.machines[1].readings_at
            assert newest is not None
            found = await own.get("/api/v2/rvms/1/metrics", params=span | {"points": "2000"})
            assert found.status_code == 200
            return [newest.isoformat()]

    assert await taken() == ["2026-01-02T03:00:00+00:00"], "the default is WIB"
    async with any_hub.of("admin") as admin, any_hub.of("one") as own:
        await admin.patch("/api/v2/config", json={"default_timezone": "Asia/Jayapura"})
        assert await taken() == ["2026-01-02T03:00:00+00:00"], "older than the newest, so it is not shown"
        sample["timestamp"] = "2026-01-02T13:00:00"
        assert await taken() == ["2026-01-02T04:00:00+00:00"]
        await own.post(SYNC, json=REPORT)
        sample["timestamp"] = "2026-01-02T13:00:01"
        assert await taken() == ["2026-01-02T05:00:01+00:00"]


@pytest.mark.parametrize("hostile", ["Asia/../../etc", "; reboot", "/etc/passwd", "", "Mars/Phobos", "\x00", 3, None])
@pytest.mark.parametrize("member", ["timezone", "guess"])
async def test_a_hostile_zone_is_refused_by_its_field(hub: ApiHub, member: str, hostile: Any) -> None:
    async with hub.of("one") as own, hub.of("operator") as operator:
        refused = await own.post(SYNC, json=REPORT | {member: hostile})
        asked = await operator.post(NOW_PLEASE, json={"device_id": 1, "timezone": hostile})
        if hostile is None:
            assert (refused.status_code, asked.status_code) == (200 if member == "guess" else 422, 202)
            return
        assert (refused.status_code, asked.status_code) == (422, 422)
        assert "Asia/Jakarta" in refused.json()["errors"][member][0]
        assert "timezone" in asked.json()["errors"]
        assert hub.context.fleet.machines[1].zone is None


async def test_ten_megabytes_are_not_even_read(hub: ApiHub) -> None:
    async with hub.of("one") as own:
        assert (await own.post(SYNC, json=REPORT | {"timezone": "A" * 10_000_000})).status_code == 413
        long = await own.post(SYNC, json=REPORT | {"timezone": "A" * 50_000})
        assert (long.status_code, list(long.json()["errors"])) == (422, ["timezone"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"timestamp": "soon"},
        {"sync_method": "guess"},
        {"city": "x" * 101},
        {"zone": 1},
        {"clock_offset": 1e300},
        {"clock_offset": -1.1e10},
    ],
)
async def test_a_wrong_member_is_named(hub: ApiHub, wrong: dict[str, Any]) -> None:
    async with hub.of("one") as own:
        refused = await own.post(SYNC, json=REPORT | wrong)
    assert (refused.status_code, list(refused.json()["errors"])) == (422, list(wrong))


async def test_another_machine_and_none_at_all_are_answered_alike(hub: ApiHub) -> None:
    technician = hub.tokens["technician"]
    for caller in (hub.keys["one"], technician):
        async with hub.client(caller) as client:
            answers = [await client.post(SYNC, json=REPORT | {"device_id": name}) for name in (2, "dev-two", 99, "x")]
            answers += [await client.get(status_of(name)) for name in (2, "dev-two", 99, "x")]
            assert {(a.status_code, a.text) for a in answers} == {(404, answers[0].text)}
    async with hub.client(technician) as client:
        asked = [await client.post(NOW_PLEASE, json={"device_id": name}) for name in (2, 99)]
        assert {(a.status_code, a.text) for a in asked} == {(404, asked[0].text)}
    assert hub.context.fleet.machines[2].zone is None


async def test_the_button_drafts_a_command_that_waits_for_the_machine(any_hub: ApiHub) -> None:
    async with any_hub.of("operator") as operator, any_hub.of("one") as own:
        answer = await operator.post(NOW_PLEASE, json={"device_id": "dev-one", "trigger": "dashboard_button"})
        command = answer.json()["data"]
        assert (answer.status_code, command["name"], command["state"]) == (202, "sync_timezone", "queued")
        assert command["args"] == {"trigger": "dashboard_button"}
        assert answer.headers["location"] == f"/api/v2/commands/{command['id']}"
        assert data(await own.get(status_of(1)))["pending"]["id"] == command["id"]
        again = await operator.post(NOW_PLEASE, json={"device_id": 1, "timezone": "Asia/Jayapura"})
        assert again.json()["data"]["args"]["timezone"] == "Asia/Jayapura"
        assert (await own.post(NOW_PLEASE, json={"device_id": 1})).status_code == 403


async def test_a_newer_request_takes_the_place_of_equal_ones_that_never_left(any_hub: ApiHub) -> None:
    async with any_hub.of("operator") as operator:
        asked = [(await operator.post(NOW_PLEASE, json={"device_id": 1})).json()["data"]["id"] for _ in range(3)]
        assert list(any_hub.context.fleet.machines[1].pending) == asked[-1:]
        ended = [(await operator.get(f"/api/v2/commands/{one}")).json()["data"] for one in asked[:2]]
    assert {(one["state"], one["error"]["code"]) for one in ended} == {("cancelled", "superseded")}


async def test_where_it_is_switched_off_nobody_may_press_the_button(hub: ApiHub) -> None:
    async with hub.of("admin") as admin, hub.of("operator") as operator:
        await admin.patch("/api/v2/rvms/1/config", json={"manual_sync_enabled": False})
        refused = await operator.post(NOW_PLEASE, json={"device_id": 1})
        assert refused.status_code == 409
        assert "manual_sync_enabled" in refused.json()["detail"]
        body = {"name": "sync_timezone", "args": {"trigger": "x"}}
        assert (await operator.post("/api/v2/rvms/1/commands", json=body)).status_code == 409
        assert (await operator.post(NOW_PLEASE, json={"device_id": 2})).status_code == 202


async def test_the_record_follows_a_machine_to_its_new_name_and_ends_with_it(any_hub: ApiHub) -> None:
    context = any_hub.context
    async with any_hub.of("one") as own:
        data(await own.post(SYNC, json=REPORT))
        await context.announce(*edited(1, {"device_id": "moved"}, context.clock()))
        again = await load_fleet(context.store, context.fleet.settings.base)
        assert again.machines[1].zone == context.fleet.machines[1].zone
        found = data(await own.get(status_of("moved")))
    assert (found["device_id"], found["current_timezone"], found["counts"]["automatic"]) == (
        "moved",
        "Asia/Makassar",
        1,
    )
    await context.announce(*removed(1))
    new = await any_hub.add_machine("again", "moved")
    async with any_hub.of("again") as own:
        assert data(await own.get(status_of(new)))["counts"]["automatic"] == 0
