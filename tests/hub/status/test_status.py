"""The status: declared by a machine at once, asked for by a person and confirmed by the machine."""

from __future__ import annotations

import asyncio

import pytest

from hub.commands import rules as command_rules
from protocol import kinds, messages
from tests.support.api_hub import ApiHub
from tests.support.until import until


async def confirm(hub: ApiHub, name: str, state: kinds.UpdateState = "succeeded") -> None:
    """The machine settles its open commands, as its link would."""
    machine = hub.context.fleet.machines[hub.machines[name]]
    for command in list(machine.pending.values()):
        update = messages.CommandUpdate(id=command.id, state=state)
        await hub.context.announce(*command_rules.moved(machine, update, hub.context.clock()))


async def test_a_machine_declares_its_own_status_at_once(any_hub: ApiHub) -> None:
    async with any_hub.of("one") as machine:
        changed = await machine.patch(
            "/api/v2/rvms/1/status", json={"status": "full", "capacity": 100, "reason": "penuh"}
        )
        assert changed.status_code == 200
        data = changed.json()["data"]
        assert (data["status"], data["capacity"], data["status_by"]) == ("full", 100, "machine:1")
        assert "command" not in data
        shown = (await machine.get("/api/v2/rvms/dev-one/status")).json()["data"]
        assert shown == data


async def test_declaring_the_same_again_leaves_no_second_event(hub: ApiHub) -> None:
    async with hub.of("one") as machine, hub.of("admin") as admin:
        for _ in range(2):
            assert (await machine.patch("/api/v2/rvms/1/status", json={"status": "full"})).status_code == 200
        events = (await admin.get("/api/v2/events", params={"code": "status.changed"})).json()["data"]
    assert len(events) == 1
    assert (events[0]["before"]["status"], events[0]["after"]["status"]) == ("active", "full")


async def test_a_persons_request_is_a_command_and_not_yet_a_fact(any_hub: ApiHub) -> None:
    async with any_hub.of("operator") as operator:
        asked = await operator.patch("/api/v2/rvms/1/status", json={"status": "maintenance", "reason": "servis"})
        assert asked.status_code == 200
        data = asked.json()["data"]
        assert data["status"] == "active"
        assert data["command"]["state"] == "queued"
        assert data["command"]["args"] == {"status": "maintenance", "reason": "servis"}
        assert "Recorded" in asked.json()["message"]
        await confirm(any_hub, "one")
        confirmed = (await operator.get("/api/v2/rvms/1/status")).json()["data"]
        assert (confirmed["status"], confirmed["status_by"]) == ("maintenance", f"user:{any_hub.users['operator']}")
        ended = (await operator.get(f"/api/v2/commands/{data['command']['id']}")).json()["data"]
        assert ended["state"] == "succeeded"


async def test_an_answer_may_wait_for_the_machine(hub: ApiHub) -> None:
    async with hub.of("operator") as operator:
        asking = asyncio.create_task(operator.patch("/api/v2/rvms/1/status?wait=10", json={"status": "maintenance"}))
        await until(lambda: bool(hub.context.fleet.machines[1].pending))
        await confirm(hub, "one")
        data = (await asking).json()["data"]
    assert data["status"] == "maintenance"
    assert data["command"]["state"] == "succeeded"


async def test_waiting_ends_with_the_time_that_was_given(hub: ApiHub) -> None:
    async with hub.of("operator") as operator:
        asked = await operator.patch("/api/v2/rvms/1/status?wait=0.05", json={"status": "maintenance"})
    assert asked.json()["data"]["command"]["state"] == "queued"


async def test_the_same_key_asks_once(any_hub: ApiHub) -> None:
    wanted, key = {"status": "maintenance"}, {"Idempotency-Key": "abc-1"}
    async with any_hub.of("operator") as operator:
        first = await operator.patch("/api/v2/rvms/1/status", json=wanted, headers=key)
        again = await operator.patch("/api/v2/rvms/1/status", json=wanted, headers=key)
        assert first.json()["data"]["command"]["id"] == again.json()["data"]["command"]["id"]
        together = await asyncio.gather(
            *(operator.patch("/api/v2/rvms/2/status", json=wanted, headers=key) for _ in range(5))
        )
        assert len({answer.json()["data"]["command"]["id"] for answer in together}) == 1
        other = await operator.patch("/api/v2/rvms/1/status", json={"status": "full"}, headers=key)
        assert other.status_code == 409
        issued = (await operator.get("/api/v2/events", params={"code": "command.issued"})).json()["data"]
        assert len(issued) == 2


async def test_a_key_that_is_none_is_refused(hub: ApiHub) -> None:
    async with hub.of("operator") as operator:
        for key in ["", " ", "a b", "x" * 101]:
            named = {"Idempotency-Key": key}
            refused = await operator.patch("/api/v2/rvms/1/status", json={"status": "full"}, headers=named)
            assert refused.status_code == 422, key
            assert list(refused.json()["errors"]) == ["Idempotency-Key"]


@pytest.mark.parametrize(("body", "wrong"), [
    ({"status": "broken"}, {"status"}),
    ({}, {"status"}),
    ({"status": "full", "capacity": 101, "special_status": "full"}, {"capacity", "special_status"}),
    ({"status": "full", "capacity": 5.5}, {"capacity"}),
    ({"status": "full", "capacity": "50"}, {"capacity"}),
    ({"status": "full", "reason": "x\x00"}, {"reason"}),
    ({"status": "full", "until": "tomorrow"}, {"until"}),
    ({"status": "full", "until": "2020-01-01T00:00:00Z"}, {"until"}),
    ({"status": "full", "until": "1970-01-01T00:00:00Z"}, {"until"}),
    ({"status": "full", "until": "9999-06-01T00:00:00Z"}, {"until"}),
    ({"status": "full", "until": "99999-01-01T00:00:00Z"}, {"until"}),
    ({"status": "full", "staus": 1}, {"staus"}),
    ({"status": None}, {"status"}),
])  # fmt: skip
@pytest.mark.parametrize("caller", ["operator", "one"])
async def test_every_wrong_member_is_named(hub: ApiHub, body: dict[str, object], wrong: set[str], caller: str) -> None:
    async with hub.of(caller) as client:
        refused = await client.patch("/api/v2/rvms/1/status", json=body)
    assert refused.status_code == 422, refused.text
    assert set(refused.json()["errors"]) == wrong
    assert not hub.context.fleet.machines[1].pending


async def test_until_is_kept_in_utc(hub: ApiHub) -> None:
    async with hub.of("operator") as operator:
        asked = await operator.patch("/api/v2/rvms/1/status", json={"status": "full", "until": "2099-01-01T07:00:00"})
        assert asked.json()["data"]["command"]["args"]["until"] == "2099-01-01T00:00:00.000Z"
        await confirm(hub, "one")
        shown = (await operator.get("/api/v2/rvms/1/status")).json()["data"]
    assert shown["status_until"] == "2099-01-01T00:00:00.000Z"


async def test_a_machine_cannot_be_buried_in_commands(hub: ApiHub) -> None:
    hub.context.fleet.machines[1].linked = True
    async with hub.of("operator") as operator:
        answers = [await operator.post("/api/v2/rvms/1/commands", json={"name": "ping"}) for _ in range(50)]
        answers.append(await operator.patch("/api/v2/rvms/1/status", json={"status": "full"}))
    assert [a.status_code for a in answers[-2:]] == [202, 409]
