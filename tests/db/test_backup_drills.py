"""Which backups a drill looks for, on both databases."""

from __future__ import annotations

from typing import Any

from db.backup_records import BackupRow
from db.engine.row_writes import insert
from db.engine.store import Store
from db.queries import backup_drills as drills
from hub.kernel.commits import commit_alone
from hub.model.changes import Patch, Put
from tests.support.database_rows import NOW, add_machine, after, backup_row


async def add(store: Store, rvm_id: int, number: int, status: str = "completed", **members: Any) -> None:
    await store.write(insert(backup_row(rvm_id, number, upload_status=status, **members)))


async def ids(store: Store, after_id: int = 0, limit: int = 10) -> list[int]:
    return [row.id for row in await drills.undrilled(store, NOW, after_id, limit)]


async def test_what_was_never_drilled_or_is_asked_for_or_was_put_off_a_while_ago(store: Store) -> None:
    rvm_id = await add_machine(store)
    damaged = {"code": "archive_damaged"}
    await add(store, rvm_id, 1)
    await add(store, rvm_id, 2, "verified", drill_at=after(-99))
    await add(store, rvm_id, 3, "verified")
    await add(store, rvm_id, 4, drill_at=after(-1))
    await add(store, rvm_id, 5, drill_at=after(1))
    await add(store, rvm_id, 6, drill_at=after(-99), drill_error=damaged)
    await add(store, rvm_id, 7, deleted_at=NOW)
    await add(store, rvm_id, 8, "failed")
    await add(store, rvm_id, 9, "uploading")
    assert await ids(store) == [1, 3, 4]
    assert await ids(store, limit=2) == [1, 3]
    assert await ids(store, after_id=3) == [4]


async def test_any_good_one_is_as_likely_as_another(store: Store) -> None:
    assert await drills.any_good(store, 0.5) is None
    rvm_id = await add_machine(store)
    for number in (1, 2, 3, 4):
        await add(store, rvm_id, number, "verified")
    await add(store, rvm_id, 5, drill_error={"code": "archive_damaged"})
    await add(store, rvm_id, 6, deleted_at=NOW)
    found = [await drills.any_good(store, dice) for dice in (0.0, 0.25, 0.5, 0.999)]
    assert [row and row.id for row in found] == [1, 2, 3, 4]


async def test_an_error_that_is_taken_back_is_none(store: Store) -> None:
    rvm_id = await add_machine(store)
    await add(store, rvm_id, 1, drill_error={"code": "archive_damaged"})
    assert await drills.any_good(store, 0.0) is None
    await commit_alone(store, [Patch(BackupRow, 1, {"drill_error": None}, where=(("rvm_id", "=", rvm_id),))])
    assert await drills.any_good(store, 0.0) is not None


async def test_the_week_is_remembered(store: Store) -> None:
    assert await drills.last_drill(store) is None
    for at in (NOW, after(5)):
        await commit_alone(store, [Put(drills.drill_mark(at), over=("value",))])
    assert await drills.last_drill(store) == after(5)
