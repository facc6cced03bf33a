"""The live links: commands delivered once a link, peers that do not read, the end of a hub, waiting for a result."""

from __future__ import annotations

import asyncio
from datetime import datetime

import anyio
import msgspec

from hub.links.link import OUTBOX
from hub.model.changes import Put
from protocol import messages as m
from tests.hub.commands.rules.test_drafts import command
from tests.support.link_room import room, text
from tests.support.machines import NOW, machine
from tests.support.until import until


async def test_a_command_is_sent_once_a_link_and_again_on_the_next_link() -> None:
    async with room() as hub:
        _, _, wire = hub.connect()
        await hub.announce(Put(command()))
        hub.links.deliver(7)
        hub.links.deliver(7)
        await until(lambda: wire.of(m.Command))
        assert len(wire.of(m.Command)) == 1
        _, _, wire = hub.connect()
        hub.links.deliver(7)
        await until(lambda: wire.of(m.Command))
        assert [said.id for said in wire.of(m.Command)] == ["c1"]


async def test_no_byte_of_a_command_leaves_before_it_is_recorded() -> None:
    async with room() as hub:
        _, _, wire = hub.connect()
        await until(lambda: "boot-a" in hub.machine.boots)
        hub.store.open.clear()
        asked = asyncio.ensure_future(hub.announce(Put(command())))
        calls = hub.store.calls
        await until(lambda: hub.store.calls > calls)
        hub.links.deliver(7)
        assert wire.of(m.Command) == []
        hub.store.open.set()
        await asked
        await until(lambda: wire.of(m.Command))


async def test_a_peer_that_stops_reading_is_torn_down_in_time() -> None:
    async with room() as hub:
        _, link, wire = hub.connect()
        await until(lambda: wire.of(m.Welcome))
        wire.open.clear()
        link.scope = anyio.CancelScope()
        link.send(m.Live(interval=1.0))
        await until(lambda: link.sending_since)
        hub.links.abort_stuck(link.sending_since + 19.0, 20.0)
        assert not link.closing
        hub.links.abort_stuck(link.sending_since + 21.0, 20.0)
        assert link.closing
        assert link.scope.cancel_called


async def test_a_full_outbox_closes_the_link_as_overloaded() -> None:
    async with room() as hub:
        _, link, wire = hub.connect()
        await until(lambda: wire.of(m.Welcome))
        wire.open.clear()
        for number in range(OUTBOX + 2):
            link.send(m.Live(interval=float(number)))
        assert link.closing
        wire.open.set()
        await until(lambda: wire.close == 1013)
        assert len(wire.of(m.Live)) <= 1, "what waited is not sent to somebody who is gone"


async def test_many_machines_are_asked_to_come_back_over_at_least_twenty_seconds() -> None:
    async with room() as hub:
        wires = []
        for number in range(100, 140):
            hub.fleet.put(machine(number))
            _, link, wire = hub.connect()
            hub.links.unregister(link)
            link.machine = hub.fleet.machines[number]
            hub.links.register(link)
            wires.append(wire)
        assert hub.links.send_restarting(5.0) == 40
        await until(lambda: all(wire.close == 1012 for wire in wires))
        spans = [wire.of(m.Restarting)[0].reconnect_in for wire in wires]
        assert min(least for least, _ in spans) == 0.0
        assert max(most for _, most in spans) >= 20.0
        assert len({least for least, _ in spans}) == 40


async def test_waiting_for_a_command_ends_with_it_or_with_the_time() -> None:
    async with room() as hub:
        assert await hub.links.wait_for("nobody", 0.01) is None
        await hub.announce(Put(command()))
        still = await hub.links.wait_for("c1", 0.01)
        assert still is not None
        assert still.state == "queued"
        waiting = asyncio.ensure_future(hub.links.wait_for("c1", 10))
        await asyncio.sleep(0)
        session, _, _ = hub.connect()
        session.receive(text(m.CommandUpdate(id="c1", state="failed")))
        done = await asyncio.wait_for(waiting, 60)
        assert done is not None
        assert done.state == "failed"
        assert hub.links._waiters == {}


async def test_a_command_past_its_deadline_is_not_delivered() -> None:
    async with room() as hub:
        _, _, wire = hub.connect()
        await until(lambda: "boot-a" in hub.machine.boots)
        late = msgspec.structs.replace(command(), expires_at=datetime(2026, 11, 23, 8, 0, tzinfo=NOW.tzinfo))
        await hub.announce(Put(late))
        hub.links.deliver(7)
        assert wire.of(m.Command) == []
