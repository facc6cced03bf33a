"""What a page of jobs is told: each move with every member, the request to stop, the end; and `pending` beside it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from db.records import CommandRow
from hub.model.changes import Move, Patch, Put
from tests.hub.commands.rules.test_drafts import command
from tests.support.feed_page import NOW, NOW_MS, Hub, Page


async def frames(page: Page, count: int) -> list[dict[str, Any]]:
    return [await page.next() for _ in range(count)]


async def test_a_page_follows_a_command_until_its_end() -> None:
    hub = Hub()
    page = Page(hub)
    await page.next()
    drafted = command(rvm_id=1, group_id="g1", reason="why", issued_at=NOW, expires_at=NOW + timedelta(minutes=1))
    hub.commit(Put(drafted))
    job, _ = await frames(page, 2)
    assert (job["type"], job["group_id"], job["reason"], job["cancel_at"]) == ("job", "g1", "why", None)
    sent = msgspec.structs.replace(drafted, state="sent", sent_at=NOW)
    hub.commit(Move(sent, ("state",)))
    await frames(page, 2)
    hub.commit(Patch(CommandRow, "c1", {"cancel_by": "user:2", "cancel_at": NOW}, while_open=True, must="state"))
    job, _ = await frames(page, 2)
    assert (job["type"], job["state"], job["cancel_by"], job["cancel_at"]) == ("job", "sent", "user:2", NOW_MS)
    assert page.machines[1]["pending"] == [{k: v for k, v in job.items() if k != "type"}]
    ended = msgspec.structs.replace(hub.fleet.open["c1"], state="cancelled", finished_at=NOW)
    hub.commit(Move(ended, ("state",)))
    job, _ = await frames(page, 2)
    assert (job["state"], job["finished_at"], job["cancel_by"]) == ("cancelled", NOW_MS, "user:2")
    assert page.machines[1]["pending"] == []


async def test_a_thousand_jobs_at_once_do_not_cut_off_a_page_that_reads() -> None:
    hub = Hub(machines=100)
    page = Page(hub)
    await page.next()
    for chunk in range(10):
        hub.commit(*(Put(command(id=f"c{chunk}-{n}", rvm_id=n)) for n in range(1, 101)))
        jobs = 0
        while jobs < 100:
            jobs += (await page.next())["type"] == "job"
