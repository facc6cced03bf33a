"""Connections over time: what becomes true, what is told, and how little is looked at. The clock is the test's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from db.errors import Unavailable
from hub.kernel.announce import Announcer
from hub.kernel.commits import Commits
from hub.kernel.observer import Observer
from hub.kernel.samples_lane import SamplesLane
from hub.lifespan import Nobody
from hub.model import presence
from hub.model.fleet import Fleet
from tests.support.fake_store import FakeStore
from tests.support.machines import NOW, machine


class World:
    """One machine, an observer, and a clock that only `after` moves."""

    def __init__(self, store: FakeStore, announce: Announcer) -> None:
        self.now = 1000.0
        self.store = store
        self.announce = announce._commits
        self.machine = announce.fleet.machines[7]
        self.observer = Observer(
            announce.fleet,
            announce,
            lambda: NOW + timedelta(seconds=self.now - 1000.0),
            monotonic=lambda: self.now,
        )

    def after(self, seconds: float, *, frames: bool = False) -> str:
        """Let time pass, a second at a time, as the sweeper does; with a frame each second if asked."""
        for _ in range(round(seconds)):
            self.now += 1.0
            if frames and presence.received(self.machine, self.now):
                self.observer.look(self.machine)
            self.observer.tick()
        return self.machine.connection

    async def events(self) -> list[str]:
        """The connection events recorded so far."""
        await self.observer.record()
        return [event["params"]["connection"] for event in self.stored("params")]

    def stored(self, member: str) -> list[Mapping[str, Any]]:
        """What was written that has this member."""
        written = [write.values for writes in self.store.transactions for write in writes]
        return [values for values in written if member in values]


@pytest.fixture
async def world() -> World:
    store = FakeStore()
    fleet = Fleet([machine(last_seen_at=NOW, connection="live", event_connection="live")])
    return World(store, Announcer(fleet, Commits(store), SamplesLane(store), Nobody()))


async def test_a_machine_that_falls_silent_becomes_late_then_offline_and_both_are_reported(world: World) -> None:
    world.observer.linked(world.machine, 1.0)
    assert world.after(5) == "live"
    assert world.after(1) == "late"
    assert await world.events() == [], "late is not told before it lasted ten seconds"
    world.after(11)
    assert await world.events() == ["late"]
    assert world.after(15) == "offline"
    assert await world.events() == ["late", "offline"]


async def test_late_for_a_moment_is_shown_but_not_reported(world: World) -> None:
    world.observer.linked(world.machine, 1.0)
    assert world.after(7) == "late"
    assert world.after(3, frames=True) == "live"
    world.after(30, frames=True)
    assert await world.events() == []


async def test_a_closed_socket_is_offline_after_ten_seconds_and_a_reconnect_before_is_no_event(world: World) -> None:
    world.observer.linked(world.machine, 0.0)
    world.observer.unlinked(world.machine, None)
    assert world.after(9) == "live"
    world.observer.linked(world.machine, 0.0)
    world.after(60)
    assert await world.events() == []
    world.observer.unlinked(world.machine, None)
    assert world.after(11) == "offline"
    assert await world.events() == ["offline"]
    world.observer.linked(world.machine, 0.0)
    assert world.machine.connection == "live"
    assert await world.events() == ["offline", "live"]


async def test_a_bye_is_applied_and_reported_at_once(world: World) -> None:
    world.observer.linked(world.machine, 0.0)
    world.observer.unlinked(world.machine, "reboot")
    assert (world.machine.connection, world.machine.connection_reason) == ("offline", "reboot")
    assert await world.events() == ["offline"]


async def test_the_picture_is_true_while_the_database_is_away_and_the_events_follow(world: World) -> None:
    world.store.away = True
    world.observer.linked(world.machine, 0.0)
    world.observer.unlinked(world.machine, "shutdown")
    with pytest.raises(Unavailable):
        await world.observer.record()
    assert world.machine.connection == "offline"
    assert world.store.transactions == []
    world.store.away = False
    assert await world.events() == ["offline"]


async def test_a_start_of_the_hub_is_quiet_about_machines_that_come_back(world: World) -> None:
    world.observer.start(lambda _: True)
    assert world.machine.connection == "late"
    assert world.after(20) == "offline"
    world.observer.linked(world.machine, 0.0)
    world.after(60)
    assert await world.events() == []


async def test_a_start_of_the_hub_reports_machines_that_do_not_come_back_after_a_minute(world: World) -> None:
    world.observer.start(lambda _: True)
    world.after(59)
    assert await world.events() == []
    world.after(2)
    assert await world.events() == ["offline"]


async def test_since_is_the_moment_it_became_so(world: World) -> None:
    world.observer.linked(world.machine, 1.0)
    world.after(20)
    assert world.machine.connection_since == NOW + timedelta(seconds=6)


async def test_a_machine_that_behaves_is_not_looked_at_every_second(world: World) -> None:
    world.observer.linked(world.machine, 0.0)
    looked: list[float] = []
    look = world.observer.look

    def count(one: object) -> None:
        looked.append(world.now)
        look(world.machine)

    observer: Any = world.observer
    observer.look = count
    world.after(700, frames=True)
    assert len(looked) <= 1


async def test_events_of_connections_name_what_was_before(world: World) -> None:
    world.observer.linked(world.machine, 0.0)
    world.observer.unlinked(world.machine, "update")
    await world.events()
    (event,) = world.stored("params")
    since = NOW.isoformat()
    assert event["params"] == {"connection": "offline", "was": "live", "reason": "update", "since": since}


async def test_offline_counts_from_the_last_contact_and_is_stored_for_the_next_life(world: World) -> None:
    world.observer.linked(world.machine, 1.0)
    world.after(3, frames=True)
    world.machine.seen_at = NOW + timedelta(seconds=3)
    assert world.after(29) == "late"
    assert world.after(2) == "offline"
    assert world.machine.connection_since == NOW + timedelta(seconds=3)
    await world.announce.flush()
    (stored,) = world.stored("close_reason")
    assert (stored["close_reason"], stored["last_seen_at"]) == ("silent", NOW + timedelta(seconds=3))
    assert world.after(1, frames=True) == "late"
    await world.announce.flush()
    assert world.stored("close_reason")[1]["close_reason"] is None


async def test_what_came_back_at_once_is_not_stored_as_offline(world: World) -> None:
    world.observer.linked(world.machine, 0.0)
    world.observer.unlinked(world.machine, "reboot")
    world.observer.linked(world.machine, 0.0)
    await world.announce.flush()
    assert [values["close_reason"] for values in world.stored("close_reason")] == [None]


@pytest.mark.parametrize("does", ["links", "uploads"])
async def test_however_often_a_machine_comes_it_is_looked_at_once_when_it_is_due(world: World, does: str) -> None:
    for _ in range(500):
        world.now += 0.1
        if does == "links":
            world.observer.linked(world.machine, 0.0)
            world.observer.unlinked(world.machine, None)
        else:
            world.observer.uploaded(world.machine)
    world.after(3600)
    assert len(world.observer._due) <= 2
    if does == "links":
        world.observer.linked(world.machine, 0.0)
    assert world.after(10, frames=True) == "live"
