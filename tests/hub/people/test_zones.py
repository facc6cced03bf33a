"""Which zone times are shown in: the person's own, else where the machine stands, in lists of many the hub's."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest

from db.records import MachineRow, RemoteSessionRow, UserRow
from hub.model.changes import EventHappened, Patch, Put
from tests.support.api_hub import ApiHub
from tests.support.machines import machine
from tests.support.page_visitor import browser

LABELS = re.compile(r"\d\d:\d\d(?::\d\d)? (WIB|WITA|WIT|UTC[+\u2212]\d+)")


@pytest.mark.parametrize(
    ("of_row", "zone"),
    [
        (None, "Asia/Jakarta"),
        ("Asia/Jayapura", "Asia/Jayapura"),
        ("Asia/Singapore", "Asia/Singapore"),
        ("UTC", "Asia/Jakarta"),
        ("Etc/UTC", "Asia/Jakarta"),
    ],
)
def test_no_machine_stands_in_utc(of_row: str | None, zone: str) -> None:
    of = machine(timezone=of_row)
    assert of.site_zone == zone
    assert of.clock_zone == (of_row or "Asia/Jakarta"), "its clock shows what it shows"


async def of_zone(hub: ApiHub, rvm_id: int, zone: str) -> None:
    await hub.context.announce(Patch(MachineRow, rvm_id, {"timezone": zone}))


async def chosen(hub: ApiHub, name: str, zone: str | None) -> None:
    await hub.context.announce(Patch(UserRow, hub.users[name], {"timezone": zone}))


async def lease(hub: ApiHub) -> None:
    now = hub.context.clock()
    ends = now + timedelta(minutes=30)
    row = RemoteSessionRow(
        rvm_id=1, admin_id=hub.users["technician"], admin_name="technician", start_time=now, created_at=now,
        expires_at=ends, duration_s=1800.0, allow=("terminal",), ports=(), ip_address="10.0.0.1", reason="belt",
    )  # fmt: skip
    await hub.context.announce(Put(row))


@pytest.mark.parametrize(
    ("machines", "own", "label"),
    [
        ("UTC", None, "WIB"),
        ("Asia/Jayapura", None, "WIT"),
        ("Asia/Jayapura", "Asia/Makassar", "WITA"),
        ("Asia/Jayapura", "UTC", "UTC+0"),
    ],
)
async def test_a_lease_ends_in_the_zone_of_whoever_reads(
    hub: ApiHub, machines: str, own: str | None, label: str
) -> None:
    await of_zone(hub, 1, machines)
    await chosen(hub, "technician", own)
    await lease(hub)
    async with await browser(hub, "technician") as client:
        for path in ("/machines/1/remote", "/machines/1/parts?of=leases"):
            page = (await client.get(path)).text
            found = LABELS.findall(page.partition('id="leases"')[2].partition("</section>")[0])
            assert found, path
            assert set(found) == {label}, path


@pytest.mark.parametrize(("own", "label"), [(None, "WIB"), ("Asia/Jayapura", "WIT"), ("UTC", "UTC+0")])
async def test_a_list_of_machines_of_many_zones_is_in_one(any_hub: ApiHub, own: str | None, label: str) -> None:
    hub = any_hub
    await of_zone(hub, 1, "Asia/Makassar")
    await of_zone(hub, 2, "Asia/Jayapura")
    for rvm_id in (1, 2):
        event = EventHappened(at=hub.context.clock(), code="machine.released", actor="system", rvm_id=rvm_id)
        await hub.context.announce(event)
    await chosen(hub, "operator", own)
    async with await browser(hub, "operator") as client:
        for rvm_id in (1, 2):
            await client.post(f"/api/v2/rvms/{rvm_id}/commands", json={"name": "sync_timezone"})
        events = (await client.get("/events")).text
        jobs = (await client.get("/jobs")).text
    assert f"Times in {label}" in events.partition('id="events"')[0]
    assert LABELS.findall(events.partition('id="events"')[2].partition("</ol>")[0]) == []
    assert f"Times in {label}" in jobs.partition('id="open"')[0]
    assert set(LABELS.findall(jobs.partition('id="open"')[2])) == {label}


async def test_the_list_of_one_machine_is_in_its_place_unless_one_was_chosen(hub: ApiHub) -> None:
    await of_zone(hub, 2, "Asia/Jayapura")
    async with await browser(hub, "operator") as client:
        await client.post("/api/v2/rvms/2/commands", json={"name": "sync_timezone"})
        for own, label in ((None, "WIT"), ("Asia/Jakarta", "WIB")):
            await chosen(hub, "operator", own)
            for path in ("/machines/2/events", "/jobs?rvm=2"):
                assert f"Times in {label}" in (await client.get(path)).text
            page = (await client.get("/machines/2")).text
            # Tomorrow at 07:00 is the site's, and says so.
            assert set(LABELS.findall(re.sub(r'value="tomorrow"[^>]*>[^<]*WIT', "", page))) == {label}
            assert f'data-zone="{own or "Asia/Jayapura"}"' in page
            assert 'data-site-zone="Asia/Jayapura"' in page, "until tomorrow 7:00 is 7:00 there"


async def test_a_zone_of_a_machine_that_is_hidden_is_not_shown(hub: ApiHub) -> None:
    await of_zone(hub, 2, "Asia/Jayapura")
    async with await browser(hub, "technician") as client:
        for rvm_id in (2, 99):
            assert "Times in WIB" in (await client.get(f"/jobs?rvm={rvm_id}")).text


async def test_a_file_has_the_time_in_the_zone_that_its_column_names(hub: ApiHub) -> None:
    event = EventHappened(at=hub.context.clock(), code="machine.released", actor="system", rvm_id=1)
    await hub.context.announce(event)

    async def row(**query: Any) -> tuple[str, str]:
        async with hub.of("operator") as client:
            answer = await client.get("/api/v2/events", params={"format": "csv", "code": "machine.released", **query})
        (found,) = csv.DictReader(io.StringIO(answer.text))
        return list(found)[-1], found[list(found)[-1]]

    assert (await row())[0] == "at Asia/Jakarta"
    await chosen(hub, "operator", "Asia/Jayapura")
    east, utc = await row(), await row(timezone="UTC")
    assert (east[0], utc[0]) == ("at Asia/Jayapura", "at UTC")
    assert utc[1] == f"{event.at:%Y-%m-%d %H:%M:%S}"
    assert east[1] == f"{event.at + timedelta(hours=9):%Y-%m-%d %H:%M:%S}"
    async with hub.of("operator") as client:
        refused = await client.get("/api/v2/events", params={"format": "csv", "timezone": "Mars"})
        assert (refused.status_code, list(refused.json()["errors"])) == (422, ["timezone"])
        async with await browser(hub, "operator") as page:
            assert "<option>Asia/Jayapura</option>" in (await page.get("/events")).text
