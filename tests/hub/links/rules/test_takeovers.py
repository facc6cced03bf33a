"""Two holders of one key: what counts as a fight, when it is a quarantine, and how that ends."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from db.records import MachineRow
from hub.links import rules
from hub.links.rules import Takeovers
from hub.model.changes import EventHappened, Patch
from hub.model.fleet import Fleet
from tests.support.machines import NOW, machine


def test_a_link_is_replaced_once_a_second_at_most() -> None:
    seen = Takeovers(last=10.0)
    assert rules.too_soon(seen, 10.25) == 0.75
    assert rules.too_soon(seen, 11.0) is None
    assert rules.too_soon(Takeovers(), 0.0) is None


@pytest.mark.parametrize(
    ("at", "verdicts"),
    [
        ((0.0, 60.0, 180.0), [False, False, True]), ((0.0, 60.0, 181.0), [False, False, False]),
        ((0.0, 120.0, 240.0, 299.0), [False, False, False, True]),
    ],
)  # fmt: skip
def test_three_contested_takeovers_in_three_minutes_are_two_machines_with_one_key(
    at: tuple[float, ...], verdicts: list[bool]
) -> None:
    seen = Takeovers()
    assert [rules.contested(seen, "10.0.0.1", "10.0.0.2", now) for now in at] == verdicts


def test_a_quarantine_names_both_sides_and_lasts_five_minutes() -> None:
    seen, fleet = Takeovers(), Fleet([machine()])
    for now, (older, newer) in enumerate([("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")]):
        rules.contested(seen, older, newer, float(now))
    changed, event = rules.quarantine(fleet.machines[7], seen, NOW)
    until = NOW + rules.QUARANTINE
    assert changed == Patch(MachineRow, 7, {"quarantined_until": until, "updated_at": NOW})
    assert isinstance(event, EventHappened)
    assert (event.code, event.params["takeovers"]) == ("machine.quarantined", 2)
    assert event.params["addresses"] == ["10.0.0.1", "10.0.0.2"]
    fleet.apply(changed)
    assert rules.held_for(fleet.machines[7], NOW) == 300.0
    assert rules.held_for(fleet.machines[7], NOW + timedelta(seconds=300)) is None


def test_a_quarantine_ends_by_release_once_and_by_a_new_key() -> None:
    fleet = Fleet([machine(quarantined_until=NOW + timedelta(seconds=10))])
    changed, event = rules.release(fleet.machines[7], "user:1", NOW)
    assert isinstance(event, EventHappened)
    assert (event.code, event.actor) == ("machine.released", "user:1")
    fleet.apply(changed)
    assert rules.release(fleet.machines[7], "user:1", NOW) == []
    fleet.machines[7].row = msgspec.structs.replace(
        fleet.machines[7].row, quarantined_until=NOW + timedelta(seconds=10)
    )
    fleet.apply(Patch(MachineRow, 7, {"name": "other", "updated_at": NOW}))
    assert fleet.machines[7].row.quarantined_until is not None
    fleet.apply(
        Patch(
            MachineRow,
            7,
            {"api_key": "1" * 64, "api_key_prefix": "rvmk_NEW", "quarantined_until": None, "updated_at": NOW},
        )
    )
    assert fleet.machines[7].row.quarantined_until is None


def test_what_is_kept_can_be_dropped_when_it_matters_no_more() -> None:
    seen = Takeovers(last=5.0)
    rules.contested(seen, "a", "b", 10.0)
    assert not rules.stale(seen, 189.0)
    assert rules.stale(seen, 191.0)
    assert not rules.stale(Takeovers(suspect_until=500.0), 499.0)
    assert rules.stale(Takeovers(suspect_until=500.0), 500.0)


def test_a_quarantine_from_a_clock_that_was_set_back_ends_by_the_clock_as_it_is() -> None:
    assert rules.too_far(machine(), NOW) == []
    assert rules.too_far(machine(quarantined_until=NOW + rules.QUARANTINE), NOW) == []
    (change,) = rules.too_far(machine(quarantined_until=NOW + timedelta(hours=9)), NOW)
    assert isinstance(change, Patch)
    assert change.values["quarantined_until"] == NOW + rules.QUARANTINE
