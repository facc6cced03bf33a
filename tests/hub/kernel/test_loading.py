"""What a new life of the hub finds of the last one: since when readings are beyond their limits, until when machines
were there."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from db.engine.row_writes import insert
from db.engine.store import Store
from db.queries import machines
from db.trouble_records import TroubleRow
from hub.kernel import loading
from hub.model.machine import Machine
from hub.model.presence import RELEASE_S, START_QUIET_S, counting
from protocol.configuration import defaults
from tests.support.database_rows import add_machine, after, machine, open_boot, sample
from tests.support.engine_life import engine_life

DAY_S, HOT, WARM = 86400, 85.0, 79.0
EVERY_S = 30


async def kept(store: Store, rvm_id: int, boot: int, temperatures: dict[int, float]) -> None:
    """By second, each a sample of its own."""
    rows = [
        sample(rvm_id, number, boot, at=after(second), temperature=value)
        for number, (second, value) in enumerate(sorted(temperatures.items()))
    ]
    await store.store_samples(rows)


async def loaded(store: Store, rvm_id: int) -> Machine:
    return (await loading.load_fleet(store, defaults())).machines[rvm_id]


async def since(store: Store, temperatures: dict[int, float]) -> datetime | None:
    rvm_id = await add_machine(store)
    boot = (await open_boot(store, rvm_id, "boot", after(0))).id
    await kept(store, rvm_id, boot, temperatures)
    found = dict(counting((await loaded(store, rvm_id)).lasting))
    return found.get("temperature")


def hot(start: int, end: int) -> dict[int, float]:
    return dict.fromkeys(range(start, end, EVERY_S), HOT)


async def test_a_reading_is_beyond_its_limit_since_the_first_kept_sample_that_was(store: Store) -> None:
    assert await since(store, {0: WARM, **hot(60, 7200)}) == after(60)


async def test_a_moment_below_the_limit_ends_nothing_and_a_minute_does(store: Store) -> None:
    short = hot(0, 600) | {600: WARM} | hot(630, 1200)
    assert await since(store, short) == after(0)


async def test_what_was_over_for_a_minute_began_anew(store: Store) -> None:
    pause = range(600, 600 + int(RELEASE_S) + 2 * EVERY_S, EVERY_S)
    again = hot(0, 600) | dict.fromkeys(pause, WARM) | hot(pause.stop, 1500)
    assert await since(store, again) == after(pause.stop)


async def test_nobody_looks_back_for_what_is_well_now(store: Store) -> None:
    assert await since(store, hot(0, 600) | {600: WARM}) is None


async def test_no_further_back_than_a_day(store: Store) -> None:
    newest = DAY_S + 3600
    assert await since(store, dict.fromkeys(range(0, newest + 1, 1800), HOT)) == after(newest - DAY_S)


async def test_only_so_many_machines_are_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MOST_LOOKED_BACK", 1)
    began = []
    for name in ("first", "second"):
        rvm_id = await add_machine(store, name)
        boot = (await open_boot(store, rvm_id, f"boot {name}", after(0))).id
        await kept(store, rvm_id, boot, hot(0, 601))
        began.append(rvm_id)
    found = [dict(counting((await loaded(store, rvm_id)).lasting)).get("temperature") for rvm_id in began]
    assert found == [after(0), after(600)], "of the other one the newest sample is the beginning"


async def test_an_alert_that_stands_keeps_its_beginning_whatever_a_backlog_had(store: Store) -> None:
    """While its link was down nobody judged its samples: it was hot when it came back."""
    rvm_id = await add_machine(store)
    boot = (await open_boot(store, rvm_id, "boot", after(0))).id
    await kept(store, rvm_id, boot, hot(0, 7200))
    await store.write(insert(TroubleRow(rvm_id=rvm_id, cause="hot", began_at=after(7100), noticed_at=after(7101))))
    assert counting((await loaded(store, rvm_id)).lasting) == (("temperature", after(7100)),)


async def test_a_trouble_of_one_reading_says_nothing_of_another(store: Store) -> None:
    rvm_id = await add_machine(store)
    boot = (await open_boot(store, rvm_id, "boot", after(0))).id
    await store.store_samples(
        [sample(rvm_id, at, boot, at=after(at), temperature=HOT, disk_usage=99.0) for at in range(0, 601, EVERY_S)]
    )
    await store.write(insert(TroubleRow(rvm_id=rvm_id, cause="disk", began_at=after(300), noticed_at=after(300))))
    found = counting((await loaded(store, rvm_id)).lasting)
    assert found == (("disk_usage", after(300)), ("temperature", after(0)))


async def test_an_alert_that_began_by_a_live_sample_still_counts(store: Store) -> None:
    """Memory counts after a minute of live samples; the newest kept one is older."""
    rvm_id = await add_machine(store)
    boot = (await open_boot(store, rvm_id, "boot", after(0))).id
    await store.store_samples([sample(rvm_id, 1, boot, at=after(20), memory_usage=99.0)])
    await store.write(insert(TroubleRow(rvm_id=rvm_id, cause="memory", began_at=after(0), noticed_at=after(61))))
    assert counting((await loaded(store, rvm_id)).lasting) == (("memory_usage", after(0)),)


async def test_a_clock_that_is_behind_puts_no_beginning_back(store: Store) -> None:
    await store.write(machine("late", clock_offset_s=-7200.0))
    boot = (await open_boot(store, 1, "boot", after(0))).id
    stamped = [sample(1, at, boot, at=after(at - 7200), temperature=HOT) for at in range(0, 601, EVERY_S)]
    await store.store_samples([row._replace(created_at=after(row.seq)) for row in stamped])
    assert counting((await loaded(store, 1)).lasting) == (("temperature", after(0)),)


LINKED: dict[str, Any] = {"connection_epoch": 3, "close_reason": None}


@pytest.mark.parametrize(
    ("members", "seen_s", "sign_s", "found_s"),
    [
        (LINKED, 0, 290, 290),
        (LINKED, 0, None, 0),
        (LINKED, 300, 290, 300),
        (LINKED | {"close_reason": "lost"}, 0, 290, 0),
        (LINKED | {"connection_epoch": 0}, 0, 290, 0),
    ],
    ids=["linked", "no sign yet", "seen after it", "gone before", "by REST alone"],
)
async def test_a_machine_was_there_until_the_last_life_ended(
    store: Store, members: dict[str, Any], seen_s: int, sign_s: int | None, found_s: int
) -> None:
    await store.write(machine("there", last_seen_at=after(seen_s), **members))
    await store.write(machine("other", last_seen_at=after(300), connection_epoch=1))
    if sign_s is not None:
        await store.write(insert(machines.life_sign(after(sign_s)), over=("value",)))
    assert (await loaded(store, 1)).last_seen_at == after(found_s)


async def test_who_was_gone_long_before_the_end_stays_gone(store: Store) -> None:
    await store.write(machine("gone", last_seen_at=after(0), **LINKED))
    await store.write(machine("other", last_seen_at=after(DAY_S), connection_epoch=1))
    await store.write(insert(machines.life_sign(after(DAY_S)), over=("value",)))
    assert (await loaded(store, 1)).last_seen_at == after(0)


async def test_a_life_leaves_its_sign_after_its_first_minute_and_the_next_one_reads_it(
    tmp_path: Path, database_url: str
) -> None:
    second = 0.0
    async with engine_life(tmp_path, database_url) as (engine, _):
        signs = loading.LifeSigns(engine.announce, lambda: after(second), lambda: second)
        read = []
        for at in (0.0, START_QUIET_S - 1, START_QUIET_S, START_QUIET_S + 1, START_QUIET_S + loading.LIFE_SIGN_S):
            second = at
            await signs.leave()
            read.append(await machines.alive_at(engine.store))
    assert read == [None, None, after(60), after(60), after(70)]
