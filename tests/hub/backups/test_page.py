"""The Backups tab without script: what it shows to whom, in which words, and that nothing anybody typed becomes a part
of the page."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from hub.backups.keeper import BackupKeeper
from tests.support.api_hub import ApiHub
from tests.support.backup_rows import BACKUPS, EVIL, backed_up_hub, backup, open_backup, send
from tests.support.page_visitor import browser

SHORT = '"><script>'


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiHub]:
    async with backed_up_hub(tmp_path, sqlite_url, monkeypatch) as made:
        yield made


async def page_of(hub: ApiHub, name: str = "operator", language: str = "en", path: str = BACKUPS) -> str:
    async with await browser(hub, name, language) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def cells(page: str) -> list[str]:
    """The history's rows as text, cells apart."""
    table = page[page.index('<table class="history backups">') :]
    table = table[: table.index("</table>")]
    found = []
    for row in table.split("<tr")[2:]:
        parts = [re.sub(r"<[^>]+>", " ", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]
        found.append(" | ".join(" ".join(part.split()) for part in parts).replace("\u202f", " "))
    return found


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["No backup yet. The first one takes about 2 min.", "Back up now", "Next backup"]),
        ("id", ["Belum ada cadangan.", "Cadangkan sekarang", "Cadangan berikutnya"]),
    ],
)
async def test_a_machine_without_backups_says_what_to_do(hub: ApiHub, language: str, words: list[str]) -> None:
    page = await page_of(hub, language=language)
    for said in words:
        assert said in page, said
    assert 'href="#now"' in page
    assert 'href="#now"' not in await page_of(hub, "viewer", language), "who may not start one is not led there"


async def test_the_green_mark_is_for_what_was_restored_and_compared(hub: ApiHub) -> None:
    await backup(hub, 1, 100)
    await backup(hub, 2, 76, "completed", backup_type="incremental", parent_id=1, chain_id=1, chain_position=1)
    broken: Any = {"code": "archive_damaged", "message": "a file differs"}
    await backup(hub, 3, 52, "completed", drill_error=broken, drill_at=hub.context.clock())
    await backup(hub, 4, 28, "failed", trigger="manual", requested_by=f"user:{hub.users['operator']}")
    await open_backup(hub)
    page = await page_of(hub)
    rows = cells(page)
    assert rows[0].split(" | ")[4].startswith("Being made")
    assert "Failed" in rows[1]
    assert "By hand operator" in rows[1]
    assert "Failed its test restore" in rows[2]
    assert "Stored, not tested yet" in rows[3]
    assert "no. 2 in the chain of backup 1" in rows[3]
    assert "Verified" in rows[4]
    history = page[page.index('<table class="history backups">') :]
    marks = re.findall(r'<div class="mk"><svg class="i (\w+)"', history[: history.index("</table>")])
    assert marks == ["auto", "error", "error", "inactive", "active"]
    assert "214 MB Took 1 min 35 s" in rows[4]
    last = page[page.index("Last good backup</h2>") :]
    assert "ago, not tested yet" in last[: last.index("</p>")]
    assert 'class="i active"' not in last[: last.index("</p>")]
    assert f'href="{BACKUPS}/2"' in last[: last.index("</p>")], "not the newest, which failed or is being made"


async def test_one_of_the_agents_own_file_alone_is_green_nowhere(hub: ApiHub) -> None:
    await backup(hub, 1, report={"counts": {"only_agent": 1}})
    page = await page_of(hub)
    last = page[page.index("Last good backup</h2>") :]
    assert 'class="i warn"' in last[: last.index("</p>")]
    assert "without data of the machine" in last[: last.index("</p>")]
    head = " ".join(re.sub(r"<[^>]+>", " ", page[: page.index('id="backup-plan"')]).replace("\u202f", " ").split())
    assert "ago, without data of the machine" in head
    fleet = await page_of(hub, path="/")
    cell = fleet[fleet.index('<td class="c-backup"') :]
    assert 'class="i warn"' in cell[: cell.index("</td>")]


async def test_one_that_was_cancelled_is_no_failure(hub: ApiHub) -> None:
    await backup(hub, 1)
    await backup(hub, 2, state="failed", error={"code": "cancelled"})
    fleet = await page_of(hub, path="/")
    cell = fleet[fleet.index('<td class="c-backup"') :]
    assert "The last backup was cancelled" in cell[: cell.index("</td>")]
    assert "failed" not in cell[: cell.index("</td>")]


async def test_a_backup_is_asked_for_once_however_often_it_is_pressed(hub: ApiHub) -> None:
    async with await browser(hub, "technician") as client:
        page = (await client.get(BACKUPS)).text
        request = re.search(r'name="request" value="([^"]+)"', page[page.index('id="now"') :])
        assert request is not None
        given = {"request": request[1], "backup_type": "full", "logs": "1"}
        for _ in range(2):
            answer = await send(client, f"{BACKUPS}/start", **given)
            assert (answer.status_code, answer.headers["location"]) == (303, BACKUPS)
        page = (await client.get(BACKUPS)).text
    (command,) = hub.context.fleet.machines[1].pending.values()
    (row,) = hub.context.fleet.machines[1].backups.values()
    assert (row.id, row.include_images, row.include_logs) == (command.args["backup_id"], False, True)
    assert (row.requested_by, row.backup_type) == (f"user:{hub.users['technician']}", "full")
    assert "Back up everything" in page
    assert "Waiting for the machine" in cells(page)[0]
    form = page[page.index('id="now"') :]
    assert "<fieldset disabled>" in form
    assert "A backup is being made now" in form


async def test_a_refusal_keeps_what_was_chosen(hub: ApiHub) -> None:
    await open_backup(hub)
    async with await browser(hub) as client:
        answer = await send(client, f"{BACKUPS}/start", backup_type="full")
        assert answer.status_code == 409
        assert "A backup of this machine is being made" in answer.text
        assert 'value="full" checked' in answer.text
        answer = await send(client, f"{BACKUPS}/start", backup_type=EVIL)
        assert answer.status_code == 422
        assert EVIL not in answer.text


async def test_a_machine_that_is_away_begins_when_it_is_back(hub: ApiHub) -> None:
    hub.context.fleet.machines[1].linked = False
    page = await page_of(hub, "operator")
    assert "Not connected: will run when it connects, until tomorrow" in page
    assert "The machine is offline: it begins when the machine is back." in page


@pytest.mark.parametrize(
    ("name", "locked"),
    [
        ("viewer", ["Restore…", "Download", "Verify", "Delete…"]),
        ("technician", ["Restore…", "Download", "Delete…"]),
        ("operator", ["Delete…"]),
        ("admin", []),
    ],
)
async def test_what_one_may_not_do_stays_visible_and_names_the_role(hub: ApiHub, name: str, locked: list[str]) -> None:
    await backup(hub, 1)
    page = await page_of(hub, name)
    found = re.findall(r'aria-disabled="true" role="button" title="([^"]+)">.*?</svg>(.*?)<span', page)
    assert [words for _, words in found] == locked
    said = re.search(r'<p class="locked">.*?<span>(.*?)</span></p>\s*<table', page)
    for_operators = ", ".join(words.rstrip("…") for words in locked if words != "Delete…")
    wanted = [f"{for_operators}: You need the role Operator for this"] if for_operators else []
    wanted += ["Delete: You need the role Administrator for this"] if locked else []
    assert (said[1] if said else "") == ". ".join(wanted), "each role once"
    for why, words in found:
        assert why == f"You need the role {'Administrator' if words == 'Delete…' else 'Operator'} for this"
    assert ("<fieldset disabled>" in page[page.index('id="now"') :]) is (name == "viewer")


async def test_no_text_of_a_machine_runs(hub: ApiHub) -> None:
    report = {"lines": [{"path": EVIL, "code": EVIL, "text": EVIL}], "counts": {EVIL: 3}}
    error = {"code": EVIL, "message": EVIL}
    await backup(hub, 1, state="failed", error=error, trigger=SHORT, report=report)
    await backup(hub, 2, state="completed", drill_error=error, compression=SHORT, backup_type=SHORT, report=report)
    for language in ("en", "id"):
        for path in (BACKUPS, f"{BACKUPS}/1", f"{BACKUPS}/2"):
            page = await page_of(hub, "admin", language, path)
            assert page.count("<h1") == 1
            assert "alert(1)</script>" not in page
            assert SHORT not in page
            assert not re.search(r"<script(?![^>]* src=)", page)


async def test_one_backup_shows_its_chain_its_report_and_what_it_needs(hub: ApiHub) -> None:
    await backup(hub, 1, 72)
    await backup(hub, 2, 48, "completed", backup_type="incremental", parent_id=1, chain_id=1, chain_position=1)
    lines = [{"path": "data/returns.db-wal", "code": "changed"}, {"path": "logs/a.log", "code": "vanished"}]
    await backup(
        hub, 3, 24, backup_type="incremental", parent_id=2, chain_id=1, chain_position=2,
        report={"lines": lines, "counts": {"changed": 1, "vanished": 5}},
    )  # fmt: skip
    page = await page_of(hub, path=f"{BACKUPS}/3")
    assert re.findall(r"<bdi class=\"mono\">(.*?)</bdi>", page) == ["data/returns.db-wal", "logs/a.log"]
    assert "and 4 lines more" in page
    chain = page[page.index('class="chain"') :]
    assert re.findall(r"Backup (\d)", chain[: chain.index("</ol>")]) == ["1", "2", "3"]
    first = await page_of(hub, "admin", path=f"{BACKUPS}/1")
    assert "Also delete the newer ones that build on it" in first
    assert "(2, 3)" in first
    async with await browser(hub) as client:
        for other in ("/machines/2/backups/1", f"{BACKUPS}/77", f"{BACKUPS}/x", f"{BACKUPS}/1e3"):
            assert (await client.get(other)).status_code == 404, other


async def test_deleting_asks_for_the_machines_name_and_for_the_chain(hub: ApiHub) -> None:
    await backup(hub, 1, 72)
    await backup(hub, 2, 48, backup_type="incremental", parent_id=1, chain_id=1, chain_position=1)
    async with await browser(hub, "admin") as client:
        answer = await send(client, f"{BACKUPS}/1/delete", confirm="ONE", chain="1")
        assert answer.status_code == 422
        assert "The name you typed is not one." in answer.text
        answer = await send(client, f"{BACKUPS}/1/delete", confirm="one")
        assert answer.status_code == 409
        assert "cannot be restored without it" in answer.text
        answer = await send(client, f"{BACKUPS}/1/delete", confirm=" one ", chain="1")
        assert answer.status_code == 303
        rows = cells((await client.get(BACKUPS)).text)
    assert ["Deleted" in row for row in rows] == [True, True]
    async with await browser(hub, "operator") as client:
        assert (await send(client, f"{BACKUPS}/2/delete", confirm="one")).status_code == 403


async def test_many_machines_are_asked_at_once_and_who_cannot_is_named(hub: ApiHub) -> None:
    other = hub.context.fleet.machines[2]
    other.row = msgspec.structs.replace(other.row, capabilities=("ping",))
    async with await browser(hub, "operator") as client:
        many = {"rvm": ["1", "2", "1", "99"]}
        page = await send(client, "/bulk/backups", **many)
        assert page.status_code == 200
        assert "Back up: 2 machines" in page.text
        assert "1 is connected: sent at once" in page.text
        assert "1 cannot now" in page.text
        assert not hub.context.fleet.open
        answer = await send(client, "/bulk/backups", **many, sure="1", request="a" * 32)
        again = await send(client, "/bulk/backups", **many, sure="1", request="a" * 32)
        assert (await send(client, "/bulk/backups")).status_code == 422
    for found in (answer, again):
        assert "Sent to 2 of 2 machines" in found.text or found.status_code == 303
    assert [command.rvm_id for command in hub.context.fleet.open.values()] == [1, 2]


async def test_many_that_are_asked_are_one_group_that_is_summed_up(hub: ApiHub) -> None:
    other = hub.context.fleet.machines[2]
    other.row = msgspec.structs.replace(other.row, capabilities=("start_backup",))
    async with await browser(hub, "operator") as client:
        many = {"rvm": ["1", "2"], "sure": "1", "request": "a" * 32}
        places = [(await send(client, "/bulk/backups", **many)).headers["location"] for _ in range(2)]
        assert places[0] == places[1], "pressed twice"
        page = (await client.get(places[0])).text
    groups = {command.group_id for command in hub.context.fleet.open.values()}
    assert {f"/jobs?group={group}" for group in groups} == set(places)
    tally = " ".join(re.sub(r"<[^>]+>", " ", page[page.index('id="tally"') :]).split())
    assert "0 of 2 done" in tally
    assert "1 offline (queued) [show]" in tally


async def test_the_room_of_all_backups_stands_on_a_page_with_its_forecast(hub: ApiHub) -> None:
    keeper = hub.context[BackupKeeper]
    await backup(hub, 1, 24)
    await backup(hub, 2, 1, report={"counts": {"only_agent": 1}})
    early = await page_of(hub, "admin", path="/admin/backups")
    assert "Not counted yet" in early
    assert "0 B" not in early
    keeper._quotas = 10**9, 2 * 10**9
    await keeper.keep()
    page = re.sub(r"<[^>]+>", " ", await page_of(hub, "admin", path="/admin/backups")).replace("\u202f", " ")
    words = " ".join(page.split())
    assert "Taken 428 MB of 2.0 GB" in words
    assert "New each day 428 MB" in words
    assert "Full in 4 days, on " in words
    assert "one 428 MB of 1.0 GB" in words
    assert "Without data of the machine 1" in words
    indonesian = await page_of(hub, "admin", "id", path="/admin/backups")
    assert "kalau terus begini" in indonesian
    own = await page_of(hub, "technician", path="/admin/backups")
    assert "Room for backups" not in own, "who reaches some machines is told of those"
    assert "Machines that take the most" in own


async def test_pages_of_the_history_follow_each_other(hub: ApiHub) -> None:
    for number in range(1, 46):
        await backup(hub, number, 100 - number, "completed")
    seen: list[str] = []
    async with await browser(hub) as client:
        address: str | None = BACKUPS
        while address:
            page = (await client.get(address)).text
            seen += re.findall(r'data-key="backup-(\d+)"', page)
            onward = re.search(r'rel="next" href="([^"#]+)', page)
            address = onward[1] if onward else None
    assert seen == [str(number) for number in range(45, 0, -1)]


async def test_the_history_stays_within_its_budget(hub: ApiHub) -> None:
    for number in range(1, 30):
        await backup(hub, number, 100 - number, "verified", chain_id=1, chain_position=number - 1)
    assert len(gzip.compress((await page_of(hub, "admin")).encode(), 6)) <= 25_000
