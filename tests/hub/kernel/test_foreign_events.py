"""What the command line does beside a running hub reaches its open pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from msgspec.structs import replace

from db.engine.row_writes import insert
from db.engine.store import Store
from db.errors import Unavailable
from db.queries import commands, troubles
from db.queries.events import newest_event_id
from db.records import CommandRow, EventRow
from db.trouble_records import TroubleRow
from hub.attention import rules
from hub.attention.rules import Person
from hub.commands import rules as command_rules
from hub.kernel import loading
from hub.kernel.announce import Announcer
from hub.kernel.commits import Commits, commit_alone
from hub.kernel.loading import ForeignChanges, ForeignEvents
from hub.kernel.observer import Observer
from hub.kernel.samples_lane import SamplesLane
from hub.lifespan import Nobody
from hub.machines import rules as machine_rules
from hub.model.changes import Change, EventHappened, Put
from hub.model.fleet import Fleet
from tests.support.machines import NOW, machine


def line(actor: str, code: str = "user.added") -> EventRow:
    return EventRow(at=NOW, code=code, actor=actor, params={"email": "a@b.c"})


def beside(store: Store, fleet: Fleet, seen: int, clock: Callable[[], float]) -> tuple[Announcer, ForeignEvents]:
    """A hub's, after its last look at the event `seen`."""
    announce = Announcer(fleet, Commits(store), SamplesLane(store), Nobody())
    foreign = ForeignEvents(store, announce, seen, clock)
    announce.listen(foreign.on_commit)
    return announce, foreign


def announced_ids(announce: Announcer) -> list[int]:
    """Filled with those of the events that it announces."""
    heard: list[int] = []
    announce.listen(lambda changes: heard.extend(c.id for c in changes if isinstance(c, EventHappened)))
    return heard


async def test_lines_of_the_command_line_are_published_once_and_own_ones_not_again(store: Store) -> None:
    now = 0.0
    heard: list[str] = []
    await store.write(insert(line("system", "user.removed")))
    announce, foreign = beside(store, Fleet(), await newest_event_id(store), lambda: now)

    def listen(changes: Sequence[Change]) -> None:
        heard.extend(c.code for c in changes if isinstance(c, EventHappened))

    await foreign.look()
    await announce(EventHappened(at=NOW, code="remote.ended", actor="system", params={"session_id": 1, "reason": "x"}))
    announce.listen(listen)
    await store.write(insert(line("system")), insert(line("user:1", "user.edited")))
    await foreign.look()
    assert heard == [], "not so soon again"
    for _ in range(2):
        now += 1.0
        await foreign.look()
    assert heard == ["user.added"]


async def test_a_line_that_is_committed_behind_a_later_one_is_not_missed(store: Store) -> None:
    """PostgreSQL gives the numbers before the commits: the command line's may come last."""
    now = 0.0
    announce, foreign = beside(store, Fleet(), 0, lambda: now)
    heard = announced_ids(announce)
    await store.write(insert(replace(line("system"), id=12)))
    await foreign.look()
    await store.write(insert(replace(line("system"), id=11)))
    for _ in range(3):
        now += 1.0
        await foreign.look()
    assert heard == [12, 11]


async def test_more_lines_than_one_look_reads_come_with_the_next(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script asked for many machines while the hub stood still."""
    monkeypatch.setattr(loading, "AT_ONCE", 2)
    now = 0.0
    announce, foreign = beside(store, Fleet(), 0, lambda: now)
    heard = announced_ids(announce)
    await store.write(*(insert(line("system")) for _ in range(5)))
    for _ in range(8):
        await foreign.look()
        now += 1.0
    assert len(heard) == 5
    assert heard == sorted(set(heard))


async def test_who_took_a_trouble_is_read_again_where_the_database_was_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    fleet = Fleet()
    announce, foreign = beside(store, fleet, 0, lambda: now)
    await announce(Put(machine(1).row))
    await announce(Put(TroubleRow(rvm_id=1, cause="full", began_at=NOW, noticed_at=NOW)))
    await commit_alone(store, rules.taken(fleet.machines[1].troubles["full"], Person(7, "Budi", "system"), NOW))
    read = troubles.find

    async def away(_store: Store, _number: int) -> TroubleRow | None:
        monkeypatch.setattr(troubles, "find", read)
        raise Unavailable("away")

    monkeypatch.setattr(troubles, "find", away)
    with pytest.raises(Unavailable):
        await foreign.look()
    now += 1.0
    await foreign.look()
    assert fleet.machines[1].troubles["full"].owner == "Budi"


async def test_who_took_a_trouble_by_command_line_is_on_it_in_the_running_hub(store: Store) -> None:
    now = 0.0
    fleet = Fleet()
    announce, foreign = beside(store, fleet, 0, lambda: now)
    await announce(Put(machine(1).row))
    await announce(Put(TroubleRow(rvm_id=1, cause="full", began_at=NOW, noticed_at=NOW)))
    await foreign.look()
    standing = fleet.machines[1].troubles["full"]
    budi = Person(7, "Budi", "system")
    await commit_alone(store, rules.taken(standing, budi, NOW))
    now += 1.0
    await foreign.look()
    taken = fleet.machines[1].troubles["full"]
    assert (taken.owner, taken.taken_at) == ("Budi", NOW)
    await commit_alone(store, [rules.over(taken, NOW), *rules.noted(taken, "belt", budi, NOW)])
    now += 1.0
    await foreign.look()
    assert fleet.machines[1].troubles["full"] is taken, "over: who records that says so"


async def test_a_command_that_ends_while_it_is_read_stays_ended(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the command line: cancelled in this hub between the reading and what is done with it."""
    fleet = Fleet()
    announce, foreign = beside(store, fleet, 0, lambda: 0.0)
    await announce(Put(machine(1, capabilities=("ping",)).row))
    fleet.machines[1].linked = True
    issued = command_rules.draft(fleet.machines[1], "ping", {}, "system", NOW)
    await commit_alone(store, issued)
    read = commands.find_command

    async def slow(store: Store, command_id: str) -> CommandRow | None:
        monkeypatch.setattr(commands, "find_command", read)
        found = await read(store, command_id)
        assert found is not None
        await announce(*command_rules.cancel(fleet.machines[1], found, "user:7", NOW))
        return found

    monkeypatch.setattr(commands, "find_command", slow)
    await foreign.look()
    assert commands.find_command is read
    assert fleet.machines[1].pending == fleet.open == {}


async def test_what_is_written_before_the_first_look_is_not_missed(store: Store) -> None:
    """A hub that starts: its fleet is loaded, and it has not looked yet."""
    fleet = Fleet()
    announce, foreign = beside(store, fleet, await newest_event_id(store), lambda: 0.0)
    await announce(Put(machine(1).row))
    await announce(Put(TroubleRow(rvm_id=1, cause="full", began_at=NOW, noticed_at=NOW)))
    await commit_alone(store, rules.taken(fleet.machines[1].troubles["full"], Person(7, "Budi", "system"), NOW))
    await foreign.look()
    assert fleet.machines[1].troubles["full"].owner == "Budi"


async def test_a_key_that_the_command_line_replaced_is_over_although_the_clock_went_back(store: Store) -> None:
    """The row was last written by a clock that was ahead: by the times alone nothing has changed."""
    now = 0.0
    announce, foreign = beside(store, Fleet(), 0, lambda: now)
    await announce(Put(replace(machine(1).row, updated_at=NOW + timedelta(hours=2))))
    changes = ForeignChanges(store, announce.fleet, announce, Observer(announce.fleet, announce, lambda: NOW))
    await changes.look()
    secret, replaced = machine_rules.new_key(1, None, "system", NOW)
    await commit_alone(store, replaced)
    await changes.look()
    await foreign.look()
    assert announce.fleet.machines[1].row.api_key == secret.hash
    assert announce.fleet.by_key_prefix(secret.prefix) is announce.fleet.machines[1]
