"""Every list with times, on every page: one zone, that its head names or every time carries."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from db.backup_records import RestoreRow
from db.records import MachineRow, RemoteSessionRow, TokenRow, UserRow
from hub.model.changes import Patch, Put
from hub.routes import page_routes
from tests.support.api_hub import ApiHub
from tests.support.backup_rows import backed_up_hub, backup
from tests.support.database_rows import recording_row
from tests.support.page_visitor import browser

ZONE, LABEL, MINE = "Asia/Jayapura", "WIT", "WITA"
LIST: Final = re.compile(r"<(table|ol)\b.*?</\1>", re.DOTALL)
TIME: Final = re.compile(r"\b\d\d:\d\d(?::\d\d)?\b(?: (WIB|WITA|WIT|UTC(?:[+\u2212]\d+)?)\b)?")
NAMED: Final = re.compile(r"(?:Times in |Since \()(\S+?)(?=[)<.\s]|$)")
LABELLED: Final = re.compile(r"\d\d:\d\d (WIB|WITA|WIT)\b")
LISTS: Final = {
    "/machines/1": 1, "/machines/1/remote": 1, "/machines/1/backups": 2, "/admin/tokens": 1, "/account": 1,
    "/events": 1, "/machines/1/events": 1,
}  # fmt: skip
"""At least so many lists of theirs have times here."""


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiHub]:
    """A machine that stands elsewhere than the hub, with one of everything that has a time."""
    async with backed_up_hub(tmp_path, sqlite_url, monkeypatch) as made:
        now = made.context.clock()
        await made.context.announce(Patch(MachineRow, 1, {"timezone": ZONE}))
        ended = RemoteSessionRow(
            rvm_id=1, admin_id=made.users["admin"], admin_name="admin", start_time=now - timedelta(hours=2),
            created_at=now, expires_at=now, duration_s=600.0, allow=("terminal",), ports=(), ip_address="10.0.0.1",
            reason="belt", status="closed", end_time=now - timedelta(hours=1), ended_by="clock",
        )  # fmt: skip
        await made.context.announce(Put(ended), Put(recording_row(session_id=1, started_at=now)))
        await backup(made, 1)
        for number, dry_run in enumerate((True, False), 1):
            restore = RestoreRow(
                id=number, rvm_id=1, backup_id=1, state="succeeded", dry_run=dry_run, requested_by="user:1",
                created_at=now, finished_at=now,
            )  # fmt: skip
            await made.context.announce(Put(restore))
        token = TokenRow(
            user_id=made.users["admin"], name="report", hash="h", prefix="p", created_at=now,
            expires_at=now + timedelta(days=90),
        )  # fmt: skip
        await made.context.announce(Put(token))
        async with made.of("admin") as client:
            await client.post("/api/v2/rvms/1/commands", json={"name": "sync_timezone"})
        yield made


def addresses(hub: ApiHub) -> Iterator[str]:
    """Every page that can be opened here."""
    command = next(iter(hub.context.fleet.open))
    for route in page_routes():
        path = str(getattr(route, "path", "")).replace("{command_id}", command)
        path = re.sub(r"\{\w+_id\}|\{id\}", "1", path).replace("{what:str}", "link").replace("{action}", "reboot")
        if "{" not in path and not path.startswith(("/login", "/signin", "/logout", "/events/lines")):
            yield path


def lists(page: str) -> Iterator[tuple[str, list[str], str | None]]:
    """Of each with times: its beginning, the zones that its times carry ("": none), and the one that its head names."""
    for found in LIST.finditer(page):
        text = re.sub(r"<[^>]+>", " ", found[0])
        zones = [time[1] or "" for time in TIME.finditer(text)]
        above = page[: found.start()]
        begin = max(above.rfind(mark) for mark in ("<section", "<h1", "<h2", '<details class="spells"', "<main"))
        before = re.sub(r"<[^>]+>", " ", above[max(begin, 0) :])
        # The steps of a job stand right below the line that tells when it was asked for.
        heads = NAMED.findall(before) or LABELLED.findall(before[-160:])
        heads += NAMED.findall(re.sub(r"<[^>]+>", " ", found[0].partition("</thead>")[0]))
        if zones:
            yield " ".join(text.split())[:60], zones, heads[-1] if heads else None


@pytest.mark.parametrize("own", [None, "Asia/Makassar"])
async def test_a_list_has_one_zone_and_names_it_once(hub: ApiHub, own: str | None) -> None:
    await hub.context.announce(Patch(UserRow, hub.users["admin"], {"timezone": own}))
    seen: dict[str, int] = {}
    async with await browser(hub, "admin") as client:
        for path in addresses(hub):
            answer = await client.get(path)
            if answer.status_code != 200 or "html" not in answer.headers.get("content-type", ""):
                continue
            place = MINE if own else LABEL if path.startswith(("/machines/1", "/jobs/1", "/recordings/1")) else "WIB"
            for begin, zones, named in lists(answer.text):
                where = f"{path}: {begin}"
                assert len(set(zones)) == 1, f"{where} has some with a zone and some without: {set(zones)}"
                assert zones[0] or named, f"{where} names no zone"
                assert (zones[0] or named) == place, where
                seen[path] = seen.get(path, 0) + 1
    assert {path: seen.get(path, 0) for path in LISTS if seen.get(path, 0) < LISTS[path]} == {}
