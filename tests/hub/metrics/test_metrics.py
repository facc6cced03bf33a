"""Samples up, history down."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from db.errors import Unavailable
from hub.kernel.loading import load_fleet
from hub.links.links import Links
from hub.links.rules import newest_at
from hub.metrics.api import COMMIT_WITHIN_S
from hub.model.budgets import BOOTS_AT_ONCE, BOOTS_PER_MINUTE, MachineBudget
from hub.model.machine import BOOTS_KEPT
from tests.support.api_hub import ApiHub, api_hub
from tests.support.until import until


def ago(**past: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(**past)).isoformat()


async def test_one_sample_is_durable_and_shown(any_hub: ApiHub) -> None:
    sample = {
        "cpu_usage": 42.5, "memory_usage": 61, "disk_usage": 70.1, "gpu_usage": None, "temperature": 54.3,
        "timestamp": ago(minutes=5),
    }  # fmt: skip
    async with any_hub.of("one") as machine:
        stored = await machine.post("/api/v2/rvms/1/metrics", json=sample)
        assert stored.status_code == 201
        assert stored.json()["data"] == {
            "stored": 1, "duplicates": 0, "clamped": 0, "rejected_count": 0, "rejected": [],
        }  # fmt: skip
        shown = (await machine.get("/api/v2/rvms/1")).json()["data"]["readings"]
        assert (shown["cpu_usage"], shown["gpu_usage"]) == (42.5, None)
    async with any_hub.of("viewer") as viewer:
        read = (await viewer.get("/api/v2/rvms/dev-one/metrics", params={"days": 1})).json()["data"]
    (point,) = read["samples"]
    assert point["count"] == 1
    assert (point["cpu_usage"], point["temperature"], point["gpu_usage"]) == (42.5, 54.3, None)
    assert point["min"]["cpu_usage"] == point["max"]["cpu_usage"] == 42.5


async def test_a_list_is_stored_and_sent_again_is_stored_once(any_hub: ApiHub) -> None:
    samples = [{"timestamp": ago(minutes=n), "cpu_usage": n} for n in range(60, 0, -1)]
    async with any_hub.of("one") as machine:
        for _ in range(2):
            stored = await machine.post("/api/v2/rvms/1/metrics", json=samples)
            assert stored.status_code == 201
        read = (await machine.get("/api/v2/rvms/1/metrics", params={"days": 1, "points": 5})).json()["data"]
    assert sum(point["count"] for point in read["samples"]) == 60
    assert len(read["samples"]) <= 5
    assert min(p["min"]["cpu_usage"] for p in read["samples"]) == 1
    assert max(p["max"]["cpu_usage"] for p in read["samples"]) == 60


async def test_numbered_samples_are_known_again(any_hub: ApiHub) -> None:
    samples = [{"timestamp": ago(minutes=9 - n), "boot_id": "b1", "seq": n} for n in range(5)]
    async with any_hub.of("one") as machine:
        first = (await machine.post("/api/v2/rvms/1/metrics", json=samples)).json()["data"]
        again = (await machine.post("/api/v2/rvms/1/metrics", json=samples)).json()["data"]
    assert (first["stored"], first["duplicates"]) == (5, 0)
    assert (again["stored"], again["duplicates"]) == (0, 5)


async def test_a_bad_reading_costs_that_reading_and_is_named(hub: ApiHub) -> None:
    body = (
        '[{"timestamp":"2026-01-01T00:00:00Z","cpu_usage":NaN,"memory_usage":200,"disk_usage":"9","temperature":1e400},'
        '{"timestamp":"then","cpu_usage":1},{"timestamp":"2026-01-01T00:01:00Z","cpu_usage":-1,"gpu_usage":5}]'
    )
    async with hub.of("one") as machine:
        stored = await machine.post(
            "/api/v2/rvms/1/metrics", content=body, headers={"Content-Type": "application/json"}
        )
        data = stored.json()["data"]
        assert (stored.status_code, data["stored"], data["rejected_count"]) == (201, 2, 6)
        assert {(r["index"], r["field"]) for r in data["rejected"]} == {
            (0, "cpu_usage"), (0, "memory_usage"), (0, "disk_usage"), (0, "temperature"), (1, "timestamp"),
            (2, "cpu_usage"),
        }  # fmt: skip
        assert "0 to 100" in data["rejected"][0]["why"]
        read = await machine.get(
            "/api/v2/rvms/1/metrics", params={"from": "2026-01-01T00:00Z", "to": "2026-01-01T01:00Z"}
        )
        assert [p["gpu_usage"] for p in read.json()["data"]["samples"]] == [None, 5.0]


@pytest.mark.parametrize(("body", "wrong"), [
    ({"cpu_usage": 1}, {"timestamp"}),
    ({"timestamp": "x"}, {"timestamp"}),
    ({"timestamp": "0001-01-01T00:00:00Z"}, {"timestamp"}),
    ([], {"samples"}),
    ([{"timestamp": "x"}] * 501, {"samples"}),
    ([1, {"timestamp": None}], {"samples[0]", "samples[1].timestamp"}),
    ({"timestamp": "2026-01-01T00:00:00Z", "seq": 1}, {"boot_id"}),
    ("text", {"samples"}),
])  # fmt: skip
async def test_when_nothing_can_be_kept_everything_wrong_is_named(hub: ApiHub, body: object, wrong: set[str]) -> None:
    async with hub.of("one") as machine:
        refused = await machine.post("/api/v2/rvms/1/metrics", json=body)
    assert refused.status_code == 422, refused.text
    assert set(refused.json()["errors"]) == wrong


async def test_five_hundred_full_samples_fit(hub: ApiHub) -> None:
    full = {
        "cpu_usage": 12.345678, "memory_usage": 12.345678, "disk_usage": 12.345678, "gpu_usage": 12.345678,
        "temperature": 12.345678, "network_rx_bytes_s": 123456789.123, "network_tx_bytes_s": 123456789.123,
        "uptime_s": 123456789.123, "power_w": 12.345678, "throttled": False, "boot_id": "b" * 36,
        "reasons": {"gpu_usage": "x" * 200},
    }  # fmt: skip
    samples = [full | {"seq": n, "timestamp": ago(seconds=1000 - n)} for n in range(500)]
    async with hub.of("one") as machine:
        assert (await machine.post("/api/v2/rvms/1/metrics", json=samples)).json()["data"]["stored"] == 500


async def test_older_readings_do_not_replace_newer_ones(hub: ApiHub) -> None:
    async with hub.of("one") as machine:
        for minutes, cpu in ((5, 50), (10, 10)):
            await machine.post("/api/v2/rvms/1/metrics", json={"timestamp": ago(minutes=minutes), "cpu_usage": cpu})
        assert (await machine.get("/api/v2/rvms/1")).json()["data"]["readings"]["cpu_usage"] == 50


async def test_a_clock_that_is_put_right_or_set_back_does_not_freeze_the_newest_readings(any_hub: ApiHub) -> None:
    async with any_hub.of("one") as machine:

        async def shown_after(cpu: int, at: str, **number: object) -> tuple[int, bool]:
            sample = {"timestamp": at, "cpu_usage": cpu, **number}
            assert (await machine.post("/api/v2/rvms/1/metrics", json=sample)).json()["data"]["stored"] == 1
            readings = (await machine.get("/api/v2/rvms/1")).json()["data"]["readings"]
            return readings["cpu_usage"], readings["taken_at"] > ago(minutes=6)

        assert await shown_after(1, ago(minutes=-4)) == (1, True)
        assert await shown_after(2, ago(seconds=1)) == (2, True)
        assert await shown_after(3, ago(seconds=1).replace("T", "t"), boot_id="a", seq=1) == (3, True)
        assert await shown_after(4, ago(minutes=5), boot_id="a", seq=2) == (4, True)
        assert await shown_after(5, ago(days=30), boot_id="a", seq=3) == (5, True), "it was taken now, by its number"
        assert await shown_after(6, ago(days=31)) == (5, True), "without a number it may be a backlog"


async def test_a_machine_that_only_speaks_http_is_seen(hub: ApiHub) -> None:
    async with hub.of("one") as machine:
        assert (await machine.get("/api/v2/rvms/1")).json()["data"]["connection"] == "never"
        await machine.post("/api/v2/rvms/1/metrics", json={"timestamp": ago(minutes=1), "cpu_usage": 5})
        seen = (await machine.get("/api/v2/rvms/1")).json()["data"]
    assert (seen["connection"], seen["expected_interval_s"]) == ("live", 3600)
    assert seen["last_seen_at"] is not None


async def test_what_cannot_be_made_durable_is_not_acknowledged(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.context.announce.lane, "_max_pending", 0)
    async with hub.of("one") as machine:
        refused = await machine.post("/api/v2/rvms/1/metrics", json={"timestamp": ago(minutes=1)})
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1


async def test_a_repeat_of_what_is_not_stored_yet_is_no_confirmation(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = {"timestamp": ago(minutes=1), "boot_id": "b", "seq": 0}

    async def full(*_: object) -> None:
        raise Unavailable("database or disk is full")

    async with hub.of("one") as machine:
        with monkeypatch.context() as patched:
            patched.setattr(hub.context.store, "store_samples", full)
            answers = [await machine.post("/api/v2/rvms/1/metrics", json=sample) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [503, 503, 503]
            assert max(answer.elapsed.total_seconds() for answer in answers) < COMMIT_WITHIN_S
        await until(lambda: not hub.context.announce.lane.retry.waiting.is_set())
        again = await machine.post("/api/v2/rvms/1/metrics", json=sample)
    assert again.json()["data"] == again.json()["data"] | {"stored": 0, "duplicates": 1}


async def test_a_full_lane_does_not_use_up_numbers(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = {"timestamp": ago(minutes=1), "boot_id": "b", "seq": 0}
    async with hub.of("one") as machine:
        with monkeypatch.context() as full:
            full.setattr(hub.context.announce.lane, "_max_pending", 0)
            assert (await machine.post("/api/v2/rvms/1/metrics", json=sample)).status_code == 503
        again = await machine.post("/api/v2/rvms/1/metrics", json=sample)
    assert again.json()["data"]["stored"] == 1


@pytest.mark.parametrize(("query", "wrong"), [
    ("days=0", "days"), ("days=400", "days"), ("points=0", "points"), ("points=5001", "points"), ("from=x", "from"),
    ("from=2026-02-01&to=2026-01-01", "from"), ("from=2020-01-01&to=2026-01-01", "from"), ("days=nan", "days"),
    ("from=1970-01-01T00:00:00Z", "from"),
])  # fmt: skip
async def test_a_wrong_range_is_named(hub: ApiHub, query: str, wrong: str) -> None:
    async with hub.of("viewer") as viewer:
        refused = await viewer.get(f"/api/v2/rvms/1/metrics?{query}")
    assert refused.status_code == 422, refused.text
    assert list(refused.json()["errors"]) == [wrong]


async def test_a_range_outside_its_limits_is_refused_with_them(hub: ApiHub) -> None:
    async with hub.of("viewer") as viewer:
        refused = await viewer.get("/api/v2/rvms/1/metrics?days=0")
    assert refused.json()["errors"] == {"days": ["must be a number above 0, at most 366"]}


async def test_two_uploads_at_once_keep_each_sample_once(any_hub: ApiHub) -> None:
    samples = [{"timestamp": ago(minutes=30 - n), "cpu_usage": n} for n in range(20)]
    async with any_hub.of("one") as machine:
        answers = await asyncio.gather(*(machine.post("/api/v2/rvms/1/metrics", json=samples) for _ in range(4)))
        assert [a.status_code for a in answers] == [201] * 4
        read = (await machine.get("/api/v2/rvms/1/metrics", params={"days": 1})).json()["data"]
    assert sum(point["count"] for point in read["samples"]) == 20


async def test_boots_that_a_machine_invents_are_bounded_in_number_and_refused_for_a_while(any_hub: ApiHub) -> None:
    rvm_id = any_hub.machines["one"]
    path, machine = f"/api/v2/rvms/{rvm_id}/metrics", any_hub.context.fleet.machines[rvm_id]

    def uploads(*names: str) -> list[dict[str, Any]]:
        return [{"timestamp": ago(minutes=1), "boot_id": name, "seq": 5} for name in names]

    def forgiven() -> None:
        any_hub.context[Links].budget = MachineBudget()

    async with any_hub.of("one") as client:
        first = await client.post(path, json=uploads("first"))
        assert first.json()["data"]["stored"] == 1
        forgiven()
        began = monotonic()
        many = await client.post(path, json=uploads(*(f"b{n}" for n in range(2 * BOOTS_KEPT))))
        assert many.json()["data"]["stored"] == 2 * BOOTS_KEPT, "also those that had to make room at once"
        assert len(machine.boots) == BOOTS_KEPT
        assert "first" not in machine.boots
        refused = await client.post(path, json=uploads("one more"))
        assert (refused.status_code, "one more" in machine.boots) == (429, False)
        wait_s = 60 * (2 * BOOTS_KEPT - BOOTS_AT_ONCE + 1) / BOOTS_PER_MINUTE
        assert wait_s - (monotonic() - began) <= int(refused.headers["Retry-After"]) <= wait_s
        assert (await client.post(path, json=uploads("b99"))).status_code == 201, "a boot that is known costs nothing"
        forgiven()
        again = await client.post(path, json=uploads("first", "b7"))
        assert again.json()["data"]["duplicates"] == 2, "the mark is in the database"


async def test_a_restart_of_the_hub_knows_the_boots_used_last_and_the_marks_of_the_others(
    tmp_path: Path, database_url: str
) -> None:
    async with api_hub(tmp_path, database_url=database_url) as hub:
        rvm_id = await hub.add_machine("north")
        key, path = hub.keys["north"], f"/api/v2/rvms/{rvm_id}/metrics"
        samples = [{"timestamp": ago(minutes=1), "boot_id": f"b{n}", "seq": 5} for n in range(BOOTS_KEPT + 5)]
        async with hub.client(key) as client:
            assert (await client.post(path, json=samples)).json()["data"]["stored"] == BOOTS_KEPT + 5
    async with api_hub(tmp_path, database_url=database_url) as hub:
        known = hub.context.fleet.machines[rvm_id].boots
        assert [*known] == [f"b{n}" for n in range(5, BOOTS_KEPT + 5)]
        assert {boot.accepted for boot in known.values()} == {5}
        async with hub.client(key) as client:
            assert (await client.post(path, json=samples)).json()["data"]["duplicates"] == BOOTS_KEPT + 5


async def test_after_a_restart_the_first_sample_of_a_clock_that_was_set_back_is_the_newest(any_hub: ApiHub) -> None:
    async with any_hub.of("one") as machine:
        for seq, at in ((1, ago(seconds=30)), (2, ago(days=30))):
            sample = {"timestamp": at, "cpu_usage": seq, "boot_id": "a", "seq": seq}
            assert (await machine.post("/api/v2/rvms/1/metrics", json=sample)).status_code == 201
    fleet = await load_fleet(any_hub.context.store, any_hub.context.fleet.settings.base)
    one = fleet.machines[1]
    assert one.readings_of == ("a", 1), "by their times, as the index has them"
    assert newest_at(one, "a", 3, any_hub.context.clock() - timedelta(days=30), any_hub.context.clock()) is not None
