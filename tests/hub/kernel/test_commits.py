"""The announcer: committed, then true in the order of the commits; one caller's conflict is only theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from db.errors import Conflict, Unavailable
from db.queries import commands
from db.records import MachineRow, UserMachineRow, UserRow
from hub.kernel.announce import Announcer
from hub.kernel.commits import Commits
from hub.kernel.samples_lane import SamplesLane
from hub.model.changes import (  # fmt: skip
    Change,
    EventHappened,
    Move,
    Observed,
    Put,
    put_rows,
)
from hub.model.fleet import Fleet, Touched
from tests.hub.commands.rules.test_drafts import command
from tests.support.api_hub import api_hub
from tests.support.fake_store import FakeStore
from tests.support.lost_commit import lose_the_next_commit
from tests.support.machines import NOW, machine
from tests.support.until import until


class Shown:
    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.touched: list[Touched] = []

    def publish(self, changes: Sequence[Change], touched: Sequence[Touched]) -> None:
        self.changes += changes
        self.touched += touched


@pytest.fixture
async def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
async def shown() -> Shown:
    return Shown()


@pytest.fixture
async def announce(store: FakeStore, shown: Shown) -> Announcer:
    return Announcer(Fleet([machine()]), Commits(store), SamplesLane(store), shown)


def event(code: str = "x") -> EventHappened:
    return EventHappened(at=NOW, code=code, actor="user:1", rvm_id=7)


def added(name: str) -> Put[MachineRow]:
    return Put(
        MachineRow(
            device_id=name, name=name, api_key=name, api_key_prefix=name, status_since=NOW, status_by="user:1",
            created_at=NOW, updated_at=NOW,
        )
    )  # fmt: skip


async def test_a_change_is_committed_then_true_then_shown_with_its_stored_id(
    announce: Announcer, store: FakeStore, shown: Shown
) -> None:
    store.open.clear()
    asked = asyncio.ensure_future(announce(added("d"), event()))
    await until(lambda: store.calls)
    assert announce.fleet.find("d") is None
    assert shown.changes == []
    store.open.set()
    stored = await asked
    row = next(put_rows(stored, MachineRow))
    assert row.id > 0
    assert announce.fleet.find("d") is announce.fleet.machines[row.id]
    assert shown.changes == stored
    assert len(store.transactions) == 1


async def test_a_commit_that_fails_makes_nothing_true(announce: Announcer, store: FakeStore, shown: Shown) -> None:
    store.away = True
    with pytest.raises(Unavailable):
        await announce(added("d"))
    assert announce.fleet.find("d") is None
    assert shown.changes == []


async def test_what_is_announced_while_a_commit_is_under_way_follows_in_order(
    announce: Announcer, store: FakeStore, shown: Shown
) -> None:
    store.open.clear()
    first = asyncio.ensure_future(announce(event("first")))
    await until(lambda: store.calls)
    others = [asyncio.ensure_future(announce(event(f"e{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    store.open.set()
    await asyncio.gather(first, *others)
    assert len(store.transactions) == 21
    assert [change.code for change in shown.changes if isinstance(change, EventHappened)] == [
        "first", *(f"e{number}" for number in range(20)),
    ]  # fmt: skip


async def test_a_conflict_is_only_its_own_callers(announce: Announcer, store: FakeStore) -> None:
    store.refuse = lambda write: Conflict("name") if write.values.get("name") == "taken" else None
    store.open.clear()
    asked = [asyncio.ensure_future(announce(added(name))) for name in ("a", "b", "taken", "c")]
    await asyncio.sleep(0)
    store.open.set()
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in done] == [list, list, Conflict, list]
    assert [announce.fleet.find(name) is not None for name in ("a", "b", "taken", "c")] == [True, True, False, True]


async def test_what_no_row_holds_is_true_without_a_database(announce: Announcer, store: FakeStore) -> None:
    store.away = True
    announce.observe(Observed(7, {"connection": "live", "connection_since": NOW, "connection_reason": None}))
    assert announce.fleet.machines[7].connection == "live"
    assert store.calls == 0


async def test_progress_is_shown_at_once_and_recorded_ahead_of_the_next_commit(
    announce: Announcer, store: FakeStore, shown: Shown
) -> None:
    await announce(Put(command()))
    sent = command("sent", sent_at=NOW)
    announce.write_behind(Move(sent, ("state",)), lambda: True)
    assert announce.fleet.machines[7].pending["c1"].state == "sent"
    assert len(store.transactions) == 1
    await announce(event())
    assert [write.values.get("state") for (write,) in store.transactions[1:]] == ["sent", None]


async def test_progress_without_a_commit_to_go_ahead_of_is_recorded_by_itself(
    announce: Announcer, store: FakeStore
) -> None:
    announce.write_behind(Move(command("sent"), ("state",)), lambda: True)
    await until(lambda: store.transactions)


async def test_progress_that_is_out_of_date_is_not_recorded(announce: Announcer, store: FakeStore) -> None:
    announce.write_behind(Move(command("sent"), ("state",)), lambda: False)
    await announce(event())
    assert [len(writes) for writes in store.transactions] == [1]


async def test_refused_progress_does_not_refuse_the_next_commit(announce: Announcer, store: FakeStore) -> None:
    store.refuse = lambda write: Conflict("state", "missing") if write.values.get("state") == "sent" else None
    announce.write_behind(Move(command("sent"), ("state",)), lambda: True)
    assert await announce(event())


async def test_much_progress_is_recorded_in_turns_and_flushed_whole(
    announce: Announcer, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.kernel.commits.BEHIND_AT_ONCE", 3)
    for number in range(10):
        announce.write_behind(event(f"e{number}"), lambda: True)
    assert await announce(event("urgent"))
    assert len(store.transactions) == 4, "the urgent one did not wait for all"
    await announce._commits.flush()
    codes = [write.values["code"] for (write,) in store.transactions]
    assert codes == ["e0", "e1", "e2", "urgent", *(f"e{number}" for number in range(3, 10))]


async def test_progress_is_dropped_while_the_database_is_away(announce: Announcer, store: FakeStore) -> None:
    store.away = True
    announce.write_behind(event("dropped"), lambda: True)
    with pytest.raises(Unavailable):
        await announce(event())
    store.away = False
    await announce(event("back"))
    await announce._commits.flush()
    assert [write.values["code"] for (write,) in store.transactions] == ["back"]


async def test_who_stops_waiting_does_not_undo_the_commit(announce: Announcer, store: FakeStore) -> None:
    store.open.clear()
    asked = asyncio.ensure_future(announce(added("d")))
    await until(lambda: store.calls)
    asked.cancel()
    store.open.set()
    await until(lambda: announce.fleet.find("d"))


async def test_a_listener_with_a_bug_does_not_stop_the_next_commit(announce: Announcer) -> None:
    def buggy(changes: Sequence[Change]) -> None:
        raise ZeroDivisionError

    announce.listen(buggy)
    with pytest.raises(ZeroDivisionError):
        await announce(event())
    announce._listeners.clear()
    assert await announce(event())


async def test_the_machines_of_a_new_technician_are_stored_with_the_id_of_the_person(
    announce: Announcer, store: FakeStore
) -> None:
    one = UserRow(email="a@b", name="A", role="technician", created_at=NOW, updated_at=NOW)
    own = tuple(UserMachineRow(user_id=0, rvm_id=rvm_id) for rvm_id in (7, 8))
    stored = await announce(Put(one, along=own), event())
    (user,) = put_rows(stored, UserRow)
    assert isinstance(stored[1], EventHappened)
    assert stored[1].id != user.id
    owned = [write.values["user_id"] for write in store.transactions[0] if "user_id" in write.values]
    assert owned == [user.id] * len(owned)
    assert len(owned) == 2


def test_every_kind_of_change_can_be_recorded() -> None:
    from hub.kernel.recorder import _RECIPES
    from hub.model import changes as c

    kinds = set(c.Change.__subclasses__())
    assert kinds == set(_RECIPES)


async def test_a_commit_whose_answer_is_lost_is_done_once_and_the_hub_knows_of_it(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refused every write of settings until its next start, and kept a command that nobody sent."""
    async with api_hub(tmp_path, database_url=postgres_url) as hub:
        await hub.add_everybody()
        changes = (
            ("PATCH", "/api/v2/rvms/1/config", {"values": {"metrics_interval": 61}}, 200),
            ("PATCH", "/api/v2/config", {"values": {"metrics_interval": 62}}, 200),
            ("POST", "/api/v2/rvms/1/commands", {"name": "set_status", "args": {"status": "inactive"}}, 202),
            ("POST", "/api/v2/rvms", {"device_id": "rvm-new", "name": "New"}, 201),
        )
        async with hub.of("admin") as admin:
            for method, path, body, right in changes:
                with monkeypatch.context() as patched:
                    lose_the_next_commit(patched, arrives=True)
                    answer = await admin.request(method, path, json=body)
                assert (answer.status_code, path) == (right, path), answer.text
            stored = await commands.pending_commands(hub.context.store)
            assert [c.id for c in stored] == list(hub.machine().pending), "one, and it is there to be sent"
            shown = (await admin.get("/api/v2/rvms/1/config")).json()["data"]
            assert (shown["version"], shown["values"]["metrics_interval"]) == (2, 61)
            again = await admin.patch("/api/v2/config", json={"values": {"metrics_interval": 63}})
            assert again.status_code == 200, again.text
