"""The fleet in memory is what the Changes made it, and every change tells what may look different now."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from hub.core.changes import (
    BootOpened,
    CommandDrafted,
    LinkEnded,
    MachineAdded,
    MachineEdited,
    MachineIntroduced,
    MachineRemoved,
    SampleSeen,
    StatusChanged,
)  # fmt: skip
from hub.core.fleet import ALL_MEMBERS, Fleet
from hub.core.machine import BOOTS_KEPT
from hub.core.views import MEMBERS, machine_view
from tests.hub.core.test_command_desk import command
from tests.support.machines import NOW, machine, sample


def introduced(epoch: int, boot_id: str = "boot-a") -> MachineIntroduced:
    return MachineIntroduced(
        rvm_id=7, at=NOW, epoch=epoch, agent_version="0.1.0", boot_id=boot_id, capabilities=("ping",), hardware=None,
        timezone="Asia/Jakarta", config_version=0, clock_offset_s=0.5, ip="10.0.0.9", simulated=False, boot=31,
    )  # fmt: skip


def test_a_machine_is_found_by_id_device_id_and_key_prefix() -> None:
    fleet = Fleet([machine(7), machine(8, device_id="9")])
    assert fleet.find(7) is fleet.find("7") is fleet.find("orin-7") is fleet.by_key_prefix("rvmk_00000007")
    assert fleet.find("9") is fleet.machines[8], "a device_id wins over a number"
    for nobody in (99, "99", "", "²", "9" * 400, "orin-99"):
        assert fleet.find(nobody) is None


def test_adding_editing_and_removing_keep_every_index_true() -> None:
    fleet = Fleet()
    added = MachineAdded(
        device_id="d", name="n", location_description=None, api_key_hash="h", api_key_prefix="p", simulated=False,
        at=NOW, by="user:1", id=3,
    )  # fmt: skip
    touched = fleet.apply(added)
    assert touched is not None
    assert touched.members == ALL_MEMBERS
    fleet.apply(MachineEdited(rvm_id=3, values={"device_id": "e", "api_key_prefix": "q", "api_key_hash": "i"}, at=NOW))
    assert fleet.find("d") is None
    assert fleet.by_key_prefix("p") is None
    assert fleet.find("e") is fleet.by_key_prefix("q") is fleet.machines[3]
    assert fleet.machines[3].api_key_hash == "i"
    gone = fleet.apply(MachineRemoved(rvm_id=3, at=NOW))
    assert gone is not None
    assert gone.removed
    assert fleet.find("e") is fleet.by_key_prefix("q") is None


def test_an_older_link_changes_nothing_any_more() -> None:
    fleet = Fleet([machine()])
    fleet.apply(introduced(5, "boot-b"))
    assert fleet.apply(introduced(4, "boot-a")) is None
    assert fleet.machines[7].boot_id == "boot-b"
    assert fleet.apply(LinkEnded(rvm_id=7, epoch=4, at=NOW, farewell="shutdown")) is None
    assert fleet.machines[7].farewell is None
    assert fleet.apply(LinkEnded(rvm_id=7, epoch=5, at=NOW, farewell="shutdown")) is not None
    assert fleet.machines[7].farewell == "shutdown"


def test_recent_readings_reach_back_five_minutes() -> None:
    fleet = Fleet([machine()])
    for second in range(0, 400, 20):
        at = NOW + timedelta(seconds=second)
        fleet.apply(SampleSeen(rvm_id=7, sample=sample(), taken_at=at, received_at=at))
    recent = fleet.machines[7].recent
    assert recent[-1][0] - recent[0][0] == 300_000


def test_open_commands_are_known_to_the_fleet_until_they_end_or_their_machine_goes() -> None:
    fleet = Fleet([machine()])
    fleet.apply(CommandDrafted(command=command()))
    assert fleet.command("c1") is fleet.machines[7].pending["c1"]
    fleet.apply(MachineEdited(rvm_id=7, values={"name": "other"}, at=NOW))
    assert fleet.command("c1") is not None
    fleet.apply(MachineRemoved(rvm_id=7, at=NOW))
    assert fleet.command("c1") is None


def test_what_is_touched_are_members_of_the_view() -> None:
    fleet = Fleet([machine()])
    changes = [
        introduced(1), LinkEnded(rvm_id=7, epoch=1, at=NOW, farewell=None), CommandDrafted(command=command()),
        StatusChanged(rvm_id=7, status="full", special_status=None, capacity=9, since=NOW, by="machine:7"),
        MachineEdited(rvm_id=7, values={"name": "x"}, at=NOW),
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
        fleet.apply(msgspec.structs.replace(introduced(n, f"b{n}"), boot=n))
    boots = fleet.machines[7].boots
    assert [*boots] == [f"b{n}" for n in range(1000 - BOOTS_KEPT, 1000)]
    fleet.apply(BootOpened(rvm_id=7, boot_id="b960", at=NOW, id=960, last_seq=4))
    for n in range(BOOTS_KEPT - 2):
        fleet.apply(BootOpened(rvm_id=7, boot_id=f"rest{n}", at=NOW, id=2000 + n))
    assert [*boots][:2] == ["b999", "b960"], "that of the last hello stays, and of the others those used last"
    assert boots["b960"].accepted == 4


def test_a_boot_that_was_forgotten_comes_back_with_its_mark() -> None:
    fleet = Fleet([machine()])
    fleet.apply(msgspec.structs.replace(introduced(1), last_seq=41))
    assert fleet.machines[7].boots["boot-a"].accepted == 41
