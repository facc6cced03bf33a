"""What is stored has an end: on a running hub the old goes with the next turn and the fresh stays, in pieces that hold
up nobody, and with a database that comes and goes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import pytest_asyncio
import sqlalchemy as sa

from db import schema
from db.engine.statements import Write
from db.engine.store import Store
from db.errors import StoreError
from db.queries import samples
from hub import schedule
from hub.kernel import recorder
from hub.kernel.announce import Announcer
from hub.kernel.commits import Commits
from hub.kernel.samples_lane import SamplesLane
from hub.lifespan import Nobody, utc_now
from hub.model.changes import Change, RowsExpired
from hub.model.fleet import Fleet
from hub.model.machine import BOOTS_KEPT
from hub.notifications.service import Notifier
from hub.schedule import Retention
from tests.support.api_hub import ApiHub, api_hub
from tests.support.database_rows import add_machine, sample
from tests.support.fake_store import FakeStore
from tests.support.until import until, until_answered

DAY = timedelta(days=1)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn follows the other."""
    for name in ("PURGE_FIRST_S", "PURGE_EVERY_S", "PURGE_RETRY_S"):
        monkeypatch.setattr(schedule, name, 0.01)


@pytest_asyncio.fixture
async def running(tmp_path: Path, database_url: str, quick: None) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=database_url, samples_retention_days=30) as hub:
        await hub.add_user("budi", "viewer")
        await hub.add_machine("north")
        yield hub


async def gone(store: Store, column: sa.Column[Any], old: set[Any], fresh: set[Any]) -> None:
    """Wait for the next turn: of those that were put in only the fresh ones are left."""

    async def left() -> set[Any]:
        return {row[column.key] for row in await store.fetch_all(sa.select(column))} & (old | fresh)

    async def are_gone() -> bool:
        return not await left() & old

    await until_answered(are_gone, every=0.01)
    assert await left() == fresh


async def put(store: Store, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    await store.write(*(Write(sa.insert(table), row) for row in rows))


async def test_browser_sessions_go_when_they_have_expired(running: ApiHub) -> None:
    store, now = running.context.store, running.context.clock()
    common = {"user_id": running.users["budi"], "created_at": now - DAY}
    over, good = ("over", now), ("good", now + timedelta(minutes=5))
    await put(store, schema.sessions, [{**common, "hash": h, "expires_at": at} for h, at in (over, good)])
    await gone(store, schema.sessions.c.hash, {"over"}, {"good"})


async def test_sign_in_links_go_when_they_have_expired_used_or_not(running: ApiHub) -> None:
    store, now = running.context.store, running.context.clock()
    rows = (("used", now, now - DAY), ("over", now, None), ("good", now + timedelta(minutes=5), None))
    common = {"user_id": running.users["budi"]}
    links = [{**common, "hash": h, "expires_at": at, "used_at": used} for h, at, used in rows]
    await put(store, schema.sign_in_links, links)
    await gone(store, schema.sign_in_links.c.hash, {"used", "over"}, {"good"})


async def test_codes_of_machines_and_who_came_with_one_go_a_month_after_their_end(running: ApiHub) -> None:
    store, now = running.context.store, running.context.clock()
    old, fresh = now - schedule.ENROLMENTS - timedelta(minutes=1), now - schedule.ENROLMENTS + timedelta(minutes=1)
    code = {"prefix": "RVM-7K", "uses": 1, "approval": "waiting", "created_by": "user:1", "created_at": now - 90 * DAY}
    codes = [{**code, "hash": h, "expires_at": at} for h, at in (("over", old), ("good", fresh))]
    await put(store, schema.enrolment_codes, codes)
    came = {"code_id": 1, "state": "waiting", "key_hash": "a" * 64, "created_at": now - 90 * DAY}
    rows = [{**came, "key_prefix": prefix, "last_seen_at": at} for prefix, at in (("gone", old), ("asks", fresh))]
    await put(store, schema.enrolments, rows)
    await gone(store, schema.enrolment_codes.c.hash, {"over"}, {"good"})
    await gone(store, schema.enrolments.c.key_prefix, {"gone"}, {"asks"})


async def test_failed_sign_ins_go_when_they_neither_count_nor_lock_any_more(running: ApiHub) -> None:
    store, now = running.context.store, running.context.clock()
    still = now - schedule.FAILURES + timedelta(minutes=1)
    rows = [
        {"email": "a@b.c", "failures": 5, "last_at": now - schedule.FAILURES - timedelta(seconds=1)},
        {"email": "x@y.z", "failures": 5, "last_at": still},
    ]
    await put(store, schema.sign_in_failures, [{**row, "locked_until": None} for row in rows])
    await gone(store, schema.sign_in_failures.c.email, {"a@b.c"}, {"x@y.z"})


async def test_samples_go_after_the_days_of_the_setting_those_of_a_removed_machine_too(running: ApiHub) -> None:
    store, now, rvm_id = running.context.store, running.context.clock(), running.machines["north"]
    times = {1: 31, 2: 40, 3: 29, 4: 0}
    rows = [sample(rvm_id, seq, at=now - days * DAY) for seq, days in times.items()]
    await store.store_samples([*rows, sample(rvm_id + 70, 5, at=now - 31 * DAY)])
    await gone(store, schema.system_metrics.c.seq, {1, 2, 5}, {3, 4})


async def test_a_sample_with_the_date_of_a_clock_that_was_never_set_is_kept_from_its_arrival(running: ApiHub) -> None:
    store, now, rvm_id = running.context.store, running.context.clock(), running.machines["north"]
    old, fresh = (
        sample(rvm_id, seq, at=now - 2000 * DAY)._replace(created_at=at) for seq, at in ((1, now - 31 * DAY), (2, now))
    )
    await store.store_samples([old, fresh])
    await gone(store, schema.system_metrics.c.seq, {1}, {2})


async def test_tokens_go_long_after_they_were_revoked_or_have_expired(running: ApiHub) -> None:
    store, now, long = running.context.store, running.context.clock(), schedule.HISTORY + DAY
    ends = {
        "revoked": (None, now - long),
        "expired": (now - long, None),
        "lately": (now - DAY, now),
        "live": (None, None),
    }
    common = {"user_id": running.users["budi"], "name": "t", "created_at": now - 2 * long}
    rows = [
        {**common, "prefix": name, "hash": name, "expires_at": expires, "revoked_at": revoked}
        for name, (expires, revoked) in ends.items()
    ]
    await put(store, schema.tokens, rows)
    await gone(store, schema.tokens.c.prefix, {"revoked", "expired"}, {"lately", "live"})


async def test_troubles_that_are_long_over_go_and_those_that_stand_stay(running: ApiHub) -> None:
    store, now, rvm_id = running.context.store, running.context.clock(), running.machines["north"]
    common = {"rvm_id": rvm_id, "began_at": now - 500 * DAY, "noticed_at": now - 500 * DAY}
    ends = {"full": now - 401 * DAY, "hot": now - 399 * DAY}
    await put(store, schema.troubles, [{**common, "cause": cause, "ended_at": at} for cause, at in ends.items()])
    await gone(store, schema.troubles.c.cause, {"full"}, {"hot"})


async def test_messages_that_are_done_go_after_a_month(running: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> None:
        """The notifier would close what is open without a trouble."""

    monkeypatch.setattr(Notifier, "_decide", nothing)
    store, now = running.context.store, running.context.clock()
    place = {
        "id": 1, "name": "Operators", "place": "tgram://…", "address": "sealed", "language": "en", "timezone": "UTC",
        "after_s": 0, "also_over": True, "per_hour": 20, "disabled_at": now, "created_at": now, "updated_at": now,
    }  # fmt: skip
    await put(store, schema.notification_destinations, [place])
    common = {"destination_id": 1, "kind": "began", "params": {}, "attempts": 1, "next_at": now}
    kept = [("old", "sent", False, 31), ("fresh", "sent", False, 29), ("open", "sent", True, 31)]
    rows = [
        {**common, "key": key, "state": state, "open": is_open, "created_at": now - days * DAY}
        for key, state, is_open, days in kept
    ]
    await put(store, schema.notifications, rows)
    await gone(store, schema.notifications.c.key, {"old"}, {"fresh", "open"})


async def test_statuses_expire_but_the_one_that_held_stays(running: ApiHub) -> None:
    store, now, rvm_id = running.context.store, running.context.clock(), running.machines["north"]
    common = {"rvm_id": rvm_id, "status": "active", "special_status": None, "by": "system", "until": None}
    common |= {"reason": None}
    ages = {1: 500, 2: 450, 3: 401, 4: 399}
    rows = [{**common, "capacity": n, "since": now - days * DAY} for n, days in ages.items()]
    await put(store, schema.status_history, rows)
    await gone(store, schema.status_history.c.capacity, {1, 2}, {3, 4})


async def test_commands_that_have_ended_go_and_open_ones_stay(running: ApiHub) -> None:
    store, now = running.context.store, running.context.clock()
    common = {"rvm_id": running.machines["north"], "name": "ping", "args": {}, "issued_by": "user:1"}
    rows = (("old", "succeeded", 401), ("open", "running", 401), ("new", "failed", 399))
    commands = [
        {**common, "id": one, "state": state, "issued_at": now - days * DAY, "expires_at": now + DAY}
        for one, state, days in rows
    ]
    await put(store, schema.commands, commands)
    await gone(store, schema.commands.c.id, {"old"}, {"open", "new"})


async def test_time_zone_attempts_and_ended_sessions_go(running: ApiHub) -> None:
    store, now, rvm_id = running.context.store, running.context.clock(), running.machines["north"]
    ages = {"old": 401, "new": 399}
    zone = {"device_id": "dev-north", "timezone": "Asia/Jakarta", "sync_method": "manual"}
    logs = [
        {**zone, "city": n, "sync_timestamp": now - days * DAY, "created_at": now - days * DAY}
        for n, days in ages.items()
    ]
    await put(store, schema.timezone_sync_logs, logs)
    at = now - 401 * DAY
    leases = [
        {"rvm_id": rvm_id, "reason": n, "status": state, "start_time": at, "created_at": at, "expires_at": now + DAY}
        for n, state in (("over", "ended"), ("open", "active"))
    ]
    await put(store, schema.remote_access_sessions, leases)
    await gone(store, schema.timezone_sync_logs.c.city, {"old"}, {"new"})
    await gone(store, schema.remote_access_sessions.c.reason, {"over"}, {"open"})


async def test_of_each_machine_the_boots_used_last_stay_and_that_of_its_last_hello(running: ApiHub) -> None:
    store, now, rvm_id = running.context.store, running.context.clock(), running.machines["north"]
    other = await running.add_machine("south")
    await store.write(Write(sa.update(schema.reverse_vending_machines), {"boot_id": "b99"}))
    boots = [
        {"rvm_id": one, "boot_id": f"b{n}", "last_used_at": now - timedelta(hours=2 + n)}
        for one, most in ((rvm_id, 100), (other, BOOTS_KEPT))
        for n in range(most)
    ]
    fresh = [{"rvm_id": rvm_id, "boot_id": f"new{n}", "last_used_at": now} for n in range(BOOTS_KEPT + 5)]
    await put(store, schema.machine_boots, boots + fresh)
    old = {f"b{n}" for n in range(BOOTS_KEPT, 99)}
    await gone(store, schema.machine_boots.c.boot_id, old, {row["boot_id"] for row in boots + fresh} - old)
    rows = await store.fetch_all(
        sa.select(schema.machine_boots.c.boot_id).where(schema.machine_boots.c.rvm_id == rvm_id)
    )
    assert {row["boot_id"] for row in rows} == {row["boot_id"] for row in fresh} | {"b99"}


def test_every_kind_that_can_be_deleted_has_its_time() -> None:
    assert {*schedule.RETENTION, "system_metrics"} == {*recorder.EXPIRED, *recorder.EXPIRED_OF_MACHINE}
    assert set(schedule.MACHINES_DUE) == set(recorder.EXPIRED_OF_MACHINE)


class Room:
    """Retention over a store, and the rows that each piece of it deleted."""

    def __init__(self, store: Store, kept: timedelta = DAY, clock: Callable[[], datetime] = utc_now) -> None:
        announce = Announcer(Fleet(), Commits(store), SamplesLane(store), Nobody())
        announce.listen(self._hear)
        self.retention = Retention(store, announce, clock, kept)
        self.pieces: list[int] = []
        self.begun = asyncio.Event()

    def _hear(self, changes: Sequence[Change]) -> None:
        self.pieces += [sum(c.deleted or ()) for c in changes if isinstance(c, RowsExpired)]
        self.begun.set()


async def test_many_old_samples_go_in_pieces_between_which_new_ones_are_stored(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "PIECE", 40)
    now, old = utc_now(), utc_now() - 31 * DAY
    fleet = [await add_machine(store, f"m{n}") for n in range(25)]
    backlog = [sample(fleet[0], seq, at=old - timedelta(seconds=seq)) for seq in range(2000)]
    await store.store_samples(backlog + [sample(rvm_id, 3000, at=old) for rvm_id in fleet])
    room = Room(store, 30 * DAY)
    left = sa.select(sa.func.count().label("n")).where(schema.system_metrics.c.timestamp <= old)

    async def arrive() -> int:
        """How much of the old there still was when the new was durable."""
        await room.begun.wait()
        await store.store_samples([sample(fleet[1], 9000, at=now)])
        row = await store.fetch_one(left)
        assert row is not None
        return int(row["n"])

    arrival = asyncio.ensure_future(arrive())
    assert await room.retention.turn()
    assert await arrival > 1000
    assert max(room.pieces) == 40
    assert await samples.machines_with_samples_before(store, now) == []
    assert [row.seq for row in await samples.between(store, fleet[1], old - DAY, now + DAY, 9)] == [9000]


async def test_a_clock_that_jumps_years_ahead_deletes_nothing_of_today(store: Store) -> None:
    rvm_id, now, ahead = await add_machine(store), utc_now(), timedelta(0)
    await store.store_samples([sample(rvm_id, 1, at=now - 5 * DAY), sample(rvm_id, 2, at=now)])
    keeper = Room(store, 2 * DAY, lambda: utc_now() + ahead).retention
    ahead = 2000 * DAY
    assert await keeper.turn()
    assert [row.seq for row in await samples.between(store, rvm_id, now - 9 * DAY, now + DAY, 9)] == [2]


async def test_a_hub_that_starts_years_ahead_deletes_a_day_at_a_turn(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    rvm_id, now = await add_machine(store), utc_now()
    days = {10: 1, 9: 2, 8: 3, 2: 4, 0: 5}
    await store.store_samples([sample(rvm_id, seq, at=now - ago * DAY) for ago, seq in days.items()])

    async def left() -> list[int]:
        return [row.seq for row in await samples.between(store, rvm_id, now - 19 * DAY, now + DAY, 9)]

    assert await Room(store, 30 * DAY).retention.turn()
    for expected in ([1, 2, 3, 4, 5], [2, 3, 4, 5], [3, 4, 5]):
        ahead = Room(store, timedelta(days=11, hours=12), lambda: utc_now() + 2000 * DAY)  # each a new life
        assert await ahead.retention.turn()
        assert await left() == expected
    assert "is the clock right?" in caplog.text


async def test_the_samples_of_a_removed_machine_go_in_pieces_and_soon(
    running: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the transaction that removes it, which would hold up everybody's."""
    monkeypatch.setattr(schedule, "PIECE", 40)
    store, now, rvm_id = running.context.store, running.context.clock(), running.machines["north"]
    await store.store_samples([sample(rvm_id, seq, at=now - timedelta(seconds=seq)) for seq in range(100)])
    pieces: list[int] = []
    running.context.announce.listen(
        lambda changes: pieces.extend(sum(c.deleted or ()) for c in changes if isinstance(c, RowsExpired))
    )
    monkeypatch.setattr(schedule, "PURGE_EVERY_S", 3600)
    await asyncio.sleep(0.1)  # the turn that is under way is the last of the hour
    await running.add_user("root", "admin")
    async with running.of("root") as admin:
        assert (await admin.delete(f"/api/v2/rvms/{rvm_id}")).status_code == 204
    await until(lambda: sum(pieces) == 100)
    assert max(pieces) == 40


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "myrvm.schedule"):
        yield caplog


async def test_a_database_that_is_away_delays_and_is_logged_once(quick: None, log: pytest.LogCaptureFixture) -> None:
    store = FakeStore()
    store.away = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Room(store).retention.run)
        await until(lambda: store.calls > 30)
        assert len(log.records) == 1
        store.away = False
        await until(lambda: len(log.records) == 2)
        store.away = True
        await until(lambda: len(log.records) == 3)
        tasks.cancel_scope.cancel()
    assert [record.levelname for record in log.records] == ["WARNING", "INFO", "WARNING"]


def table_of(write: Write) -> str:
    table = getattr(write.statement, "table", None)  # none of what is made for each dialect
    return "" if table is None else str(table.name)


async def test_what_one_table_refuses_does_not_keep_the_others(log: pytest.LogCaptureFixture) -> None:
    store = FakeStore()

    def first(write: Write) -> Exception | None:
        return StoreError("refused") if table_of(write) == "sessions" else None

    store.refuse = first
    assert not await Room(store).retention.turn()
    written = {table_of(write) for steps in store.transactions for write in steps}
    assert written >= {"sign_in_links", "sign_in_failures", "commands"}
