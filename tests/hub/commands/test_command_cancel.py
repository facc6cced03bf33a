"""POST /commands/{id}/cancel: at once when it never left, else the machine is asked; what has ended stays."""

from __future__ import annotations

from typing import Any

from hub.commands import rules
from protocol import messages as m
from tests.hub.commands.test_commands import connect
from tests.support.api_hub import ApiHub


async def ask(hub: ApiHub, body: dict[str, Any], machine: int = 1) -> dict[str, Any]:
    async with hub.of("operator") as operator:
        answer = await operator.post(f"/api/v2/rvms/{machine}/commands", json=body)
        assert answer.status_code == 202, answer.text
        made: dict[str, Any] = answer.json()["data"]
        return made


async def say(hub: ApiHub, command_id: str, state: Any) -> None:
    machine = hub.context.fleet.machines[1]
    update = m.CommandUpdate(id=command_id, state=state)
    await hub.context.announce(*rules.moved(machine, update, hub.context.clock()))


async def test_what_never_left_is_cancelled_at_once(any_hub: ApiHub) -> None:
    made = await ask(any_hub, {"name": "set_status", "args": {"status": "inactive"}, "reason": "Libur"})
    assert (made["reason"], made["args"]) == ("Libur", {"status": "inactive", "reason": "Libur"})
    path = f"/api/v2/commands/{made['id']}/cancel"
    async with any_hub.of("technician") as technician:
        cancelled = await technician.post(path)
        again = await technician.post(path)
        kept = (await technician.get(f"/api/v2/commands/{made['id']}")).json()["data"]
    assert (cancelled.status_code, cancelled.json()["data"]["state"]) == (200, "cancelled")
    assert again.json()["data"] == cancelled.json()["data"] == kept
    assert kept["cancel_by"] == f"user:{any_hub.users['technician']}"


async def test_of_what_left_the_machine_is_asked_and_may_still_finish(any_hub: ApiHub) -> None:
    connect(any_hub, "one")
    made = await ask(any_hub, {"name": "reboot", "args": {"delay": 5}})
    await say(any_hub, made["id"], "running")
    path = f"/api/v2/commands/{made['id']}/cancel"
    async with any_hub.of("operator") as operator:
        asked = await operator.post(path)
        assert (asked.status_code, asked.json()["data"]["state"]) == (202, "running")
        assert asked.json()["data"]["cancel_by"] == f"user:{any_hub.users['operator']}"
        pending = (await operator.get("/api/v2/rvms/1")).json()["data"]["pending"]
        assert pending[0]["cancel_at"] is not None
        await say(any_hub, made["id"], "succeeded")
        ended = await operator.post(path)
        kept = (await operator.get(f"/api/v2/commands/{made['id']}")).json()["data"]
    assert (ended.status_code, kept["state"]) == (200, "succeeded")
    assert kept["cancel_by"] is not None, "who wanted it stopped is kept by the end"


async def test_what_has_ended_is_not_cancelled(hub: ApiHub) -> None:
    connect(hub, "one")
    made = await ask(hub, {"name": "ping"})
    await say(hub, made["id"], "succeeded")
    async with hub.of("operator") as operator:
        refused = await operator.post(f"/api/v2/commands/{made['id']}/cancel")
        assert (refused.status_code, refused.json()["message"]) == (
            409, "It has ended already and cannot be cancelled any more.",
        )  # fmt: skip
        assert (await operator.post("/api/v2/commands/nothing/cancel")).status_code == 404


async def test_a_newer_request_cancels_an_older_one_that_never_left(any_hub: ApiHub) -> None:
    older = await ask(any_hub, {"name": "set_status", "args": {"status": "inactive"}})
    newer = await ask(any_hub, {"name": "set_status", "args": {"status": "maintenance"}})
    async with any_hub.of("operator") as operator:
        shown = (await operator.get(f"/api/v2/commands/{older['id']}")).json()["data"]
    assert (shown["state"], shown["error"]["code"]) == ("cancelled", "superseded")
    assert list(any_hub.context.fleet.machines[1].pending) == [newer["id"]]
