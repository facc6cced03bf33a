"""Time zone rows on both databases: each attempt once, the newest state, counts, and that they follow their machine."""

from __future__ import annotations

from typing import Any

from db.engine.row_writes import delete, insert, update
from db.engine.statements import Write
from db.engine.store import Store
from db.queries import timezones
from db.records import MachineRow, ZoneRow, ZoneSyncRow
from tests.support.database_rows import NOW, add_machine, after


def log(at: float = 0, device_id: str = "device-north", **members: Any) -> Write:
    values: dict[str, Any] = {
        "timezone": "Asia/Jakarta", "country": "Indonesia", "city": "Denpasar", "ip_address": "203.0.113.7",
        "sync_method": "automatic", "source": "lookup", "clock_offset_s": 0.5,
    }  # fmt: skip
    row = ZoneSyncRow(device_id=device_id, sync_timestamp=after(at), created_at=NOW, **{**values, **members})
    return insert(row, once=True)


def now_is(zone: str, device_id: str = "device-north", at: float = 0, **members: Any) -> Write:
    row = ZoneRow(
        device_id=device_id, current_timezone=zone, last_sync=NOW, sync_method="automatic", created_at=after(at),
        updated_at=after(at), **{"restart": (), **members},
    )  # fmt: skip
    return insert(row, over=tuple(name for name in ZoneRow.__struct_fields__ if name not in ("id", "created_at")))


async def test_an_attempt_reported_again_is_one_row(store: Store) -> None:
    again = await store.write(log(), log(), log(sync_method="manual"), log(1), log(device_id="other"))
    assert [len(result.rows) for result in again] == [1, 0, 1, 1, 1]
    counts = await timezones.counts(store, "device-north")
    assert counts == timezones.Counts(automatic=2, manual=1, failed=0, changed=0)


async def test_counts_have_methods_failures_and_changes(store: Store) -> None:
    await store.write(
        log(0, timezone="Asia/Jakarta"),
        log(1, timezone="Asia/Jakarta", previous_timezone="Asia/Jakarta"),
        log(2, timezone="Asia/Makassar", previous_timezone="Asia/Jakarta", sync_method="manual"),
        log(3, timezone="Asia/Jakarta", previous_timezone="Asia/Makassar", sync_status="failed", error={"code": "x"}),
    )
    assert await timezones.counts(store, "device-north") == timezones.Counts(3, 1, 1, 1)
    assert await timezones.counts(store, "nobody") == timezones.Counts(0, 0, 0, 0)


async def test_the_newest_state_of_a_device_is_one_row(store: Store) -> None:
    await store.write(now_is("Asia/Jakarta", country="Indonesia"))
    failed = {"code": "not_permitted", "message": "install the helper", "timezone": "Asia/Makassar"}
    await store.write(now_is("Etc/UTC", sync_status="failed", error=failed, restart=("cron",), at=1))
    (row,) = (await timezones.all_zones(store)).values()
    assert (row.device_id, row.current_timezone, row.country, row.sync_status) == (
        "device-north", "Etc/UTC", None, "failed",
    )  # fmt: skip
    assert (row.error, row.restart, row.updated_at) == (failed, ("cron",), after(1))
    assert row.created_at == NOW


async def test_rows_follow_a_machine_to_its_new_device_id(store: Store) -> None:
    rvm_id = await add_machine(store)
    await store.write(log(), now_is("Asia/Jakarta"), log(device_id="other"))
    named = (("device_id", "of", rvm_id),)
    rows = [update(of, None, {"device_id": "new"}, named) for of in (ZoneSyncRow, ZoneRow)]
    await store.write(*rows, update(MachineRow, rvm_id, {"device_id": "new"}))
    assert list(await timezones.all_zones(store)) == ["new"]
    assert (await timezones.counts(store, "new")).automatic == 1
    assert (await timezones.counts(store, "device-north")).automatic == 0
    assert (await timezones.counts(store, "other")).automatic == 1


async def test_rows_go_with_their_machine(store: Store) -> None:
    rvm_id = await add_machine(store)
    await store.write(log(), now_is("Asia/Jakarta"), log(device_id="other"), now_is("Asia/Jakarta", "other"))
    named = (("device_id", "of", rvm_id),)
    await store.write(*(delete(of, None, named) for of in (ZoneSyncRow, ZoneRow)), delete(MachineRow, rvm_id))
    assert list(await timezones.all_zones(store)) == ["other"]
    assert (await timezones.counts(store, "device-north")).automatic == 0


async def test_an_attempt_is_found_by_the_machines_own_date(store: Store) -> None:
    await store.write(log(0, city="Denpasar"), log(5, city="Jakarta"), log(5, device_id="other", city="Medan"))
    found = await timezones.attempt(store, "device-north", after(5))
    assert found is not None
    assert (found.city, found.created_at, found.clock_offset_s) == ("Jakarta", NOW, 0.5)
    assert await timezones.attempt(store, "device-north", after(6)) is None
