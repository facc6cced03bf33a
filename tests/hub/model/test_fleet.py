"""The fleet in memory is what the Changes made it, and every change tells what may look different now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from db.records import BootRow, CommandRow, MachineRow, RemoteSessionRow
from db.trouble_records import TroubleRow
from hub.machine_settings.rules import replacing
from hub.model.changes import (  # fmt: skip, move
    Change,
    Drop,
    Observed,
    Patch,
    Put,
    SampleSeen,
    move,
)
from hub.model.effective_settings import DesiredSettings
from hub.model.fleet import ALL_MEMBERS, PENDING_MEMBERS, TROUBLE_MEMBERS, Fleet, Touched
from hub.model.machine import BOOTS_KEPT, Boot
from hub.model.views import MEMBERS, machine_view
from tests.hub.commands.rules.test_drafts import command
from tests.support.machines import NOW, declared, facts_of_hello, machine, sample


def introduced(epoch: int, boot_id: str = "boot-a") -> list[Change]:
    patch, _, busy = facts_of_hello(
        rvm_id=7, at=NOW, epoch=epoch, boot_id=boot_id, agent_version="0.1.0", capabilities=("ping",), ip="10.0.0.9"
    )
    boot = BootRow(id=epoch or 31, rvm_id=7, boot_id=boot_id, last_used_at=NOW)
    return [patch, Put(boot, over=("last_used_at",)), busy]


def test_a_machine_is_found_by_id_device_id_and_key_prefix() -> None:
    fleet = Fleet([machine(7), machine(8, device_id="9")])
    assert fleet.find(7) is fleet.find("7") is fleet.find("orin-7") is fleet.by_key_prefix("rvmk_00000007")
    assert fleet.find("9") is fleet.machines[8], "a device_id wins over a number"
    for nobody in (99, "99", "", "²", "9" * 400, "orin-99"):
        assert fleet.find(nobody) is None


def test_adding_editing_and_removing_keep_every_index_true() -> None:
    fleet = Fleet()
    touched = fleet.apply(NEW_MACHINE)
    assert touched is not None
    assert touched.members == ALL_MEMBERS
    fleet.apply(
        Patch(
            MachineRow,
            3,
            {"device_id": "e", "api_key_prefix": "q", "api_key": "i", "quarantined_until": None, "updated_at": NOW},
        )
    )
    assert fleet.find("d") is None
    assert fleet.by_key_prefix("p") is None
    assert fleet.find("e") is fleet.by_key_prefix("q") is fleet.machines[3]
    assert fleet.machines[3].row.api_key == "i"
    gone = fleet.apply(Drop(MachineRow, 3))
    assert gone is not None
    assert gone.removed
    assert fleet.find("e") is fleet.by_key_prefix("q") is None


def test_the_end_of_an_earlier_trouble_leaves_the_later_one_of_its_kind() -> None:
    def hot(trouble_id: int, **members: Any) -> TroubleRow:
        found = {"id": trouble_id, "rvm_id": 7, "cause": "hot", "began_at": NOW, "noticed_at": NOW, **members}
        return TroubleRow(**found)

    fleet = Fleet([machine(7)])
    assert fleet.apply(Put(hot(1))) == Touched(7, TROUBLE_MEMBERS)
    fleet.apply(Put(hot(2)))
    fleet.apply(Put(hot(1, ended_at=NOW)))
    assert fleet.machines[7].troubles["hot"].id == 2
    fleet.apply(Put(hot(2, ended_at=NOW)))
    assert fleet.machines[7].troubles == {}
    assert fleet.apply(Put(hot(3, rvm_id=99))) is None, "of a machine that was removed"


def test_an_older_link_changes_nothing_any_more() -> None:
    fleet = Fleet([machine()])
    fleet.apply_all(introduced(5, "boot-b"))
    assert fleet.apply(introduced(4, "boot-a")[0]) is None
    assert fleet.machines[7].row.boot_id == "boot-b"
    assert (
        fleet.apply(
            Patch(
                MachineRow, 7, {"last_seen_at": NOW, "close_reason": "shutdown"}, where=(("connection_epoch", "<=", 4),)
            )
        )
        is None
    )
    assert fleet.machines[7].row.close_reason is None
    assert (
        fleet.apply(
            Patch(
                MachineRow, 7, {"last_seen_at": NOW, "close_reason": "shutdown"}, where=(("connection_epoch", "<=", 5),)
            )
        )
        is not None
    )
    assert fleet.machines[7].row.close_reason == "shutdown"


def test_recent_readings_reach_back_five_minutes() -> None:
    fleet = Fleet([machine()])
    for second in range(0, 400, 20):
        at = NOW + timedelta(seconds=second)
        fleet.apply(SampleSeen(rvm_id=7, sample=sample(), taken_at=at, received_at=at))
    recent = fleet.machines[7].recent
    assert recent[-1][0] - recent[0][0] == 300_000


def test_open_commands_are_known_to_the_fleet_until_they_end_or_their_machine_goes() -> None:
    fleet = Fleet([machine()])
    fleet.apply(Put(command()))
    assert fleet.command("c1") is fleet.machines[7].pending["c1"]
    fleet.apply(Patch(MachineRow, 7, {"name": "other", "updated_at": NOW}))
    assert fleet.command("c1") is not None
    fleet.apply(Drop(MachineRow, 7))
    assert fleet.command("c1") is None


def test_admitted_commands_count_until_they_are_released_and_go_with_their_machine() -> None:
    fleet = Fleet([machine()])
    admitted = command()
    fleet.admit([admitted])
    assert list(fleet.machines[admitted.rvm_id].admitted) == [admitted.id]
    fleet.release([admitted])
    assert not fleet.machines[admitted.rvm_id].admitted
    gone = Fleet([])
    gone.admit([admitted])
    gone.release([admitted])
    assert gone.machines == {}


def test_what_is_touched_are_members_of_the_view() -> None:
    fleet = Fleet([machine()])
    changes = [
        introduced(1)[0], Patch(MachineRow, 7, {"last_seen_at": NOW, "close_reason": None}), Put(command()),
        declared(rvm_id=7, status="full", capacity=9, since=NOW, by="machine:7")[0],
        Patch(MachineRow, 7, {"name": "x", "updated_at": NOW}),
        SampleSeen(rvm_id=7, sample=sample(), taken_at=NOW, received_at=NOW),
    ]  # fmt: skip
    for change in changes:
        before = machine_view(fleet.machines[7])
        touched = fleet.apply(change)
        assert touched is not None
        after = machine_view(fleet.machines[7])
        assert {name for name in MEMBERS if before[name] != after[name]} <= touched.members <= MEMBERS


def test_a_machine_that_invents_boots_is_remembered_with_those_it_used_last() -> None:
    fleet = Fleet([machine()])
    for n in range(1000):
        fleet.apply_all(introduced(n, f"b{n}"))
    boots = fleet.machines[7].boots
    assert [*boots] == [f"b{n}" for n in range(1000 - BOOTS_KEPT, 1000)]
    fleet.apply(Put(BootRow(rvm_id=7, boot_id="b960", id=960, last_seq=4, last_used_at=NOW), over=("last_used_at",)))
    for n in range(BOOTS_KEPT - 2):
        fleet.apply(Put(BootRow(rvm_id=7, boot_id=f"rest{n}", id=2000 + n, last_used_at=NOW), over=("last_used_at",)))
    assert [*boots][:2] == ["b999", "b960"], "that of the last hello stays, and of the others those used last"
    assert boots["b960"].accepted == 4


def test_a_boot_that_was_dropped_comes_back_with_its_mark() -> None:
    fleet = Fleet([machine()])
    boot = BootRow(id=31, rvm_id=7, boot_id="boot-a", last_seq=41, last_used_at=NOW)
    fleet.apply(Put(boot, over=("last_used_at",)))
    assert fleet.machines[7].boots["boot-a"].accepted == 41


NEW_MACHINE = Put(
    MachineRow(
        id=3, device_id="d", name="n", api_key="h", api_key_prefix="p", status_since=NOW, status_by="user:1",
        created_at=NOW, updated_at=NOW,
    )
)  # fmt: skip
OF_A_MACHINE: list[Change] = [
    *introduced(1),
    Patch(MachineRow, 7, {"last_seen_at": NOW, "close_reason": None}, where=(("connection_epoch", "<=", 1),)),
    Observed(7, {"connection": "live", "connection_since": NOW, "connection_reason": None}),
    Observed(7, {"busy": True}),
    Patch(MachineRow, 7, {"quarantined_until": NOW, "updated_at": NOW}),
    Put(BootRow(rvm_id=7, boot_id="b", id=5, last_seq=9, last_used_at=NOW), over=("last_used_at",)),
    SampleSeen(rvm_id=7, sample=sample(), taken_at=NOW, received_at=NOW),
    *declared(rvm_id=7, status="full", capacity=1, since=NOW, by="clock"),
    Put(command()),
    move(command(), state="running"),
    Put(RemoteSessionRow(id=4, rvm_id=7, start_time=NOW, created_at=NOW)),
    Patch(CommandRow, "c1", {"cancel_by": "user:1", "cancel_at": NOW}, while_open=True, must="state"),
    Patch(MachineRow, 7, {"name": "n", "updated_at": NOW}),
    Drop(MachineRow, 7),
    Patch(MachineRow, 7, {"last_seen_at": NOW}),
    *replacing(7, DesiredSettings({}, 1, NOW, "user:1")),
    *replacing(7, DesiredSettings({}, 2, NOW, "user:1"), 1),
]


@pytest.mark.parametrize("change", OF_A_MACHINE, ids=lambda change: type(change).__name__)
def test_what_concerns_a_machine_that_is_gone_concerns_nobody(change: Change) -> None:
    assert Fleet([machine(8)]).apply(change) is None


def test_a_boot_that_rest_made_known_is_taken_up_to_what_is_stored_of_it() -> None:
    fleet = Fleet([machine()])
    assert fleet.apply(Put(BootRow(rvm_id=7, boot_id="b", id=5, last_used_at=NOW), over=("last_used_at",))) is None
    assert fleet.machines[7].boots["b"] == Boot("b", 5, -1)
    fleet.apply(Put(BootRow(rvm_id=7, boot_id="b", id=5, last_seq=9, last_used_at=NOW), over=("last_used_at",)))
    fleet.apply(Put(BootRow(rvm_id=7, boot_id="b", id=5, last_seq=4, last_used_at=NOW), over=("last_used_at",)))
    assert fleet.machines[7].boots["b"] == Boot("b", 5, 9)


def test_a_machine_is_busy_in_quarantine_and_connected_as_it_is_observed() -> None:
    fleet = Fleet([machine(api_key_prefix=None)])
    assert fleet.apply(Observed(7, {"busy": True})) == Touched(7, frozenset({"busy"}))
    assert fleet.apply(Observed(7, {"busy": True})) is None, "it is no news"
    touched = fleet.apply(Patch(MachineRow, 7, {"quarantined_until": NOW, "updated_at": NOW + timedelta(seconds=1)}))
    assert touched == Touched(7, frozenset({"quarantined_until", "updated_at"}))
    fleet.apply(Observed(7, {"connection": "late", "connection_since": NOW, "connection_reason": "no sample"}))
    one = fleet.machines[7]
    assert (one.busy, one.row.quarantined_until, one.row.updated_at) == (True, NOW, NOW + timedelta(seconds=1))
    assert (one.connection, one.connection_since, one.connection_reason) == ("late", NOW, "no sample")
    assert fleet.apply(Drop(MachineRow, 7)) == Touched(7, frozenset(), removed=True)


def test_only_five_minutes_of_readings_are_kept_for_a_sparkline() -> None:
    fleet = Fleet([machine()])
    for second in (0, 200, 301):
        at = NOW + timedelta(seconds=second)
        fleet.apply(SampleSeen(rvm_id=7, sample=sample(), taken_at=at, received_at=at))
    first = int((NOW + timedelta(seconds=200)).timestamp() * 1000)
    assert fleet.machines[7].recent[0][0] == first


def test_an_open_command_is_asked_back_and_goes_with_its_machine() -> None:
    fleet = Fleet([machine()])
    fleet.apply(Put(command()))
    assert fleet.apply(
        Patch(CommandRow, "c1", {"cancel_by": "user:2", "cancel_at": NOW}, while_open=True, must="state")
    ) == Touched(7, PENDING_MEMBERS)
    found = fleet.command("c1")
    assert found is fleet.machines[7].pending["c1"]
    assert (found.cancel_by, found.cancel_at) == ("user:2", NOW)
    fleet.apply(Drop(MachineRow, 7))
    assert fleet.command("c1") is None


def test_what_was_patched_since_a_move_was_decided_stays() -> None:
    """Both were decided by the same row; the database has what each of them wrote."""
    fleet = Fleet([machine()])
    fleet.apply(Put(command()))
    running = move(command(), state="running")
    fleet.apply(Patch(CommandRow, "c1", {"cancel_by": "user:2", "cancel_at": NOW}, while_open=True, must="state"))
    fleet.apply(running)
    found = fleet.machines[7].pending["c1"]
    assert (found.state, found.cancel_by, found.cancel_at) == ("running", "user:2", NOW)
    assert fleet.command("c1") is found


def test_a_new_key_takes_the_place_of_the_old_one() -> None:
    fleet = Fleet()
    fleet.apply(NEW_MACHINE)
    fleet.apply(
        Patch(MachineRow, 3, {"api_key": "new", "api_key_prefix": "q", "quarantined_until": None, "updated_at": NOW})
    )
    assert (fleet.machines[3].row.api_key, fleet.by_key_prefix("q")) == ("new", fleet.machines[3])
