"""A machine's side of a link, without a socket: what is committed, what is answered, what a slow database changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import anyio
import msgspec
import pytest

from hub.core.changes import CommandDrafted
from hub.core.fleet import Fleet
from hub.core.machine import Machine
from hub.flow.announce import Announcer
from hub.flow.conversation import INBOX, Conversation
from hub.flow.engine import Nobody
from hub.flow.group_commit import GroupCommit
from hub.flow.link import OUTBOX, Link
from hub.flow.links import Links
from hub.flow.observer import Observer
from hub.flow.samples_lane import SamplesLane
from protocol import codec
from protocol import messages as m
from protocol.session import Session
from protocol.transitions import Role
from tests.hub.core.test_command_desk import command
from tests.support.fake_store import FakeStore
from tests.support.machines import NOW, hello, machine, metrics
from tests.support.until import until


class Wire:
    """What the hub sent; `open` is cleared to play a peer that stops reading."""

    def __init__(self) -> None:
        self.sent: list[MutableMapping[str, Any]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        await self.open.wait()
        self.sent.append(message)

    @property
    def said(self) -> list[Any]:
        return [codec.decode_from_hub(one["text"]).message for one in self.sent if "text" in one]

    @property
    def close(self) -> int | None:
        return next((one["code"] for one in self.sent if one["type"] == "websocket.close"), None)

    def of(self, kind: type) -> list[Any]:
        return [said for said in self.said if isinstance(said, kind)]


class Room:
    """A hub's engine around one machine, on a store that does as told."""

    def __init__(self, tasks: anyio.abc.TaskGroup, **machine_members: Any) -> None:
        self.store = FakeStore()
        self.tasks = tasks
        self.fleet = Fleet([machine(**machine_members)])
        self.lane = SamplesLane(self.store)
        commit = GroupCommit(self.store)
        self.announce = Announcer(self.fleet, commit, self.lane, Nobody())
        self.observer = Observer(self.fleet, self.announce, lambda: NOW)
        self.links = Links(self.fleet, self.announce, self.observer, lambda: NOW)
        self.announce.listen(self.links.became_true)
        tasks.start_soon(commit.run)
        tasks.start_soon(self.lane.run)

    @property
    def machine(self) -> Machine:
        return self.fleet.machines[7]

    def connect(self, rate: float = 0.0, burst: int = 100, clock: Any = lambda: NOW) -> tuple[Conversation, Link, Wire]:
        wire = Wire()
        link = Link(wire.send, Session(Role.HUB, authenticated=True), "10.0.0.9")
        link.machine = self.machine
        said = hello()
        link.session.receive(codec.encode(said))
        self.links.opened(link)
        self.links.take(link)
        self.tasks.start_soon(link.write)
        welcome = m.Welcome(
            session_id="s", time="t", protocol=2, config=m.Configuration(version=0, values={}), live_interval=0.0
        )
        link.say(welcome)
        self.observer.linked(self.machine, 0.0)
        conversation = Conversation(
            link, self.machine, said, links=self.links, announce=self.announce, store=self.store, tasks=self.tasks,
            clock=clock, fallback_zone="Asia/Jakarta", frames_per_second=rate, burst=burst,
        )  # fmt: skip
        return conversation, link, wire


@asynccontextmanager
async def room(**machine_members: Any) -> AsyncIterator[Room]:
    async with anyio.create_task_group() as tasks:
        yield Room(tasks, **machine_members)
        tasks.cancel_scope.cancel()


def text(message: m.MachineMessage) -> str:
    return codec.encode(message)


async def test_samples_are_acknowledged_after_their_commit_once_for_many_frames() -> None:
    async with room() as hub:
        conversation, _, wire = hub.connect()
        await until(lambda: hub.machine.boots["boot-a"].id)
        hub.store.open.clear()
        for seq in range(1, 11):
            assert conversation.hear(text(metrics(seq, cpu_usage=seq)))
        await until(lambda: hub.store.calls > 1)
        assert wire.of(m.MetricsAck) == []
        assert hub.machine.readings is not None
        assert hub.machine.readings.cpu_usage == 10.0, "what is seen does not wait for the database"
        hub.store.open.set()
        await until(lambda: wire.of(m.MetricsAck))
        assert wire.of(m.MetricsAck)[-1].seq == 10
        assert len(wire.of(m.MetricsAck)) <= 2
        assert sorted(row.seq for batch in hub.store.batches for row in batch) == list(range(1, 11))


async def test_samples_that_come_before_the_new_boot_is_stored_wait_for_its_id() -> None:
    async with room() as hub:
        hub.store.open.clear()
        conversation, _, wire = hub.connect()
        conversation.hear(text(metrics(3, 3)))
        await until(lambda: hub.store.calls)
        hub.store.open.set()
        await until(lambda: wire.of(m.MetricsAck))
        boot = hub.machine.boots["boot-a"]
        assert {row.boot for batch in hub.store.batches for row in batch} == {boot.id}


async def test_repeats_after_a_reconnect_are_acknowledged_and_not_stored_again() -> None:
    async with room() as hub:
        first, _, wire = hub.connect()
        first.hear(text(metrics(5, 5)))
        await until(lambda: wire.of(m.MetricsAck))
        second, _, wire = hub.connect()
        second.hear(text(metrics(7, 7)))
        await until(lambda: wire.of(m.MetricsAck))
        assert wire.of(m.MetricsAck)[-1].seq == 7
        assert sorted(row.seq for batch in hub.store.batches for row in batch) == [1, 2, 3, 4, 5, 6, 7]


async def test_live_samples_are_seen_and_neither_stored_nor_acknowledged() -> None:
    async with room() as hub:
        conversation, _, wire = hub.connect()
        conversation.hear(text(metrics(1, live=True, temperature=91.0)))
        conversation.hear(text(metrics(1)))
        await until(lambda: wire.of(m.MetricsAck))
        assert [row.seq for batch in hub.store.batches for row in batch] == [1]


async def test_a_drained_spool_does_not_turn_the_page_back() -> None:
    async with room() as hub:
        conversation, _, _ = hub.connect()
        await until(lambda: hub.machine.boots["boot-a"].id)
        conversation.hear(text(metrics(9, live=True, cpu_usage=50.0)))
        old = m.Sample(timestamp="2026-11-23T07:00:00Z", cpu_usage=1.0)
        conversation.hear(text(m.Metrics(seq=1, samples=[old])))
        assert hub.machine.readings is not None
        assert hub.machine.readings.cpu_usage == 50.0


async def test_a_status_is_received_after_its_commit_and_a_repeat_is_received_without_another_row() -> None:
    async with room() as hub:
        conversation, _, wire = hub.connect()
        report = m.StatusReport(status="full", seq=4)
        conversation.hear(text(report))
        await until(lambda: wire.of(m.Received))
        assert hub.machine.status == "full"
        committed = len(hub.store.transactions)
        conversation.hear(text(report))
        await until(lambda: len(wire.of(m.Received)) == 2)
        assert [said.ref for said in wire.of(m.Received)] == [4, 4]
        assert len(hub.store.transactions) == committed


async def test_what_is_durable_waits_for_a_database_that_is_away_and_keeps_its_order() -> None:
    async with room() as hub:
        conversation, link, wire = hub.connect()
        await until(lambda: hub.machine.boots["boot-a"].id)
        hub.store.away = True
        for seq, status in enumerate(("full", "error", "maintenance")):
            conversation.hear(text(m.StatusReport(status=status, seq=seq)))  # type: ignore[arg-type]
        calls = hub.store.calls
        await until(lambda: hub.store.calls > calls)
        assert wire.of(m.Received) == []
        assert not link.closing
        hub.store.away = False
        await until(lambda: len(wire.of(m.Received)) == 3)
        assert [said.ref for said in wire.of(m.Received)] == [0, 1, 2]
        assert hub.machine.status == "maintenance"


async def test_too_much_that_is_durable_makes_the_reader_wait_until_there_is_room() -> None:
    async with room() as hub:
        conversation, _, wire = hub.connect()
        hub.store.open.clear()
        heard = [conversation.hear(text(m.StatusReport(status="full", seq=seq))) for seq in range(INBOX)]
        assert heard[0]
        assert not heard[-1]
        waiting = asyncio.ensure_future(conversation.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        hub.store.open.set()
        await asyncio.wait_for(waiting, 10)
        await until(lambda: len(wire.of(m.Received)) == INBOX)


async def test_a_command_settles_once_and_every_repeat_is_received() -> None:
    async with room() as hub:
        conversation, _, wire = hub.connect()
        await hub.announce(CommandDrafted(command=command()))
        await until(lambda: wire.of(m.Command))
        assert hub.machine.pending["c1"].state == "sent"
        conversation.hear(text(m.CommandUpdate(id="c1", state="accepted")))
        await until(lambda: hub.machine.pending["c1"].state == "accepted")
        assert wire.of(m.Received) == [], "only the end of a command is confirmed"
        conversation.hear(text(m.CommandUpdate(id="c1", state="succeeded")))
        await until(lambda: wire.of(m.Received))
        assert (hub.machine.status, hub.machine.status_by) == ("maintenance", "user:1")


async def test_a_command_of_another_machine_is_refused_and_counted() -> None:
    async with room() as hub:
        conversation, _, wire = hub.connect()
        conversation.hear(text(m.CommandUpdate(id="not-mine", state="succeeded")))
        await until(lambda: wire.of(m.Error))
        assert (wire.of(m.Error)[0].code, wire.of(m.Error)[0].ref) == ("unknown_command", "not-mine")
        assert hub.links.tally["foreign"] == 1


async def test_a_command_is_told_once_a_link_and_again_on_the_next_link() -> None:
    async with room() as hub:
        _, _, wire = hub.connect()
        await hub.announce(CommandDrafted(command=command()))
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
        await until(lambda: hub.machine.boots["boot-a"].id)
        hub.store.open.clear()
        asked = asyncio.ensure_future(hub.announce(CommandDrafted(command=command())))
        calls = hub.store.calls
        await until(lambda: hub.store.calls > calls)
        hub.links.deliver(7)
        assert wire.of(m.Command) == []
        hub.store.open.set()
        await asked
        await until(lambda: wire.of(m.Command))


async def test_what_an_older_link_still_says_is_not_heard() -> None:
    async with room() as hub:
        older, older_link, older_wire = hub.connect()
        await until(lambda: hub.machine.boots["boot-a"].id)
        hub.connect()
        assert older_link.closing
        older.hear(text(m.StatusReport(status="error", seq=1)))
        older.hear(text(m.Bye(reason="shutdown")))
        older.hear(text(metrics(1, cpu_usage=99.0)))
        await until(lambda: older_wire.close == 4409)
        assert (hub.machine.status, hub.machine.linked, hub.machine.readings) == ("active", True, None)
        assert not hub.links.leave(older_link), "its end is not its machine's end"


async def test_what_an_older_link_had_in_its_inbox_is_dropped_when_a_newer_one_takes_over() -> None:
    async with room() as hub:
        older, _, _ = hub.connect()
        await until(lambda: hub.machine.boots["boot-a"].id)
        hub.store.away = True
        older.hear(text(m.StatusReport(status="full", seq=1)))
        older.hear(text(m.StatusReport(status="error", seq=2)))
        hub.connect()
        hub.store.away = False
        await until(lambda: not older._working)
        assert hub.machine.status != "error"


async def test_a_machine_over_its_rate_is_slowed_and_may_burst() -> None:
    async with room() as hub:
        conversation, _, _ = hub.connect(rate=20.0, burst=100)
        heard = [conversation.hear(text(metrics(seq, live=True))) for seq in range(1, 103)]
        assert heard[:100] == [True] * 100
        assert not heard[101]


async def test_a_peer_that_stops_reading_is_torn_down_in_time() -> None:
    async with room() as hub:
        _, link, wire = hub.connect()
        await until(lambda: wire.of(m.Welcome))
        wire.open.clear()
        link.scope = anyio.CancelScope()
        link.say(m.Live(interval=1.0))
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
            link.say(m.Live(interval=float(number)))
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
            hub.links.leave(link)
            link.machine = hub.fleet.machines[number]
            hub.links.take(link)
            wires.append(wire)
        assert hub.links.say_restarting(5.0) == 40
        await until(lambda: all(wire.close == 1012 for wire in wires))
        spans = [wire.of(m.Restarting)[0].reconnect_in for wire in wires]
        assert min(least for least, _ in spans) == 0.0
        assert max(most for _, most in spans) >= 20.0
        assert len({least for least, _ in spans}) == 40


async def test_waiting_for_a_command_ends_with_it_or_with_the_time() -> None:
    async with room() as hub:
        assert await hub.links.wait_for("nobody", 0.01) is None
        await hub.announce(CommandDrafted(command=command()))
        still = await hub.links.wait_for("c1", 0.01)
        assert still is not None
        assert still.state == "queued"
        waiting = asyncio.ensure_future(hub.links.wait_for("c1", 10))
        await asyncio.sleep(0)
        conversation, _, _ = hub.connect()
        conversation.hear(text(m.CommandUpdate(id="c1", state="failed")))
        done = await asyncio.wait_for(waiting, 5)
        assert done is not None
        assert done.state == "failed"
        assert hub.links._waiters == {}


async def test_a_command_past_its_deadline_is_not_delivered() -> None:
    async with room() as hub:
        _, _, wire = hub.connect()
        await until(lambda: hub.machine.boots["boot-a"].id)
        late = msgspec.structs.replace(command(), expires_at=datetime(2026, 11, 23, 8, 0, tzinfo=NOW.tzinfo))
        await hub.announce(CommandDrafted(command=late))
        hub.links.deliver(7)
        assert wire.of(m.Command) == []


async def test_a_bug_in_a_handler_ends_only_this_link(monkeypatch: pytest.MonkeyPatch) -> None:
    async with room() as hub:
        conversation, link, wire = hub.connect()
        await until(lambda: hub.machine.boots["boot-a"].id)
        monkeypatch.setattr("hub.core.intake.report_status", lambda *_: 1 / 0)
        conversation.hear(text(m.StatusReport(status="full", seq=1)))
        await until(lambda: wire.close == 1011)
        assert link.closing
