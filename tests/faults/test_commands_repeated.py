"""Commands that come again, too late, or out of a recording: done once, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol import codec
from protocol import messages as m
from tests.support.chaos_proxy import chaos_proxy
from tests.support.fake_hub import KEY, FakeHub, fake_hub
from tests.support.forked_hub import forked_hub
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubProcess
from tests.support.ledger import open_ledger
from tests.support.living_machine import ARGUMENTS, living_machine
from tests.support.machine_client import MachineClient
from tests.support.orders import Operator, overdue_s
from tests.support.system_bus import needs_bus

TIMES = 3
SHORT_S = 3.0
LATEST_S = 5.0


async def say_often(hub: FakeHub, command: m.Command) -> None:
    for _ in range(TIMES):
        await hub.link.say(command)


@needs_bus
@pytest.mark.timeout(90)
@pytest.mark.parametrize("name", ["set_status", "restart_service", "reboot"])
async def test_a_command_that_comes_three_times_before_and_after_restarts_is_done_once(
    tmp_path: Path, name: str
) -> None:
    async with fake_hub() as hub, living_machine(tmp_path / "m", hub.url, MachineKey(1, "rvm-1", KEY)) as machine:
        await hub.connected(1, 20)
        command = hub.command(name, ARGUMENTS[name])
        await say_often(hub, command)
        first = await hub.answer(command, 1, 20)
        for links in (2, 3):
            before, links_before = len(hub.updates[command.id]), sum(link.hello is not None for link in hub.links)
            await machine.kill()
            await hub.connected(max(links, links_before + 1), 20)
            await say_often(hub, command)
            ping = hub.command("ping")
            await hub.link.say(ping)
            await hub.answer(ping, 1, 20)
            assert len(hub.updates[command.id]) >= before + 1
        assert {(each.state, str(each.result)) for each in hub.updates[command.id]} == {
            ("succeeded", str(first.result))
        }
        assert machine.executions(name, command.id) == 1


@needs_bus
@pytest.mark.timeout(90)
async def test_a_command_that_arrives_after_its_deadline_never_runs(tmp_path: Path) -> None:
    """The network holds it back; the hub's clock has settled it by then, in time."""
    (tmp_path / "hub-data").mkdir()
    (tmp_path / "hub-data" / "test-patience").write_text(str(SHORT_S))
    names = ("set_status", "restart_service", "reboot")
    async with forked_hub(tmp_path) as hub, hub.client() as client, chaos_proxy(hub.port) as network:
        operator, key = Operator(hub, client), await hub.add_machine("Lobby")
        async with living_machine(tmp_path / "machine", network.url, key) as machine:
            await operator.answers(key)
            before = [machine.executions(name, "") for name in names]
            network.stall()
            orders = [await operator.insist(key, name, ARGUMENTS[name], once=f"late-{name}") for name in names]
            ends = [await operator.end(order["id"], SHORT_S + LATEST_S + 5) for order in orders]
            assert [end["state"] for end in ends] == ["expired"] * len(names)
            assert max(map(overdue_s, ends)) <= LATEST_S
            network.flow()
            await operator.answers(key)
            after = [machine.executions(name, "") for name in names]
            assert after == before
            assert machine.log.count(": succeeded") == machine.log.count("command ping")
            assert [await operator.end(order["id"]) for order in orders] == ends


async def remembered(hub: HubProcess, key: MachineKey) -> object:
    """What a replay must not change."""
    async with open_ledger(hub.settings.database_url) as ledger, hub.client() as client:
        machine = (await client.get(f"/api/v2/rvms/{key.id}")).json()["data"]
        events = (await client.get("/api/v2/events", params={"rvm": key.id, "limit": 500})).json()["data"]
        told = [event for event in events if not event["code"].startswith(("connection.", "machine.introduced"))]
        return (
            await ledger.samples(), await ledger.reasons(), await ledger.commands(), await ledger.ends(),
            [machine[name] for name in ("status", "special_status", "capacity", "status_since", "status_reason")],
            [event["id"] for event in told],
        )  # fmt: skip


@pytest.mark.timeout(60)
async def test_a_recording_of_an_old_connection_does_nothing_on_a_new_one(tmp_path: Path) -> None:
    """Not even from somebody who has the key: samples, statuses, events and results are known by their numbers."""
    async with forked_hub(tmp_path, device_frames_per_second=0) as hub, hub.client() as client:
        operator, key = Operator(hub, client), await hub.add_machine("Lobby")
        said: list[m.MachineMessage] = [
            m.Metrics(seq=4, samples=[m.Sample(timestamp=1_790_000_000.0 + k, cpu_usage=k) for k in range(5)]),
            m.StatusReport(status="full", seq=1, capacity=100, reason="one"),
            m.StatusReport(status="active", seq=2, capacity=3, reason="two"),
            m.Event(seq=1, code="bin.emptied", params={"by": "staff"}, timestamp="2026-11-23T04:05:06Z"),
        ]
        async with MachineClient.connect(hub.websocket_url, key) as machine:
            await machine.say_hello()
            for message in said:
                await machine.say(message)
            assert (await machine.hear(m.MetricsAck)).seq == 4
            for _ in range(3):
                await machine.hear(m.Received)
            order = await operator.insist(key, "set_status", {"status": "maintenance"}, once="request", reason="three")
            assert (await machine.hear(m.Command)).id == order["id"]
            said += [m.CommandUpdate(id=order["id"], state=state) for state in ("accepted", "running", "succeeded")]
            for message in said[-3:]:
                await machine.say(message)
            assert (await machine.hear(m.Received)).ref == order["id"]
        before = await remembered(hub, key)
        async with MachineClient.connect(hub.websocket_url, key) as replayer:
            await replayer.say_hello(status="maintenance")
            for message in said:
                await replayer.socket.send(codec.encode(message))
            confirmed = [(await replayer.hear(m.Received)).ref for _ in range(4)]
            assert confirmed == [1, 2, 1, order["id"]], "each is answered as what is known"
            assert (await replayer.hear(m.MetricsAck)).seq == 4
        assert await remembered(hub, key) == before
        assert "Traceback" not in hub.log
