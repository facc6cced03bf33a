"""The clock's backups: who is asked when, how many at once, and what goes when its time is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import pytest_asyncio

from db.backup_records import BackupRow
from db.queries import events
from db.records import MachineSettingsRow
from hub.kernel.objects.folder import FolderShelf
from hub.kernel.objects.place import ObjectsError
from hub.kernel.objects.store import Objects
from hub.lifespan import utc_now
from hub.model import actors
from hub.model.backups import open_backup
from hub.model.changes import Put, move
from hub.model.machine import Machine
from tests.support.archives import file
from tests.support.backup_room import BackupRoom, backup_room, left_in

DAY = timedelta(days=1)
NIGHT = datetime(2026, 12, 1, 18, 0, tzinfo=timezone.utc)
"""01:00 in Jakarta."""
ITEMS = [file("app/a")]


@pytest_asyncio.fixture
async def room(tmp_path: Path, database_url: str) -> AsyncIterator[BackupRoom]:
    async with backup_room(tmp_path, database_url, Objects(FolderShelf(tmp_path / "objects"))) as made:
        yield made


def set_clock(room: BackupRoom, at: datetime) -> None:
    room.ahead = at - utc_now()


async def add_machines(room: BackupRoom, count: int) -> list[Machine]:
    """Enrolled one after the other, the first one first."""
    created = NIGHT - 10 * DAY
    return [await room.add_machine(f"M{n}", created_at=created + n * timedelta(hours=1)) for n in range(count)]


def asked(machines: list[Machine]) -> list[bool]:
    return [open_backup(machine.backups) is not None for machine in machines]


async def end(room: BackupRoom, machine: Machine, status: str = "completed") -> None:
    row = open_backup(machine.backups)
    assert row is not None
    await room.engine.announce(move(row, upload_status=status, completed_at=room.clock()))
    for command in tuple(machine.pending.values()):
        await room.engine.announce(move(command, state="succeeded"))


async def settings_of(room: BackupRoom, machine: Machine, version: int = 1, **values: object) -> None:
    row = MachineSettingsRow(
        rvm_id=machine.id, values=values, version=version, updated_at=room.clock(), updated_by=actors.SYSTEM
    )
    await room.engine.announce(Put(row, over=("values", "version", "updated_at", "updated_by")))


async def test_machines_are_asked_in_their_night_so_many_at_once_and_each_once(room: BackupRoom) -> None:
    machines = await add_machines(room, 6)
    set_clock(room, NIGHT - timedelta(hours=1))
    await room.keeper.ask()
    assert asked(machines) == [False] * 6, "it is midnight"
    set_clock(room, NIGHT + timedelta(hours=3, minutes=10))
    await room.keeper.ask()
    await room.keeper.ask()
    assert asked(machines) == [True] * 4 + [False] * 2
    row = open_backup(machines[0].backups)
    assert row is not None
    assert (row.trigger, row.requested_by, row.backup_type) == ("schedule", "clock", "full")
    (command,) = machines[0].pending.values()
    assert command.args == {
        "backup_id": row.id, "backup_type": "full", "include_images": True, "include_logs": True,
    }  # fmt: skip
    await end(room, machines[1])
    await room.keeper.ask()
    assert asked(machines) == [True, False, True, True, True, False]
    assert len(room.events("command.issued")) == 5


async def test_what_people_started_counts_among_those_that_run(room: BackupRoom) -> None:
    machines = await add_machines(room, 2)
    set_clock(room, NIGHT + timedelta(hours=3, minutes=10))
    await room.add(BackupRow(id=900, rvm_id=machines[0].id, backup_type="full", created_at=room.clock()))
    await room.new_keeper(at_once=1).ask()
    assert asked(machines) == [True, False]


async def test_one_that_waits_for_a_machine_that_is_away_holds_nobody_up(room: BackupRoom) -> None:
    away, there = await add_machines(room, 2)
    set_clock(room, NIGHT + timedelta(hours=3, minutes=10))
    await room.add(BackupRow(id=900, rvm_id=away.id, backup_type="full", created_at=room.clock()))
    away.linked = False
    await room.new_keeper(at_once=1).ask()
    assert asked([away, there]) == [True, True]


async def test_a_machine_is_asked_again_the_next_night_and_an_hour_after_a_failure(room: BackupRoom) -> None:
    (machine,) = await add_machines(room, 1)
    set_clock(room, NIGHT + timedelta(hours=3, minutes=10))
    await room.keeper.ask()
    await end(room, machine)
    set_clock(room, NIGHT + timedelta(hours=3, minutes=50))
    await room.keeper.ask()
    assert asked([machine]) == [False]
    set_clock(room, NIGHT + DAY + timedelta(hours=3, minutes=10))
    await room.keeper.ask()
    following = open_backup(machine.backups)
    assert following is not None
    assert following.backup_type == "incremental", "it has something to build on"
    await end(room, machine, "failed")
    await room.keeper.ask()
    assert asked([machine]) == [False]


async def test_a_machine_whose_backups_always_fail_does_not_take_the_turns_of_others(room: BackupRoom) -> None:
    broken, well = await add_machines(room, 2)
    set_clock(room, NIGHT + timedelta(hours=2))
    keeper = room.new_keeper(at_once=1)
    await keeper.ask()
    assert asked([broken, well]) == [True, False]
    set_clock(room, NIGHT + timedelta(hours=3, minutes=10))
    await end(room, broken, "failed")
    await keeper.ask()
    assert asked([broken, well]) == [False, True]


async def test_settings_and_what_is_observed_decide_who_is_asked(room: BackupRoom) -> None:
    off, away, old, own = await add_machines(room, 4)
    await settings_of(room, off, backup_enabled=False)
    await settings_of(room, own, version=2, backup_window="12:00-13:00")
    away.linked = False
    simulated = await room.add_machine("Simulated", simulated=True)
    unable = await room.add_machine("Unable", capabilities=("ping",))
    set_clock(room, NIGHT + timedelta(hours=3, minutes=10))
    await room.keeper.ask()
    assert asked([off, away, old, own, simulated, unable]) == [False, False, True, False, False, False]
    set_clock(room, NIGHT + timedelta(hours=11, minutes=59))
    await room.keeper.ask()
    assert asked([own]) == [True]


async def test_a_machine_that_was_away_all_night_is_asked_when_it_is_back(room: BackupRoom) -> None:
    (machine,) = await add_machines(room, 1)
    noon = NIGHT + timedelta(hours=11)
    set_clock(room, noon)
    machine.connection_since = noon - timedelta(minutes=1)
    await room.new_keeper().ask()
    assert asked([machine]) == [False], "the hub has just started: it was the one that was away"
    await room.keeper.ask()
    assert asked([machine]) == [True]


async def test_after_a_failed_drill_the_next_one_stands_alone(room: BackupRoom) -> None:
    (machine,) = await add_machines(room, 1)
    set_clock(room, NIGHT + timedelta(hours=3, minutes=10))
    damaged = {"code": "archive_damaged"}
    await room.add_archive(machine, 4, ITEMS, created_at=NIGHT - 2 * DAY)
    await room.add_archive(machine, 5, ITEMS, created_at=NIGHT - DAY, drill_error=damaged, drill_at=room.clock())
    await room.keeper.ask()
    row = open_backup(machine.backups)
    assert row is not None
    assert row.backup_type == "full"


async def mark(room: BackupRoom) -> None:
    """The other retention has come to now."""
    await room.engine.announce(Put(events.retention_mark(room.clock()), over=("value",)))


async def test_what_is_over_goes_bytes_first_and_the_chain_that_is_needed_stays(
    room: BackupRoom, tmp_path: Path
) -> None:
    (machine,) = await add_machines(room, 1)
    set_clock(room, NIGHT)
    for number, days, before in ((1, 60, ()), (2, 50, (1,)), (3, 45, ()), (4, 29, (3,)), (5, 1, ())):
        created = NIGHT - days * DAY
        await room.add_archive(machine, number, ITEMS, *before, created_at=created, upload_status="verified")
    await room.objects.put_file("backups/1/2.manifest.gz", tmp_path / "2.tar.gz", (await room.row(2)).sha256 or "")
    await mark(room)
    await room.keeper.keep()
    assert [(await room.row(number)).deleted_at is not None for number in (1, 2, 3, 4, 5)] == [True, True, *[False] * 3]
    folder = tmp_path / "objects" / "backups" / str(machine.id)
    assert [name for name in left_in(folder) if name.endswith(".tar.gz")] == [
        "3-0.tar.gz", "4-0.tar.gz", "5-0.tar.gz",
    ]  # fmt: skip
    gone = room.events("backup.deleted")
    assert [(event.params["backup_id"], event.params["why"], event.actor) for event in gone] == [
        (2, "retention", "clock"), (1, "retention", "clock"),
    ]  # fmt: skip
    await room.keeper.keep()
    assert len(room.events("backup.deleted")) == 2


async def test_the_days_are_the_machines_own(room: BackupRoom) -> None:
    (machine,) = await add_machines(room, 1)
    set_clock(room, NIGHT)
    for number, days in ((1, 5), (2, 1)):
        await room.add_archive(machine, number, ITEMS, created_at=NIGHT - days * DAY)
    await mark(room)
    await room.keeper.keep()
    assert room.events("backup.deleted") == []
    await settings_of(room, machine, backup_retention=3)
    await room.keeper.keep()
    assert [event.params["backup_id"] for event in room.events("backup.deleted")] == [1]


async def test_a_clock_that_is_years_ahead_deletes_nothing(room: BackupRoom) -> None:
    (machine,) = await add_machines(room, 1)
    set_clock(room, NIGHT)
    for number in (1, 2):
        await room.add_archive(machine, number, ITEMS, created_at=NIGHT - number * DAY)
    await mark(room)
    set_clock(room, NIGHT + 3000 * DAY)
    await room.keeper.keep()
    assert room.events("backup.deleted") == []


async def test_killed_between_the_bytes_and_the_row_the_next_turn_goes_on(
    room: BackupRoom, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (machine,) = await add_machines(room, 1)
    set_clock(room, NIGHT)
    for number, days in ((1, 50), (2, 45), (3, 1)):
        await room.add_archive(machine, number, ITEMS, created_at=NIGHT - days * DAY)
    await mark(room)
    delete, gone = room.objects.delete, []

    async def dies(key: str) -> None:
        await delete(key)
        gone.append(key)
        raise ObjectsError("killed here")

    with monkeypatch.context() as patched:
        patched.setattr(room.objects, "delete", dies)
        with pytest.raises(ObjectsError):
            await room.keeper.keep()
    assert len(gone) == 1
    assert room.events("backup.deleted") == []
    await room.keeper.keep()
    assert [event.params["backup_id"] for event in room.events("backup.deleted")] == [2, 1]
    assert left_in(tmp_path / "objects" / "backups" / str(machine.id)) == ["3-0.tar.gz"]


async def test_the_forecast_of_a_machine_and_of_the_fleet(room: BackupRoom, caplog: pytest.LogCaptureFixture) -> None:
    one, two = await add_machines(room, 2)
    set_clock(room, NIGHT)
    for number in range(1, 11):
        await room.add_archive(one, number, ITEMS, created_at=NIGHT - (11 - number) * DAY, file_size=100)
    keeper = room.new_keeper(quota=2000, fleet_quota=1500)
    assert (keeper.forecast, keeper.counted_at, keeper.forecasts) == (None, None, {}), "nothing is counted yet"
    await keeper.keep()
    assert one.backup_full_at == keeper.forecasts[one.id].full_at is not None
    assert two.backup_full_at is None
    assert (keeper.forecasts[one.id].used, keeper.forecasts[two.id].used) == (1000, 0)
    whole = keeper.forecast
    assert whole is not None
    assert whole.used == 1000
    assert whole.full_at is not None
    assert abs(whole.full_at - (NIGHT + 5 * DAY)) < timedelta(minutes=5)
    await keeper.keep()
    assert caplog.text.count("--backup-fleet-quota-gib") == 1
