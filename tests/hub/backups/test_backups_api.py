"""Backups over REST, on both databases: asked for, uploaded in parts, shown, taken out, deleted. Real folder store."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from db.backup_records import BackupRow
from db.engine.store import Store
from db.errors import Unavailable
from db.queries import backups as rows
from db.queries.events import list_events
from db.queries.machines import all_machines
from db.records import CommandRow
from hub.backups.rules import life
from hub.backups.service import Backups
from hub.commands import rules as command_rules
from hub.kernel.commits import commit_alone
from hub.kernel.objects.place import PART_SIZE
from hub.model.changes import Put, put_rows
from hub.model.machine import Machine
from protocol.messages import CommandUpdate, Failure
from tests.support.api_hub import ApiHub
from tests.support.backup_client import BackupClient, good, problem, sha

DATA = b"\x1f\x8b" + os.urandom(PART_SIZE + 1000)


async def test_a_backup_is_asked_for_uploaded_in_parts_and_whole(any_hub: ApiHub, client: BackupClient) -> None:
    started = await client.start(backup_type="full", include_images=False)
    number = started["backup_id"]
    assert (started["backup"]["upload_status"], started["command"]["name"]) == ("pending", "start_backup")
    assert started["command"]["args"]["include_images"] is False
    begun = good(await client.begin(number))
    assert (begun["rvm_id"], begun["upload_status"], begun["part_size"], begun["parts"]) == (
        client.rvm_id, "uploading", PART_SIZE, [],
    )  # fmt: skip
    await client.put_all(number, DATA)
    status = await client.status()
    assert (status["upload_status"], status["uploaded_bytes"]) == ("uploading", len(DATA))
    again = good(await client.begin(number))
    assert [(part["number"], part["size"]) for part in again["parts"]] == [(1, PART_SIZE), (2, 1002)]
    good(await client.complete(number, DATA, files=3, bytes=99, report={"changed": 1}), 202)
    outcome = good(await client.ended(number, DATA))
    assert (outcome["upload_status"], outcome["sha256"]) == ("completed", sha(DATA))
    status = await client.status()
    assert (status["backup_type"], status["file_size"], status["upload_status"]) == ("full", len(DATA), "completed")
    assert status["file_path"].startswith(f"backups/{client.rvm_id}/{number}-")
    assert (status["minio_path"], status["backup"]["files"], status["backup"]["report"]) == (None, 3, {"changed": 1})
    assert await any_hub.context[Backups].objects.digest(status["file_path"]) == sha(DATA)
    assert await rows.parts_of(any_hub.context.store, number) == []
    assert await any_hub.event_codes("backup.") == ["backup.completed"]


async def test_a_machine_without_a_backup_has_an_empty_status(client: BackupClient) -> None:
    status = await client.status()
    assert set(status.values()) == {None}


async def test_one_is_made_at_a_time(client: BackupClient) -> None:
    await client.start()
    refused = await client.http.post(f"{client.base}/backup/start", json={})
    assert "being made" in problem(refused, 409)["detail"]


async def test_a_repeated_key_asks_once(client: BackupClient) -> None:
    headers = {"Idempotency-Key": "night-1"}
    answers = [await client.http.post(f"{client.base}/backup/start", json={}, headers=headers) for _ in range(2)]
    assert len({good(answer, 202)["backup_id"] for answer in answers}) == 1
    other = await client.http.post(f"{client.base}/backup/start", json={"backup_type": "incremental"}, headers=headers)
    problem(other, 409)


async def asked_elsewhere(hub: ApiHub, rvm_id: int, number: int) -> str:
    """As the command line does it beside this hub; its command's id."""
    machine = Machine((await all_machines(hub.context.store))[rvm_id - 1])
    drafted = life.drafted(machine, number, life.Wanted("full"), "system", hub.context.clock())
    stored = await commit_alone(hub.context.store, drafted)
    return next(put_rows(stored, CommandRow)).id


async def test_one_that_the_command_line_has_asked_for_is_the_open_one(any_hub: ApiHub, client: BackupClient) -> None:
    """The hub finds its number taken, learns why, and decides again."""
    number = await any_hub.context[Backups].draw() + 1
    command_id = await asked_elsewhere(any_hub, client.rvm_id, number)
    refused = await client.http.post(f"{client.base}/backup/start", json={})
    assert "being made" in problem(refused, 409)["detail"]
    status = await client.status()
    assert (status["backup_id"], status["command"]["id"]) == (number, command_id)
    assert command_id in any_hub.context.fleet.open, "it is sent, and ended in time"
    assert await any_hub.context[Backups].draw() == number + 1


async def test_a_number_is_not_known_without_what_it_was_given_for(
    any_hub: ApiHub, client: BackupClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away between the two reads: a second backup at a time would pass."""
    await asked_elsewhere(any_hub, client.rvm_id, await any_hub.context[Backups].draw() + 1)
    read = rows.unfinished

    async def away(store: Store) -> list[BackupRow]:
        monkeypatch.setattr(rows, "unfinished", read)
        raise Unavailable("away")

    monkeypatch.setattr(rows, "unfinished", away)
    with pytest.raises(Unavailable):
        await any_hub.context[Backups].load()
    problem(await client.http.post(f"{client.base}/backup/start", json={}), 409)
    assert len(await rows.unfinished(any_hub.context.store)) == 1


async def test_an_upload_gets_a_number_that_the_command_line_has_not_given(
    any_hub: ApiHub, client: BackupClient
) -> None:
    await any_hub.context[Backups].draw()
    await asked_elsewhere(any_hub, client.rvm_id, 2)
    answer = await client.http.post(f"{client.base}/backup/upload", files={"file": b"\x1f\x8b" + b"x" * 100})
    assert good(answer, 201)["id"] == 3


async def test_a_failed_command_ends_the_backup_and_its_parts(any_hub: ApiHub, client: BackupClient) -> None:
    started = await client.start()
    number = started["backup_id"]
    good(await client.begin(number))
    good(await client.put(number, 1, DATA[:PART_SIZE]))
    error = Failure(code="disk_full", message="3 MB free")
    update = CommandUpdate(id=started["command"]["id"], state="failed", error=error)
    await any_hub.context.announce(*command_rules.moved(any_hub.machine(), update, any_hub.context.clock()))
    await any_hub.context[Backups].keep()
    shown = good(await client.http.get(f"{client.base}/backups/{number}"))
    assert (shown["upload_status"], shown["error"]) == ("failed", {"code": "disk_full", "message": "3 MB free"})
    for refused in (
        await client.begin(number), await client.put(number, 2, b"x"), await client.complete(number, DATA),
    ):  # fmt: skip
        problem(refused, 409, "backup_ended")
    assert await any_hub.context[Backups].objects.uploads("backups/") == []
    assert await any_hub.event_codes("backup.") == ["backup.failed"]
    await any_hub.context[Backups].keep()
    assert await any_hub.event_codes("backup.") == ["backup.failed"], "once"
    assert (await client.start())["backup_id"] == number + 1


async def test_a_part_beyond_the_quota_of_the_machine_or_the_fleet_is_refused_before_it_is_read(
    any_hub: ApiHub, client: BackupClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.backups.service.GIB", 1024 * 1024)  # 20 MiB one, 200 MiB a machine
    reads: list[int] = []
    bytes_kept = rows.bytes_kept

    async def counted(store: Store, rvm_id: int, but: int = 0) -> rows.BytesKept:
        reads.append(rvm_id)
        return await bytes_kept(store, rvm_id, but)

    monkeypatch.setattr("hub.backups.service.rows.bytes_kept", counted)
    backups = any_hub.context[Backups]
    number = (await client.start())["backup_id"]
    good(await client.begin(number))

    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    async def refused(part: int, status: int, code: str) -> str:
        address = f"{client.base}/backups/{number}/parts/{part}"
        headers = {"X-Content-SHA256": "0" * 64, "Content-Length": str(PART_SIZE)}
        found = problem(await client.http.put(address, content=never(), headers=headers), status, code)
        return str(found["detail"])

    async def kept(rvm_id: int, size: int) -> None:
        row = BackupRow(
            id=await backups.draw(), rvm_id=rvm_id, backup_type="full", created_at=any_hub.context.clock(),
            upload_status="verified", file_size=size, drill_at=any_hub.context.clock(),
        )  # fmt: skip
        await any_hub.context.announce(Put(row))
        backups._rooms.clear()  # as two seconds later

    good(await client.put(number, 1, DATA[:PART_SIZE]))
    await refused(3, 413, "too_large")
    await kept(client.rvm_id, 188 * 1024 * 1024)
    reads.clear()
    for _ in range(5):
        detail = await refused(2, 409, "quota")
    assert "The machine's backups" in detail
    assert len(reads) == 1, "a flood of parts is no flood of reads"
    assert [part.number for part in await rows.parts_of(any_hub.context.store, number)] == [1]
    backups._settings = replace(backups._settings, backup_quota_gib=0, backup_fleet_quota_gib=200)
    backups._rooms.clear()
    assert "All backups together" in await refused(2, 409, "quota")
    await kept(any_hub.machines["two"], 1)
    backups._settings = replace(backups._settings, backup_fleet_quota_gib=0)
    backups._rooms.clear()
    good(await client.put(number, 2, DATA[PART_SIZE:]))


async def test_what_a_machine_sends_is_compared_part_by_part_and_whole(any_hub: ApiHub, client: BackupClient) -> None:
    number = (await client.start())["backup_id"]
    problem(await client.put(number, 1, b"early"), 409)
    good(await client.begin(number))
    problem(await client.put(number, 1, b"abc", sha256="0" * 64), 409, "part_differs")
    problem(await client.put(number, 1, b"abc", sha256="short"), 422)
    problem(await client.put(number, 0, b"abc"), 404)
    problem(await client.put(number, 10_001, b"abc"), 404)
    problem(await client.put(number, 1, bytes(PART_SIZE + 1)), 413, "too_large")
    problem(await client.put(number, 1, b""), 400)
    problem(await client.complete(number, b"abc"), 409, "parts_missing")
    good(await client.put(number, 1, b"abc"))
    problem(await client.complete(number, b"abcd"), 409, "parts_size")
    good(await client.complete(number, b"abc", sha256="1" * 64), 202)
    answer = await client.ended(number, b"abc")
    problem(answer, 409, "backup_ended")
    shown = good(await client.http.get(f"{client.base}/backups/{number}"))
    assert (shown["upload_status"], shown["error"]) == ("failed", {"code": "damaged"})
    assert await any_hub.context[Backups].objects.list("backups/") == []


async def test_what_a_later_life_of_the_machine_completes_is_compared_by_its_parts(
    any_hub: ApiHub, client: BackupClient
) -> None:
    """It does not know the sum of all, so a store that changed a part would go unseen."""
    for flipped, ends_as in ((None, "completed"), (PART_SIZE - 1, "failed"), (PART_SIZE + 999, "failed")):
        number = (await client.start())["backup_id"]
        good(await client.begin(number))
        await client.put_all(number, DATA)
        if flipped is not None:
            (stored,) = (any_hub.context.settings.data_dir / "objects").rglob(".part-*")
            with stored.open("r+b") as file:
                file.seek(flipped)
                file.write(bytes((DATA[flipped] ^ 1,)))
        answer = await client.ended(number, DATA, sha256="")
        shown = good(await client.http.get(f"{client.base}/backups/{number}"))
        assert shown["upload_status"] == ends_as, shown
        if flipped is None:
            assert good(answer)["sha256"] == sha(DATA)
        else:
            problem(answer, 409, "backup_ended")
            assert shown["error"] == {"code": "damaged"}


async def test_a_part_may_come_again_and_another_takes_its_place(client: BackupClient) -> None:
    number = (await client.start())["backup_id"]
    good(await client.begin(number))
    good(await client.put(number, 1, b"first"))
    good(await client.put(number, 1, b"first"))
    good(await client.put(number, 1, b"second one"))
    good(await client.put(number, 2, b"left over"))
    outcome = good(await client.ended(number, b"second one"))
    assert outcome["sha256"] == sha(b"second one")
    assert good(await client.begin(number))["upload_status"] == "completed"


async def test_nobody_counts_on_a_part_while_another_takes_its_place(client: BackupClient) -> None:
    number = (await client.start())["backup_id"]
    good(await client.begin(number))
    good(await client.put(number, 1, b"first"))
    problem(await client.put(number, 1, b"other bytes", sha256="0" * 64), 409, "part_differs")
    assert good(await client.begin(number))["parts"] == [], "the store may have either"
    good(await client.put(number, 1, b"first"))
    assert good(await client.ended(number, b"first"))["sha256"] == sha(b"first")


async def test_another_kind_of_archive_begins_its_upload_anew(any_hub: ApiHub, client: BackupClient) -> None:
    number = (await client.start())["backup_id"]
    good(await client.begin(number))
    good(await client.put(number, 1, b"in gzip"))
    assert good(await client.begin(number, compression="zstd"))["parts"] == []
    assert len(await any_hub.context[Backups].objects.uploads("backups/")) == 1
    good(await client.put(number, 1, b"in zstd"))
    good(await client.ended(number, b"in zstd"))
    assert (await client.status())["file_path"].endswith(".tar.zst")


async def test_too_much_is_refused_before_a_byte_travels(any_hub: ApiHub, client: BackupClient) -> None:
    number = (await client.start())["backup_id"]
    gib = 1024**3
    settings = any_hub.context.settings
    most = problem(await client.begin(number, estimate={"bytes": settings.backup_max_gib * gib + 1}), 413, "too_large")
    assert str(settings.backup_max_gib * gib) in most["detail"]
    begun = good(await client.begin(number, estimate={"bytes": settings.backup_max_gib * gib, "files": 3}))
    assert begun["max_bytes"] == settings.backup_max_gib * gib
    number_beyond = settings.backup_max_gib * gib // PART_SIZE + 1
    problem(await client.put(number, number_beyond, b"x"), 413, "too_large")


async def test_a_cancelled_command_ends_its_backup_in_the_name_of_who_did(
    any_hub: ApiHub, client: BackupClient
) -> None:
    started = await client.start()
    async with any_hub.of("operator") as operator:
        good(await operator.post(f"/api/v2/commands/{started['command']['id']}/cancel"))
    await any_hub.context[Backups].keep()
    status = await client.status()
    assert (status["upload_status"], status["backup"]["error"]) == ("failed", {"code": "cancelled"})
    found = await list_events(any_hub.context.store, limit=50)
    assert [(e.code, e.actor) for e in found if e.code == "backup.failed"] == [
        ("backup.failed", f"user:{any_hub.users['operator']}")
    ]


async def test_one_machine_never_touches_anothers_backup(any_hub: ApiHub, client: BackupClient) -> None:
    number = (await client.start())["backup_id"]
    good(await client.begin(number))
    async with any_hub.of("two") as http:
        for stranger in (BackupClient(http, client.rvm_id), BackupClient(http, any_hub.machines["two"])):
            for answer in (
                await stranger.begin(number), await stranger.put(number, 1, b"x"),
                await stranger.complete(number, b"x"),
                await http.get(f"{stranger.base}/backups/{number}"),
                await http.get(f"{stranger.base}/backups/{number}/archive"),
            ):  # fmt: skip
                problem(answer, 404)


async def test_backups_are_listed_in_pages_and_deleted_with_their_chain(any_hub: ApiHub, client: BackupClient) -> None:
    made = [(await client.start())["backup_id"]]
    good(await client.begin(made[0]))
    good(await client.put(made[0], 1, b"full"))
    good(await client.ended(made[0], b"full"))
    for data in (b"one", b"two"):
        number = (await client.start(backup_type="incremental"))["backup_id"]
        good(await client.begin(number, backup_type="incremental", parent_id=made[-1]))
        good(await client.put(number, 1, data))
        good(await client.ended(number, data))
        made.append(number)
    page = await client.http.get(f"{client.base}/backups?limit=2")
    assert [row["id"] for row in good(page)] == [made[2], made[1]]
    assert [row["chain_position"] for row in good(page)] == [2, 1]
    assert [row["id"] for row in good(await client.http.get(page.links["next"]["url"]))] == [made[0]]
    async with any_hub.of("admin") as admin:
        refused = problem(await admin.delete(f"{client.base}/backups/{made[1]}"), 409, "backup_needed")
        assert "1 later backup" in refused["detail"]
        gone = good(await admin.delete(f"{client.base}/backups/{made[1]}?chain=true"))
        assert gone == {"deleted": [made[2], made[1]]}
        problem(await admin.delete(f"{client.base}/backups/{made[1]}"), 404)
    assert [row["id"] for row in good(await client.http.get(f"{client.base}/backups"))] == [made[0]]
    everything = good(await client.http.get(f"{client.base}/backups?deleted=true"))
    assert [row["id"] for row in everything] == made[::-1]
    assert len(await any_hub.context[Backups].objects.list("backups/")) == 1
    assert good(await client.http.get(client.base))["backup"]["good_at"] is not None
    assert await any_hub.event_codes("backup.") == ["backup.deleted"] * 2 + ["backup.completed"] * 3


async def test_an_incremental_needs_a_parent_that_is_there(client: BackupClient) -> None:
    number = (await client.start(backup_type="incremental"))["backup_id"]
    good(await client.begin(number))
    assert (await client.status())["backup_type"] == "incremental", "as long as the machine says nothing else"
    for parent in (number, 999):
        refused = await client.begin(number, backup_type="incremental", parent_id=parent)
        problem(refused, 409, "parent_missing")


async def test_lists_and_details_say_until_when_it_is_kept(client: BackupClient) -> None:
    first, last = [good(await client.made(data))["backup_id"] for data in (b"one", b"two")]
    page = {row["id"]: row for row in good(await client.http.get(f"{client.base}/backups"))}
    details = [good(await client.http.get(f"{client.base}/backups/{number}")) for number in (first, last)]
    assert [row["expires_at"] for row in details] == [page[first]["expires_at"], None]
    assert page[first]["expires_at"] > page[first]["created_at"]
    assert page[last]["expires_at"] is None, "the last good one"


async def test_an_incremental_needs_the_archive_that_the_machine_means(client: BackupClient) -> None:
    """A hub that was restored gives the numbers again that its copy did not know."""
    parent = good(await client.made(b"a full one"))["backup_id"]
    number = (await client.start(backup_type="incremental"))["backup_id"]
    wanted = {"backup_type": "incremental", "parent_id": parent}
    problem(await client.begin(number, **wanted, parent_sha256=sha(b"another full one")), 409, "parent_missing")
    good(await client.begin(number, **wanted, parent_sha256=sha(b"a full one")))


async def test_what_is_of_no_use_is_swept_and_what_no_row_knows_stays(
    any_hub: ApiHub, client: BackupClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    backups = any_hub.context[Backups]
    good(await client.made(DATA))
    kept = (await client.status())["file_path"]
    for key in ("backups/99/1-foreign.tar.gz", "recordings/1.cast"):
        upload_id = await backups.objects.begin(key)
        tag = await backups.objects.put_part(key, upload_id, 1, b"x")
        await backups.objects.complete(key, upload_id, [(1, tag)])
    number = (await client.start())["backup_id"]
    good(await client.begin(number))
    good(await client.put(number, 1, b"x"))
    left = await backups.objects.begin("backups/1/7-left.tar.gz")
    monkeypatch.setattr(backups, "_clock", lambda: any_hub.context.clock() + timedelta(hours=3))
    assert await backups.sweep() == 1
    assert [upload.upload_id for upload in await backups.objects.uploads("backups/")] != [left]
    good(await client.put(number, 1, b"xy"))

    row = any_hub.machine().backups[number]
    good(await client.ended(number, b"xy"))
    async with any_hub.of("admin") as admin:
        good(await admin.delete(f"{client.base}/backups/{number}"))
    upload_id = await backups.objects.begin(row.file_path or "")
    tag = await backups.objects.put_part(row.file_path or "", upload_id, 1, b"came back")
    await backups.objects.complete(row.file_path or "", upload_id, [(1, tag)])
    assert await backups.sweep() == 1
    assert sorted(await backups.objects.list("")) == sorted(["backups/99/1-foreign.tar.gz", kept, "recordings/1.cast"])
