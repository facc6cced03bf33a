"""What is counted over a whole fleet: as if everything had been looked at, and only what changed was."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import pytest

from dashboard import fleet, trouble
from dashboard.trouble import MachineTrouble, troubles
from db.records import MachineRow
from hub.model.changes import Drop
from hub.model.machine import Machine
from hub.model.views import machine_delta, machine_view
from hub.web.shell import fleet_digest
from hub.web.shell.fleet_digest import CLASSES, MEMBERS, FleetDigest, in_slices
from tests.dashboard.trouble_cases import CASES, MACHINE, NOW
from tests.support.feed_page import NOW_MS, Hub


@pytest.mark.parametrize("seed", range(3))
async def test_it_counts_what_a_look_at_every_machine_would(seed: int) -> None:
    chance, hub = random.Random(seed), Hub(30)
    digest = FleetDigest(hub.fleet, hub.feed)
    for turn in range(40):
        hub.status(chance.choice([*hub.fleet.machines]), chance.choice(["full", "error", "active"]))
        if chance.random() < 0.2:
            hub.add(100 + turn)
        if chance.random() < 0.2:
            hub.commit(Drop(MachineRow, chance.choice([*hub.fleet.machines])))
        for reach in (None, frozenset({1, 2, 3, 100, 101})):
            whole = [machine_view(m, times="ms") for m in hub.fleet.machines.values() if reach is None or m.id in reach]
            found = await digest.of(reach, NOW_MS)
            assert (found.troubles, found.counts) == (troubles(whole, NOW_MS), fleet.counters(whole))
            assert sum(found.calm.values()) + len(found.troubles) == len(whole)
            assert {view["id"] for view in await digest.views(reach)} == {view["id"] for view in whole}


async def test_only_what_was_touched_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(50)
    read: list[int] = []
    digest = FleetDigest(hub.fleet, hub.feed)
    await digest.views(None)

    def delta(machine: Machine, members: Iterable[str]) -> dict[str, Any]:
        read.append(machine.id)
        return machine_delta(machine, members)

    monkeypatch.setattr(fleet_digest, "machine_delta", delta)
    hub.sample(7, 1.0)
    hub.status(9, "full")
    views = {view["id"]: view for view in await digest.views(None)}
    assert sorted(read) == [7, 9]
    assert views[7]["readings"]["cpu_usage"] == 1.0
    assert views[9].keys() == {"id", *MEMBERS}


async def test_a_machine_is_judged_when_it_changed_and_not_for_each_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    hub, now, judged = Hub(5), [100.0], list[int]()
    for machine in hub.fleet.machines.values():
        machine.connection = "live"

    def causes(view: dict[str, Any], now_ms: int) -> list[MachineTrouble]:
        judged.append(view["id"])
        return trouble.causes(view, now_ms)

    monkeypatch.setattr(fleet_digest, "monotonic", lambda: now[0])
    monkeypatch.setattr(fleet_digest, "causes", causes)
    digest = FleetDigest(hub.fleet, hub.feed)
    first = await digest.of(None, NOW_MS)
    judged.clear()
    hub.sample(1, 1.0)
    now[0] += fleet_digest.FRESH_S
    assert await digest.of(None, NOW_MS) is first
    assert judged == []
    hub.status(1, "error")
    assert [one.id for one in (await digest.of(None, NOW_MS)).troubles] == [1]
    assert judged == [1]
    for number in range(2 * CLASSES):
        await digest.of(frozenset({number}), NOW_MS)
    assert len(digest._made) == CLASSES


async def test_time_alone_is_judged_as_a_first_look_would_also_when_the_clock_is_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    snooze = {"cause": "error", "snoozed_until": NOW + 90_000}
    cases = [{"troubles": [snooze] if "error" in case.about else []} | case.machine for case in CASES]

    def delta(machine: Machine, members: Iterable[str]) -> dict[str, Any]:
        return machine_delta(machine, members) | MACHINE | cases[machine.id - 1] | {"id": machine.id}

    monkeypatch.setattr(fleet_digest, "machine_delta", delta)
    hub, seen = Hub(len(cases)), set[str]()
    digest = FleetDigest(hub.fleet, hub.feed)
    for after in (
        0,
        30_000,
        61_000,
        89_999,
        90_000,
        11 * 60_000,
        86_400_000,
        40 * 86_400_000,
        400 * 86_400_000,
        30_000,
    ):
        found = await digest.of(None, NOW + after)
        assert found == await FleetDigest(hub.fleet, hub.feed).of(None, NOW + after), after
        seen.add(repr(found.causes) + repr(found.snoozed))
    assert len(seen) > 4, "time changed what is wrong"


async def test_another_trouble_is_counted_at_once_and_another_value_a_moment_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub, heat = Hub(5), [85.0]
    digest = FleetDigest(hub.fleet, hub.feed)

    def delta(machine: Machine, members: Iterable[str]) -> dict[str, Any]:
        lasting = [{"code": "temperature", "since": NOW_MS}] if machine.id == 2 and heat[0] > 80 else []
        seen = {"connection": "live", "lasting": lasting, "readings": {"temperature": heat[0]}}
        return machine_delta(machine, members) | seen

    monkeypatch.setattr(fleet_digest, "monotonic", lambda: 100.0)
    monkeypatch.setattr(fleet_digest, "machine_delta", delta)
    assert [(one.id, one.value) for one in (await digest.of(None, NOW_MS)).troubles if one.cause == "hot"] == [
        (2, 85.0)
    ]
    for heat[0], value in ((90.0, 85.0), (50.0, None), (95.0, 95.0)):
        hub.sample(2, 1.0)
        found = (await digest.of(None, NOW_MS)).troubles
        assert next((one.value for one in found if one.cause == "hot"), None) == value


async def test_two_that_ask_at_once_both_see_everything() -> None:
    hub = Hub(2000)
    digest = FleetDigest(hub.fleet, hub.feed)
    found = await asyncio.gather(*(digest.views(None) for _ in range(3)))
    assert [len(views) for views in found] == [2000] * 3


async def test_others_work_between_the_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_digest, "SLICE_S", 0.0)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.ensure_future(others())
    assert [thing async for thing in in_slices(range(100))] == list(range(100))
    other.cancel()
    assert turns >= 99
