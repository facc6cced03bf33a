"""Commands by REST: ask, wait, look back."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
import pytest

from hub.commands import rules
from hub.model.machine import Machine
from tests.support.api_hub import ApiHub


def connect(hub: ApiHub, name: str) -> Machine:
    """As far as the command desk can tell."""
    machine = hub.context.fleet.machines[hub.machines[name]]
    machine.linked = True
    return machine


async def test_a_ping_is_for_a_machine_that_is_there(any_hub: ApiHub) -> None:
    async with any_hub.of("operator") as operator:
        refused = await operator.post("/api/v2/rvms/1/commands", json={"name": "ping"})
        assert refused.status_code == 409
        assert "offline" in refused.json()["message"]
        connect(any_hub, "one")
        sent = await operator.post("/api/v2/rvms/1/commands", json={"name": "ping"})
        assert sent.status_code == 202
        command = sent.json()["data"]
        assert sent.headers["location"] == f"/api/v2/commands/{command['id']}"
        shown = await operator.get(sent.headers["location"])
        assert shown.json()["data"] == command
        assert (await operator.get("/api/v2/rvms/dev-one")).json()["data"]["pending"][0]["id"] == command["id"]


async def test_requests_at_once_do_not_pass_the_bound_of_a_machine(any_hub: ApiHub) -> None:
    """Each is counted before the database has it; one that it refuses is counted no longer."""
    machine = connect(any_hub, "one")

    async def send(client: httpx.AsyncClient) -> int:
        return (await client.post("/api/v2/rvms/1/commands", json={"name": "ping"})).status_code

    async with any_hub.of("operator") as operator:
        codes = await asyncio.gather(*(send(operator) for _ in range(rules.MAX_PENDING + 30)))
        assert (codes.count(202), codes.count(409)) == (rules.MAX_PENDING, 30)
        assert (len(machine.pending), machine.admitted) == (rules.MAX_PENDING, {})
        machine.pending.clear()
        path, same = "/api/v2/rvms/1/commands", {"Idempotency-Key": "k"}
        await asyncio.gather(*(operator.post(path, headers=same, json={"name": "ping"}) for _ in range(5)))
        assert (len(machine.pending), machine.admitted) == (1, {})


async def test_only_what_may_be_asked_by_hand_is_taken(hub: ApiHub) -> None:
    connect(hub, "one")
    async with hub.of("admin") as admin:
        for body in ({"name": "start_backup"}, {"name": "ping", "args": 5}, {"name": "ping", "agrs": {}}, {}):
            refused = await admin.post("/api/v2/rvms/1/commands", json=body)
            assert refused.status_code == 422, body


@pytest.mark.parametrize(
    ("name", "args", "member", "says"),
    [
        ("ping", {"x": 1}, "args.x", "takes no arguments"), ("set_status", {}, "args.status", "is missing"),
        ("set_status", {"status": "broken"}, "args.status", "must be one of"),
        ("set_status", {"status": "full", "until": "tomorrow"}, "args.until", "RFC 3339"),
        ("set_status", {"status": "full", "until": "2001-01-01T00:00:00Z"}, "args.until", "in the future"),
        ("set_status", {"status": "full", "capacity": 101}, "args.capacity", "from 0 to 100"),
        ("sync_timezone", {"timezone": "Asia/../../etc"}, "args.timezone", "like Asia/Jakarta"),
        ("sync_timezone", {"timezone": "; reboot"}, "args.timezone", "like Asia/Jakarta"),
        ("restart_service", {}, "args.service", "is missing"),
        ("restart_service", {"service": "--now"}, "args.service", "name of a service"),
        ("restart_service", {"service": "a/../b"}, "args.service", "name of a service"),
        ("reboot", {"delay": -1}, "args.delay", "from 0 to 3600"),
        ("reboot", {"force": "yes"}, "args.force", "true or"),
        ("restart_service", {"service": "a\x00b"}, "args.service", "the character U+0000"),
        ("set_status", {"status": "full", "reason": "a\x00b"}, "args.reason", "the character U+0000"),
        ("reboot", {"dealy": 5}, "args.dealy", "did you mean delay"),
    ],
)  # fmt: skip
async def test_a_wrong_argument_is_named_with_what_would_be_right(
    hub: ApiHub, name: str, args: dict[str, Any], member: str, says: str
) -> None:
    connect(hub, "one")
    async with hub.of("operator") as operator:
        refused = await operator.post("/api/v2/rvms/1/commands", json={"name": name, "args": args})
    assert refused.status_code == 422
    assert says in refused.json()["errors"][member][0]
    assert hub.context.fleet.open == {}


@pytest.mark.parametrize(
    ("name", "args", "recorded"),
    [
        ("ping", {}, {}), ("set_status", {"status": "full"}, {"status": "full"}),
        ("sync_timezone", {}, {"trigger": "manual"}),
        ("sync_timezone", {"timezone": "Asia/Makassar"}, {"trigger": "manual", "timezone": "Asia/Makassar"}),
        ("restart_service", {"service": "rvm-camera.service"}, {"service": "rvm-camera.service"}),
        ("reboot", {"delay": 5, "force": True}, {"delay": 5.0, "force": True}),
    ],
)  # fmt: skip
async def test_each_of_the_five_is_recorded_as_the_machine_will_receive_it(
    any_hub: ApiHub, name: str, args: dict[str, Any], recorded: dict[str, Any]
) -> None:
    connect(any_hub, "one")
    async with any_hub.of("operator") as operator:
        body = {"name": name, "args": args, "reason": "Kamera macet"}
        sent = await operator.post("/api/v2/rvms/1/commands", json=body, headers={"Idempotency-Key": "k"})
        assert sent.status_code == 202, sent.text
        again = await operator.post("/api/v2/rvms/1/commands", json=body, headers={"Idempotency-Key": "k"})
        assert again.json()["data"] == sent.json()["data"]
        events = (await operator.get("/api/v2/events", params={"code": "command.issued"})).json()["data"]
    shown = sent.json()["data"]
    assert {k: v for k, v in shown["args"].items() if k != "reason"} == recorded
    assert (shown["reason"], events[0]["params"].get("forced")) == ("Kamera macet", True if "force" in args else None)


async def test_a_machine_that_did_not_name_a_capability_is_asked_all_the_same(hub: ApiHub) -> None:
    machine = connect(hub, "one")
    machine.row = msgspec.structs.replace(machine.row, agent_version="0.0.9", capabilities=("metrics",))
    async with hub.of("operator") as operator:
        asked = await operator.post("/api/v2/rvms/1/commands", json={"name": "reboot"})
    assert asked.status_code == 202, "the machine itself answers `unsupported`"


def assert_newest_first(ids: list[str]) -> None:
    """Two of one millisecond stand either way."""
    made_at = [one.partition("-")[0] for one in ids]
    assert sorted(made_at, reverse=True) == made_at


async def test_the_list_of_the_fleet_is_filtered_paged_and_shows_only_what_is_reached(any_hub: ApiHub) -> None:
    connect(any_hub, "one")
    connect(any_hub, "two")
    made = []
    for who, machine, name in [("operator", 1, "ping"), ("admin", 2, "ping"), ("operator", 2, "reboot")] * 2:
        async with any_hub.of(who) as client:
            answer = await client.post(f"/api/v2/rvms/{machine}/commands", json={"name": name})
            made.append(answer.json()["data"]["id"])
    async with any_hub.of("admin") as admin:
        assert (await admin.post(f"/api/v2/commands/{made[0]}/cancel")).status_code == 200

    async def listed(who: str = "admin", **query: str) -> list[int]:
        seen: list[str] = []
        async with any_hub.of(who) as client:
            path = f"/api/v2/commands?{urlencode({**query, 'limit': '2'})}"
            while path:
                page = await client.get(path)
                assert page.status_code == 200, page.text
                seen += [command["id"] for command in page.json()["data"]]
                path = page.headers["link"].partition(">")[0][1:] if "link" in page.headers else ""
        assert_newest_first(seen)
        return sorted(made.index(one) for one in seen)

    assert await listed() == [0, 1, 2, 3, 4, 5]
    assert await listed("technician") == await listed("one") == await listed(rvm="dev-one") == [0, 3]
    assert await listed(state="open") == [1, 2, 3, 4, 5]
    assert await listed(state="ended") == await listed(state="cancelled") == [0]
    assert await listed(name="reboot", rvm="2") == [2, 5]
    assert await listed(issued_by=f"user:{any_hub.users['admin']}") == [1, 4]
    async with any_hub.of("technician") as technician:
        assert (await technician.get("/api/v2/commands", params={"rvm": "2"})).status_code == 404
        unseen = await technician.get("/api/v2/commands", params={"before": made[1]})
        unknown = await technician.get("/api/v2/commands", params={"before": "nothing"})
        assert (unseen.status_code, unseen.json()) == (422, unknown.json())
        assert (await technician.get("/api/v2/commands", params={"state": "done"})).status_code == 422


async def test_the_list_is_paged_newest_first(any_hub: ApiHub) -> None:
    connect(any_hub, "one")
    async with any_hub.of("operator") as operator:
        sent = [
            (await operator.post("/api/v2/rvms/1/commands", json={"name": "ping"})).json()["data"]["id"]
            for _ in range(5)
        ]
        seen, path = [], "/api/v2/rvms/1/commands?limit=2"
        while path:
            page = await operator.get(path)
            seen += [command["id"] for command in page.json()["data"]]
            path = page.headers["link"].partition(">")[0][1:] if "link" in page.headers else ""
        assert_newest_first(seen)
        assert set(seen) == set(sent)
        assert len(seen) == 5
        wrong = await operator.get("/api/v2/rvms/2/commands", params={"before": sent[0]})
        unknown = await operator.get("/api/v2/rvms/2/commands", params={"before": "nothing"})
        assert wrong.status_code == 422
        assert wrong.json() == unknown.json()


async def test_a_command_of_a_machine_out_of_reach_does_not_exist(hub: ApiHub) -> None:
    connect(hub, "two")
    async with hub.of("operator") as operator:
        command = (await operator.post("/api/v2/rvms/2/commands", json={"name": "ping"})).json()["data"]
    for name in ("technician", "one"):
        async with hub.of(name) as other:
            forbidden = await other.get(f"/api/v2/commands/{command['id']}")
            unknown = await other.get("/api/v2/commands/1a208a7557d-d0cc93784957c053")
            assert forbidden.status_code == unknown.status_code == 404
            assert forbidden.content == unknown.content
    async with hub.of("two") as own:
        assert (await own.get(f"/api/v2/commands/{command['id']}")).status_code == 200
