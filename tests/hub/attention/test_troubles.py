"""Who is on a trouble, until when it is not counted, what was noted: by REST, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
import pytest_asyncio

from db.records import MachineRow, UserRow
from hub.attention import rules
from hub.attention.service import TroubleOwners
from hub.model.changes import Drop, Observed, Patch
from tests.support.api_hub import ApiHub
from tests.support.until import until


@pytest_asyncio.fixture
async def full(any_hub: ApiHub) -> AsyncIterator[ApiHub]:
    """Both machines live and full."""
    for rvm_id in (1, 2):
        await change(any_hub, rvm_id, status="full", capacity=100)
    yield any_hub


async def change(hub: ApiHub, rvm_id: int, **values: Any) -> None:
    """And wait until it is recorded."""
    hub.context.announce.observe(Observed(rvm_id, {"connection": "live"}))
    await hub.context.announce(Patch(MachineRow, rvm_id, values))
    wanted = {"full"} if values.get("status") == "full" else set()
    await until(lambda: set(hub.context.fleet.machines[rvm_id].troubles) == wanted)


def trouble(hub: ApiHub, rvm_id: int = 1, cause: str = "full") -> int:
    return hub.context.fleet.machines[rvm_id].troubles[cause].id


async def do(client: httpx.AsyncClient, number: int, what: str, **body: Any) -> httpx.Response:
    return await client.post(f"/api/v2/troubles/{number}/{what}", json=body)


async def listed(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/api/v2/troubles", params=query)).json()["data"]
    return found


async def test_somebody_is_on_it_until_they_release_it_or_it_is_over(full: ApiHub) -> None:
    number = trouble(full)
    async with full.of("operator") as budi, full.of("admin") as sari:
        taken = await do(budi, number, "take")
        assert (taken.status_code, taken.json()["data"]["owner"]) == (200, "operator"), taken.text
        again = (await do(budi, number, "take")).json()["data"]
        assert again["taken_at"] == taken.json()["data"]["taken_at"], "pressed twice"
        (seen,) = (await sari.get("/api/v2/rvms/1")).json()["data"]["troubles"]
        assert (seen["owner"], seen["cause"]) == ("operator", "full")
        refused = await do(sari, number, "take")
        assert (refused.status_code, refused.json()["code"]) == (409, "held")
        assert "operator is on it" in refused.json()["detail"]
        assert (await do(sari, number, "release")).status_code == 409
        over = await do(sari, number, "take", take_over=True)
        assert over.json()["data"]["owner"] == "admin"
        assert (await do(sari, number, "release")).json()["data"]["owner"] is None
        assert (await do(sari, number, "release")).is_success, "released already"
        await do(budi, number, "take")
        await change(full, 1, status="active", capacity=0)
        assert (await do(budi, number, "take")).status_code == 409
        (was,) = await listed(budi, state="over", rvm=1, cause="full")
        assert (was["owner"], was["id"]) == ("operator", number)
        await change(full, 1, status="full", capacity=100)
        (anew,) = await listed(budi, rvm=1)
        assert (anew["owner"], anew["id"] > number) == (None, True)
        events = (await sari.get("/api/v2/events?kind=trouble&rvm=1")).json()["data"]
        assert [event["code"].partition(".")[2] for event in events] == ["taken", "released", "taken", "taken"]
        assert events[2]["params"]["from"] == "operator"


async def test_concurrent_takes_have_one_owner_and_a_conflict_that_names_it(full: ApiHub) -> None:
    number = trouble(full)
    async with full.of("operator") as budi, full.of("admin") as sari:
        answers = await asyncio.gather(do(budi, number, "take"), do(sari, number, "take"))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        won = next(answer.json()["data"]["owner"] for answer in answers if answer.is_success)
        late = next(answer.json() for answer in answers if not answer.is_success)
        assert (late["code"], late["detail"].startswith(won)) == ("held", True)


async def test_a_snoozed_trouble_is_not_counted_and_no_machine_is_fine_because_of_it(full: ApiHub) -> None:
    number = trouble(full)
    async with full.of("operator") as budi:
        before = datetime.now(timezone.utc)
        asked = await do(budi, number, "snooze", choice="4h", note="The truck comes at noon")
        snoozed = asked.json()["data"]
        until_at = datetime.fromisoformat(snoozed["snoozed_until"].replace("Z", "+00:00"))
        assert timedelta(hours=4) <= until_at - before + timedelta(seconds=1) < timedelta(hours=4, minutes=2)
        assert (snoozed["snoozed_by"], snoozed["note"], snoozed["note_by"]) == (
            "operator", "The truck comes at noon", "operator"
        )  # fmt: skip
        again = (await do(budi, number, "snooze", choice="4h")).json()["data"]
        assert again["snoozed_until"] == snoozed["snoozed_until"], "pressed twice"
        assert [one["id"] for one in await listed(budi, state="snoozed")] == [number]
        assert len(await listed(budi)) == 2, "it goes on"
        counted = (await do(budi, number, "unsnooze")).json()["data"]
        assert counted["snoozed_until"] is None
        assert await listed(budi, state="snoozed") == []
        wrong = await do(budi, number, "snooze", choice="never")
        assert (wrong.status_code, list(wrong.json()["errors"])) == (422, ["choice"])


def test_tomorrow_is_where_the_machine_stands() -> None:
    late = datetime(2026, 11, 30, 17, 30, tzinfo=timezone.utc)
    for zone, expected in (
        ("Asia/Jakarta", "2026-12-02T00:00:00+00:00"),  # there it is 00:30 of the 1st
        ("Asia/Jayapura", "2026-12-01T22:00:00+00:00"),
        ("America/New_York", "2026-12-01T12:00:00+00:00"),
        ("Nowhere/Known", "2026-12-01T07:00:00+00:00"),
    ):
        assert rules.until_of("tomorrow", late, zone).astimezone(timezone.utc).isoformat() == expected, zone


async def test_a_note_is_for_what_somebody_is_on_or_what_is_over(full: ApiHub) -> None:
    number = trouble(full)
    async with full.of("operator") as budi, full.of("technician") as tono:
        path = f"/api/v2/troubles/{number}/note"
        assert (await budi.put(path, json={"note": "Emptied"})).status_code == 409
        await do(tono, number, "take")
        assert (await tono.put(path, json={"note": "Emptied"})).json()["data"]["note_by"] == "technician"
        await change(full, 1, status="active", capacity=0)
        assert (await budi.put(path, json={"note": "Emptied, and the lid is new"})).is_success
        (was,) = await listed(budi, state="over", cause="full")
        assert (was["note"], was["note_by"], was["owner"]) == ("Emptied, and the lid is new", "operator", "technician")
        assert list((await budi.put(path, json={"note": ""})).json()["errors"]) == ["note"]


async def test_technicians_act_on_their_machines_and_viewers_only_see(full: ApiHub) -> None:
    own, other = trouble(full, 1), trouble(full, 2)
    async with full.of("technician") as tono, full.of("viewer") as tamu:
        assert [one["id"] for one in await listed(tono)] == [own]
        assert (await do(tono, own, "take")).is_success
        assert (await do(tono, other, "take")).status_code == 404
        assert (await tono.get("/api/v2/troubles?rvm=2")).status_code == 404
        assert len(await listed(tamu)) == 2
        for what in ("take", "release", "unsnooze"):
            assert (await do(tamu, own, what)).status_code == 403
        assert (await tamu.put(f"/api/v2/troubles/{own}/note", json={"note": "x"})).status_code == 403


async def test_an_outage_is_taken_as_one(any_hub: ApiHub) -> None:
    hub = any_hub
    more = [await hub.add_machine(f"RVM-{number}") for number in range(3)]
    await change(hub, more[1], status="full", capacity=100)
    await hub.lose(more)
    machines = hub.context.fleet.machines
    async with hub.of("operator") as budi, hub.of("admin") as sari:
        first = trouble(hub, more[0], "offline")
        await do(sari, trouble(hub, more[2], "offline"), "take")
        taken = (await do(budi, first, "take", outage=True)).json()["data"]
        assert sorted(one["machine"] for one in taken) == ["RVM-0", "RVM-1"], "what somebody is on stays theirs"
        owners = [machines[rvm_id].troubles["offline"].owner for rvm_id in more]
        assert owners == ["operator", "operator", "admin"]
        await do(budi, first, "snooze", outage=True, choice="1h")
        assert len(await listed(budi, state="snoozed")) == 3
        full = trouble(hub, more[1])
        assert (await do(budi, full, "take", outage=True)).json()["data"]["id"] == full, "no outage is full"


async def test_an_outage_is_taken_though_the_machine_that_was_pressed_is_back(any_hub: ApiHub) -> None:
    hub = any_hub
    more = [await hub.add_machine(f"RVM-{number}") for number in range(3)]
    await hub.lose(more)
    first = trouble(hub, more[0], "offline")
    async with hub.of("operator") as budi:
        await change(hub, more[0], capacity=0)
        assert (await do(budi, first, "take")).status_code == 409, "alone it is over"
        await do(budi, first, "take", outage=True)
        assert [hub.context.fleet.machines[rvm_id].troubles["offline"].owner for rvm_id in more[1:]] == [
            "operator",
            "operator",
        ]
        for rvm_id in more[1:]:
            await change(hub, rvm_id, capacity=0)
        late = await do(budi, first, "take", outage=True)
        assert (late.status_code, late.json()["detail"]) == (409, "This trouble is over.")


async def test_lists_go_page_by_page(full: ApiHub) -> None:
    async with full.of("operator") as budi:
        first = await budi.get("/api/v2/troubles?limit=1")
        following = first.headers["link"].partition(">")[0][1:]
        second = await budi.get(following)
        numbers = [one["id"] for answer in (first, second) for one in answer.json()["data"]]
        assert numbers == sorted((trouble(full, 1), trouble(full, 2)), reverse=True)
        assert "link" not in second.headers
        assert list((await budi.get("/api/v2/troubles?state=gone")).json()["errors"]) == ["state"]


@pytest.mark.parametrize(
    ("who", "what"),
    [
        ("operator", {"disabled": True}),
        ("operator", {"role": "viewer"}),
        ("technician", {"machines": []}),
        ("operator", None),
    ],
)
async def test_nobody_waits_for_who_may_no_longer_act_on_it(
    full: ApiHub, who: str, what: dict[str, Any] | None
) -> None:
    number = trouble(full)
    async with full.of(who) as budi, full.of("admin") as sari:
        assert (await do(budi, number, "take")).json()["data"]["owner"] == who
        name = f"/api/v2/users/{full.users[who]}"
        done = await (sari.delete(name) if what is None else sari.patch(name, json=what))
        assert done.is_success, done.text
        await until(lambda: full.context.fleet.machines[1].troubles["full"].owner is None)
        events = (await sari.get("/api/v2/events?kind=trouble&rvm=1")).json()["data"]
        assert (events[0]["code"], events[0]["actor"]) == ("trouble.released", "clock")
        assert events[0]["params"]["left"] == who
        assert (await do(sari, number, "take")).is_success


async def test_a_technician_whose_machine_loses_their_tag_is_no_longer_on_it(full: ApiHub) -> None:
    async with full.of("technician") as budi, full.of("admin") as sari:
        assert (await sari.patch("/api/v2/rvms/2", json={"tags": ["north"]})).is_success
        assert (await sari.patch(f"/api/v2/users/{full.users['technician']}", json={"tags": ["north"]})).is_success
        for number in (trouble(full, 1), trouble(full, 2)):
            assert (await do(budi, number, "take")).is_success
        assert (await sari.patch("/api/v2/rvms/2", json={"tags": []})).is_success
        await until(lambda: full.context.fleet.machines[2].troubles["full"].owner is None)
        assert full.context.fleet.machines[1].troubles["full"].owner == "technician"


async def test_who_lost_their_rights_while_no_hub_ran_is_no_longer_on_it(full: ApiHub) -> None:
    context = full.context
    async with full.of("operator") as budi:
        await do(budi, trouble(full), "take")
    await context.announce(Drop(UserRow, full.users["operator"]))
    await TroubleOwners(context.store, context.fleet, context.announce, context.clock).look()
    assert context.fleet.machines[1].troubles["full"].owner is None
