"""The clock's turns with a database that is away or refuses: everything due is done once it can be, nothing is lost."""

from __future__ import annotations

from datetime import timedelta

import pytest

from db.errors import Conflict, Unavailable
from db.records import CommandRow
from hub.commands import rules
from hub.model.changes import EventHappened, Put, moved_rows
from hub.remote.service import RemoteSessions
from hub.schedule import Sweeper
from protocol import messages as m
from tests.hub.commands.rules.test_drafts import command
from tests.support.link_room import Room, room, text
from tests.support.machines import NOW
from tests.support.until import until


def sweeper(hub: Room) -> Sweeper:
    remote_sessions = RemoteSessions(hub.store, hub.fleet, hub.announce, lambda: NOW)
    return Sweeper(hub.store, hub.fleet, hub.announce, hub.links, hub.observer, lambda: NOW, remote_sessions, 0)


async def test_what_was_due_while_the_database_was_away_is_done_when_it_is_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with room() as hub:
        clock = sweeper(hub)
        monkeypatch.setattr(clock._foreign, "look", _nothing)
        monkeypatch.setattr("hub.schedule.KEEP_S", 0.001)
        await hub.announce(Put(command("queued", id="c0", expires_at=NOW - timedelta(seconds=1))))
        hub.store.away = True
        with pytest.raises(Unavailable):
            await clock.keep()
        hub.tasks.start_soon(clock.run)
        calls = hub.store.calls
        await until(lambda: hub.store.calls > calls + 5)
        assert list(hub.fleet.open) == ["c0"]
        hub.store.away = False
        await until(lambda: not hub.fleet.open)
        await until(lambda: len(caplog.messages) == 2)
    assert [message.partition(":")[0] for message in caplog.messages] == ["what the clock changes"] * 2


async def test_what_is_refused_for_one_part_keeps_no_other_from_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async with room() as hub:
        clock, turns = sweeper(hub), 0

        async def refused() -> None:
            raise Conflict("id", "missing")

        async def look() -> None:
            nonlocal turns
            turns += 1

        monkeypatch.setattr(hub.links.key_conflicts, "end_due", refused)
        monkeypatch.setattr(clock._foreign, "look", look)
        await clock.keep()
        assert turns == 1


async def test_one_command_that_is_refused_keeps_no_other_from_expiring() -> None:
    async with room() as hub:
        clock = sweeper(hub)
        for number in range(3):
            due = command("queued", id=f"c{number}", expires_at=NOW - timedelta(seconds=1))
            await hub.announce(Put(due))
        hub.store.refuse = lambda write: Conflict("id", "missing") if "c1" in write.values.values() else None
        ended: list[str] = []
        hub.announce.listen(lambda changes: ended.extend(c.code for c in changes if isinstance(c, EventHappened)))
        await clock._expire()
        assert list(hub.fleet.open) == ["c1"]
        assert len(ended) == 2


async def test_a_command_that_was_answered_in_time_does_not_expire_because_the_database_was_away() -> None:
    async with room() as hub:
        clock = sweeper(hub)
        session, link, _ = hub.connect()
        await hub.announce(Put(command("sent", name="ping", args={}, expires_at=NOW - timedelta(minutes=1))))
        await until(lambda: not session._working)
        hub.store.away = True
        session.receive(text(m.CommandUpdate(id="c1", state="running")))  # of the same burst; it waits for no database
        for number in range(2):  # what came before it waits as well
            session.receive(text(m.StatusReport(status="active", seq=number, capacity=number)))
        session.receive(text(m.CommandUpdate(id="c1", state="succeeded")))
        await until(lambda: hub.machine.pending["c1"].state == "running")
        ended: list[str] = []
        hub.announce.listen(lambda changes: ended.extend(row.state for row in moved_rows(changes, CommandRow)))
        hub.store.away = False
        await clock._expire()
        await until(lambda: ended)
        assert ended == ["succeeded"]
        assert not link.answered


async def test_a_command_of_a_clock_that_was_ahead_ends_within_its_minute() -> None:
    async with room() as hub:
        clock = sweeper(hub)
        await hub.announce(Put(command("queued", name="ping", args={}, expires_at=NOW + timedelta(hours=2))))
        await clock._expire()
        assert hub.fleet.open["c1"].expires_at == NOW + timedelta(seconds=60)


async def test_a_deadline_that_comes_nearer_turns_back_nothing_that_the_machine_reports() -> None:
    """While the database takes its time."""
    async with room() as hub:
        clock = sweeper(hub)
        session, _, _ = hub.connect()
        await hub.announce(Put(command("sent", name="reboot", args={}, expires_at=NOW + timedelta(hours=2))))
        await until(lambda: not session._working)
        hub.store.open.clear()
        calls = hub.store.calls
        hub.tasks.start_soon(clock._expire)
        await until(lambda: hub.store.calls > calls)
        progress = m.Progress(phase="rebooting")
        session.receive(text(m.CommandUpdate(id="c1", state="running", progress=progress)))
        await until(lambda: hub.fleet.open["c1"].state == "running")
        hub.store.open.set()
        await hub.announce(EventHappened(at=NOW, code="test", actor="system"))
        assert hub.fleet.open["c1"].state == "running"
        assert hub.fleet.open["c1"].expires_at == NOW + rules.REBOOT_LIFETIME


async def _nothing() -> None:
    """No other process changes anything here."""
