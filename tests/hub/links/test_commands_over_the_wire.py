"""Commands over real sockets on both databases: stopped by the machine's own word, too late, no longer asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest_asyncio

from db.records import CommandRow, UserRow
from hub.commands import rules as command_rules
from hub.model.changes import Patch, Put, put_rows
from hub.people import rules
from protocol import messages as m
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubHere, hub_here
from tests.support.machine_client import MachineClient
from tests.support.until import until


@pytest_asyncio.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[HubHere]:
    async with hub_here(tmp_path, database_url=database_url, device_frames_per_second=0) as here:
        yield here


@pytest_asyncio.fixture
async def key(hub: HubHere) -> MachineKey:
    return await hub.add_machine("Lobby")


async def asked(hub: HubHere, path: str, body: Any = None) -> dict[str, Any]:
    async with hub.client() as admin:
        answer = await admin.post(f"/api/v2{path}", json=body)
    assert answer.status_code in (200, 202), answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def read(hub: HubHere, path: str) -> Any:
    async with hub.client() as admin:
        return (await admin.get(f"/api/v2{path}")).json()["data"]


async def test_a_running_command_is_stopped_by_the_machines_own_word(hub: HubHere, key: MachineKey) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello(capabilities=["reboot"])
        await until(lambda: hub.context.fleet.machines[key.id].capabilities)
        made = await asked(hub, f"/rvms/{key.id}/commands", {"name": "reboot", "args": {"delay": 30}})
        assert (await machine.hear(m.Command)).id == made["id"]
        await machine.say(m.CommandUpdate(id=made["id"], state="running", progress=m.Progress(phase="waiting")))
        await until(lambda: hub.context.fleet.open[made["id"]].state == "running")
        stopping = await asked(hub, f"/commands/{made['id']}/cancel")
        assert (stopping["state"], stopping["progress"]) == ("running", {"phase": "waiting"})
        assert (await machine.hear(m.Cancel)).id == made["id"]
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello(capabilities=["reboot"])
        assert (await machine.hear(m.Cancel)).id == made["id"], "only that is said again"
        failure = m.Failure(code="cancelled", message="withdrawn before it began")
        await machine.say(m.CommandUpdate(id=made["id"], state="rejected", error=failure))
        assert (await machine.hear(m.Received)).ref == made["id"]
        assert not [said for said in machine._unheard if isinstance(said, m.Command)]
    ended = await read(hub, f"/commands/{made['id']}")
    assert (ended["state"], ended["cancel_by"] is not None) == ("cancelled", True)


async def test_a_word_that_is_too_late_is_one_line_in_the_record_however_often_it_is_reported(
    hub: HubHere, key: MachineKey
) -> None:
    machine_now, now = hub.context.fleet.machines[key.id], hub.context.clock()
    drafted = next(
        put_rows(command_rules.draft(machine_now, "set_status", {"status": "full"}, "system", now), CommandRow)
    )
    late = msgspec.structs.replace(drafted, expires_at=now - timedelta(seconds=1))
    await hub.context.announce(Put(late))
    await until(lambda: not hub.context.fleet.open)
    for _ in range(2):
        async with MachineClient.connect(hub.websocket_url, key) as machine:
            await machine.say_hello()
            await machine.say(m.CommandUpdate(id=late.id, state="succeeded"))
            assert (await machine.hear(m.Received)).ref == late.id
    events = await read(hub, "/events?code=command.late")
    assert [(event["params"]["state"], event["params"]["was"]) for event in events] == [("succeeded", "expired")]
    assert (await read(hub, f"/commands/{late.id}"))["state"] == "expired"


async def test_what_a_disabled_user_asked_for_never_reaches_the_machine(hub: HubHere, key: MachineKey) -> None:
    now = hub.context.clock()
    added = rules.add_user(
        email="gone@example.com", name="Gone", role="operator", password_hash=None, language=None,
        machines=frozenset(), now=now, by="system",
    )  # fmt: skip
    (user,) = put_rows(await hub.context.announce(*added), UserRow)
    machine_now = hub.context.fleet.machines[key.id]
    sync = command_rules.draft(machine_now, "sync_timezone", {"trigger": "manual"}, f"user:{user.id}", now)
    await hub.context.announce(*sync)
    await hub.context.announce(*command_rules.draft(machine_now, "set_status", {"status": "full"}, "system", now))
    await hub.context.announce(Patch(UserRow, user.id, {"disabled_at": now}))
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello()
        assert (await machine.hear(m.Command)).name == "set_status"
        await until(lambda: len(hub.context.fleet.open) == 1)
        assert not [said for said in machine._unheard if isinstance(said, m.Command)]
    (event,) = await read(hub, "/events?code=command.finished")
    assert (event["actor"], event["params"]["error"]) == ("clock", "not_allowed_any_more")


async def test_one_request_for_many_goes_down_every_link(hub: HubHere, key: MachineKey) -> None:
    other = await hub.add_machine("Other")
    async with (
        MachineClient.connect(hub.websocket_url, key) as one,
        MachineClient.connect(hub.websocket_url, other) as two,
    ):
        await one.say_hello()
        await two.say_hello()
        sent = await asked(hub, "/commands", {"name": "ping", "filter": {"all": True}})
        for machine, row in zip((one, two), sent["results"], strict=True):
            heard = await machine.hear(m.Command)
            assert heard.id == row["command"]["id"]
            await machine.say(m.CommandUpdate(id=heard.id, state="succeeded"))
            await machine.hear(m.Received)
    group = await read(hub, f"/commands?group={sent['group_id']}&state=succeeded")
    assert len(group) == 2
