"""REST and a real link together: what is asked arrives, what is confirmed is shown, what is revoked is cut off."""

from __future__ import annotations

import asyncio
from pathlib import Path

import websockets

from protocol import messages as m
from protocol.errors import CloseCode
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubHere, hub_here
from tests.support.machine_client import MachineClient


async def refused_at_the_door(hub: HubHere, key: MachineKey) -> int:
    """The status; 101 when it was let in."""
    try:
        async with MachineClient.connect(hub.websocket_url, key):
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


async def test_a_command_is_confirmed_by_the_machine_while_the_answer_waits(tmp_path: Path) -> None:
    async with hub_here(tmp_path) as hub:
        key = await hub.add_machine("Lobby")
        async with MachineClient.connect(hub.websocket_url, key) as machine, hub.client() as admin:
            await machine.say_hello()
            request = {"status": "maintenance", "reason": "servis"}
            asking = asyncio.create_task(admin.patch(f"/api/v2/rvms/{key.id}/status?wait=10", json=request))
            command = await machine.hear(m.Command)
            assert (command.name, command.args) == ("set_status", request)
            before = (await admin.get(f"/api/v2/rvms/{key.id}/status")).json()["data"]
            assert before["status"] == "active", "a request is not a fact"
            await machine.say(m.CommandUpdate(id=command.id, state="succeeded"))
            answer = (await asking).json()
            assert answer["data"]["status"] == "maintenance"
            assert answer["data"]["command"]["state"] == "succeeded"
            assert answer["message"] == "The machine has done it."


async def test_a_ping_that_is_answered_ends_with_200(tmp_path: Path) -> None:
    async with hub_here(tmp_path) as hub:
        key = await hub.add_machine("Lobby")
        async with MachineClient.connect(hub.websocket_url, key) as machine, hub.client() as admin:
            await machine.say_hello()
            asking = asyncio.create_task(admin.post(f"/api/v2/rvms/{key.id}/commands?wait=10", json={"name": "ping"}))
            command = await machine.hear(m.Command)
            await machine.say(m.CommandUpdate(id=command.id, state="succeeded", result={"pong": True}))
            answer = await asking
            assert answer.status_code == 200
            assert answer.json()["data"]["result"] == {"pong": True}


async def test_removing_a_machine_cuts_its_link_and_kills_its_key(tmp_path: Path) -> None:
    async with hub_here(tmp_path) as hub:
        key = await hub.add_machine("Lobby")
        async with MachineClient.connect(hub.websocket_url, key) as machine, hub.client() as admin:
            await machine.say_hello()
            assert (await admin.delete(f"/api/v2/rvms/{key.id}")).status_code == 204
            assert await machine.closed() == CloseCode.REVOKED
            assert await refused_at_the_door(hub, key) == 401
        async with hub.client(key.api_key) as dead:
            assert (await dead.get(f"/api/v2/rvms/{key.id}")).status_code == 401


async def test_replacing_the_key_cuts_the_old_link_and_lets_the_new_one_in(tmp_path: Path) -> None:
    async with hub_here(tmp_path) as hub:
        key = await hub.add_machine("Lobby")
        async with MachineClient.connect(hub.websocket_url, key) as machine, hub.client() as admin:
            await machine.say_hello()
            made = (await admin.post(f"/api/v2/rvms/{key.id}/key")).json()["data"]
            assert await machine.closed() == CloseCode.REVOKED
        assert await refused_at_the_door(hub, key) == 401
        async with MachineClient.connect(hub.websocket_url, key._replace(api_key=made["api_key"])) as machine:
            await machine.say_hello()


async def test_samples_sent_by_rest_and_again_by_the_link_are_kept_once(tmp_path: Path) -> None:
    async with hub_here(tmp_path) as hub:
        key = await hub.add_machine("Lobby")
        samples = [m.Sample(timestamp=f"2026-01-01T00:00:0{n}Z", cpu_usage=float(n)) for n in range(5)]
        by_rest = [
            {"timestamp": s.timestamp, "cpu_usage": s.cpu_usage, "boot_id": "boot-1", "seq": n}
            for n, s in enumerate(samples[:3])
        ]
        async with hub.client(key.api_key) as own:
            stored = await own.post(f"/api/v2/rvms/{key.id}/metrics", json=by_rest)
            assert stored.json()["data"]["stored"] == 3
            async with MachineClient.connect(hub.websocket_url, key) as machine:
                await machine.say_hello(boot_id="boot-1")
                await machine.say(m.Metrics(seq=4, samples=samples))
                assert (await machine.hear(m.MetricsAck)).seq == 4
            repeated = await own.post(f"/api/v2/rvms/{key.id}/metrics", json=by_rest)
            assert repeated.json()["data"]["duplicates"] == 3
            span = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:10Z", "points": "10"}
            read = (await own.get(f"/api/v2/rvms/{key.id}/metrics", params=span)).json()["data"]
    assert [point["count"] for point in read["samples"]] == [1] * 5
