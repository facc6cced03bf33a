"""The rows of backups on both databases: numbered by the hub, their parts put once each, what is kept is counted."""

from __future__ import annotations

from typing import Any

from db.backup_records import BACKUP_COUNTER, BackupPartRow, BackupRow, RestoreRow
from db.engine.row_writes import delete, insert
from db.engine.store import Store
from db.queries import backups
from db.records import CounterRow
from tests.support.database_rows import NOW, add_machine, after, backup_row


async def add(store: Store, rvm_id: int, number: int, **members: Any) -> BackupRow:
    row = backup_row(rvm_id, number, **members)
    await store.write(insert(row))
    return row


def part(backup_id: int, number: int, size: int = 10, tag: str = "t") -> BackupPartRow:
    return BackupPartRow(backup_id=backup_id, number=number, size=size, sha256="a" * 64, tag=tag)


async def test_a_row_comes_back_as_it_was_put(store: Store) -> None:
    rvm_id = await add_machine(store)
    row = await add(
        store, rvm_id, 3, command_id="c-1", chain_id=3, chain_position=0, report={"vanished": 2}, started_at=after(1)
    )
    assert await backups.find(store, 3) == row
    assert await backups.of_command(store, "c-1") == row
    assert await backups.find(store, 4) is None
    assert await backups.last_id(store) == 3


async def test_the_last_id_of_none_is_zero_and_never_goes_back(store: Store) -> None:
    assert await backups.last_id(store) == 0
    await store.write(insert(CounterRow(name=BACKUP_COUNTER, value=9)))
    assert await backups.last_id(store) == 9
    rvm_id = await add_machine(store)
    await add(store, rvm_id, 12)
    assert await backups.last_id(store) == 12


async def test_a_machines_backups_come_newest_first_in_pages(store: Store) -> None:
    rvm_id, other = await add_machine(store), await add_machine(store, "south")
    for number in range(1, 6):
        await add(store, rvm_id, number, deleted_at=after(9) if number == 4 else None)
    await add(store, other, 6)
    assert [row.id for row in await backups.of_machine(store, rvm_id, 3)] == [5, 4, 3]
    assert [row.id for row in await backups.of_machine(store, rvm_id, 3, before=3)] == [2, 1]
    assert [row.id for row in await backups.of_machine(store, rvm_id, 3, with_deleted=False)] == [5, 3, 2]


async def test_the_newest_the_newest_good_and_the_open_ones_are_read_at_the_start(store: Store) -> None:
    rvm_id, other = await add_machine(store), await add_machine(store, "south")
    await add(store, rvm_id, 1, upload_status="verified")
    await add(store, rvm_id, 2, upload_status="completed")
    await add(store, rvm_id, 3, upload_status="completed", deleted_at=after(1))
    await add(store, rvm_id, 4, upload_status="uploading")
    await add(store, rvm_id, 5, upload_status="failed")
    await add(store, other, 6, upload_status="failed")
    assert [row.id for row in await backups.newest_of_each(store)] == [1, 2, 4, 5, 6]
    await add(store, other, 7, upload_status="failed", error={"code": "cancelled"})
    await add(store, other, 8, upload_status="failed", error={"code": "cancelled", "message": "by hand"})
    assert [row.id for row in await backups.newest_of_each(store)] == [1, 2, 4, 5, 6, 8], (
        "what was cancelled hides none"
    )
    await add(store, other, 9, upload_status="failed", error={"message": "no code"})
    assert [row.id for row in await backups.newest_of_each(store)] == [1, 2, 4, 5, 9]
    third = await add_machine(store, "third")
    for number, values in ((10, {"upload_status": "completed"}), (11, {"trigger": "upload"}), (12, {})):
        await add(store, third, number, **{"upload_status": "completed" if number < 12 else "failed", **values})
    assert 10 in [row.id for row in await backups.newest_of_each(store)], "what somebody uploaded is not good yet"
    assert [row.id for row in await backups.unfinished(store)] == [4]
    assert [row.id for row in await backups.kept(store, rvm_id)] == [1, 2]


async def test_a_chain_begins_with_its_full(store: Store) -> None:
    rvm_id = await add_machine(store)
    await add(store, rvm_id, 1, upload_status="verified", chain_id=1, chain_position=0)
    await add(store, rvm_id, 3, upload_status="completed", chain_id=1, chain_position=1, backup_type="incremental")
    await add(store, rvm_id, 4, upload_status="completed", chain_id=4, chain_position=0)
    await add(store, rvm_id, 5, chain_id=1, chain_position=2, deleted_at=NOW)
    assert [row.id for row in await backups.chain(store, rvm_id, 1)] == [1, 3]


async def test_a_part_that_comes_again_replaces_the_one_that_was_there(store: Store) -> None:
    rvm_id = await add_machine(store)
    await add(store, rvm_id, 1, upload_status="uploading")
    for number in (2, 1):
        await store.write(insert(part(1, number)))
    await store.write(insert(part(1, 2, size=20, tag="new"), over=("size", "sha256", "tag")))
    assert [(row.number, row.size, row.tag) for row in await backups.parts_of(store, 1)] == [
        (1, 10, "t"),
        (2, 20, "new"),
    ]
    assert await backups.find_part(store, 1, 2) == part(1, 2, size=20, tag="new")
    assert await backups.find_part(store, 1, 3) is None
    await store.write(delete(BackupPartRow, 1))
    assert await backups.parts_of(store, 1) == []


async def test_what_is_kept_is_counted_with_what_is_on_its_way(store: Store) -> None:
    rvm_id, other = await add_machine(store), await add_machine(store, "south")
    assert await backups.bytes_kept(store, rvm_id) == (0, 0)
    await add(store, rvm_id, 1, upload_status="completed", file_size=2**40, file_path="backups/1/1-a.tar.gz")
    await add(store, rvm_id, 2, upload_status="completed", file_size=5, deleted_at=NOW, file_path="backups/1/2-a.tar")
    await add(store, other, 3, upload_status="uploading", manifest_key="backups/2/3.manifest.gz")
    await store.write(insert(part(3, 1, size=7)))
    assert await backups.bytes_kept(store, rvm_id) == (2**40, 2**40 + 7)
    assert await backups.bytes_kept(store, other) == (7, 2**40 + 7)
    assert await backups.bytes_kept(store, other, 3) == (0, 2**40)
    assert await backups.keys_there(store) == {"backups/1/1-a.tar.gz", "backups/2/3.manifest.gz"}
    assert await backups.keys_gone(store) == {"backups/1/2-a.tar"}
    await add(store, other, 4, upload_status="failed", file_path="backups/2/4-a.tar")
    assert await backups.keys_gone(store) == {"backups/1/2-a.tar", "backups/2/4-a.tar"}
    assert len(await backups.keys_there(store)) == 2


async def test_rows_without_a_file_go_and_their_parts_with_them(store: Store) -> None:
    rvm_id = await add_machine(store)
    await add(store, rvm_id, 1, upload_status="completed")
    await add(store, rvm_id, 2, upload_status="completed", deleted_at=after(1))
    await add(store, rvm_id, 3, upload_status="failed")
    await store.write(insert(part(3, 1)))
    restore = RestoreRow(rvm_id=rvm_id, backup_id=1, state="asked", dry_run=True, requested_by="user:1", created_at=NOW)
    (result,) = await store.write(insert(restore))
    found = await backups.find_restore(store, int(result.rows[0]["id"]))
    assert found is not None
    assert (found.dry_run, found.classes, found.state) == (True, None, "asked")
    (gone,) = await store.write(backups.delete_backups_before(after(10), 10))
    assert gone.rowcount == 2
    assert [row.id for row in await backups.of_machine(store, rvm_id, 9)] == [1]
    assert await backups.parts_of(store, 3) == []
    (gone,) = await store.write(backups.delete_restores_before(after(10), 10))
    assert gone.rowcount == 1
