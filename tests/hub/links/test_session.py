"""A machine's side of a link, without a socket: what is committed, what is answered, what a slow database changes."""

from __future__ import annotations

import asyncio
import random

import pytest

from hub.links.session import INBOX
from hub.model import budgets
from hub.model.budgets import MachineBudget
from hub.model.changes import Put
from protocol import messages as m
from protocol.limits import MAX_RESULT_BYTES
from tests.hub.commands.rules.test_drafts import command
from tests.support.link_room import room, text
from tests.support.machines import hello, metrics
from tests.support.until import until


async def test_samples_are_acknowledged_after_their_commit_once_for_many_frames() -> None:
    async with room() as hub:
        session, _, wire = hub.connect()
        await until(lambda: "boot-a" in hub.machine.boots)
        hub.store.open.clear()
        for seq in range(1, 11):
            assert session.receive(text(metrics(seq, cpu_usage=seq)))
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
        session, _, wire = hub.connect()
        session.receive(text(metrics(3, 3)))
        await until(lambda: hub.store.calls)
        hub.store.open.set()
        await until(lambda: wire.of(m.MetricsAck))
        boot = hub.machine.boots["boot-a"]
        assert {row.boot for batch in hub.store.batches for row in batch} == {boot.id}


async def test_a_frame_that_comes_just_as_the_boot_is_stored_does_not_overtake_those_before_it() -> None:
    """It would raise the mark above them: acknowledged, and taken for repeats."""
    async with room() as hub:
        hub.store.open.clear()
        session, _, wire = hub.connect()
        session.receive(text(metrics(3, 3)))
        late = [text(metrics(4))]

        def at_once(_: object) -> None:
            if "boot-a" in hub.machine.boots and late:
                session.receive(late.pop())

        hub.announce.listen(at_once)
        hub.store.open.set()
        await until(lambda: any(ack.seq == 4 for ack in wire.of(m.MetricsAck)))
        assert sorted(row.seq for batch in hub.store.batches for row in batch) == [1, 2, 3, 4]


async def test_repeats_after_a_reconnect_are_acknowledged_and_not_stored_again() -> None:
    async with room() as hub:
        first, _, wire = hub.connect()
        first.receive(text(metrics(5, 5)))
        await until(lambda: wire.of(m.MetricsAck))
        second, _, wire = hub.connect()
        second.receive(text(metrics(7, 7)))
        await until(lambda: wire.of(m.MetricsAck))
        assert wire.of(m.MetricsAck)[-1].seq == 7
        assert sorted(row.seq for batch in hub.store.batches for row in batch) == [1, 2, 3, 4, 5, 6, 7]


async def test_live_samples_are_seen_and_neither_stored_nor_acknowledged() -> None:
    async with room() as hub:
        session, _, wire = hub.connect()
        session.receive(text(metrics(1, live=True, temperature=91.0)))
        session.receive(text(metrics(1)))
        await until(lambda: wire.of(m.MetricsAck))
        assert [row.seq for batch in hub.store.batches for row in batch] == [1]


async def test_a_drained_spool_does_not_turn_the_page_back() -> None:
    async with room() as hub:
        session, _, _ = hub.connect()
        await until(lambda: "boot-a" in hub.machine.boots)
        session.receive(text(metrics(9, live=True, cpu_usage=50.0)))
        old = m.Sample(timestamp="2026-11-23T07:00:00Z", cpu_usage=1.0)
        session.receive(text(m.Metrics(seq=1, samples=[old])))
        assert hub.machine.readings is not None
        assert hub.machine.readings.cpu_usage == 50.0


async def test_a_status_is_received_after_its_commit_and_a_repeat_is_received_without_another_row() -> None:
    async with room() as hub:
        session, _, wire = hub.connect()
        report = m.StatusReport(status="full", seq=4)
        session.receive(text(report))
        await until(lambda: wire.of(m.Received))
        assert hub.machine.row.status == "full"
        committed = len(hub.store.transactions)
        session.receive(text(report))
        await until(lambda: len(wire.of(m.Received)) == 2)
        assert [said.ref for said in wire.of(m.Received)] == [4, 4]
        assert len(hub.store.transactions) == committed


async def test_what_is_durable_waits_for_a_database_that_is_away_and_keeps_its_order() -> None:
    async with room() as hub:
        session, link, wire = hub.connect()
        await until(lambda: "boot-a" in hub.machine.boots)
        hub.store.away = True
        for seq, status in enumerate(("full", "error", "maintenance")):
            session.receive(text(m.StatusReport(status=status, seq=seq)))  # type: ignore[arg-type]
        calls = hub.store.calls
        await until(lambda: hub.store.calls > calls)
        assert wire.of(m.Received) == []
        assert not link.closing
        hub.store.away = False
        await until(lambda: len(wire.of(m.Received)) == 3)
        assert [said.ref for said in wire.of(m.Received)] == [0, 1, 2]
        assert hub.machine.row.status == "maintenance"


async def test_too_much_that_is_durable_makes_the_reader_wait_until_there_is_room() -> None:
    async with room() as hub:
        session, _, wire = hub.connect()
        hub.store.open.clear()
        heard = [session.receive(text(m.StatusReport(status="full", seq=seq))) for seq in range(INBOX)]
        assert heard[0]
        assert not heard[-1]
        waiting = asyncio.ensure_future(session.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        hub.store.open.set()
        await asyncio.wait_for(waiting, 60)
        await until(lambda: len(wire.of(m.Received)) == INBOX)


async def test_a_command_settles_once_and_every_repeat_is_received() -> None:
    async with room() as hub:
        session, _, wire = hub.connect()
        await hub.announce(Put(command()))
        await until(lambda: wire.of(m.Command))
        assert hub.machine.pending["c1"].state == "sent"
        session.receive(text(m.CommandUpdate(id="c1", state="accepted")))
        await until(lambda: hub.machine.pending["c1"].state == "accepted")
        assert wire.of(m.Received) == [], "only the end of a command is confirmed"
        session.receive(text(m.CommandUpdate(id="c1", state="succeeded")))
        await until(lambda: wire.of(m.Received))
        assert (hub.machine.row.status, hub.machine.row.status_by) == ("maintenance", "user:1")


async def test_a_command_of_another_machine_is_refused_and_counted() -> None:
    async with room() as hub:
        session, _, wire = hub.connect()
        session.receive(text(m.CommandUpdate(id="not-mine", state="succeeded")))
        await until(lambda: wire.of(m.Error))
        assert (wire.of(m.Error)[0].code, wire.of(m.Error)[0].ref) == ("unknown_command", "not-mine")
        assert hub.links.tally["foreign"] == 1


async def test_what_an_older_link_still_sends_is_not_handled() -> None:
    async with room() as hub:
        older, older_link, older_wire = hub.connect()
        await until(lambda: "boot-a" in hub.machine.boots)
        hub.connect()
        assert older_link.closing
        older.receive(text(m.StatusReport(status="error", seq=1)))
        older.receive(text(m.Bye(reason="shutdown")))
        older.receive(text(metrics(1, cpu_usage=99.0)))
        await until(lambda: older_wire.close == 4409)
        assert (hub.machine.row.status, hub.machine.linked, hub.machine.readings) == ("active", True, None)
        assert not hub.links.unregister(older_link), "its end is not its machine's end"


async def test_what_an_older_link_had_in_its_inbox_is_dropped_when_a_newer_one_takes_over() -> None:
    async with room() as hub:
        older, _, _ = hub.connect()
        await until(lambda: "boot-a" in hub.machine.boots)
        hub.store.away = True
        older.receive(text(m.StatusReport(status="full", seq=1)))
        older.receive(text(m.StatusReport(status="error", seq=2)))
        hub.connect()
        hub.store.away = False
        await until(lambda: not older._working)
        assert hub.machine.row.status != "error"


async def test_a_machine_over_its_rate_is_slowed_and_may_burst() -> None:
    async with room() as hub:
        # So slow a rate that the time this test takes gives nothing back.
        session, _, _ = hub.connect(rate=1e-6, burst=100)
        heard = [session.receive(text(metrics(seq, live=True))) for seq in range(1, 103)]
        assert heard == [True] * 100 + [False] * 2


async def test_a_bug_in_a_handler_ends_only_this_link(monkeypatch: pytest.MonkeyPatch) -> None:
    async with room() as hub:
        session, link, wire = hub.connect()
        await until(lambda: "boot-a" in hub.machine.boots)
        monkeypatch.setattr("hub.links.rules.report_status", lambda *_: 1 / 0)
        session.receive(text(m.StatusReport(status="full", seq=1)))
        await until(lambda: wire.close == 1011)
        assert link.closing


async def test_ten_thousand_mangled_frames_raise_nothing_and_close_only_with_codes_that_are_meant(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "LINES_AT_ONCE", 1_000_000)
    dice = random.Random(39)
    frames = [
        text(metrics(3, 2, cpu_usage=50.0)), text(m.StatusReport(status="full", seq=1, reason="x")),
        text(m.CommandUpdate(id="c1", state="running", progress=m.Progress(phase="p"))), text(m.Bye(reason="reboot")),
        text(m.Event(seq=1, code="door", params={"a": [1, {"b": None}]}, timestamp="2026-11-23T08:00:00Z")),
    ]  # fmt: skip
    pieces = [
        "null",
        "-1",
        "1e400",
        "NaN",
        "9" * 5000,
        '"\\u0000"',
        "[" * 200,
        "}",
        "{}",
        '"<script>"',
        '"type":',
        "\n",
    ]
    codes = set()
    async with room() as hub:
        session, link, wire = hub.connect()
        for _ in range(10_000):
            frame = dice.choice(frames)
            at, width = dice.randrange(len(frame)), dice.randrange(12)
            session.receive(frame[:at] + dice.choice(pieces) + frame[at + width :])
            await session.wait()
            if link.closing:
                assert link._closing is not None
                codes.add(link._closing[0])
                await asyncio.sleep(0)
                session, link, wire = hub.connect()
        assert codes <= {4400, 1009}
        session.receive(text(metrics(10**6, cpu_usage=1.0)))
        await until(lambda: wire.of(m.MetricsAck))
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_machine_that_never_stops_reporting_is_read_more_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of its words would be a line that nobody may delete."""
    monkeypatch.setattr(budgets, "LINES_AT_ONCE", 5)
    async with room() as hub:
        session, _, wire = hub.connect()
        for seq in range(1, 21):
            said = m.StatusReport(seq=seq, status="error" if seq % 2 else "active")
            session.receive(text(said))
        await until(lambda: len(wire.of(m.Received)) == 4)  # and the hello
        await asyncio.sleep(0.3)  # in which nothing more may be read
        assert len(wire.of(m.Received)) == 4
        hub.links.budget = MachineBudget()
        await until(lambda: len(wire.of(m.Received)) >= 8)


async def test_facts_and_results_that_are_too_large_are_left_out_and_named() -> None:
    large = {"text": "w" * MAX_RESULT_BYTES}
    async with room(hardware={"model": "old"}) as hub:
        session, _, wire = hub.connect(hello=hello(hardware=large))
        await hub.announce(Put(command()))
        await until(lambda: wire.of(m.Command))
        session.receive(text(m.CommandUpdate(id="c1", state="succeeded", result=large)))
        await until(lambda: wire.of(m.Received))
        assert hub.machine.pending == {}, "it has ended all the same"
        assert hub.machine.row.hardware == {"model": "old"}
        assert [error.message.partition(":")[0] for error in wire.of(m.Error)] == ["hardware", "result"]
