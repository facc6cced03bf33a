"""What a machine is promised, on both databases: committed before confirmed, stored once, and a stall loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import sqlalchemy as sa

from db import schema
from db.errors import Unavailable
from db.records import CommandRow
from hub.commands import rules as command_rules
from hub.model.changes import Put, put_rows
from protocol import messages as m
from tests.support.counted_commits import counted_commits
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


CALLS = ("store_samples", "fetch_all", "fetch_one")


class Stalled:
    """The hub's database answers nobody until `end`; calls fail as they do after their time-out."""

    def __init__(self, hub: HubHere) -> None:
        self.store: Any = hub.context.store
        self.calls = 0
        for name in CALLS:
            setattr(self.store, name, self._refuse)
        self.store.submit = lambda *_: asyncio.ensure_future(self._refuse())  # type: ignore[method-assign]

    def end(self) -> None:
        for name in CALLS:
            delattr(self.store, name)
        del self.store.submit

    async def _refuse(self, *_: Any) -> Any:
        self.calls += 1
        await asyncio.sleep(0.01)
        raise Unavailable("stalled")


async def column(hub: HubHere, of: sa.Column[Any], *where: sa.ColumnElement[bool]) -> list[Any]:
    rows: Sequence[Any] = await hub.context.store.fetch_all(sa.select(of.label("it")).where(*where).order_by(of))
    return [row["it"] for row in rows]


async def draft(hub: HubHere, key: MachineKey, status: str) -> str:
    machine = hub.context.fleet.machines[key.id]
    wanted = {"status": status, "reason": "cleaning"}
    stored = await hub.context.announce(
        *command_rules.draft(machine, "set_status", wanted, "user:1", hub.context.clock())
    )
    return next(put_rows(stored, CommandRow)).id


async def test_acknowledged_samples_are_in_the_database_once_whatever_is_sent_again(
    hub: HubHere, key: MachineKey
) -> None:
    for last in (3, 5, 5):
        async with MachineClient.connect(hub.websocket_url, key) as machine:
            await machine.say_hello()
            await machine.samples(*range(last + 1), seq=last)
            while (await machine.hear(m.MetricsAck)).seq < last:
                pass
    assert await column(hub, schema.system_metrics.c.seq) == [0, 1, 2, 3, 4, 5]
    assert await column(hub, schema.machine_boots.c.last_seq) == [5]


async def test_who_sends_again_on_the_same_link_is_answered_again(hub: HubHere, key: MachineKey) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello()
        for _ in range(3):
            await machine.samples(1.0, 2.0, seq=5)
            assert (await machine.hear(m.MetricsAck)).seq == 5
    assert await column(hub, schema.system_metrics.c.seq) == [4, 5]


async def test_a_new_boot_counts_anew(hub: HubHere, key: MachineKey) -> None:
    for boot in ("boot-1", "boot-2"):
        async with MachineClient.connect(hub.websocket_url, key) as machine:
            await machine.say_hello(boot_id=boot)
            await machine.samples(1.0, 2.0, seq=1)
            await machine.hear(m.MetricsAck)
    assert await column(hub, schema.system_metrics.c.seq) == [0, 0, 1, 1]


async def test_a_stalled_database_drops_no_link_confirms_nothing_and_catches_up_by_itself(
    hub: HubHere, key: MachineKey
) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello()
        await machine.samples(0.0, seq=0)
        await machine.hear(m.MetricsAck)
        stalled = Stalled(hub)
        for seq in range(1, 200):
            await machine.samples(float(seq % 100), seq=seq)
        await machine.say(m.StatusReport(status="full", seq=1))
        await machine.say(m.Event(seq=2, code="door", params={}, timestamp="2026-11-23T13:00:00Z"))
        one = hub.context.fleet.machines[key.id]
        await until(lambda: one.readings is not None and one.readings.cpu_usage == 99.0)
        calls = stalled.calls
        await until(lambda: stalled.calls > calls + 4)
        assert one.connection == "live"
        assert machine._unheard == []
        stalled.end()
        while (await machine.hear(m.MetricsAck)).seq < 199:
            pass
        assert {(await machine.hear(m.Received)).ref, (await machine.hear(m.Received)).ref} == {1, 2}
        assert one.row.status == "full"
    assert await column(hub, schema.system_metrics.c.seq) == list(range(200))


async def test_a_machine_that_connects_while_the_database_is_away_is_welcomed_and_stored_later(
    hub: HubHere, key: MachineKey
) -> None:
    stalled = Stalled(hub)
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello()
        await machine.samples(1.0, seq=0)
        assert hub.context.fleet.machines[key.id].connection == "live"
        await until(lambda: stalled.calls > 4)
        stalled.end()
        await machine.hear(m.MetricsAck)
    assert await column(hub, schema.system_metrics.c.seq) == [0]


async def test_a_status_a_machine_declares_is_row_history_and_event_and_a_repeat_is_none_of_them(
    hub: HubHere, key: MachineKey
) -> None:
    for _ in range(2):
        async with MachineClient.connect(hub.websocket_url, key) as machine:
            await machine.say_hello(status="full")
            await machine.say(m.StatusReport(status="full", capacity=98, reason="bin 2", seq=7))
            assert (await machine.hear(m.Received)).ref == 7
    own = schema.reverse_vending_machines.c
    assert await column(hub, own.status) == ["full"]
    assert await column(hub, own.status_by) == [f"machine:{key.id}"]
    assert await column(hub, schema.status_history.c.status) == ["active", "full", "full"]
    assert await column(hub, schema.events.c.code, schema.events.c.code == "status.changed") == ["status.changed"] * 2


async def test_a_status_repeated_after_a_restart_of_the_hub_undoes_nothing(tmp_path: Path, database_url: str) -> None:
    async with hub_here(tmp_path, database_url=database_url) as hub:
        key = await hub.add_machine("Lobby")
        async with MachineClient.connect(hub.websocket_url, key) as machine:
            await machine.say_hello()
            for seq, status in enumerate(("full", "error")):
                await machine.say(m.StatusReport(status=status, seq=seq))  # type: ignore[arg-type]
                await machine.hear(m.Received)
    async with hub_here(tmp_path / "again", database_url=database_url) as hub:
        async with MachineClient.connect(hub.websocket_url, key) as machine:
            await machine.say_hello(status="error")
            for seq, status in enumerate(("full", "error")):
                await machine.say(m.StatusReport(status=status, seq=seq))  # type: ignore[arg-type]
                assert (await machine.hear(m.Received)).ref == seq
        assert await column(hub, schema.status_history.c.status) == ["active", "error", "full"]


async def test_an_event_reported_again_is_one_event(hub: HubHere, key: MachineKey) -> None:
    report = m.Event(seq=3, code="door", params={"side": "<b>"}, timestamp="2026-11-23T13:00:00Z")
    for _ in range(2):
        async with MachineClient.connect(hub.websocket_url, key) as machine:
            await machine.say_hello()
            await machine.say(report)
            assert (await machine.hear(m.Received)).ref == 3
    assert await column(hub, schema.events.c.seq, schema.events.c.code == "machine.event") == [3]


async def test_a_command_waits_for_the_machine_is_sent_again_until_it_ends_and_ends_once(
    hub: HubHere, key: MachineKey
) -> None:
    command_id = await draft(hub, key, "maintenance")
    for _ in range(2):
        async with MachineClient.connect(hub.websocket_url, key) as machine:
            await machine.say_hello()
            assert (await machine.hear(m.Command)).id == command_id
    for _ in range(2):
        async with MachineClient.connect(hub.websocket_url, key) as machine:
            await machine.say_hello(status="maintenance")
            await machine.say(m.CommandUpdate(id=command_id, state="succeeded"))
            assert (await machine.hear(m.Received)).ref == command_id
    one = hub.context.fleet.machines[key.id]
    assert (one.row.status, one.row.status_by, one.row.status_reason) == ("maintenance", "user:1", "cleaning")
    assert await column(hub, schema.commands.c.state) == ["succeeded"]
    finished = schema.events.c.code == "command.finished"
    assert await column(hub, schema.events.c.code, finished) == ["command.finished"]


async def test_open_commands_survive_a_restart_of_the_hub_and_expire_on_time(tmp_path: Path, database_url: str) -> None:
    async with hub_here(tmp_path, database_url=database_url) as hub:
        key = await hub.add_machine("Lobby")
        await draft(hub, key, "maintenance")
        here = hub.context.fleet.machines[key.id]
        drafted = command_rules.draft(here, "set_status", {"status": "full"}, "user:1", hub.context.clock())
        late = next(put_rows(drafted, CommandRow))
        await hub.context.announce(Put(msgspec.structs.replace(late, expires_at=late.issued_at)))
    async with hub_here(tmp_path / "again", database_url=database_url) as hub:
        pending = hub.context.fleet.machines[key.id].pending
        await until(lambda: len(pending) == 1)
        await until(lambda: len(hub.context.fleet.open) == 1)
        assert await column(hub, schema.commands.c.state) == ["expired", "queued"]
        async with MachineClient.connect(hub.websocket_url, key) as machine:
            await machine.say_hello()
            assert (await machine.hear(m.Command)).args["status"] == "maintenance"


async def test_a_machine_cannot_settle_the_command_of_another(hub: HubHere, key: MachineKey) -> None:
    other = await hub.add_machine("Other")
    command_id = await draft(hub, key, "maintenance")
    async with MachineClient.connect(hub.websocket_url, other) as machine:
        await machine.say_hello()
        for wrong in (command_id, "no-such-command"):
            await machine.say(m.CommandUpdate(id=wrong, state="succeeded"))
            error = await machine.hear(m.Error)
            assert (error.code, error.ref) == ("unknown_command", wrong)
    assert hub.context.fleet.machines[key.id].row.status == "active"
    assert command_id in hub.context.fleet.machines[key.id].pending


async def test_a_machine_the_command_line_added_may_connect_a_moment_later(hub: HubHere) -> None:
    (key,) = await hub.people.add_machines(1, "By hand")
    await until(lambda: hub.context.fleet.find(key.device_id))
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello()


async def test_fifty_machines_that_come_at_once_are_introduced_in_few_transactions(
    hub: HubHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [await hub.add_machine(f"m{number}") for number in range(50)]
    commits = counted_commits(hub.context.store, monkeypatch)
    connections = [MachineClient.connect(hub.websocket_url, key) for key in keys]
    machines = await asyncio.gather(*(connection.__aenter__() for connection in connections))
    await asyncio.gather(*(machine.say_hello() for machine in machines))
    await until(lambda: all(hub.context.fleet.machines[key.id].row.boot_id for key in keys))
    assert commits() < 40
    await asyncio.gather(*(connection.__aexit__(None, None, None) for connection in connections))
