"""A machine that can only do HTTP: it reads its commands, answers them, says which settings it runs, and is seen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from hub.kernel.loading import load_fleet
from hub.model.changes import Put
from tests.hub.commands.rules.test_drafts import command
from tests.support.api_hub import ApiHub


async def ask(hub: ApiHub, **body: Any) -> str:
    async with hub.of("operator") as operator:
        sent = await operator.post("/api/v2/rvms/1/commands", json=body)
    assert sent.status_code == 202, sent.text
    command_id: str = sent.json()["data"]["id"]
    return command_id


async def say(hub: ApiHub, command_id: str, who: str = "one", **body: Any) -> httpx.Response:
    async with hub.of(who) as client:
        return await client.post(f"/api/v2/commands/{command_id}/updates", json=body)


async def read(hub: ApiHub, path: str, who: str = "one") -> Any:
    async with hub.of(who) as client:
        answer = await client.get(f"/api/v2{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_a_machine_without_a_link_does_what_it_is_asked_and_says_so(any_hub: ApiHub) -> None:
    hub = any_hub
    asked = await ask(hub, name="set_status", args={"status": "maintenance", "capacity": 20}, reason="Ganti sensor")
    (found,) = await read(hub, "/rvms/1/commands?state=open")
    assert (found["id"], found["state"]) == (asked, "queued")
    begun = await say(hub, asked, state="accepted")
    assert (begun.status_code, begun.json()["data"]["state"]) == (200, "accepted")
    assert begun.json()["data"]["sent_at"] is not None
    going = (await say(hub, asked, state="running", progress={"phase": "apply", "done": 1, "total": 2})).json()["data"]
    assert going["progress"] == {"phase": "apply", "done": 1.0, "total": 2.0}
    ended = (await say(hub, asked, state="succeeded", result={"ok": True})).json()["data"]
    assert (ended["state"], ended["result"]) == ("succeeded", {"ok": True})
    shown = await read(hub, "/rvms/1")
    assert (shown["status"], shown["capacity"], shown["status_by"][:5]) == ("maintenance", 20, "user:")
    assert await read(hub, "/rvms/1/commands?state=open") == []
    assert [each["id"] for each in await read(hub, "/rvms/1/commands?state=ended")] == [asked]
    again = await say(hub, asked, state="succeeded", result={"ok": True})
    assert (again.status_code, again.json()["data"]["state"]) == (200, "succeeded"), "said again it is the same"


async def test_only_its_own_commands_are_there_for_a_machine(hub: ApiHub) -> None:
    asked = await ask(hub, name="set_status", args={"status": "full"})
    foreign, unknown = await say(hub, asked, "two", state="succeeded"), await say(hub, "no-such", state="succeeded")
    assert (foreign.status_code, foreign.json()) == (404, unknown.json())
    assert (await say(hub, asked, "admin", state="succeeded")).status_code == 403
    assert (await read(hub, f"/commands/{asked}"))["state"] == "queued"


async def test_a_request_to_stop_is_seen_and_obeyed(hub: ApiHub) -> None:
    asked = await ask(hub, name="sync_timezone")
    assert (await say(hub, asked, state="accepted")).json()["data"]["cancel_at"] is None
    async with hub.of("operator") as operator:
        assert (await operator.post(f"/api/v2/commands/{asked}/cancel")).status_code == 202
    assert (await say(hub, asked, state="running")).json()["data"]["cancel_at"] is not None
    error = {"code": "cancelled", "message": "stopped before it began"}
    stopped = (await say(hub, asked, state="rejected", error=error)).json()["data"]
    assert (stopped["state"], stopped["error"]) == ("cancelled", error)


async def test_what_ended_or_is_too_late_is_not_begun_and_a_late_end_is_on_record_once(any_hub: ApiHub) -> None:
    hub, now = any_hub, any_hub.context.clock()
    for name, state, ends in (("past", "queued", -1), ("over", "cancelled", 60)):
        await hub.context.announce(Put(command(state, id=name, rvm_id=1, expires_at=now + timedelta(seconds=ends))))
        refused = await say(hub, name, state="accepted")
        assert (refused.status_code, "do not begin" in refused.json()["message"]) == (409, True), name
    for _ in range(2):
        late = await say(hub, "over", state="succeeded")
        assert (late.status_code, late.json()["data"]["state"]) == (200, "cancelled")
    events = await read(hub, "/events?code=command.late", "admin")
    assert [(event["actor"], event["params"]["state"], event["params"]["was"]) for event in events] == [
        ("machine:1", "succeeded", "cancelled")
    ]
    assert (await read(hub, "/rvms/1"))["status"] == "active"


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({}, "state"), ({"state": "done"}, "state"), ({"state": "failed", "error": "no"}, "error"),
        ({"state": "succeeded", "result": {"a": "\x00"}}, "result"), ({"state": "succeeded", "results": {}}, "results"),
        ({"state": "running", "progress": {"done": 1}}, "progress"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_an_answer_is_named(hub: ApiHub, body: dict[str, Any], member: str) -> None:
    asked = await ask(hub, name="set_status", args={"status": "full"})
    refused = await say(hub, asked, **body)
    assert (refused.status_code, list(refused.json()["errors"])) == (422, [member])


async def test_it_says_which_settings_it_runs(any_hub: ApiHub) -> None:
    hub = any_hub
    async with hub.of("admin") as admin:
        await admin.patch("/api/v2/rvms/1/config", json={"cpu_threshold": 80, "metrics_interval": 20})
    why, own = {"metrics_interval": "environment: RVM_METRICS_INTERVAL sets it"}, {"metrics_interval": 60, "x": {}}
    async with hub.of("one") as machine:
        path = "/api/v2/rvms/1/config/applied"
        refused = await machine.post(path, json={"version": 2})
        assert (refused.status_code, list(refused.json()["errors"])) == (422, ["version"])
        assert "at most 1" in refused.json()["message"]
        assert (await read(hub, "/rvms/1/config"))["applied_version"] == 0
        said = (await machine.post(path, json={"version": 1, "errors": why, "own": own})).json()["data"]
        assert (said["applied_version"], said["applied_errors"]) == (1, why)
        assert (said["values"]["metrics_interval"], said["origins"]["metrics_interval"]) == (60.0, "file")
        assert (await machine.post(path, json={"version": 1, "errors": why, "own": own})).status_code == 200
        assert (await machine.post("/api/v2/rvms/2/config/applied", json={"version": 0})).status_code == 404
    events = await read(hub, "/events?code=config.refused", "admin")
    assert [(event["actor"], event["params"]) for event in events] == [("machine:1", {"version": 1, "errors": why})]


async def test_applied_is_no_key_of_anybodys(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        refused = await admin.patch("/api/v2/rvms/1/config", json={"applied": True})
    assert (refused.status_code, list(refused.json()["errors"])) == (422, ["applied"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/rvms/1/status", {"status": "full"}), ("PATCH", "/rvms/1/status", {"status": "full", "capacity": 0}),
        ("POST", "/timezone/sync", {"device_id": 1, "timezone": "Asia/Jayapura"}),
        ("POST", "/rvms/1/config/applied", {"version": 0}), ("POST", "/commands/left/updates", {"state": "accepted"}),
    ],
)  # fmt: skip
async def test_what_it_writes_is_a_sign_of_life_also_after_a_restart(
    hub: ApiHub, method: str, path: str, body: dict[str, Any]
) -> None:
    deadline = hub.context.clock() + timedelta(hours=1)
    await hub.context.announce(Put(command("queued", id="left", rvm_id=1, expires_at=deadline)))
    async with hub.of("one") as machine:
        await machine.get("/api/v2/rvms/1/commands")
        assert (await read(hub, "/rvms/1"))["connection"] == "never", "reading is no sign of life"
        assert (await machine.request(method, f"/api/v2{path}", json=body)).status_code in (200, 409)
    seen = await read(hub, "/rvms/1")
    assert seen["connection"] == "live"
    assert seen["last_seen_at"] is not None
    assert (await read(hub, "/rvms/2", "admin"))["connection"] == "never"
    await hub.context.announce._commits.flush()
    again = await load_fleet(hub.context.store, hub.context.fleet.settings.base)
    assert again.machines[1].last_seen_at == hub.context.fleet.machines[1].last_seen_at


async def test_a_person_who_writes_for_a_machine_is_no_sign_of_its_life(hub: ApiHub) -> None:
    async with hub.of("operator") as operator:
        await operator.post("/api/v2/timezone/sync", json={"device_id": 1, "timezone": "Asia/Jayapura"})
    assert (await read(hub, "/rvms/1"))["last_seen_at"] is None
