"""Machines by REST: list, add, show, edit, remove, replace the key."""

from __future__ import annotations

import asyncio
import unicodedata

import pytest

from hub.model import credentials
from tests.support.api_hub import ApiHub


async def test_a_machine_is_added_and_its_key_shown_once(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        added = await admin.post("/api/v2/rvms", json={"name": "Lobby", "location_description": "Lantai 1"})
        assert added.status_code == 201
        data = added.json()["data"]
        assert data["api_key"].startswith("rvmk_")
        assert data["device_id"].startswith("lobby-")
        assert data["connection"] == "never"
        assert added.headers["location"] == f"/api/v2/rvms/{data['id']}"
        for key in (data["id"], data["device_id"]):
            shown = await admin.get(f"/api/v2/rvms/{key}")
            assert shown.status_code == 200
            assert shown.json()["data"]["name"] == "Lobby"
            assert "api_key" not in shown.json()["data"]
        stored = any_hub.context.fleet.machines[data["id"]].row.api_key
        assert stored == credentials.hash_of(data["api_key"])
    async with any_hub.client(data["api_key"]) as machine:
        assert (await machine.get(f"/api/v2/rvms/{data['id']}")).status_code == 200


@pytest.mark.parametrize("member", ["name", "device_id"])
async def test_a_name_or_device_id_that_is_taken_is_a_conflict(any_hub: ApiHub, member: str) -> None:
    wanted = {"name": "Lobby", "device_id": "lobby"}
    async with any_hub.of("admin") as admin:
        assert (await admin.post("/api/v2/rvms", json=wanted)).status_code == 201
        other = {"name": "Other", "device_id": "other"} | {member: wanted[member]}
        refused = await admin.post("/api/v2/rvms", json=other)
    assert refused.status_code == 409
    assert list(refused.json()["errors"]) == [member]


@pytest.mark.parametrize(("body", "wrong"), [
    ({}, {"name"}),
    ({"name": ""}, {"name"}),
    ({"name": " x"}, {"name"}),
    ({"name": "x\n"}, {"name"}),
    ({"name": "x\x00y"}, {"name"}),
    ({"name": "x\x1b[31m"}, {"name"}),
    ({"name": "x" * 101}, {"name"}),
    ({"name": 5, "device_id": "12345"}, {"name", "device_id"}),
    ({"name": "x", "device_id": "../../etc"}, {"device_id"}),
    ({"name": "x", "device_id": "a\n"}, {"device_id"}),
    ({"name": "x", "location_description": "y" * 501}, {"location_description"}),
    ({"name": "x", "nmae": 1}, {"nmae"}),
    ({"name": "x", "tags": "mall"}, {"tags"}),
    ({"name": "x", "tags": ["a,b"]}, {"tags"}),
    ({"name": "x", "tags": [""]}, {"tags"}),
    ({"name": "x", "tags": ["y" * 33]}, {"tags"}),
    ({"name": "x", "tags": [str(n) for n in range(11)]}, {"tags"}),
    ({"name": "x", "location_description": "a\x00"}, {"location_description"}),
])  # fmt: skip
async def test_every_wrong_member_is_named(hub: ApiHub, body: dict[str, object], wrong: set[str]) -> None:
    async with hub.of("admin") as admin:
        refused = await admin.post("/api/v2/rvms", json=body)
    assert refused.status_code == 422
    assert set(refused.json()["errors"]) == wrong


async def test_an_unknown_member_gets_the_nearest_name(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        refused = await admin.patch("/api/v2/rvms/1", json={"locaton_description": "x"})
    assert "location_description" in refused.json()["errors"]["locaton_description"][0]


async def test_only_what_is_named_changes(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        named = await admin.patch("/api/v2/rvms/dev-one", json={"name": "Lobby", "location_description": "Lantai 2"})
        assert named.json()["data"]["name"] == "Lobby"
        cleared = await admin.patch("/api/v2/rvms/1", json={"location_description": None})
        data = cleared.json()["data"]
        assert (data["name"], data["location_description"], data["device_id"]) == ("Lobby", None, "dev-one")
        before = await admin.get("/api/v2/events", params={"code": "machine.edited"})
        assert (await admin.patch("/api/v2/rvms/1", json={"name": "Lobby"})).status_code == 200
        after = await admin.get("/api/v2/events", params={"code": "machine.edited"})
        assert before.json() == after.json()


async def test_a_machine_has_tags_and_is_found_by_them(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin, any_hub.of("operator") as operator:
        made = await admin.post("/api/v2/rvms", json={"name": "Lobby", "tags": ["West", "Mall", "mall"]})
        assert made.json()["data"]["tags"] == ["mall", "west"]
        changed = await admin.patch("/api/v2/rvms/1", json={"tags": ["Jakarta  Barat"]})
        assert changed.json()["data"]["tags"] == ["jakarta barat"]
        event = (await admin.get("/api/v2/events", params={"code": "machine.edited"})).json()["data"][0]
        assert (event["before"], event["after"]) == ({"tags": None}, {"tags": ["jakarta barat"]})
        found = await operator.get("/api/v2/rvms", params={"tag": "jakarta BARAT"})
        assert [(m["id"], m["tags"]) for m in found.json()["data"]] == [(1, ["jakarta barat"])]
        assert len((await operator.get("/api/v2/rvms", params={"q": "west"})).json()["data"]) == 1
        assert (await operator.patch("/api/v2/rvms/1", json={"tags": []})).status_code == 403
        cleared = await admin.patch("/api/v2/rvms/1", json={"tags": []})
        assert cleared.json()["data"]["tags"] == []
        assert any_hub.context.fleet.machines[1].row.tags is None


async def test_a_removed_machine_is_gone_and_its_key_dead(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin, any_hub.of("one") as machine:
        assert (await machine.get("/api/v2/rvms/1")).status_code == 200
        removed = await admin.delete("/api/v2/rvms/1")
        assert (removed.status_code, removed.content) == (204, b"")
        assert (await machine.get("/api/v2/rvms/1")).status_code == 401
        assert (await admin.get("/api/v2/rvms/1")).status_code == 404
        assert (await admin.delete("/api/v2/rvms/1")).status_code == 404


async def test_a_replaced_key_is_dead_at_once(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin, any_hub.of("one") as old:
        made = await admin.post("/api/v2/rvms/1/key")
        assert made.status_code == 201
        assert (await old.get("/api/v2/rvms/1")).status_code == 401
        async with any_hub.client(made.json()["data"]["api_key"]) as new:
            assert (await new.get("/api/v2/rvms/1")).status_code == 200


async def test_the_list_is_filtered_and_paged(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        for n in range(5):
            assert (await admin.post("/api/v2/rvms", json={"name": f"Mall {n}"})).status_code == 201
        await admin.patch("/api/v2/rvms/3", json={"location_description": "Dekat LIFT"})

        async def names(**query: object) -> list[str]:
            answer = await admin.get("/api/v2/rvms", params=query)  # type: ignore[arg-type]
            assert answer.status_code == 200, answer.text
            return [m["name"] for m in answer.json()["data"]]

        assert len(await names()) == 7
        assert await names(q="mall 3") == ["Mall 3"]
        assert await names(q="lift") == ["Mall 0"]
        assert await names(q="dev-two") == ["two"]
        assert await names(status="full") == []
        assert await names(connection="never", limit=2) == ["one", "two"]
        assert await names(connection="live") == []
        first = await admin.get("/api/v2/rvms", params={"limit": 3})
        assert first.headers["x-total-count"] == "7"
        assert first.headers["link"] == '</api/v2/rvms?limit=3&offset=3>; rel="next"'
        last = await admin.get("/api/v2/rvms", params={"limit": 3, "offset": 6})
        assert "link" not in last.headers
        assert len(last.json()["data"]) == 1


async def test_a_wrong_filter_is_named_and_not_ignored(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        for query in ["status=ful", "limit=0", "limit=501", "limit=x", "offset=-1", "connection=yes"]:
            refused = await admin.get(f"/api/v2/rvms?{query}")
            assert refused.status_code == 422, query
            assert list(refused.json()["errors"]) == [query.partition("=")[0]]


async def test_a_technician_sees_the_own_machines_only(hub: ApiHub) -> None:
    async with hub.of("technician") as technician:
        assert [m["name"] for m in (await technician.get("/api/v2/rvms")).json()["data"]] == ["one"]
    async with hub.of("two") as machine:
        assert [m["name"] for m in (await machine.get("/api/v2/rvms")).json()["data"]] == ["two"]


async def test_removing_a_machine_while_others_work_on_it_harms_nobody(any_hub: ApiHub) -> None:
    sample = {"timestamp": "2026-01-01T00:00:00Z"}
    async with any_hub.of("admin") as admin, any_hub.of("operator") as operator, any_hub.of("one") as machine:
        work = [operator.patch("/api/v2/rvms/1/status", json={"status": "full"}) for _ in range(10)]
        work += [machine.patch("/api/v2/rvms/1/status", json={"status": "error"}) for _ in range(5)]
        work += [machine.post("/api/v2/rvms/1/metrics", json=sample) for _ in range(5)]
        work += [admin.patch("/api/v2/rvms/1", json={"name": f"n{n}"}) for n in range(5)]
        work += [admin.delete("/api/v2/rvms/1") for _ in range(3)]
        statuses = [answer.status_code for answer in await asyncio.gather(*work)]
        assert statuses.count(204) == 1
        assert set(statuses) <= {200, 201, 204, 401, 404}, statuses
        assert (await admin.get("/api/v2/rvms/1")).status_code == 404


@pytest.mark.parametrize(
    ("body", "member", "code"),
    [
        ({"name": "Mall\n2"}, "name", "U+000A"), ({"name": "Mall\x002"}, "name", "U+0000"),
        ({"location_description": "Lantai\n1\x00"}, "location_description", "U+0000"),
    ],
)  # fmt: skip
async def test_a_character_that_is_not_allowed_is_named(
    hub: ApiHub, body: dict[str, str], member: str, code: str
) -> None:
    async with hub.of("admin") as admin:
        refused = await admin.patch("/api/v2/rvms/1", json=body)
        assert f"contains the character {code}" in refused.json()["errors"][member][0]
        long = await admin.patch("/api/v2/rvms/1", json={"location_description": "\x00" + "x" * 501})
        assert long.json()["errors"]["location_description"] == ["must be a text of at most 500 characters, or null"]


async def test_no_two_machines_look_the_same(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        for number, name in enumerate(("Caf\u00e9 Jos\u00e9", "\u30ac\u30c1\u30e3")):
            apart = unicodedata.normalize("NFD", name)
            made = await admin.post("/api/v2/rvms", json={"name": apart, "device_id": f"look-{number}"})
            assert made.json()["data"]["name"] == name
            for body, member in (
                ({"name": name}, "name"),
                ({"name": apart}, "name"),
                ({"name": "x", "device_id": f"LOOK-{number}"}, "device_id"),
            ):
                added = await admin.post("/api/v2/rvms", json=body)
                edited = await admin.patch("/api/v2/rvms/2", json=body)
                for refused in (added, edited):
                    assert (refused.status_code, list(refused.json()["errors"])) == (409, [member]), body
            place = f"/api/v2/rvms/{made.json()['data']['id']}"
            own = await admin.patch(place, json={"name": apart, "device_id": f"Look-{number}"})
            assert own.json()["data"]["device_id"] == f"Look-{number}"
