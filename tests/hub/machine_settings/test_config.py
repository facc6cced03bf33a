"""/config on both databases: typed, inherited, versioned; refused with the member's name and the fix."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from hub.kernel.loading import load_fleet
from hub.model.changes import SampleSeen
from protocol import configuration as table
from tests.support.api_hub import ApiHub
from tests.support.machines import sample

ONE, FLEET = "/api/v2/rvms/1/config", "/api/v2/config"


def data(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


async def test_before_anybody_wrote_everything_is_a_default(any_hub: ApiHub) -> None:
    async with any_hub.of("viewer") as viewer, any_hub.of("one") as own:
        found = data(await viewer.get(ONE))
        assert data(await own.get("/api/v2/rvms/dev-one/config")) == found
        assert data(await viewer.get(FLEET))["values"] == table.defaults()
    assert found["values"] == table.defaults()
    assert set(found["origins"].values()) == {"default"}
    assert (found["version"], found["applied_version"], found["updated_at"], found["updated_by"]) == (0, 0, None, None)
    assert found["blocks"]["monitoring"]["metrics_interval"] == 300.0
    assert set(found["blocks"]) == {"remote_access", "timezone", "backup", "monitoring", "other"}


async def test_own_values_stand_before_the_fleets_and_give_way_again(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        fleet = data(await admin.patch(FLEET, json={"cpu_threshold": 80, "site": "mall"}))
        assert (fleet["version"], fleet["origins"]["cpu_threshold"]) == (1, "fleet")
        own = data(await admin.patch(ONE, json={"version": 1, "cpu_threshold": 70, "confidence_threshold": 0.6}))
        assert own["version"] == 2
        assert own["updated_by"] == f"user:{any_hub.users['admin']}"
        assert (own["values"]["cpu_threshold"], own["inherited"]) == (70.0, {"cpu_threshold": 80.0})
        assert own["blocks"]["other"] == {"site": "mall", "confidence_threshold": 0.6}
        other = data(await admin.get("/api/v2/rvms/2/config"))
        assert (other["version"], other["values"]["cpu_threshold"]) == (1, 80.0)
        again = data(await admin.patch(ONE, json={"values": {"cpu-threshold": None}}))
        assert (again["version"], again["values"]["cpu_threshold"], again["origins"]["cpu_threshold"]) == (
            3,
            80.0,
            "fleet",
        )
        events = (await admin.get("/api/v2/events", params={"code": "config.changed"})).json()["data"]
    assert [(e["params"]["scope"], e["rvm_id"]) for e in events] == [("machine", 1), ("machine", 1), ("fleet", None)]
    assert (events[0]["before"], events[0]["after"]) == ({"cpu_threshold": 70.0}, {"cpu_threshold": 80.0})
    assert events[0]["params"]["inherited"] == ["cpu_threshold"]


async def test_a_key_of_ones_own_by_its_path_dashes_and_underscores_alike(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin, any_hub.of("one") as own:
        assert (await admin.get(f"{ONE}/confidence-threshold")).status_code == 404
        made = data(await admin.patch(f"{ONE}/confidence-threshold", json={"value": 0.6}))
        assert (made["key"], made["value"], made["origin"], made["block"]) == (
            "confidence_threshold", 0.6, "machine", "other",
        )  # fmt: skip
        changed = data(await admin.patch(f"{ONE}/confidence_threshold", json={"confidence-threshold": 0.7}))
        assert changed["value"] == 0.7
        assert data(await own.get(f"{ONE}/confidence-threshold"))["value"] == 0.7
        refused = await admin.patch(f"{ONE}/confidence-threshold", json={"value": "high"})
        assert (refused.status_code, "number" in refused.json()["message"]) == (422, True)
        gone = data(await admin.patch(f"{ONE}/confidence-threshold", json={"value": None}))
        assert (gone["value"], gone["origin"]) == (None, "default")
        assert data(await admin.patch(f"{ONE}/confidence-threshold", json={"value": "high"}))["value"] == "high"
        assert data(await admin.get(f"{ONE}/metrics-interval"))["value"] == 300.0


async def test_a_stale_version_is_refused_with_the_present_one(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        for path, body in ((ONE, {"cpu_threshold": 70}), (f"{ONE}/cpu-threshold", {"value": 71}), (FLEET, {"a": 1})):
            data(await admin.patch(FLEET, json={"seen": 1}))
            data(await admin.patch(FLEET, json={"seen": None}))
            current = data(await admin.get(FLEET if path == FLEET else ONE))["version"]
            stale = await admin.patch(path, json={**body, "version": current - 1})
            assert stale.status_code == 409, stale.text
            assert str(current) in stale.json()["detail"]
            assert "version" in stale.json()["errors"]
            data(await admin.patch(path, json={**body, "version": current}))


async def test_the_version_seen_may_stand_in_if_match(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        for n, (path, body) in enumerate(((ONE, {"a": 1}), (f"{ONE}/cpu-threshold", {"value": 71}), (FLEET, {"b": 1}))):
            seen = (await admin.get(path)).headers["etag"]
            assert seen == f'"{n}"' or path == FLEET
            done = await admin.patch(path, json=body, headers={"If-Match": f'"x", {seen}'})
            assert done.status_code == 200, done.text
            tag = done.headers["etag"]
            assert tag == (await admin.get(path)).headers["etag"] != seen
            for wrong in (seen, f"W/{tag}", '"x"'):
                stale = await admin.patch(path, json=body, headers={"If-Match": wrong})
                assert (stale.status_code, stale.headers["etag"]) == (412, tag), stale.text
            both = await admin.patch(path, json={**body, "version": 99}, headers={"If-Match": tag})
            assert both.status_code == 409
            unread = await admin.patch(path, json=body, headers={"If-Match": tag.strip('"')})
            assert unread.status_code == 400
            assert tag in unread.json()["detail"]
            assert (await admin.patch(path, json=body, headers={"If-Match": "*"})).status_code == 200
            assert (await admin.get(path)).headers["etag"] == tag, "nothing of all this was written"


async def test_of_two_writers_who_saw_the_same_etag_one_wins(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        seen = (await admin.get(ONE)).headers["etag"]
        writes = (admin.patch(ONE, json={"winner": n}, headers={"If-Match": seen}) for n in range(4))
        assert sorted(a.status_code for a in await asyncio.gather(*writes)) == [200, 412, 412, 412]


async def test_of_two_writers_who_saw_the_same_one_wins(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        for round_ in range(5):
            seen = data(await admin.get(ONE))["version"]
            answers = await asyncio.gather(
                *(admin.patch(ONE, json={"version": seen, "winner": 10 * round_ + n}) for n in range(4))
            )
            assert sorted(a.status_code for a in answers) == [200, 409, 409, 409]
            (won,) = [a for a in answers if a.status_code == 200]
            assert data(await admin.get(ONE))["values"]["winner"] == data(won)["values"]["winner"]


async def test_writers_who_name_no_version_lose_nothing_of_each_other(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        paths = [ONE, ONE, FLEET, "/api/v2/rvms/2/config"]
        answers = await asyncio.gather(*(admin.patch(path, json={f"key_{n}": n}) for n, path in enumerate(paths)))
        assert [a.status_code for a in answers] == [200] * 4
        found = data(await admin.get(ONE))
        assert found["blocks"]["other"] == {"key_0": 0, "key_1": 1, "key_2": 2}
        versions = {data(await admin.get(path))["version"] for path in (FLEET, ONE, "/api/v2/rvms/2/config")}
        assert max(versions) == 4


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"api_token": "x"}, "api_token", "machine's own file"),
        ({"myrvm-base-url": "http://x"}, "myrvm-base-url", "machine's own file"),
        ({"system_control": True}, "system_control", "machine's own file"),
        ({"timezone-services": ["a.service"]}, "timezone-services", "machine's own file"),
        ({"metrics_intervl": 60}, "metrics_intervl", "almost metrics_interval"),
        ({"cpu_threshold": 101}, "cpu_threshold", "from 0 to 100"),
        ({"cpu_threshold": True}, "cpu_threshold", "a number"),
        ({"remote_access_port": 1.5}, "remote_access_port", "whole"),
        ({"pinned_timezone": "Asia/../../etc"}, "pinned_timezone", "Asia/Jakarta"),
        ({"default_timezone": ""}, "default_timezone", "Asia/Jakarta"),
        ({"timezone_api_url": "file:///etc/passwd"}, "timezone_api_url", "http"),
        ({"admin_ips": ["everywhere"]}, "admin_ips", "192.168.1.0/24"),
        ({"Key": 1}, "Key", "small letters"),
        ({"": 1}, "", "small letters"),
        ({"mine": {"a": 1}}, "mine", "2000 characters"),
        ({"mine": "x" * 2001}, "mine", "2000 characters"),
        ({"a_b": 1, "a-b": 2}, "a-b", "twice"),
        ({"values": 3}, "values", "object"),
        ({"values": {"version": 1}}, "version", "request itself"),
        ({"values": {}, "cpu_threshold": 1}, "cpu_threshold", "values"),
        ({"version": "7"}, "version", "whole number"),
        ({"version": -1}, "version", "whole number"),
        ({f"key_{n}": n for n in range(101)}, "key_0", "100"),
        ({f"key_{n}": "x" * 1900 for n in range(34)}, "key_0", "bytes"),
    ],
)
async def test_what_is_refused_names_the_member_and_the_fix(hub: ApiHub, body: Any, field: str, said: str) -> None:
    async with hub.of("admin") as admin:
        for path in (ONE, FLEET):
            refused = await admin.patch(path, json=body)
            assert refused.status_code == 422, refused.text
            assert said in refused.json()["errors"][field][0]
            in_indonesian = await admin.patch(path, json=body, headers={"Accept-Language": "id"})
            assert in_indonesian.json()["errors"][field] != refused.json()["errors"][field]
        assert data(await admin.get(ONE))["version"] == 0


@pytest.mark.parametrize("path", [ONE, FLEET, f"{ONE}/mine"])
@pytest.mark.parametrize("body", [[], 3, "x"])
async def test_a_body_that_is_no_object_is_refused(hub: ApiHub, path: str, body: Any) -> None:
    async with hub.of("admin") as admin:
        assert (await admin.patch(path, json=body)).status_code == 422


async def test_a_key_that_can_be_none_is_refused(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        for key, status in (("api-token", 422), ("UPPER", 404), ("x" * 65, 404), ("a%00b", 404), ("version", 404)):
            assert (await admin.get(f"{ONE}/{key}")).status_code == status, key
            assert (await admin.patch(f"{ONE}/{key}", json={"value": 1})).status_code == 422, key
        for body in ({}, {"value": 1, "mine": 2}, {"other": 1}, {"value": 1, "version": True}):
            assert (await admin.patch(f"{ONE}/mine", json=body)).status_code == 422, body


async def test_a_write_that_changes_nothing_leaves_no_trace(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        data(await admin.patch(ONE, json={"cpu_threshold": 70}))
        assert data(await admin.patch(ONE, json={"cpu_threshold": 70.0}))["version"] == 1
        assert data(await admin.patch(ONE, json={}))["version"] == 1
        events = (await admin.get("/api/v2/events", params={"code": "config.changed"})).json()["data"]
    assert len(events) == 1


async def test_limits_and_interval_hold_at_once_and_after_a_restart(any_hub: ApiHub) -> None:
    fleet, now = any_hub.context.fleet, any_hub.context.clock()
    any_hub.context.announce.publish_readings(
        SampleSeen(rvm_id=1, sample=sample(temperature=76.0), taken_at=now, received_at=now)
    )
    async with any_hub.of("admin") as admin:
        assert fleet.machines[1].health == "ok"
        data(await admin.patch(FLEET, json={"temperature_threshold": 75, "metrics_interval": 20}))
        shown = (await admin.get("/api/v2/rvms/1")).json()["data"]
        assert (shown["health"], shown["expected_interval_s"], shown["config_wanted"]) == ("warning", 20.0, 1)
        assert shown["health_reasons"] == [{"code": "temperature", "value": 76.0, "limit": 75.0}]
        data(await admin.patch(ONE, json={"temperature_threshold": 77, "metrics_interval": 40}))
        shown = (await admin.get("/api/v2/rvms/1")).json()["data"]
        assert (shown["health"], shown["expected_interval_s"], shown["config_wanted"]) == ("ok", 40.0, 2)
    again = await load_fleet(any_hub.context.store, fleet.settings.base)
    assert {
        i: (dict(m.effective_settings.values), m.effective_settings.version) for i, m in again.machines.items()
    } == {i: (dict(m.effective_settings.values), m.effective_settings.version) for i, m in fleet.machines.items()}
    assert again.settings.newest == 2
