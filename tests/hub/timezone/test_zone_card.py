"""The time zone card, the quarantine banner and the status history of a machine's page, without script."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest_asyncio

from db.queries import events
from db.records import MachineRow
from hub.model.changes import Observed, Patch
from tests.support.api_hub import ApiHub, api_hub
from tests.support.machines import declared, facts_of_hello
from tests.support.page_visitor import browser


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        await made.add_everybody()
        yield made


async def report(hub: ApiHub, **members: Any) -> None:
    said = {"device_id": "dev-one", "timezone": "Asia/Jakarta", "system_timezone": "Asia/Jakarta", "source": "lookup"}
    async with hub.of("one") as machine:
        answer = await machine.post("/api/v2/timezone/sync", json=said | members)
    assert answer.status_code == 200, answer.text


async def card(hub: ApiHub, name: str = "admin", language: str = "en") -> str:
    async with await browser(hub, name, language) as client:
        page = (await client.get("/machines/1")).text
    return page[page.index('id="zone"') : page.index("</section>", page.index('id="zone"'))]


def meet(hub: ApiHub, **members: Any) -> None:
    now = hub.context.clock()
    given = {"capabilities": ("sync_timezone",), "clock_offset_s": 0.2, "timezone": "Asia/Jakarta", **members}
    hub.context.announce.observe(
        *facts_of_hello(
            rvm_id=1,
            at=now,
            epoch=1,
            agent_version="1",
            boot_id="b",
            hardware=None,
            config_version=0,
            ip=None,
            simulated=False,
            **given,
        ),
        Observed(1, {"connection": "live", "connection_since": now, "connection_reason": None}),
    )


async def test_in_step_is_shown_quietly_and_out_of_step_asks_to_be_pressed(hub: ApiHub) -> None:
    assert "The machine has not reported its zone yet" in await card(hub)
    meet(hub)
    await report(hub, city="Jakarta", country="Indonesia")
    quiet = await card(hub)
    assert "Time zone correct (Asia/Jakarta, WIB), clock +0.2" in quiet
    assert "looked up: Jakarta, Indonesia" in quiet
    assert "Check again" in quiet
    assert "1 automatic, 0 manual, 0 failed" in quiet
    assert "Zona waktu benar (Asia/Jakarta, WIB), jam +0,2" in await card(hub, language="id")
    async with hub.of("admin") as admin:
        await admin.patch("/api/v2/rvms/1/config", json={"pinned_timezone": "Asia/Makassar"})
    loud = await card(hub)
    assert "Wrong time zone: the machine runs in Asia/Jakarta, WIB, it should be Asia/Makassar, WITA" in loud
    assert 'class="btn main"' in loud
    assert "Sync time zone" in loud


async def test_not_permitted_says_what_to_do(hub: ApiHub) -> None:
    failure = {"code": "not_permitted", "message": "not permitted: install the helper"}
    await report(hub, timezone="Asia/Jayapura", applied=False, error=failure, restart=["vision.service"])
    told = await card(hub)
    assert "The agent is not allowed to set the time zone. Set it on the machine:" in told
    assert "sudo timedatectl set-timezone Asia/Jayapura" in told
    assert "Restart to use the new time zone: vision.service" in told


async def test_a_look_up_that_failed_says_why_and_where_the_zone_comes_from(hub: ApiHub) -> None:
    why = "no look-up answered (http://192.0.2.1: HTTP 500); Asia/Jakarta, which was found before, is wanted"
    await report(hub, source="kept", city="Jakarta", error={"code": "lookup_failed", "message": why})
    told = await card(hub)
    assert f"The zone could not be looked up: {why}" in told
    assert "found before: no look-up answered now" in told
    assert "Zona waktu tidak dapat dicari: no look-up answered (http" in await card(hub, language="id")


async def test_a_guess_that_differs_is_a_question_with_two_answers(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        await admin.patch("/api/v2/rvms/1/config", json={"pinned_timezone": "Asia/Makassar"})
    await report(hub, timezone="Asia/Makassar", system_timezone="Asia/Makassar", source="pinned", guess="Asia/Jakarta")
    asked = await card(hub)
    assert "The look-up found Asia/Jakarta, WIB, pinned is Asia/Makassar, WITA. Which one is right?" in asked
    async with await browser(hub) as client:
        for _ in range(2):
            await client.post("/machines/1/zone", data={"do": "keep"})
        kept = await card(hub)
        assert "admin decided to keep Asia/Makassar, WITA" in kept
        assert "data-question hidden" in kept
        rows = await events.list_events(hub.context.store, events.EventFilters(codes=["timezone.kept"]), limit=10)
        assert [(row.actor, row.params) for row in rows] == [
            (f"user:{hub.users['admin']}", {"guess": "Asia/Jakarta", "pinned": "Asia/Makassar"})
        ], "said once"
        await client.post("/machines/1/zone", data={"do": "pin", "zone": "Asia/Jakarta"})
        assert hub.context.fleet.machines[1].effective_settings.pinned_zone == "Asia/Jakarta"
        assert (await client.post("/machines/1/zone", data={"do": "pin", "zone": "../../etc"})).status_code == 422
        await client.post("/machines/1/zone", data={"do": "unpin"})
        assert hub.context.fleet.machines[1].effective_settings.pinned_zone is None


async def test_the_button_asks_the_machine_and_waits_for_one_that_is_away(hub: ApiHub) -> None:
    assert "will run when it connects, until tomorrow" in await card(hub)
    async with await browser(hub, "operator") as client:
        answer = await client.post("/machines/1/zone", data={"do": "sync"})
        page = (await client.get(answer.headers["location"])).text
    assert "Sync requested" in page
    command = next(iter(hub.context.fleet.machines[1].pending.values()))
    assert (command.name, command.issued_by) == ("sync_timezone", f"user:{hub.users['operator']}")
    async with await browser(hub, "viewer") as client:
        assert (await client.post("/machines/1/zone", data={"do": "sync"})).status_code == 403
    assert "You need the role Operator for this" in await card(hub, "viewer")
    assert 'data-request="pin"' not in await card(hub, "operator")


async def test_a_button_that_cannot_work_says_why(hub: ApiHub) -> None:
    meet(hub, capabilities=("ping",))
    assert "This machine’s software cannot do it." in await card(hub)
    async with hub.of("admin") as admin:
        await admin.patch("/api/v2/rvms/1/config", json={"manual_sync_enabled": False})
    assert "Switched off in the settings" in await card(hub)
    async with await browser(hub) as client:
        assert (await client.post("/machines/1/zone", data={"do": "sync"})).status_code == 409


async def test_a_key_conflict_is_shown_with_what_to_do_and_can_be_ended(hub: ApiHub) -> None:
    now = hub.context.clock()
    await hub.context.announce(
        Patch(MachineRow, 1, {"quarantined_until": now + timedelta(seconds=300), "updated_at": now})
    )
    async with await browser(hub, "viewer") as client:
        page = (await client.get("/machines/1")).text
        assert "Two machines use this key" in page
        assert 'role="alert">' in page
        assert 'action="/machines/1/release"' not in page
        assert (await client.post("/machines/1/release")).status_code == 403
        assert "Blocked: two machines use its key" in (await client.get("/")).text
    async with await browser(hub, "operator") as client:
        for _ in range(2):
            assert (await client.post("/machines/1/release")).headers["location"] == "/machines/1"
        assert 'id="quarantine" role="alert" hidden' in (await client.get("/machines/1")).text


async def test_a_status_that_may_not_be_is_refused_where_it_was_asked(hub: ApiHub) -> None:
    full: Any = "full"
    await hub.context.announce(
        *declared(rvm_id=1, status=full, special_status=None, capacity=100, since=hub.context.clock(), by="machine:1")
    )
    async with await browser(hub, "operator") as client:
        answer = await client.post("/machines/1/status", data={"status": "active"})
    assert answer.status_code == 409
    told = re.search(r"data-fault>.*?<span>([^<]+)</span></p>", answer.text)
    assert told is not None
    assert "100" in told[1]
    assert not hub.context.fleet.machines[1].pending


async def test_the_history_is_a_list_with_since_by_reason_and_until(hub: ApiHub) -> None:
    start, admin = hub.context.clock(), f"user:{hub.users['admin']}"
    for minute in range(1, 31):
        status: Any = "full" if minute % 2 else "active"
        await hub.context.announce(
            *declared(
                rvm_id=1,
                status=status,
                special_status=None,
                capacity=minute,
                since=start + timedelta(minutes=minute),
                by=admin,
                reason=f"reason {minute}",
            )
        )
    until = start + timedelta(days=2)
    await hub.context.announce(
        *declared(
            rvm_id=1,
            status="maintenance",
            special_status=None,
            capacity=1,
            since=start + timedelta(hours=1),
            by=admin,
            reason="bin",
            until=until,
            before={"status": "active", "special_status": None, "reason": None},
        )
    )
    async with await browser(hub, "viewer") as client:
        page = (await client.get("/machines/1")).text
        assert page.count('<tr data-key="') == 20
        assert "reason 30" in page
        assert "back to Active " in page
        older = page[page.index("?before=") :].split('"')[0].split("#")[0]
        rest = (await client.get(f"/machines/1{older}")).text
        assert rest.count('<tr data-key="') >= 11
        assert "reason 1<" in rest
        assert '<details class="spells" id="statuses" open>' in rest
        for odd in ("x", "-1", "9" * 15, "٣"):
            assert (await client.get("/machines/1", params={"before": odd})).status_code == 200


async def test_a_check_is_as_old_as_the_hubs_clock_knows_it(hub: ApiHub) -> None:
    """The clock of the machine is two hours behind, and it has just looked."""
    meet(hub, clock_offset_s=-7200.0)
    stamp = (hub.context.clock() - timedelta(hours=2)).isoformat()
    await report(hub, timestamp=stamp, clock_offset=-7200.0)
    assert "2 h ago" not in await card(hub)
    assert re.search(r"\d s(econds?)? ago, automatic", re.sub(r"\s+", " ", await card(hub)))
