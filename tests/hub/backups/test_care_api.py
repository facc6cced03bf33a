"""Verify, statistics and alerts over REST: by a real hub with a real store, for whom they are."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest_asyncio

from db.backup_records import BackupRow
from db.queries import backups as rows
from db.queries.events import EventFilters, list_events
from hub.backups.keeper import BackupKeeper
from hub.backups.rules.keep import QuotaForecast
from hub.model import actors
from hub.model.changes import Patch, Put
from hub.model.machine import Machine
from tests.support.api_hub import ApiHub, api_hub
from tests.support.archives import archive, file, header
from tests.support.backup_client import BackupClient, good, problem
from tests.support.until import until

DAY = timedelta(days=1)


@pytest_asyncio.fixture
async def any_hub(tmp_path: Path, database_url: str) -> AsyncIterator[ApiHub]:
    """One that drills what it gets."""
    async with api_hub(tmp_path, database_url=database_url) as made:
        await made.add_everybody()
        yield made


async def be_able(hub: ApiHub, name: str = "one") -> Machine:
    values = {"capabilities": ("start_backup", "verify_backup")}
    await hub.context.announce(Patch(type(hub.machine().row), hub.machines[name], values))
    found = hub.machine(name)
    found.linked = True
    return found


async def uploaded(client: BackupClient, data: bytes | None = None) -> int:
    """As a machine does it; without `data`: a good archive."""
    number: int = (await client.start(backup_type="full"))["backup_id"]
    whole = data or archive(header(number, rvm_id=client.rvm_id), [file("app/a", os.urandom(100_000))])
    good(await client.begin(number))
    await client.put_all(number, whole)
    await client.complete(number, whole)
    good(await client.ended(number, whole))
    return number


async def status_of(hub: ApiHub, number: int) -> BackupRow:
    row = await rows.find(hub.context.store, number)
    assert row is not None
    return row


async def test_what_a_machine_uploads_is_drilled_by_itself_and_again_when_somebody_asks(
    any_hub: ApiHub, client: BackupClient
) -> None:
    number = await uploaded(client)

    def found_now() -> BackupRow:
        return any_hub.machine().backups[number]

    await until(lambda: found_now().upload_status == "verified")
    first = (await status_of(any_hub, number)).drill_at
    assert first is not None
    async with any_hub.of("technician") as technician:
        begun = good(await technician.post(f"{client.base}/backups/{number}/verify"), 202)
    assert (begun["backup_id"], begun["by"], begun["command"]) == (number, "hub", None)
    asked = await list_events(any_hub.context.store, EventFilters(codes=["backup.verify_asked"]), limit=50)
    assert [event.actor for event in asked] == [actors.user(any_hub.users["technician"])]
    await until(lambda: (at := found_now().drill_at) is not None and at > first)


async def test_a_damaged_upload_is_an_alert_until_there_is_a_good_one(any_hub: ApiHub, client: BackupClient) -> None:
    number = await uploaded(client, b"\x1f\x8b" + os.urandom(5000))
    await until(lambda: any_hub.machine().backups[number].drill_error is not None)
    async with any_hub.of("viewer") as viewer:
        (alert,) = good(await viewer.get("/api/v2/backups/alerts"))
        assert (alert["code"], alert["rvm_id"], alert["backup_id"]) == ("drill_failed", client.rvm_id, number)
        second = await uploaded(client)
        await until(lambda: any_hub.machine().backups[second].upload_status == "verified")
        assert good(await viewer.get("/api/v2/backups/alerts")) == []


async def test_what_the_hub_cannot_read_is_the_machines_to_verify(any_hub: ApiHub, client: BackupClient) -> None:
    found = await be_able(any_hub)
    row = BackupRow(
        id=77, rvm_id=found.id, backup_type="full", created_at=any_hub.context.clock(), upload_status="verified",
        encrypted=True, file_path="backups/1/77-0.tar.gz.age", drill_at=any_hub.context.clock(),
    )  # fmt: skip
    await any_hub.context.announce(Put(row))
    async with any_hub.of("operator") as operator:
        begun = good(await operator.post(f"{client.base}/backups/77/verify"), 202)
        assert (begun["by"], begun["command"]["name"]) == ("machine", "verify_backup")
        found.linked = False
        refused = problem(await operator.post(f"{client.base}/backups/77/verify"), 409)
        assert "online" in refused["detail"] or "connected" in refused["detail"]


async def test_without_an_archive_there_is_nothing_to_verify(any_hub: ApiHub, client: BackupClient) -> None:
    number = (await client.start())["backup_id"]
    async with any_hub.of("operator") as operator:
        refused = problem(await operator.post(f"{client.base}/backups/{number}/verify"), 409)
        assert "no archive" in refused["detail"]
        problem(await operator.post(f"{client.base}/backups/999/verify"), 404)


async def test_statistics_count_what_the_caller_reaches(any_hub: ApiHub, client: BackupClient) -> None:
    one = await be_able(any_hub)
    await be_able(any_hub, "two")
    now = any_hub.context.clock()
    row = BackupRow(
        id=5, rvm_id=one.id, backup_type="full", created_at=now, upload_status="verified", file_size=100, drill_at=now,
    )  # fmt: skip
    await any_hub.context.announce(Put(row))
    async with any_hub.of("operator") as operator, any_hub.of("technician") as technician:
        early = good(await operator.get("/api/v2/backups/statistics"))
        assert (early["fleet"], early["counted_at"], early["machines_bytes"]) == (None, None, []), "no false zero"
        await any_hub.context[BackupKeeper].keep()
        whole = good(await operator.get("/api/v2/backups/statistics"))
        assert whole["machines"] == {
            "all": 2, "scheduled": 2, "good": 1, "only_agent": 0, "late": 0, "unverified": 0, "never": 1,
            "running": 0,
        }  # fmt: skip
        assert whole["backups"]["verified"] == 1
        assert (whole["fleet"]["used"], whole["fleet"]["quota"], whole["fleet"]["full_at"]) == (100, 0, None)
        assert {each["rvm_id"]: each["used"] for each in whole["machines_bytes"]} == {one.id: 100, one.id + 1: 0}
        assert whole["drill"] is None
        assert whole["counted_at"] is not None
        await any_hub.context.announce(Patch(BackupRow, 5, {"report": {"counts": {"only_agent": 1}}},
                                             where=(("rvm_id", "=", one.id),)))  # fmt: skip
        counted = good(await operator.get("/api/v2/backups/statistics"))["machines"]
        assert (counted["good"], counted["only_agent"], counted["never"]) == (0, 1, 1), "a restore brings nothing back"
        (alert,) = good(await operator.get("/api/v2/backups/alerts"))
        assert (alert["code"], alert["rvm_id"], alert["backup_id"]) == ("only_agent", one.id, 5)
        own = good(await technician.get("/api/v2/backups/statistics"))
        assert (own["machines"]["all"], own["fleet"], len(own["machines_bytes"])) == (1, None, 1)


async def test_alerts_come_with_their_reason_the_worst_first(any_hub: ApiHub) -> None:
    context = any_hub.context
    one, two = await be_able(any_hub), await be_able(any_hub, "two")
    now = context.clock()
    await context.announce(Patch(type(one.row), one.id, {"created_at": now - 9 * DAY}))
    full_at = now + 3 * DAY
    context[BackupKeeper].forecasts = {two.id: QuotaForecast(9, 10, 1, full_at)}
    context[BackupKeeper].forecast = QuotaForecast(9, 10, 1, full_at)
    async with any_hub.of("operator") as operator, any_hub.of("technician") as technician:
        found = good(await operator.get("/api/v2/backups/alerts"))
        assert [(alert["code"], alert["rvm_id"]) for alert in found] == [
            ("no_good_backup", one.id), ("fleet_quota", None), ("quota", two.id),
        ]  # fmt: skip
        assert found[0]["backup_id"] is None
        own = good(await technician.get("/api/v2/backups/alerts"))
        assert [alert["code"] for alert in own] == ["no_good_backup"]
