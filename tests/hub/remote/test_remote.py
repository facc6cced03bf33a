"""Remote access over real sockets, both databases: begun, told with a ticket, active, extended, ended; and refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
import pytest_asyncio

from protocol import messages as m
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubHere, hub_here
from tests.support.machine_client import MachineClient
from tests.support.until import until

HERE = {"admin_ips": ["127.0.0.1/32", "::1/128"]}


@pytest_asyncio.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[HubHere]:
    async with hub_here(tmp_path, database_url=database_url, device_frames_per_second=0) as here:
        yield here


@pytest_asyncio.fixture
async def key(hub: HubHere) -> MachineKey:
    made = await hub.add_machine("Lobby")
    async with hub.client() as admin:
        await admin.patch(f"/api/v2/rvms/{made.id}/config", json=HERE)
    return made


async def ask(hub: HubHere, key: MachineKey, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
    async with hub.client() as admin:
        answer = await admin.post(f"/api/v2/rvms/{key.id}/remote-access/{path}", json=body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found if status >= 400 else found["data"]


async def read(hub: HubHere, path: str) -> Any:
    async with hub.client() as admin:
        return (await admin.get(f"/api/v2{path}")).json()["data"]


async def codes(hub: HubHere, key: MachineKey) -> list[str]:
    return [event["code"] for event in reversed(await read(hub, f"/rvms/{key.id}/events?kind=remote"))]


async def begin(
    hub: HubHere, key: MachineKey, machine: MachineClient, **given: Any
) -> tuple[dict[str, Any], m.Command]:
    """A session the machine has accepted, and the command that began it."""
    session = await ask(hub, key, "start", {"reason": "camera is dark", **given}, 201)
    told = await machine.hear(m.Command)
    await machine.say(m.CommandUpdate(id=told.id, state="succeeded"))
    assert (await machine.hear(m.Received)).ref == told.id
    return session, told


async def linked(hub: HubHere, key: MachineKey, machine: MachineClient, **hello: Any) -> None:
    seen, welcome = hub.context.fleet.machines[key.id], await machine.say_hello(capabilities=["ping"], **hello)
    await machine.say(m.ConfigApplied(version=welcome.config.version if welcome.config else 0))
    await until(lambda: seen.row.config_applied_at and seen.linked)


async def test_a_session_is_begun_extended_and_ended_and_the_ticket_is_on_the_wire_alone(
    hub: HubHere, key: MachineKey
) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await linked(hub, key, machine)
        session, told = await begin(hub, key, machine, duration=600, allow=["terminal", "ports"], port=5001)
        assert session["status"] == "starting"
        assert told.name == "start_remote_access"
        assert (told.args["session_id"], told.args["duration"], told.args["ports"]) == (
            session["id"],
            600.0,
            [5000, 5001],
        )
        ticket = told.args["ticket"]
        assert len(ticket) > 30
        status = await read(hub, f"/rvms/{key.id}/remote-access/status")
        assert [(s["status"], s["reason"]) for s in status["sessions"]] == [("active", "camera is dark")]
        assert status["refusal"]["code"] == "too_many_sessions"
        lease = (await read(hub, f"/rvms/{key.id}"))["lease"]
        assert (lease["id"], lease["status"], lease["allow"]) == (session["id"], "active", ["terminal", "ports"])
        longer = await ask(hub, key, "extend", {"duration": 60})
        assert datetime.fromisoformat(longer["expires_at"].replace("Z", "+00:00")) > datetime.fromisoformat(
            lease["expires_at"].replace("Z", "+00:00")
        )
        assert (await machine.hear(m.Command)).name == "extend_remote_access"
        ended = await ask(hub, key, "stop", {"reason": "session_completed"})
        assert (ended["status"], ended["end_reason"]) == ("ended", "stopped")
        stopping = await machine.hear(m.Command)
        assert (stopping.name, stopping.args) == (
            "stop_remote_access",
            {"session_id": session["id"], "reason": "stopped"},
        )
        await machine.say(m.RemoteAccessReport(session_id=session["id"], state="ended", at="2026-11-23T04:00:00Z"))
        while (await machine.hear(m.Received)).ref != f"session-{session['id']}":
            pass
    assert await codes(hub, key) == ["remote.requested", "remote.started", "remote.extended", "remote.ended"]
    kept = (
        str(await read(hub, f"/rvms/{key.id}/commands"))
        + str(await read(hub, "/events"))
        + str(await read(hub, f"/rvms/{key.id}/remote-access/history"))
    )
    assert ticket not in kept


@pytest.mark.parametrize("other", ["stop", "decline"])
async def test_what_is_given_up_at_the_moment_it_begins_does_not_stay_open_on_the_machine(
    hub: HubHere, key: MachineKey, other: str
) -> None:
    """Whichever of the two the record takes last was decided before it knew of the other."""
    async with hub.client() as admin:
        await admin.patch(f"/api/v2/rvms/{key.id}/config", json={**HERE, "remote_access_approval": True})
    second = await hub.people.add("admin")
    async with MachineClient.connect(hub.websocket_url, key) as machine, hub.client(second.token) as agrees:
        await linked(hub, key, machine)
        session = await ask(hub, key, "start", status=201)
        below, named = f"/api/v2/rvms/{key.id}/remote-access", {"session_id": session["id"]}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: agrees.post(f"{below}/approve", json=named))
            tasks.start_soon(lambda: agrees.post(f"{below}/{other}", json=named))
        known, told = hub.context.fleet.machines[key.id], list[str]()
        while known.pending:
            command = await machine.hear(m.Command)
            told.append(command.name)
            await machine.say(m.CommandUpdate(id=command.id, state="succeeded"))
            assert (await machine.hear(m.Received)).ref == command.id
        assert known.remote_sessions or told in ([], ["start_remote_access", "stop_remote_access"])


@pytest.mark.parametrize(
    ("given", "member"),
    [({"admin_id": 999}, "admin_id"), ({"ip_address": "10.9.9.9"}, "ip_address"), ({"duration": 3601}, "duration"),
     ({"ports": [22]}, "ports"), ({"port": 8080}, "port"), ({"allow": []}, "allow")],
)  # fmt: skip
async def test_what_does_not_agree_is_refused_by_its_name(
    hub: HubHere, key: MachineKey, given: dict[str, Any], member: str
) -> None:
    assert member in str((await ask(hub, key, "start", given, 422))["errors"])


async def test_refusals_say_why(hub: HubHere, key: MachineKey) -> None:
    assert (await ask(hub, key, "start", None, 409))["code"] == "machine_offline"
    async with MachineClient.connect(hub.websocket_url, key) as machine, hub.client() as admin:
        await linked(hub, key, machine)
        config = f"/api/v2/rvms/{key.id}/config"
        for setting, status, code in (
            ({"admin_ips": ["192.0.2.0/24"]}, 403, "address_not_allowed"),
            ({"remote_access_enabled": False}, 409, "remote_access_disabled"),
        ):
            await admin.patch(config, json=setting)
            assert (await ask(hub, key, "start", {}, status))["code"] == code
            await admin.patch(config, json={**HERE, "remote_access_enabled": None})
        session, _ = await begin(hub, key, machine)
        refused = await ask(hub, key, "start", {}, 409)
        assert refused["code"] == "too_many_sessions"
        assert f"is reached (1): {session['admin_name']}." in refused["detail"]
        await ask(hub, key, "stop")
        assert (await ask(hub, key, "stop", None, 409))["code"] == "no_session"


async def test_what_the_machine_refuses_is_refused_and_its_own_end_counts(hub: HubHere, key: MachineKey) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await linked(hub, key, machine)
        await ask(hub, key, "start", {}, 201)
        told = await machine.hear(m.Command)
        why = m.Failure(code="busy", message="a return session is open")
        await machine.say(m.CommandUpdate(id=told.id, state="rejected", error=why))
        assert (await machine.hear(m.Received)).ref == told.id
        await until(lambda: not hub.context.fleet.machines[key.id].remote_sessions)
        session, _ = await begin(hub, key, machine)
        said = m.RemoteAccessReport(
            session_id=session["id"], state="ended", at="2026-11-23T04:00:00Z", reason="timed_out"
        )
        await machine.say(said)
        assert (await machine.hear(m.Received)).ref == f"session-{session['id']}"
    newest, refused = await read(hub, f"/rvms/{key.id}/remote-access/history")
    assert (newest["status"], newest["end_reason"]) == ("ended", "timed_out")
    assert (refused["status"], refused["end_reason"]) == ("refused", "start_failed")


async def test_a_machine_in_a_session_that_nobody_knows_is_asked_to_stop(hub: HubHere, key: MachineKey) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await linked(hub, key, machine, remote_session=[77])
        told = await machine.hear(m.Command)
        assert (told.name, told.args["session_id"]) == ("stop_remote_access", 77)
        session, _ = await begin(hub, key, machine)
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await linked(hub, key, machine, remote_session=[])
        await until(lambda: not hub.context.fleet.machines[key.id].remote_sessions)
    (newest,) = await read(hub, f"/rvms/{key.id}/remote-access/history")
    assert (newest["id"], newest["end_reason"]) == (session["id"], "agent_restarted")


async def test_who_loses_the_role_loses_the_session(hub: HubHere, key: MachineKey) -> None:
    person = await hub.people.add("operator")
    async with MachineClient.connect(hub.websocket_url, key) as machine, hub.client() as admin:
        await linked(hub, key, machine)
        async with hub.client(person.token) as holder:
            answer = await holder.post(f"/api/v2/rvms/{key.id}/remote-access/start", json={})
        assert answer.status_code == 201, answer.text
        told = await machine.hear(m.Command)
        await machine.say(m.CommandUpdate(id=told.id, state="succeeded"))
        await machine.hear(m.Received)
        await admin.patch(f"/api/v2/users/{person.id}", json={"role": "viewer"})
        assert (await machine.hear(m.Command)).args["reason"] == "revoked"


async def test_who_loses_the_machine_with_its_tag_loses_the_session(hub: HubHere, key: MachineKey) -> None:
    person = await hub.people.add("technician")
    async with MachineClient.connect(hub.websocket_url, key) as machine, hub.client() as admin:
        await linked(hub, key, machine)
        await admin.patch(f"/api/v2/users/{person.id}", json={"tags": ["mall"]})
        async with hub.client(person.token) as holder:
            path = f"/api/v2/rvms/{key.id}/remote-access/start"
            assert (await holder.post(path, json={})).status_code == 404
            await admin.patch(f"/api/v2/rvms/{key.id}", json={"tags": ["Mall"]})
            assert (await holder.post(path, json={})).status_code == 201
            told = await machine.hear(m.Command)
            await machine.say(m.CommandUpdate(id=told.id, state="succeeded"))
            await machine.hear(m.Received)
            await admin.patch(f"/api/v2/rvms/{key.id}", json={"tags": []})
            assert (await holder.get(f"/api/v2/rvms/{key.id}")).status_code == 404
        assert (await machine.hear(m.Command)).args["reason"] == "revoked"


async def test_a_second_person_agrees(hub: HubHere, key: MachineKey) -> None:
    person = await hub.people.add("operator")
    async with MachineClient.connect(hub.websocket_url, key) as machine, hub.client() as admin:
        await linked(hub, key, machine)
        await admin.patch(f"/api/v2/rvms/{key.id}/config", json={"remote_access_approval": True})
        session = await ask(hub, key, "start", {}, 201)
        assert session["status"] == "requested"
        named = {"session_id": session["id"]}
        assert (await ask(hub, key, "approve", named, 403))["code"] == "own_approval"
        async with hub.client(person.token) as other:
            answer = await other.post(f"/api/v2/rvms/{key.id}/remote-access/approve", json=named)
        assert (answer.status_code, answer.json()["data"]["approved_by"]) == (200, f"user:{person.id}")
        assert (await machine.hear(m.Command)).name == "start_remote_access"


async def test_a_session_begun_at_a_machine_without_a_link_is_maintenance_while_it_lasts(
    hub: HubHere, key: MachineKey
) -> None:
    async with hub.client(key.api_key) as own:
        answer = await own.post(f"/api/v2/rvms/{key.id}/remote-access/start", json={"reason": "on site"})
        assert (answer.status_code, answer.json()["data"]["status"]) == (201, "active"), answer.text
        assert hub.context.fleet.machines[key.id].row.special_status == "maintenance"
        answer = await own.post(f"/api/v2/rvms/{key.id}/remote-access/stop")
        assert answer.status_code == 200, answer.text
    assert hub.context.fleet.machines[key.id].row.special_status is None
