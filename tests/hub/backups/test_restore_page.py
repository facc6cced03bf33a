"""Restores without script: the form, the preview and what it would change, the typed name, what came of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dashboard.texts import texts_in
from db.backup_records import RestoreRow
from db.queries import backups as rows
from hub.model.changes import Put, put_rows
from tests.support.api_hub import ApiHub
from tests.support.backup_rows import BACKUPS, EVIL, backed_up_hub, backup, send
from tests.support.page_visitor import browser

REASON = texts_in("en")("reason.missing")
PREVIEW: dict[str, Any] = {
    "classes": {
        "data": {"replaced": {"count": 3, "bytes": 1_200_000}, "added": {"count": 0, "bytes": 0},
                 "deleted": {"count": 250, "bytes": 9000}, "same": {"count": 1234, "bytes": 340_000_000}},
        "configuration": {"replaced": {"count": 1, "bytes": 700}},
    },
    "examples": {"replaced": ["data/returns.db", "conf/rvm.json"], "added": [], "deleted": ["data/new.log"]},
    "oldest": "2026-11-01T00:00:00Z", "newest": "2026-11-20T17:00:00Z", "now_newest": "2026-11-23T10:00:00Z",
}  # fmt: skip


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiHub]:
    async with backed_up_hub(tmp_path, sqlite_url, monkeypatch) as made:
        await backup(made, 1)
        yield made


async def restored(hub: ApiHub, **members: Any) -> RestoreRow:
    """A restore as its rows tell of it; without more, a preview that is ready."""
    values: dict[str, Any] = {
        "rvm_id": 1, "backup_id": 1, "state": "succeeded", "dry_run": True, "result": PREVIEW,
        "requested_by": f"user:{hub.users['operator']}", "created_at": hub.context.clock(),
        "finished_at": hub.context.clock() + timedelta(seconds=65),
    }  # fmt: skip
    made = await hub.context.announce(Put(RestoreRow(**{**values, **members})))
    return next(put_rows(made, RestoreRow))


def words(page: str, after: str) -> str:
    """The text that follows, without marks of its own."""
    return " ".join(re.sub(r"<[^>]+>", " ", page[page.index(after) :]).replace("\u202f", " ").split())


async def asked(hub: ApiHub) -> list[RestoreRow]:
    return await rows.restores_of(hub.context.store, 1, 10)


@pytest.mark.parametrize(
    ("given", "classes", "paths"),
    [
        ({"class": ["data", "configuration", "images", "logs"]}, None, None),
        ({"class": ["data", "logs", "evil"]}, ("data", "logs"), None),
        ({"class": ["data"], "paths": " data/a.db \r\n\r\n/conf/\r\ndata/a.db"}, None, ("data/a.db", "conf")),
    ],
)
async def test_first_comes_a_preview(hub: ApiHub, given: Any, classes: Any, paths: Any) -> None:
    async with await browser(hub, "operator") as client:
        form = (await client.get(f"{BACKUPS}/1/restore?path=data/x.db")).text
        assert form.count(" checked") == 4
        assert ">data/x.db</textarea>" in form
        answer = await send(client, f"{BACKUPS}/1/restore", **given)
        assert answer.status_code == 303
        again = await send(client, f"{BACKUPS}/1/restore", **given)
        assert again.headers["location"] == answer.headers["location"], "pressed twice"
        page = (await client.get(answer.headers["location"])).text
        assert "Preview: restore backup 1" in page
        assert 'name="confirm"' not in page
    (row,) = await asked(hub)
    assert (row.dry_run, row.classes, row.paths, row.state) == (True, classes, paths, "running")
    (command,) = hub.context.fleet.machines[1].pending.values()
    assert (command.name, command.args["dry_run"]) == ("restore_backup", True)


async def test_nothing_ticked_is_nothing_to_restore(hub: ApiHub) -> None:
    async with await browser(hub, "operator") as client:
        answer = await send(client, f"{BACKUPS}/1/restore", paths=" ")
        assert answer.status_code == 422
        assert "Tick at least one kind." in answer.text
        answer = await send(client, f"{BACKUPS}/1/restore", paths="\n".join(f"a{n}" for n in range(16)))
        assert answer.status_code == 422
        assert "Name at most 15 files or folders." in answer.text
        assert "a14\n" in answer.text, "it is there still"
    assert await asked(hub) == []


@pytest.mark.parametrize("language", ["en", "id"])
async def test_what_the_hub_refuses_is_a_line_of_the_form_for_a_person(hub: ApiHub, language: str) -> None:
    """Too long a reason was a page of its own, without what was typed; and a line spoke of a list, or null."""
    row = await restored(hub)
    files, note = {
        "en": ("Must be 1 to 15 files or folders, each of", "Must be a text of at most 500 characters"),
        "id": ("Harus 1 sampai 15 berkas atau folder, masing-masing", "Harus teks paling banyak 500 karakter"),
    }[language]
    async with await browser(hub, "operator", language) as client:
        for path in ("data/" + "x" * 1000, "data/a\tb"):
            answer = await send(client, f"{BACKUPS}/1/restore", paths=path)
            assert answer.status_code == 422
            (line,) = re.findall(rf"<div>({files}[^<]*)</div>", answer.text)
            assert "null" not in line
            assert f">{path}</textarea>" in answer.text
        given = {"confirm": "one", "reason": "x" * 501}
        answer = await send(client, f"/machines/1/restores/{row.id}/restore", **given)
        assert answer.status_code == 422
        assert f"<div>{note}</div>" in answer.text
        assert f'value="{given["reason"]}"' in answer.text
    assert len(await asked(hub)) == 1


async def test_a_preview_says_what_would_change_and_asks_for_the_name(hub: ApiHub) -> None:
    row = await restored(hub)
    place = f"/machines/1/restores/{row.id}"
    async with await browser(hub, "operator") as client:
        page = (await client.get(place)).text
        table = words(page, 'id="table-head"')
        assert "Data 3 1.2 MB 0 250 9.0 kB 1,234 340 MB Configuration 1 700 B 0 0 0" in table
        assert "Newest on the machine now: 23 Nov 2026 17:00:00 WIB." in table
        assert "data/returns.db conf/rvm.json and 2 lines more" in table
        assert re.search(r'name="safety" value="1" checked', page)
        for given, fault in (
            ({"confirm": "one"}, REASON),
            ({"confirm": "two", "reason": "new controller"}, "The name you typed is not one."),
        ):
            answer = await send(client, f"{place}/restore", **given)
            assert answer.status_code == 422
            assert fault in answer.text
        assert 'value="new controller"' in answer.text
        assert not re.search(r'name="safety" value="1" checked', answer.text), "as it was sent"
        assert len(await asked(hub)) == 1
        answer = await send(client, f"{place}/restore", confirm="one", reason="new controller", safety="1")
        assert answer.status_code == 303
        assert (await send(client, f"{place}/restore", confirm="one", reason="x")).headers == answer.headers
        page = (await client.get(answer.headers["location"])).text
    newest = (await asked(hub))[0]
    assert (newest.dry_run, newest.state, newest.reason) == (False, "preparing", "new controller")
    safety = hub.context.fleet.machines[1].backups[newest.safety_backup_id or 0]
    assert safety.trigger == "safety"
    assert "A safety backup comes first" in page
    assert f"Backup {safety.id}" in page
    assert "“<bdi>new controller</bdi>”" in page


async def test_an_old_preview_is_made_again_first(hub: ApiHub) -> None:
    row = await restored(hub, created_at=hub.context.clock() - timedelta(hours=2))
    async with await browser(hub, "operator") as client:
        page = (await client.get(f"/machines/1/restores/{row.id}")).text
    assert "What would change" in page
    assert 'name="confirm"' not in page


async def test_who_may_not_restore_sees_the_preview_and_the_role(hub: ApiHub) -> None:
    row = await restored(hub)
    for name in ("viewer", "technician"):
        async with await browser(hub, name) as client:
            page = (await client.get(f"/machines/1/restores/{row.id}")).text
            assert "You need the role Operator for this" in words(page, 'id="sure-head"')
            assert "<fieldset disabled>" in page
            for path in (f"/machines/1/restores/{row.id}/restore", f"{BACKUPS}/1/restore"):
                answer = await send(client, path, confirm="one", reason="x", **{"class": "data"})
                assert answer.status_code == 403


async def test_a_machine_that_is_away_cannot_be_restored_now(hub: ApiHub) -> None:
    hub.context.fleet.machines[1].linked = False
    async with await browser(hub, "operator") as client:
        page = (await client.get(f"{BACKUPS}/1/restore")).text
        assert "<fieldset disabled>" in page
        assert "Needs the machine online" in page
        assert (await send(client, f"{BACKUPS}/1/restore", **{"class": "data"})).status_code == 409


async def test_what_came_of_it_stands_on_the_tab(hub: ApiHub) -> None:
    result = {
        "classes": {"data": {"count": 1234, "bytes": 9_000_000}},
        "services": ["rvm-vision.service"],
        "seconds": 3,
    }
    done = await restored(hub, dry_run=False, result=result, safety_backup_id=1, reason="new controller")
    error = {"code": "service_not_started", "message": "rvm-vision.service"}
    await restored(hub, dry_run=False, result=None, state="failed", error=error, paths=("data/a", "data/b"))
    async with await browser(hub, "viewer") as client:
        tab = words((await client.get(BACKUPS)).text, 'id="restores-head"')
        page = (await client.get(f"/machines/1/restores/{done.id}")).text
        assert (await client.get(f"/machines/2/restores/{done.id}")).status_code == 404
    assert "2 files or folders Failed. No folder is left half restored." in tab
    assert "Backup 1 Everything Restored" in tab
    assert "Data 1,234 9.0 MB" in words(page, 'id="table-head"')
    assert "rvm-vision.service" in page
    assert 'name="confirm"' not in page


async def test_no_result_of_a_machine_runs(hub: ApiHub) -> None:
    hostile: list[Any] = [
        {"classes": {EVIL: {"replaced": {"count": EVIL, "bytes": -1}}}, "examples": {"replaced": [EVIL, 7]},
         "oldest": EVIL, "newest": 7, "services": [EVIL]},
        {"classes": 7, "examples": 7, "services": "x"}, {"classes": {"data": 3}}, None,
    ]  # fmt: skip
    for dry_run in (True, False):
        for result in hostile:
            row = await restored(hub, dry_run=dry_run, result=result, paths=(EVIL,), reason=EVIL)
            for language in ("en", "id"):
                async with await browser(hub, "admin", language) as client:
                    answer = await client.get(f"/machines/1/restores/{row.id}")
                assert answer.status_code == 200
                assert "alert(1)</script>" not in answer.text
                assert not re.search(r"<script(?![^>]* src=)", answer.text)
