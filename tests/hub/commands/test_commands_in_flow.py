"""Commands between the ledger and a link: stopped, too late, and withdrawn because whoever asked may not any more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from db.engine.statements import Write
from db.errors import Conflict
from hub.commands import rules
from hub.model.changes import Change, EventHappened, Put
from hub.remote.service import RemoteSessions
from hub.schedule import Sweeper
from protocol import messages as m
from tests.hub.commands.rules.test_drafts import command
from tests.support.link_room import Room, room, text
from tests.support.machines import NOW
from tests.support.until import until


def listen(hub: Room) -> list[EventHappened]:
    heard: list[EventHappened] = []

    def note(changes: Any) -> None:
        heard.extend(change for change in changes if isinstance(change, EventHappened))

    hub.announce.listen(note)
    return heard


def stored_as(hub: Room, row: Mapping[str, Any]) -> None:
    """The database's answer to every question for one row."""

    async def fetch_one(query: Any, values: Any = None) -> Mapping[str, Any]:
        return row

    store: Any = hub.store
    store.fetch_one = fetch_one


def cancel(hub: Room) -> list[Change]:
    return rules.cancel(hub.machine, hub.fleet.open["c1"], "user:2", NOW)


async def test_a_stop_goes_down_the_wire_once_and_the_machine_has_the_last_word() -> None:
    async with room() as hub:
        session, _, wire = hub.connect()
        heard = listen(hub)
        await hub.announce(Put(command()))
        await until(lambda: wire.of(m.Command))
        await hub.announce(*cancel(hub))
        await until(lambda: wire.of(m.Cancel))
        hub.links.deliver(7)
        failure = m.Failure(code="cancelled", message="withdrawn before it began")
        session.receive(text(m.CommandUpdate(id="c1", state="rejected", error=failure)))
        await until(lambda: wire.of(m.Received))
        assert [said.id for said in wire.of(m.Cancel)] == ["c1"]
        assert [event.code for event in heard if event.code.startswith("command")] == [
            "command.cancel_asked", "command.finished",
        ]  # fmt: skip
        assert heard[-1].params["state"] == "cancelled"
        assert hub.fleet.open == {}


@pytest.mark.parametrize("stop", ["", "before", "after"])
async def test_that_it_runs_is_stored_also_when_a_stop_is_asked(stop: str) -> None:
    async with room() as hub:
        session, _, wire = hub.connect()
        await hub.announce(Put(command()))
        await until(lambda: wire.of(m.Command))
        if stop == "before":
            await hub.announce(*cancel(hub))
        session.receive(text(m.CommandUpdate(id="c1", state="running")))
        await until(lambda: hub.fleet.open["c1"].state == "running")
        if stop == "after":
            await hub.announce(*cancel(hub))
        await until(lambda: "running" in [w.values.get("state") for writes in hub.store.transactions for w in writes])
        assert (hub.fleet.open["c1"].cancel_at is not None) == bool(stop)


async def test_after_a_reconnect_only_the_stop_is_reported() -> None:
    async with room() as hub:
        await hub.announce(Put(command("sent")))
        await hub.announce(*cancel(hub))
        _, link, wire = hub.connect()
        hub.links.deliver_waiting(link)
        await until(lambda: wire.of(m.Cancel))
        assert wire.of(m.Command) == []


async def test_what_never_left_is_cancelled_without_a_word() -> None:
    async with room() as hub:
        await hub.announce(Put(command()))
        await hub.announce(*cancel(hub))
        _, link, wire = hub.connect()
        hub.links.deliver_waiting(link)
        await until(lambda: "boot-a" in hub.machine.boots)
        assert (wire.of(m.Command), wire.of(m.Cancel), hub.fleet.open) == ([], [], {})


async def test_a_final_word_about_what_ended_otherwise_is_on_record_and_received() -> None:
    async with room() as hub:
        session, _, wire = hub.connect()
        await until(lambda: "boot-a" in hub.machine.boots)
        heard = listen(hub)
        stored_as(hub, msgspec.structs.asdict(command("expired")))
        session.receive(text(m.CommandUpdate(id="c1", state="succeeded")))
        await until(lambda: wire.of(m.Received))
        assert [(event.code, event.params["state"], event.params["was"]) for event in heard] == [
            ("command.late", "succeeded", "expired"),
        ]  # fmt: skip
        assert hub.machine.row.status == "active", "it changes nothing"


async def test_a_final_word_that_loses_the_race_against_the_deadline_is_late_and_not_lost() -> None:
    async with room() as hub:
        session, _, wire = hub.connect()
        await hub.announce(Put(command()))
        await until(lambda: wire.of(m.Command))
        heard = listen(hub)
        ended = command("expired")

        def decided(write: Write) -> Exception | None:
            return Conflict("state", "missing") if write.values.get("state") == "succeeded" else None

        hub.store.refuse = decided
        stored_as(hub, msgspec.structs.asdict(ended))
        session.receive(text(m.CommandUpdate(id="c1", state="succeeded")))
        await until(lambda: wire.of(m.Received))
        assert heard[-1].code == "command.late"


def user(**members: Any) -> dict[str, Any]:
    row = {
        "id": 1, "email": "a@b.c", "name": "A", "role": "operator", "password_hash": None, "language": None,
        "theme": None, "disabled_at": None, "last_sign_in_at": None, "created_at": NOW, "updated_at": NOW,
        "two_step": False,
    }  # fmt: skip
    return {**row, **members}


@pytest.mark.parametrize("lost", [{"disabled_at": NOW}, {"role": "viewer"}, {"role": "technician"}])
async def test_a_command_that_waited_is_not_carried_out_for_somebody_who_lost_the_right(lost: dict[str, Any]) -> None:
    """Nezha CVE-2026-46716: the right counts at execution."""
    async with room() as hub:
        await hub.announce(Put(command()))
        heard = listen(hub)
        stored_as(hub, user(**lost))
        _, link, wire = hub.connect()
        hub.links.deliver_waiting(link)
        await until(lambda: hub.fleet.open == {})
        assert wire.of(m.Command) == []
        assert heard[-1].params["error"] == "not_allowed_any_more"


async def test_a_command_that_waited_is_carried_out_for_who_still_may_and_once_the_database_answers() -> None:
    async with room() as hub:
        await hub.announce(Put(command()))
        hub.store.away = True
        _, link, wire = hub.connect()
        hub.links.deliver_waiting(link)
        hub.links.deliver(7)
        await until(lambda: hub.store.calls > 2)
        assert wire.of(m.Command) == []
        stored_as(hub, user())
        hub.store.away = False
        await until(lambda: wire.of(m.Command))
        assert wire.of(m.Command)[0].id == "c1"


async def test_what_left_before_is_sent_again_without_asking() -> None:
    async with room() as hub:
        await hub.announce(Put(command("sent")))
        _, link, wire = hub.connect()
        hub.links.deliver_waiting(link)
        await until(lambda: wire.of(m.Command))
        assert link.unchecked == set()


async def test_the_clock_gives_what_left_four_seconds_more() -> None:
    async with room() as hub:
        now = NOW
        sweeper = Sweeper(
            hub.store,
            hub.fleet,
            hub.announce,
            hub.links,
            hub.observer,
            lambda: now,
            RemoteSessions(hub.store, hub.fleet, hub.announce, lambda: now),
            0,
        )
        for number, state in enumerate(("queued", "sent")):
            await hub.announce(Put(command(state, id=f"c{number}", expires_at=NOW)))
        await sweeper._expire()
        assert list(hub.fleet.open) == ["c1"]
        now = NOW + timedelta(seconds=4)
        await sweeper._expire()
        assert hub.fleet.open == {}
