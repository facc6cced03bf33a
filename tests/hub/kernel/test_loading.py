"""What a new life of the hub finds in the kept samples: since when a reading is beyond its limit."""

from __future__ import annotations

from datetime import datetime

import pytest

from db.engine.store import Store
from hub.kernel import loading
from hub.model.machine import Machine
from hub.model.presence import RELEASE_S, counting
from protocol.configuration import defaults
from tests.support.database_rows import add_machine, after, open_boot, sample

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
