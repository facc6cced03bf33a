"""What the hub's own clock and its start do to open sessions: each end once, with its reason, told to the machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from db.engine.store import Store
from db.errors import Conflict
from db.records import CommandRow, RemoteSessionRow, is_open
from hub.model.changes import Change, EventHappened, moved_rows, put_rows
from hub.model.fleet import Fleet
from hub.model.machine import Machine
from hub.remote.rules.life import GRACE_S
from hub.remote.service import BEGIN_S, RIGHTS_S, RemoteSessions
from tests.hub.remote.rules.test_remote_life import held, session
from tests.support.machines import NOW


class Room:
    """The sessions of one machine, with a clock that the test moves and no database."""

    def __init__(self, one: Machine) -> None:
        self.machine = one
        self.passed = 1000.0
        self.conflict = False
        self.announced: list[Change] = []
        fleet = Fleet()
        fleet.machines[one.id] = one
        store = cast(Store, None)  # nobody's rights are looked up: nobody is named, or it is not time for it
        self.sessions = RemoteSessions(store, fleet, cast(Any, self.announce), self.clock, lambda: self.passed)
        self.sessions._rights_at = float("inf")

    def clock(self) -> datetime:
        return NOW + timedelta(seconds=self.passed - 1000)

    async def announce(self, *changes: Change) -> Sequence[Change]:
        if self.conflict:
            raise Conflict("the row has moved")
        self.announced += changes
        for row in moved_rows(changes, RemoteSessionRow):
            if not is_open(row):
                self.machine.remote_sessions.pop(row.id, None)
        self.sessions.on_commit(changes)
        return changes

    async def after(self, seconds: float) -> list[tuple[str, str | None]]:
        """(status, end_reason) of what has moved in the next turn of the clock, that much later."""
        self.announced.clear()
        self.passed += seconds
        await self.sessions.keep()
        return self.moved()

    def moved(self) -> list[tuple[str, str | None]]:
        return [(row.status, row.end_reason) for row in moved_rows(self.announced, RemoteSessionRow)]

    def stops_sent(self) -> list[dict[str, Any]]:
        """What the machine is told to stop."""
        drafted = list(put_rows(self.announced, CommandRow))
        assert all(command.name == "stop_remote_access" for command in drafted)
        return [command.args for command in drafted]


def room(one: RemoteSessionRow, **members: Any) -> Room:
    return Room(held(one, capabilities=frozenset({"remote_access"}), **members))


async def test_a_session_ends_when_its_time_is_over_and_the_machine_is_notified() -> None:
    here = room(session(), linked=True)
    assert await here.after(1799) == []
    assert await here.after(2) == [("ended", "timed_out")]
    assert here.stops_sent() == [{"session_id": 4, "reason": "timed_out"}]
    assert "remote.ended" in [c.code for c in here.announced if isinstance(c, EventHappened)]
    assert await here.after(2) == [], "once"


async def test_what_nobody_agreed_to_is_over_and_is_never_sent_to_the_machine() -> None:
    here = room(session("requested", command_id=None), linked=True)
    assert await here.after(1801) == [("ended", "not_approved")]
    assert here.stops_sent() == []


async def test_a_session_outlives_its_link_by_the_grace_and_no_more() -> None:
    here = room(session(), linked=False, unlinked_at=1000.0)
    assert await here.after(GRACE_S) == []
    assert await here.after(1) == [("ended", "link_lost")]
    assert here.stops_sent() == [], "it is told when its hello names the session (remote_sessions.unknown_here)"


async def test_a_link_that_came_back_in_time_ends_nothing() -> None:
    here = room(session(), linked=False, unlinked_at=1000.0)
    assert await here.after(GRACE_S) == []
    here.machine.linked = True
    assert await here.after(GRACE_S) == []


async def test_a_session_whose_command_never_came_is_over() -> None:
    here = room(session("starting", command_id=None), linked=True)
    assert await here.after(BEGIN_S) == []
    assert await here.after(BEGIN_S + 1) == [("ended", "start_failed")]


async def test_no_session_outlives_the_hub_that_kept_its_time() -> None:
    here = room(session(), linked=True)
    here.machine.remote_sessions[5] = session("requested", id=5, command_id=None)
    await here.sessions.after_start()
    assert here.moved() == [("ended", "hub_restarted")] * 2
    assert here.stops_sent() == [{"session_id": 4, "reason": "hub_restarted"}], "the other one never began"


@pytest.mark.parametrize("conflict", [False, True])
async def test_who_ends_it_second_changes_nothing(conflict: bool) -> None:
    here = room(session(), linked=True)
    here.conflict = conflict
    await here.sessions.end(4, "idle")
    assert here.moved() == ([] if conflict else [("ended", "idle")])
    await here.sessions.end(4, "protocol_error")
    assert len(here.moved()) == (0 if conflict else 1)


async def test_an_intruder_ends_the_session_and_is_named() -> None:
    here = room(session(), linked=True)
    await here.sessions.intruder(4, 9)
    assert here.moved() == [("ended", "intruder")]
    named = next(c for c in here.announced if isinstance(c, EventHappened) and c.code == "remote.intruder")
    assert (named.actor, named.params["user_id"]) == ("user:9", 9)


def test_lost_rights_are_found_within_the_bar() -> None:
    assert RIGHTS_S < 5.0
