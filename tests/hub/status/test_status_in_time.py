"""The status over time: given back by the hub's clock, also after a restart; refused when it cannot be; its history."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.commands import rules as command_rules
from hub.model.views import rfc3339
from tests.support.api_hub import ApiHub, api_hub
from tests.support.machines import declared, facts_of_hello
from tests.support.until import until

STATUS = "/api/v2/rvms/1/status"
HISTORY = f"{STATUS}/history"


async def events(hub: ApiHub) -> list[dict[str, Any]]:
    async with hub.of("admin") as admin:
        found: list[dict[str, Any]] = (await admin.get("/api/v2/events?code=status.changed")).json()["data"]
        return found


def soon(hub: ApiHub, seconds: float = 0.6) -> str:
    return rfc3339(hub.context.clock() + timedelta(seconds=seconds))


async def test_the_clock_gives_back_what_a_machine_declared_for_a_while(any_hub: ApiHub) -> None:
    machine = any_hub.context.fleet.machines[1]
    async with any_hub.of("one") as key:
        held = await key.patch(STATUS, json={"status": "maintenance", "reason": "belt", "until": soon(any_hub)})
        assert held.json()["data"]["returns_to"] == "active"
    await until(lambda: machine.row.status == "active")
    newest, oldest = await events(any_hub)
    assert (newest["actor"], newest["params"]) == ("clock", {"returned": True})
    assert (newest["before"]["status"], newest["after"]["status"]) == ("maintenance", "active")
    assert oldest["actor"] == "machine:1"


async def test_a_restart_of_the_hub_loses_no_end(tmp_path: Path, database_url: str) -> None:
    async with api_hub(tmp_path, database_url=database_url) as hub:
        await hub.add_everybody()
        async with hub.of("one") as key:
            until_then = soon(hub, 1.5)
            assert (await key.patch(STATUS, json={"status": "error", "until": until_then})).status_code == 200
        logins = hub.logins
    async with api_hub(tmp_path, database_url=database_url) as again:
        again.logins = logins
        machine = again.context.fleet.machines[1]
        await until(lambda: machine.row.status == "active")
        assert (machine.row.status_until, machine.row.status_before) == (None, None)
        assert [event["actor"] for event in await events(again)] == ["clock", "machine:1"]


async def introduced(hub: ApiHub, *capabilities: str) -> None:
    """As if the machine had said hello with these capabilities, and gone again."""
    changes = facts_of_hello(
        rvm_id=1,
        at=hub.context.clock(),
        epoch=1,
        agent_version="1",
        boot_id="b",
        capabilities=capabilities,
        hardware=None,
        timezone=None,
        config_version=0,
        clock_offset_s=0.0,
        ip=None,
        simulated=False,
    )
    await hub.context.announce(*changes)


async def test_a_machine_that_takes_commands_is_sent_the_end(any_hub: ApiHub) -> None:
    await introduced(any_hub, "set_status")
    machine = any_hub.context.fleet.machines[1]
    async with any_hub.of("one") as key:
        await key.patch(STATUS, json={"status": "maintenance", "until": soon(any_hub)})
    await until(lambda: machine.row.status == "active")
    # That the machine should be told of the maintenance has become needless: the newer word stands for it.
    (command,) = machine.pending.values()
    assert (command.name, command.args["status"], command.issued_by) == ("set_status", "active", "clock")
    async with any_hub.of("admin") as admin:
        told = (await admin.get("/api/v2/rvms/1/commands")).json()["data"]
        assert [(one["issued_by"], one["state"]) for one in told] == [("clock", "queued"), ("machine:1", "cancelled")]


@pytest.mark.parametrize(("body", "fix"), [
    ({"status": "active", "capacity": 100}, "empty it"),
    ({"status": "full", "capacity": 0}, "not full"),
])  # fmt: skip
@pytest.mark.parametrize("who", ["operator", "one"])
async def test_what_cannot_be_is_refused_with_the_reason(hub: ApiHub, who: str, body: Any, fix: str) -> None:
    async with hub.of(who) as caller:
        refused = await caller.patch(STATUS, json=body)
        assert refused.status_code == 409
        assert fix in refused.json()["message"]
        assert "Mesin" in (await caller.patch(STATUS, json=body, headers={"Accept-Language": "id"})).json()["message"]
    assert await events(hub) == []
    assert not hub.context.fleet.machines[1].pending


async def test_a_machine_that_filled_up_cannot_be_called_active(hub: ApiHub) -> None:
    async with hub.of("one") as key, hub.of("operator") as operator:
        assert (await key.patch(STATUS, json={"status": "full", "capacity": 100})).status_code == 200
        assert (await operator.patch(STATUS, json={"status": "active"})).status_code == 409
        assert (await operator.patch(STATUS, json={"status": "active", "capacity": 5})).status_code == 200


async def test_the_key_keeps_what_it_does_not_name_and_ends_what_it_nulls(hub: ApiHub) -> None:
    async with hub.of("one") as key:
        await key.patch(STATUS, json={"status": "active", "special_status": "error", "reason": "jam"})
        kept = (await key.patch(STATUS, json={"status": "full", "capacity": 90})).json()["data"]
        assert (kept["effective_status"], kept["status_reason"], kept["capacity"]) == ("error", "jam", 90)
        ended = (await key.patch(STATUS, json={"status": "full", "special_status": None})).json()["data"]
        assert (ended["effective_status"], ended["status_reason"]) == ("full", None)


async def history(caller: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await caller.get(HISTORY, params=query)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


async def test_the_history_lists_each_declaration_once_page_by_page(any_hub: ApiHub) -> None:
    async with any_hub.of("one") as key:
        for capacity in range(10, 60, 10):
            await key.patch(STATUS, json={"status": "active", "capacity": capacity, "reason": f"r{capacity}"})
        everything = await history(key)
        assert [row["capacity"] for row in everything] == [50, 40, 30, 20, 10, 0]
        first = await key.get(HISTORY, params={"limit": 4})
        assert 'rel="next"' in first.headers["Link"]
        rest = await key.get(first.links["next"]["url"])
        assert first.json()["data"] + rest.json()["data"] == everything
        assert "Link" not in rest.headers
        newest = everything[0]
        assert newest | {"id": 0, "since": ""} == {
            "id": 0, "status": "active", "special_status": None, "effective_status": "active", "capacity": 50,
            "since": "", "by": "machine:1", "reason": "r50", "until": None,
        }  # fmt: skip
        since = everything[2]["since"]
        # Answers tell milliseconds: the one before may still have been in force in that one.
        from_then = [row["capacity"] for row in await history(key, **{"from": since})]
        assert from_then in ([50, 40, 30], [50, 40, 30, 20])
        assert [row["capacity"] for row in await history(key, to=since)] == [20, 10, 0]


async def test_the_history_begins_with_what_held_at_from(any_hub: ApiHub) -> None:
    now = any_hub.context.clock()
    async with any_hub.of("one") as key:
        await key.patch(STATUS, json={"status": "error"})
        later = rfc3339(now + timedelta(days=300))
        assert [row["status"] for row in await history(key, **{"from": later})] == ["error"]
        early = rfc3339(now - timedelta(days=300))
        assert [row["status"] for row in await history(key, **{"from": early})] == ["error", "active"]


@pytest.mark.parametrize(("query", "wrong"), [
    ({"from": "yesterday"}, "from"), ({"to": "99999-01-01"}, "to"), ({"limit": "0"}, "limit"),
    ({"before": "999999"}, "before"), ({"before": "x"}, "before"),
])  # fmt: skip
async def test_a_wrong_query_is_named(hub: ApiHub, query: dict[str, str], wrong: str) -> None:
    async with hub.of("viewer") as viewer:
        refused = await viewer.get(HISTORY, params=query)
    assert refused.status_code in (400, 422), refused.text
    assert wrong in refused.text


async def test_another_machines_declaration_is_no_place_to_read_on_from(hub: ApiHub) -> None:
    async with hub.of("two") as two, hub.of("one") as one:
        (row,) = (await two.get("/api/v2/rvms/2/status/history")).json()["data"]
        refused = await one.get(HISTORY, params={"before": row["id"]})
        assert refused.status_code == 422
        assert (await one.get("/api/v2/rvms/2/status/history")).status_code == 404


async def test_what_the_key_declares_is_sent_to_the_agent_too(any_hub: ApiHub) -> None:
    """Or it would declare the old status again at its next hello."""
    await introduced(any_hub, "ping", "set_status", "until")
    machine = any_hub.context.fleet.machines[1]
    async with any_hub.of("one") as key:
        await key.patch(STATUS, json={"status": "full", "capacity": 100, "reason": "penuh"})
        (command,) = machine.pending.values()
        assert (command.issued_by, command.args) == (
            "machine:1", {"status": "full", "capacity": 100, "reason": "penuh"},
        )  # fmt: skip
        assert machine.row.status == "full", "and holds at once"
        for capacity in (97, 98):
            await key.patch(STATUS, json={"status": "full", "capacity": capacity})
        (command,) = machine.pending.values()
        assert (command.issued_by, command.args) == (
            "machine:1", {"status": "full", "capacity": 98, "reason": "penuh"},
        ), "a reading too, once, with all that stays"  # fmt: skip
        assert command.reason is None, "it gave none for the reading"


async def test_a_reading_for_the_agent_keeps_what_others_set_and_request(any_hub: ApiHub) -> None:
    await introduced(any_hub, "set_status", "until")
    machine = any_hub.context.fleet.machines[1]
    async with any_hub.of("one") as key, any_hub.of("operator") as operator:
        inside = {"status": "active", "special_status": "error", "until": soon(any_hub, 3600), "reason": "inside"}
        await key.patch(STATUS, json=inside)
        await operator.patch(STATUS, json={"status": "maintenance", "reason": "belt"})
        for capacity in (33, 34):
            await key.patch(STATUS, json={"status": "active", "capacity": capacity})
    request, reading = command_rules.to_deliver(machine, any_hub.context.clock())[::-1]
    assert (request.args["status"], request.reason, request.state) == ("maintenance", "belt", "queued")
    assert reading.args == {**inside, "capacity": 34}, "goes first, so that it does not undo the request"


async def test_a_job_that_passes_on_names_nobody_elses_reason(any_hub: ApiHub) -> None:
    await introduced(any_hub, "set_status", "until")
    machine = any_hub.context.fleet.machines[1]
    special: dict[str, Any] = {
        "special_status": "maintenance",
        "capacity": 20,
        "since": any_hub.context.clock(),
        "rvm_id": 1,
    }
    await any_hub.context.announce(*declared(status="active", by="user:3", reason="Technician inside", **special))
    async with any_hub.of("one") as key:
        await key.patch(STATUS, json={"status": "full"})
    (command,) = machine.pending.values()
    assert command.args == {"status": "full", "special_status": "maintenance", "reason": "Technician inside"}
    assert (command.reason, machine.row.status_by, machine.row.status_reason) == (None, "user:3", "Technician inside")
    async with any_hub.of("admin") as admin:
        for event in (await admin.get("/api/v2/events?actor=machine")).json()["data"]:
            assert "reason" not in event["params"], event
