"""The doorkeeper over time: fights counted, a quarantine begun, ended by the clock, remembered by nobody afterwards."""

from __future__ import annotations

from datetime import timedelta

from db.records import MachineRow
from hub.links import rules
from hub.links.key_conflicts import KeyConflicts
from hub.model.changes import Patch
from protocol.limits import TAKEOVER_WINDOW_S
from tests.hub.commands.test_commands_in_flow import listen
from tests.support.link_room import Room, room
from tests.support.machines import NOW
from tests.support.until import until


class Clock:
    """Seconds after NOW, for both clocks."""

    def __init__(self) -> None:
        self.s = 0.0


def keeper(hub: Room, clock: Clock) -> KeyConflicts:
    made = KeyConflicts(hub.fleet, hub.announce, lambda: NOW + timedelta(seconds=clock.s), lambda: clock.s)
    hub.announce.listen(made.on_commit)
    return made


async def test_three_takeovers_quarantine_the_key_and_time_releases_it() -> None:
    async with room() as hub:
        clock, heard = Clock(), listen(hub)
        conflicts = keeper(hub, clock)
        _, _, wire = hub.connect()
        for clock.s in (0.0, 20.0, 40.0):
            assert conflicts.quarantined_for(hub.machine) is None
            await conflicts.contested(hub.machine, "10.0.0.1", "10.0.0.2")
        assert conflicts.quarantined_for(hub.machine) == 300.0
        await until(lambda: wire.close == 4409)
        clock.s = 339.0
        await conflicts.end_due()
        assert hub.machine.row.quarantined_until is not None
        clock.s = 340.0
        assert conflicts.quarantined_for(hub.machine) is None
        await conflicts.end_due()
        await conflicts.end_due()
        assert hub.machine.row.quarantined_until is None
        assert [event.code for event in heard if event.code.startswith("machine.") and "intro" not in event.code] == [
            "machine.quarantined", "machine.released",
        ]  # fmt: skip
        await conflicts.contested(hub.machine, "10.0.0.1", "10.0.0.2")
        assert conflicts.quarantined_for(hub.machine) == 300.0, "they were two before, and time alone sends nobody away"
        clock.s = 640.0
        await conflicts.end_due()
        clock.s += TAKEOVER_WINDOW_S
        await conflicts.contested(hub.machine, "10.0.0.1", "10.0.0.2")
        assert conflicts.quarantined_for(hub.machine) is None, "it kept the peace for long enough"


async def test_after_a_release_by_a_person_nothing_is_remembered() -> None:
    async with room() as hub:
        conflicts = keeper(hub, Clock())
        for _ in range(3):
            await conflicts.contested(hub.machine, "10.0.0.1", "10.0.0.2")
        assert conflicts.quarantined_for(hub.machine) is not None
        await hub.announce(*rules.release(hub.machine, "user:1", NOW))
        await conflicts.contested(hub.machine, "10.0.0.1", "10.0.0.2")
        assert conflicts.quarantined_for(hub.machine) is None


async def test_a_quarantine_outlives_the_hub() -> None:
    async with room(quarantined_until=NOW + timedelta(seconds=60)) as hub:
        clock = Clock()
        conflicts = keeper(hub, clock)
        assert conflicts.quarantined_for(hub.machine) == 60.0
        clock.s = 61.0
        await conflicts.end_due()
        assert hub.machine.row.quarantined_until is None


async def test_a_clock_that_is_set_back_makes_no_quarantine_longer() -> None:
    async with room(quarantined_until=NOW + timedelta(seconds=300)) as hub:
        clock = Clock()
        conflicts = keeper(hub, clock)
        await conflicts.end_due()
        assert hub.machine.row.quarantined_until == NOW + timedelta(seconds=300)
        clock.s = -3600.0
        assert conflicts.quarantined_for(hub.machine) == 300.0
        await conflicts.end_due()
        clock.s += 299.0
        await conflicts.end_due()
        assert conflicts.quarantined_for(hub.machine) == 1.0
        clock.s += 1.0
        await conflicts.end_due()
        assert hub.machine.row.quarantined_until is None


async def test_a_new_key_begins_with_nothing_remembered() -> None:
    async with room() as hub:
        clock = Clock()
        conflicts = keeper(hub, clock)
        conflicts.replaced(hub.machine)
        await conflicts.contested(hub.machine, "a", "b")
        await conflicts.contested(hub.machine, "a", "b")
        assert conflicts.too_soon(hub.machine) == 1.0
        await hub.announce(
            Patch(
                MachineRow,
                7,
                {"api_key": "1" * 64, "api_key_prefix": "new", "quarantined_until": None, "updated_at": NOW},
            )
        )
        assert conflicts.too_soon(hub.machine) is None
        await conflicts.contested(hub.machine, "a", "b")
        assert conflicts.quarantined_for(hub.machine) is None


async def test_a_database_that_is_away_lets_nobody_believe_in_a_quarantine_that_is_not_kept() -> None:
    async with room() as hub:
        conflicts = keeper(hub, Clock())
        hub.store.away = True
        for _ in range(3):
            await conflicts.contested(hub.machine, "a", "b")
        assert conflicts.quarantined_for(hub.machine) is None
        hub.store.away = False
        await conflicts.contested(hub.machine, "a", "b")
        assert conflicts.quarantined_for(hub.machine) == 300.0


async def test_a_release_opens_the_door_at_once() -> None:
    async with room(quarantined_until=NOW + timedelta(seconds=60)) as hub:
        conflicts = keeper(hub, Clock())
        await hub.announce(Patch(MachineRow, 7, {"quarantined_until": None, "updated_at": NOW}))
        assert conflicts.quarantined_for(hub.machine) is None
