"""Restores over REST, on both databases: previewed, made safe first, commanded, ended as the machine says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from db.queries import backups as rows
from db.records import CommandRow, UserRow
from hub.backups.restore import BackupRestores
from hub.backups.service import Backups
from hub.commands import rules as command_rules
from hub.model.changes import Patch, Put
from protocol.messages import CommandUpdate, Failure, Progress
from tests.support.api_hub import ApiHub
from tests.support.backup_client import BackupClient, good, problem
from tests.support.page_visitor import browser

PREVIEW = {"classes": {"data": {"replaced": {"count": 1, "bytes": 2}}}, "examples": {}}
RESTORED = {"classes": {"data": {"count": 3, "bytes": 12}}, "files": 3, "bytes": 12, "services": []}


@pytest_asyncio.fixture
async def people(any_hub: ApiHub) -> AsyncIterator[httpx.AsyncClient]:
    await any_hub.add_user("olga", "operator")
    any_hub.machine().linked = True
    async with any_hub.program("olga") as http:
        yield http


@pytest_asyncio.fixture
async def backup(client: BackupClient, people: httpx.AsyncClient) -> int:
    """A whole one in the store, whose command has ended."""
    return await whole(client)


async def whole(client: BackupClient, **wanted: Any) -> int:
    outcome = good(await client.made(b"archive", **wanted))
    return int(outcome["backup_id"]) if "backup_id" in outcome else int(outcome["id"])


def path(hub: ApiHub, backup_id: int) -> str:
    return f"/api/v2/rvms/{hub.machines['one']}/backups/{backup_id}/restore"


async def say(hub: ApiHub, command: CommandRow, state: Any, **members: Any) -> None:
    update = CommandUpdate(id=command.id, state=state, **members)
    await hub.context.announce(*command_rules.moved(hub.machine(), update, hub.context.clock()))


def open_command(hub: ApiHub, name: str = "restore_backup") -> CommandRow:
    (found,) = [row for row in hub.machine().pending.values() if row.name == name]
    return found


async def end_of_backup_commands(hub: ApiHub) -> None:
    for row in list(hub.machine().pending.values()):
        if row.name == "start_backup":
            await say(hub, row, "succeeded", result={})


async def shown(hub: ApiHub, http: httpx.AsyncClient, restore_id: int) -> Any:
    await hub.context[BackupRestores].turn()
    return good(await http.get(f"/api/v2/rvms/{hub.machines['one']}/restores/{restore_id}"))


async def test_a_preview_is_a_command_and_its_result(any_hub: ApiHub, people: httpx.AsyncClient, backup: int) -> None:
    asked = good(await people.post(path(any_hub, backup), json={"paths": ["app/a"]}), 202)
    assert (asked["state"], asked["dry_run"], asked["safety_backup_id"]) == ("running", True, None)
    command = open_command(any_hub)
    assert command.args == {"backup_id": backup, "dry_run": True, "paths": ["app/a"]}
    await say(any_hub, command, "running", progress=Progress(phase="downloading", done=1.0, total=2.0))
    running = await shown(any_hub, people, asked["id"])
    assert (running["state"], running["progress"]["phase"]) == ("running", "downloading")
    await say(any_hub, command, "succeeded", result=PREVIEW)
    ended = await shown(any_hub, people, asked["id"])
    assert (ended["state"], ended["result"], ended["error"]) == ("succeeded", PREVIEW, None)
    assert ended["finished_at"] is not None
    assert await any_hub.event_codes("backup.rest") == [], "a look is no event"
    listed = good(await people.get(f"/api/v2/rvms/{any_hub.machines['one']}/restores"))
    assert [one["id"] for one in listed] == [asked["id"]]


async def nothing_follows(_restore: object) -> list[Any]:
    return []


async def test_a_preview_is_over_with_its_command(
    any_hub: ApiHub, people: httpx.AsyncClient, backup: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages look when they hear of the command's end, and of nothing later: the row may be a moment behind."""
    asked = good(await people.post(path(any_hub, backup), json={"paths": ["app/a"]}), 202)
    with monkeypatch.context() as behind:
        behind.setattr(any_hub.context[BackupRestores], "_next", nothing_follows)
        await say(any_hub, open_command(any_hub), "succeeded", result=PREVIEW)
        stored = await rows.find_restore(any_hub.context.store, asked["id"])
        assert stored is not None
        assert stored.state == "running"
        at = f"/api/v2/rvms/{any_hub.machines['one']}/restores"
        for seen in (good(await people.get(f"{at}/{asked['id']}")), good(await people.get(at))[0]):
            assert (seen["state"], seen["result"]) == ("succeeded", PREVIEW)
        async with await browser(any_hub, "operator") as page:
            here = f"/machines/{any_hub.machines['one']}"
            assert "The preview is ready." in (await page.get(f"{here}/restores/{asked['id']}/parts")).text
            assert "The preview is ready." in (await page.get(f"{here}/backups")).text
    good(await people.post(path(any_hub, backup), json={"paths": ["app/b"]}), 202)


async def test_a_restore_waits_for_a_backup_of_what_is_there_now(
    any_hub: ApiHub, people: httpx.AsyncClient, client: BackupClient, backup: int
) -> None:
    await end_of_backup_commands(any_hub)
    wanted = {"dry_run": False, "confirm": any_hub.machine().name, "classes": ["data"], "reason": "new controller"}
    asked = good(await people.post(path(any_hub, backup), json=wanted), 202)
    assert (asked["state"], asked["command"]) == ("preparing", None)
    safety = await rows.find(any_hub.context.store, asked["safety_backup_id"])
    assert safety is not None
    assert (safety.trigger, safety.include_images, safety.include_logs) == ("safety", True, True)
    assert (await shown(any_hub, people, asked["id"]))["state"] == "preparing"
    good(await client.made(b"as it is now", backup_id=safety.id))
    running = await shown(any_hub, people, asked["id"])
    command = open_command(any_hub)
    assert (running["state"], running["command_id"]) == ("running", command.id)
    assert command.args == {"backup_id": backup, "dry_run": False, "classes": ["data"]}
    assert (command.issued_by, command.reason) == (asked["requested_by"], "new controller")
    await say(any_hub, command, "succeeded", result=RESTORED)
    ended = await shown(any_hub, people, asked["id"])
    assert (ended["state"], ended["result"]) == ("succeeded", RESTORED)
    assert await any_hub.event_codes("backup.rest") == ["backup.restored", "backup.restore_asked"]


async def test_a_restore_and_its_safety_backup_are_one_commit(
    any_hub: ApiHub, people: httpx.AsyncClient, backup: int
) -> None:
    """A hub killed in between has neither: no backup is made for a restore that nobody knows of."""
    commits: list[set[str]] = []
    any_hub.context.announce.listen(
        lambda changes: commits.append({type(change.row).__name__ for change in changes if isinstance(change, Put)})
    )
    body = {"dry_run": False, "confirm": any_hub.machine().name}
    good(await people.post(path(any_hub, backup), json=body), 202)
    assert [found for found in commits if "RestoreRow" in found] == [found for found in commits if "BackupRow" in found]


async def test_without_a_safety_backup_nothing_is_restored(
    any_hub: ApiHub, people: httpx.AsyncClient, backup: int
) -> None:
    await end_of_backup_commands(any_hub)
    wanted = {"dry_run": False, "confirm": any_hub.machine().name}
    asked = good(await people.post(path(any_hub, backup), json=wanted), 202)
    await say(any_hub, open_command(any_hub, "start_backup"), "failed", error=Failure(code="disk_full", message="x"))
    await any_hub.context[Backups].keep()
    ended = await shown(any_hub, people, asked["id"])
    assert (ended["state"], ended["error"]) == ("failed", {"code": "safety_failed", "message": "disk_full"})
    assert await any_hub.event_codes("backup.rest") == ["backup.restore_failed", "backup.restore_asked"]
    assert not any_hub.machine().pending


async def test_a_machine_that_went_away_meanwhile_is_not_restored(
    any_hub: ApiHub, people: httpx.AsyncClient, client: BackupClient, backup: int
) -> None:
    await end_of_backup_commands(any_hub)
    asked = good(
        await people.post(path(any_hub, backup), json={"dry_run": False, "confirm": any_hub.machine().name}), 202
    )
    any_hub.machine().linked = False
    good(await client.made(b"now", backup_id=asked["safety_backup_id"]))
    ended = await shown(any_hub, people, asked["id"])
    assert (ended["state"], ended["error"]["code"]) == ("failed", "machine_offline")


async def test_who_may_no_more_does_not_restore(
    any_hub: ApiHub, people: httpx.AsyncClient, client: BackupClient, backup: int
) -> None:
    await end_of_backup_commands(any_hub)
    asked = good(
        await people.post(path(any_hub, backup), json={"dry_run": False, "confirm": any_hub.machine().name}), 202
    )
    await any_hub.context.announce(Patch(UserRow, any_hub.users["olga"], {"role": "viewer"}))
    good(await client.made(b"now", backup_id=asked["safety_backup_id"]))
    await any_hub.context[BackupRestores].turn()
    row = await rows.find_restore(any_hub.context.store, asked["id"])
    assert row is not None
    assert (row.state, row.error) == ("cancelled", {"code": "not_allowed_any_more"})


async def test_one_at_a_time_online_confirmed_and_of_what_is_there(
    any_hub: ApiHub, people: httpx.AsyncClient, client: BackupClient, backup: int
) -> None:
    address = path(any_hub, backup)
    for confirm in (None, "other"):
        refused = problem(await people.post(address, json={"dry_run": False, "confirm": confirm}), 422)
        assert any_hub.machine().name in refused["errors"]["confirm"][0]
    problem(await people.post(address, json={"classes": ["everything"]}), 422)
    problem(await people.post(address, json={"paths": []}), 422)
    for language, said in (("en", "as the backup's list of files shows it"), ("id", "seperti pada daftar berkas")):
        for wrong in ("../x", "/etc/passwd", "data//x", "data/./x", "data/../../x"):
            asked = {"paths": ["data/a", wrong]}
            refused = problem(await people.post(address, json=asked, headers={"Accept-Language": language}), 422)
            assert f"{wrong}: " in refused["errors"]["paths"][0]
            assert said in refused["errors"]["paths"][0]
    problem(await people.post(path(any_hub, 999), json={}), 404)
    await end_of_backup_commands(any_hub)
    started = await client.start()
    problem(await people.post(path(any_hub, started["backup_id"]), json={}), 409, "no_archive")
    open_one = problem(await people.post(address, json={"dry_run": False, "confirm": any_hub.machine().name}), 409)
    assert open_one["code"] == "backup_open"
    any_hub.machine().linked = False
    problem(await people.post(address, json={}), 409, "machine_offline")
    any_hub.machine().linked = True
    first = good(await people.post(address, json={}), 202)
    problem(await people.post(address, json={}), 409, "restore_open")
    await say(any_hub, open_command(any_hub), "rejected", error=Failure(code="cancelled", message="withdrawn"))
    assert (await shown(any_hub, people, first["id"]))["state"] == "cancelled"
    good(await people.post(address, json={"dry_run": False, "confirm": any_hub.machine().name, "safety": False}), 202)
    problem(await people.get(f"/api/v2/rvms/{any_hub.machines['one']}/restores/999"), 404)


async def test_a_chain_with_a_gap_is_refused(any_hub: ApiHub, people: httpx.AsyncClient, client: BackupClient) -> None:
    first = await whole(client)
    await end_of_backup_commands(any_hub)
    second = await whole(client, backup_type="incremental", parent_id=first)
    found = await rows.find(any_hub.context.store, first)
    assert found is not None
    await any_hub.context[Backups].delete(found, "user:1")
    problem(await people.post(path(any_hub, second), json={}), 409, "chain_missing")
