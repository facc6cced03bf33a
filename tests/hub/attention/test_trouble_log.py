"""Troubles as a running hub records them, on both databases: when they began, when they were over, never twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from dashboard.trouble import NEVER_ALARM_MS
from db import schema
from db.errors import Conflict, Unavailable
from db.queries import troubles
from db.records import MachineRow
from db.trouble_records import TroubleRow
from hub.attention.service import TroubleLog
from hub.kernel.loading import load_fleet
from hub.model.changes import Observed, Patch, SampleSeen
from hub.model.effective_settings import base_of
from hub.model.machine import Machine
from hub.model.views import epoch_ms, machine_view
from hub.web.shell.fleet_digest import FleetDigest
from protocol.messages import Sample
from tests.support.api_hub import ApiHub
from tests.support.database_rows import open_boot, sample
from tests.support.until import until


async def change(hub: ApiHub, rvm_id: int, **values: Any) -> None:
    await hub.context.announce(Patch(MachineRow, rvm_id, values))


async def add_long_ago(hub: ApiHub, *rvm_ids: int) -> None:
    """Nobody is on the way to it any more."""
    for rvm_id in rvm_ids:
        await change(hub, rvm_id, created_at=hub.context.clock() - timedelta(hours=1))


def connect(hub: ApiHub, rvm_id: int, connection: str, **values: Any) -> None:
    seen = {"connection": connection, "connection_reason": None, "connection_since": hub.context.clock(), **values}
    hub.context.announce.observe(Observed(rvm_id, seen))


def stands(hub: ApiHub, rvm_id: int, *causes: str) -> Callable[[], bool]:
    return lambda: set(hub.context.fleet.machines[rvm_id].troubles) == set(causes)


async def rows(hub: ApiHub) -> list[tuple[int, str, bool]]:
    query = sa.select(schema.troubles).order_by(schema.troubles.c.id)
    found = await hub.context.store.fetch_all(query)
    return [(row["rvm_id"], row["cause"], row["ended_at"] is not None) for row in found]


async def test_a_trouble_is_recorded_from_its_beginning_to_its_end(any_hub: ApiHub) -> None:
    hub, since = any_hub, any_hub.context.clock() - timedelta(minutes=9)
    for rvm_id in (1, 2):
        connect(hub, rvm_id, "live")
    await until(lambda: stands(hub, 1)() and stands(hub, 2)())
    await change(hub, 1, status="error", status_since=since)
    await until(stands(hub, 1, "error"))
    (shown,) = machine_view(hub.context.fleet.machines[1])["troubles"]
    assert (shown["cause"], shown["owner"], shown["snoozed_until"]) == ("error", None, None)
    assert datetime.fromisoformat(shown["began_at"].replace("Z", "+00:00")) - since < timedelta(milliseconds=1)
    await change(hub, 1, status="full", capacity=100)
    await until(stands(hub, 1, "full"))
    await change(hub, 1, status="active", capacity=0)
    await until(stands(hub, 1))
    of_one = [one for one in await rows(hub) if one[0] == 1 and one[1] != "never"]
    assert of_one == [(1, "error", True), (1, "full", True)]
    assert [row.cause for row in await troubles.ended_since(hub.context.store, since) if row.rvm_id == 1][-2:] == [
        "error", "full"
    ]  # fmt: skip


async def test_what_only_a_machine_that_is_there_shows_is_not_over_while_it_is_away(any_hub: ApiHub) -> None:
    hub, long_ago = any_hub, any_hub.context.clock() - timedelta(minutes=9)
    connect(hub, 1, "live")
    await change(hub, 1, capacity=97)
    await until(stands(hub, 1, "nearly_full"))
    connect(hub, 1, "offline", connection_since=long_ago)
    await until(stands(hub, 1, "nearly_full", "offline"))
    connect(hub, 1, "live")
    await until(stands(hub, 1, "nearly_full"))
    await change(hub, 1, capacity=10)
    await until(stands(hub, 1))
    assert [one for one in await rows(hub) if one[1] in ("nearly_full", "offline")] == [
        (1, "nearly_full", True), (1, "offline", True)
    ]  # fmt: skip


async def compared(hub: ApiHub) -> None:
    """All machines, since what was done before: what another one shows is recorded in the same look."""
    is_full = "full" in hub.context.fleet.machines[2].troubles
    await change(hub, 2, status="active" if is_full else "full", capacity=0 if is_full else 100)
    await until(stands(hub, 2, *([] if is_full else ["full"])))


@pytest.mark.parametrize(
    ("cause", "before"), [("nearly_full", {"capacity": 97}), ("full", {"status": "full", "capacity": 97})]
)
async def test_maintenance_ends_nothing_that_began_before_it(
    any_hub: ApiHub, cause: str, before: dict[str, Any]
) -> None:
    """Nor does it begin anew when the session that was the maintenance ends: who is on it stays on it."""
    hub = any_hub
    for rvm_id in (1, 2):
        connect(hub, rvm_id, "live")
    await change(hub, 1, **before)
    await until(stands(hub, 1, cause))
    began = hub.context.fleet.machines[1].troubles[cause]
    for values in ({"special_status": "maintenance"}, {"special_status": None}):
        await change(hub, 1, status_since=hub.context.clock(), **values)
        await compared(hub)
        assert hub.context.fleet.machines[1].troubles == {cause: began}, values
    await change(hub, 1, special_status="maintenance")
    connect(hub, 1, "offline", connection_since=hub.context.clock() - timedelta(minutes=9))
    await compared(hub)
    assert stands(hub, 1, cause)(), "it was switched off to be worked on"
    connect(hub, 1, "live")
    await change(hub, 1, status="active", capacity=0)
    await until(stands(hub, 1))
    await change(hub, 1, capacity=97)
    await compared(hub)
    assert stands(hub, 1)(), "what begins in maintenance is whoever works on it"
    assert [one for one in await rows(hub) if one[0] == 1 and one[1] != "never"] == [(1, cause, True)]


async def test_a_later_life_goes_on_with_what_stands(any_hub: ApiHub) -> None:
    hub, context = any_hub, any_hub.context
    await add_long_ago(hub, 1, 2)
    await until(lambda: stands(hub, 1, "never")() and stands(hub, 2, "never")())
    fleet = await load_fleet(context.store, base_of(asdict(context.settings)))
    again = {machine.id: machine.troubles for machine in fleet.machines.values()}
    assert again == {machine.id: machine.troubles for machine in context.fleet.machines.values()}
    assert len(await rows(hub)) == 2


async def test_it_is_hot_since_the_same_moment_before_and_after_a_restart(any_hub: ApiHub) -> None:
    """It came back with a backlog of hot samples, which nobody judged, and was hot by its newest one."""
    hub, context, now = any_hub, any_hub.context, any_hub.context.clock()
    boot = (await open_boot(context.store, 1, "boot", now)).id
    hours = [now - timedelta(minutes=5 * number) for number in range(49)]
    backlog = [sample(1, number, boot, at=at, temperature=85.0) for number, at in enumerate(reversed(hours))]
    await context.store.store_samples(backlog)
    connect(hub, 1, "live")
    newest = Sample(timestamp=now.isoformat(), temperature=85.0)
    context.announce.publish_readings(
        SampleSeen(rvm_id=1, sample=newest, taken_at=now, received_at=now, boot_id="boot", seq=48)
    )
    await until(stands(hub, 1, "hot"))
    fleet = await load_fleet(context.store, base_of(asdict(context.settings)))
    before, after = (machine_view(one.machines[1]) for one in (context.fleet, fleet))
    assert after["lasting"] == before["lasting"]
    assert [one["since"] for one in after["lasting"]] == [one["began_at"] for one in after["troubles"]]


async def test_a_machine_that_was_just_added_is_no_trouble_yet_and_soon_is(any_hub: ApiHub) -> None:
    hub, now = any_hub, any_hub.context.clock()
    almost = now - timedelta(milliseconds=NEVER_ALARM_MS) + timedelta(seconds=2)
    await change(hub, 1, created_at=almost)
    await change(hub, 2, status="full", capacity=100)
    await until(stands(hub, 2, "full"))
    assert stands(hub, 1)(), "somebody is on the way to it"
    digest = await hub.context[FleetDigest].of(None, epoch_ms(now))
    assert (digest.calm["fine"], digest.calm["new"]) == (0, 1), "and it is not called fine"
    await until(stands(hub, 1, "never"))  # by time alone
    row = hub.context.fleet.machines[1].troubles["never"]
    assert abs(row.began_at - almost) < timedelta(milliseconds=1), "since it was added"
    assert row.noticed_at > now
    assert [one for one in await rows(hub) if one[0] == 1] == [(1, "never", False)]


async def test_a_machine_that_had_no_time_to_come_back_is_left_alone(hub: ApiHub) -> None:
    log, machine = hub.context[TroubleLog], hub.context.fleet.machines[1]
    await add_long_ago(hub, 1)
    await until(stands(hub, 1, "never"))
    now = hub.context.clock()
    machine.connection_reason = "hub_restarted"
    assert log.changes(machine, (), now) == []
    machine.connection_reason = None
    assert len(log.changes(machine, (), now)) == 1


async def test_a_database_that_is_away_delays_and_loses_nothing(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(hub, 1, "live")
    await until(stands(hub, 1))
    announce = hub.context.announce
    refused: list[Any] = []
    log = hub.context[TroubleLog]

    async def away(*changes: Any) -> list[Any]:
        if any(getattr(change, "about", None) is TroubleRow for change in changes) and len(refused) < 3:
            refused.append(changes)
            raise Unavailable("away")
        return await announce(*changes)

    monkeypatch.setattr(log, "_announce", away)
    await change(hub, 1, status="full", capacity=100)
    await until(stands(hub, 1, "full"))
    assert len(refused) == 3
    assert [one for one in await rows(hub) if one[1] == "full"] == [(1, "full", False)]


async def test_machines_are_compared_with_their_rows_only_when_something_is_new(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, compared, refused = hub.context, list[int](), list[Any]()
    await add_long_ago(hub, 2)
    monkeypatch.setattr(context[TroubleLog], "changes", lambda *_: [])

    async def refuse(*changes: Any) -> list[Any]:
        refused.append(changes)
        raise Conflict("ended_at")

    log = TroubleLog(context[FleetDigest], context.fleet, context.announce, context.clock)
    monkeypatch.setattr(log, "_announce", refuse)
    connect(hub, 1, "live")
    await change(hub, 1, capacity=97)
    for _ in range(3):
        await log.look()
    assert len(refused) >= 3, "what was refused is tried again"

    def compare(machine: Machine, *_: Any) -> list[Any]:
        compared.append(machine.id)
        return []

    monkeypatch.setattr(log, "changes", compare)
    await log.look()
    compared.clear()
    await log.look()
    assert compared == []
    await change(hub, 1, capacity=98)
    await log.look()
    assert compared == [1, 2]
