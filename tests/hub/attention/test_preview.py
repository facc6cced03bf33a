"""How often a cause would have begun with another limit: judged as arriving samples are, on both databases; per viewer,
and by machines' own limits."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from db.columns import to_microseconds
from db.records import MachineSettingsRow
from db.rows import SampleRow
from db.trouble_records import TroubleRow
from hub.attention import preview, rules
from hub.model.access import Principal
from hub.model.changes import Put, SampleSeen
from hub.model.effective_settings import Limits
from hub.model.fleet import Fleet
from tests.support.api_hub import ApiHub
from tests.support.database_rows import sample as row
from tests.support.machines import NOW, machine, sample

READINGS = {cause: reading for cause, (reading, _) in rules.LIMITED.items()}
ADMIN = Principal("user", 1, "Sari", "admin", None, "session", 1)
PREVIEW = "/api/v2/alert-rules/{}/preview"


async def store(hub: ApiHub, rows: Iterable[SampleRow]) -> None:
    done = anyio.Event()
    assert hub.context.announce.queue_samples(list(rows), done.set)
    with anyio.fail_after(10):
        await done.wait()


def of_reading(rvm_id: int, number: int, at: datetime, reading: str, value: float | None) -> SampleRow:
    readings: dict[str, Any] = {reading: value}
    return row(rvm_id, number, at=at, **readings)


def series(seed: int, start: datetime, steps: int, low: float, high: float) -> list[tuple[datetime, float | None]]:
    """Short and long distances, values around the limits, some samples without the reading."""
    dice, at, found = random.Random(seed), start, []
    for _ in range(steps):
        at += timedelta(seconds=dice.choice((1, 5, 20, 45, 60, 61, 300, 900)))
        found.append((at, None if dice.random() < 0.05 else round(dice.uniform(low, high), 2)))
    return found


def live(cause: str, limit: float, values: list[tuple[datetime, float | None]], since: datetime) -> int:
    """How often the cause began as a fleet in memory judged it, sample by sample."""
    fleet = Fleet([machine()])
    one = fleet.machines[7]
    limits = Limits(**dict.fromkeys(READINGS.values(), 1000.0) | {READINGS[cause]: limit})
    one.effective_settings = type(one.effective_settings)(
        0, {}, one.effective_settings.values, limits, one.effective_settings.metrics_interval,
        one.effective_settings.upload_interval,
    )  # fmt: skip
    found, before = 0, False
    for at, value in values:
        seen = replace(sample(), **{READINGS[cause]: value})
        fleet.apply(SampleSeen(rvm_id=7, sample=seen, taken_at=at, received_at=at, boot_id=None, seq=1))
        since_when = next((each.since for each in one.lasting if each.counts), None)
        found += since_when is not None and not before and since_when >= since
        before = since_when is not None
    return found


@pytest.mark.parametrize("cause", sorted(READINGS))
async def test_kept_samples_are_judged_as_arriving_ones(
    any_hub: ApiHub, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, reading = any_hub.context.clock(), READINGS[cause]
    # The row of one that goes on since before the week, and ends within it, is none of this week.
    values = series(len(cause), now - rules.WEEK - timedelta(hours=1), 900, 60.0, 95.0)
    await store(any_hub, [of_reading(1, number, at, reading, v) for number, (at, v) in enumerate(values)])
    for limit in (60.0, 75.0, 88.0, 94.0, 96.0):
        for at_once in (preview.SAMPLES_AT_ONCE, 100):  # whole, and in nine parts
            monkeypatch.setattr(preview, "SAMPLES_AT_ONCE", at_once)
            made = await preview.preview(any_hub.context, ADMIN, cause, limit, now)
            assert made.with_limit.times == live(cause, limit, values, now - rules.WEEK), limit
            assert (made.read, made.total) == (2, 2)


@pytest.mark.parametrize("cause", sorted(READINGS))
def test_a_rule_in_numbers_is_the_rule_of_those_that_arrive(cause: str) -> None:
    reading, since = READINGS[cause], NOW - rules.WEEK
    for seed in range(60):
        values = series(seed, since - timedelta(hours=1), 200, 60.0, 95.0)
        sides = [(to_microseconds(at), value is not None and value >= 80.0) for at, value in values]
        made = rules.beginnings(reading, sides, to_microseconds(since))
        assert made.times == live(cause, 80.0, values, since), seed
        in_parts = rules.beginnings(reading, sides[:77], to_microseconds(since))
        assert rules.beginnings(reading, sides[77:], to_microseconds(since), in_parts) == made


def test_what_began_before_the_week_and_goes_on_is_not_of_this_week() -> None:
    start, minute = to_microseconds(NOW), 60_000_000
    goes_on = [(start - 5 * minute, True), (start, True), (start + 900 * minute, True)]
    assert rules.beginnings("temperature", goes_on, start).times == 0
    assert rules.beginnings("cpu_usage", goes_on, start).times == 0, "its last sample alone is of this week"
    again = [*goes_on, (start + 960 * minute, False), (start + 1020 * minute, True)]
    assert rules.beginnings("temperature", again, start).times == 1


def test_samples_are_read_some_at_a_time() -> None:
    counts = {1: 40, 2: 60, 3: 1, 4: 250, 5: 0, 6: 100}
    assert list(preview.pieces(counts, 100)) == [([1, 2], 1), ([3], 1), ([4], 3), ([5, 6], 1)]
    assert list(preview.pieces({}, 100)) == []


def test_the_log_of_a_week_in_three_numbers() -> None:
    def of(minutes: float | None) -> tuple[str, datetime, datetime | None]:
        return "hot", NOW, None if minutes is None else NOW + timedelta(minutes=minutes)

    assert rules.past_of([of(1), of(4), of(60), of(None)])["hot"] == rules.PastTroubles(4, 2, 240.0)
    assert rules.past_of([of(None)])["hot"] == rules.PastTroubles(1, 0, None)
    assert rules.past_of([]) == {}


def every_five_minutes(rvm_id: int, now: datetime, hot: Iterable[float]) -> list[SampleRow]:
    """The newest last."""
    values = list(hot)
    return [
        of_reading(rvm_id, at, now - timedelta(minutes=5 * (len(values) - at)), "temperature", value)
        for at, value in enumerate(values)
    ]


async def test_each_viewer_has_their_machines_and_own_limits_stay(hub: ApiHub) -> None:
    now = hub.context.clock()
    await store(hub, every_five_minutes(1, now, [50, 72, 50, 78, 50, 85, 50]))
    await store(hub, every_five_minutes(2, now, [50, 72, 50, 50, 50, 95, 50]))
    noticed = now - timedelta(days=1)
    for ended in (noticed + timedelta(minutes=2), noticed + timedelta(hours=1)):
        await hub.context.announce(
            Put(TroubleRow(rvm_id=1, cause="hot", began_at=noticed, noticed_at=noticed, ended_at=ended))
        )
    async with hub.of("admin") as admin, hub.of("viewer") as viewer, hub.of("technician") as technician:

        async def ask(who: Any, limit: float) -> tuple[Any, ...]:
            answer = await who.get(PREVIEW.format("hot"), params={"limit": limit})
            assert answer.status_code == 200, answer.text
            found = answer.json()["data"]
            members = (found["with_limit"], found["as_now"])
            return (*((one["times"], one["machines"]) for one in members), found["began"], found["total"])

        assert await ask(admin, 70) == ((5, 2), (2, 2), 2, 2)
        assert await ask(admin, 78) == ((3, 2), (2, 2), 2, 2), "at the limit is beyond it"
        assert await ask(viewer, 90) == ((1, 1), (2, 2), 2, 2)
        assert await ask(technician, 70) == ((3, 1), (1, 1), 2, 1), "one machine is theirs"
        await hub.context.announce(
            Put(MachineSettingsRow(
                rvm_id=2, values={"temperature_threshold": 90.0}, version=1, updated_at=now, updated_by="user:1"
            ))
        )  # fmt: skip
        assert await ask(admin, 70) == ((4, 2), (2, 2), 2, 2), "the second keeps its own"
        listed = {one["cause"]: one for one in (await admin.get("/api/v2/alert-rules")).json()["data"]}
        assert listed["hot"] | {"watches": ""} == {
            "cause": "hot", "kind": "health", "watches": "", "limit": 80.0, "unit": "°C",
            "setting": "temperature_threshold", "own": 1, "open": 0, "began": 2, "short_lived": 1, "typical_s": 1860.0,
        }  # fmt: skip
        assert listed["outage"]["began"] is None
        assert listed["approval"]["limit"] is False
        theirs = {one["cause"]: one for one in (await technician.get("/api/v2/alert-rules")).json()["data"]}
        assert theirs["hot"]["own"] == 0


async def test_a_preview_has_an_end_and_says_what_it_read(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    now = hub.context.clock()
    for rvm_id in (1, 2):
        await store(hub, every_five_minutes(rvm_id, now, [50, 85] * 20))
    monkeypatch.setattr(preview, "SAMPLES_AT_ONCE", 40)
    made = await preview.preview(hub.context, ADMIN, "hot", 80.0, now)
    assert (made.read, made.total, made.with_limit) == (2, 2, preview.Fired(40, 2)), "one after the other"
    for looks in range(4):
        clock = iter([0.0] * (looks + 1))
        made = await preview.preview(hub.context, ADMIN, "hot", 80.0, now, lambda: next(clock, preview.WITHIN_S))
        assert made.total == 2
        assert made.with_limit == preview.Fired(20 * made.read, made.read), "only what was read whole"
        assert made.read == (0, 0, 1, 1)[looks]


async def test_what_cannot_be_previewed_is_named(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        assert (await admin.get(PREVIEW.format("offline"), params={"limit": 70})).status_code == 404
        for wrong in ({}, {"limit": "hot"}, {"limit": 151}, {"limit": "nan"}):
            answer = await admin.get(PREVIEW.format("hot"), params=wrong)
            assert answer.status_code == 422, answer.text
            assert "limit" in answer.json()["errors"]
