"""How long which backup stays: days, chains, the last good one; and the forecast of a quota."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from db.backup_records import BackupRow
from hub.backups.rules.keep import (
    Kept,
    QuotaForecast,
    Stored,
    alerts_of,
    expired,
    forecast,
    is_near,
    kept_until,
    stored,
)
from hub.model.backups import is_good
from tests.support.machines import machine as drafted

UTC = timezone.utc
DAY = timedelta(days=1)
NOW = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)


def row(number: int, days_ago: float, parent: int | None = None, **members: Any) -> BackupRow:
    values = {"upload_status": "verified", "file_path": f"backups/7/{number}.tar.gz", "file_size": 100, **members}
    return BackupRow(
        id=number, rvm_id=7, backup_type="full" if parent is None else "incremental", parent_id=parent,
        created_at=NOW - days_ago * DAY, **values,
    )  # fmt: skip


def ids(rows: Sequence[BackupRow]) -> list[int]:
    return [row.id for row in rows]


def test_what_is_older_than_the_days_goes_and_the_rest_stays() -> None:
    rows = [row(1, 40), row(2, 30), row(3, 29), row(4, 1)]
    assert ids(expired(rows, 30, NOW)) == [2, 1]
    assert kept_until(rows, 30)[3] == Kept(NOW + DAY)


def test_a_full_stays_while_a_kept_incremental_needs_it_with_all_between() -> None:
    rows = [row(1, 36), row(2, 35, 1), row(3, 29, 2), row(4, 1)]
    assert expired(rows, 30, NOW) == []
    assert kept_until(rows, 30)[1] == kept_until(rows, 30)[2] == Kept(NOW + DAY, "chain")
    assert ids(expired(rows, 30, NOW + DAY)) == [3, 2, 1], "each before the one it needs"


def test_the_newest_good_one_never_goes_nor_what_it_needs_nor_the_newest_verified() -> None:
    rows = [row(1, 300), row(2, 290), row(3, 280, 2), row(4, 270), row(5, 200, upload_status="completed")]
    rows.append(row(6, 190, drill_error={"code": "archive_damaged"}, upload_status="completed"))
    assert ids(expired(rows, 30, NOW)) == [6, 3, 2, 1]
    kept = kept_until(rows, 30)
    assert (kept[4], kept[5]) == (Kept(None, "last_good"), Kept(None, "last_good"))
    assert ids(expired(rows[:3], 30, NOW)) == [1], "the last good one keeps its chain"
    assert kept_until(rows[:3], 30)[2] == Kept(None, "chain")


def test_what_has_no_file_is_not_judged() -> None:
    rows = [row(1, 99, upload_status="failed"), row(2, 99, deleted_at=NOW), row(3, 0, upload_status="uploading")]
    assert kept_until(rows, 30) == {}
    assert [is_good(one) for one in rows] == [False] * 3


def test_a_damaged_last_one_does_not_push_the_good_one_out() -> None:
    rows = [row(1, 90), row(2, 60, drill_error={"code": "archive_damaged"}, upload_status="completed")]
    assert ids(expired(rows, 30, NOW)) == [2]


_STATES = st.sampled_from(["verified", "completed", "failed", "uploading", "damaged", "deleted"])


@st.composite
def _machines(draw: st.DrawFn) -> list[BackupRow]:
    rows: list[BackupRow] = []
    for number in range(1, draw(st.integers(1, 12)) + 1):
        state = draw(_STATES)
        parent = draw(st.sampled_from([None, *range(1, number)]))
        values: dict[str, Any] = {"upload_status": {"damaged": "completed", "deleted": "verified"}.get(state, state)}
        if state == "damaged":
            values["drill_error"] = {"code": "archive_damaged"}
        if state == "deleted":
            values["deleted_at"] = NOW
        rows.append(row(number, draw(st.integers(0, 60)) + (12 - number) * 3, parent, **values))
    return rows


@given(rows=_machines(), retention=st.integers(1, 60))
def test_nothing_that_stays_loses_what_it_needs_and_the_last_good_one_stays(
    rows: list[BackupRow], retention: int
) -> None:
    gone = ids(expired(rows, retention, NOW))
    there = {one.id for one in rows if one.upload_status in ("verified", "completed") and one.deleted_at is None}
    for one in rows:
        if one.id in there - set(gone):
            assert one.parent_id not in set(gone)
    good = [one.id for one in rows if is_good(one)]
    assert not good or good[-1] not in gone
    assert set(gone) <= there
    young = {one.id for one in rows if one.created_at > NOW - retention * DAY}
    assert not young & set(gone)
    for place, number in enumerate(gone):
        needed = next(one.parent_id for one in rows if one.id == number)
        assert needed not in gone[:place], "killed half way, what is left is whole"


def test_a_file_that_somebody_uploaded_takes_no_good_ones_place() -> None:
    rows = [row(1, 99, upload_status="completed"), row(2, 98, upload_status="completed", trigger="upload")]
    assert ids(expired(rows, 30, NOW)) == [2]


def test_the_forecast_goes_on_as_in_the_last_two_weeks() -> None:
    files = stored([row(11 - ago, ago) for ago in range(10, 0, -1)], 30)
    assert [file.size for file in files] == [100] * 10
    found = forecast(files, 2000, 30, NOW)
    assert (found.used, found.a_day, found.full_at) == (1000, 100, NOW + 10 * DAY)
    assert forecast(files, 3001, 30, NOW).full_at is None, "what is over goes: it levels out at thirty"
    assert forecast(files, 2900, 30, NOW).full_at == NOW + 19 * DAY
    assert forecast(files, 1000, 30, NOW).full_at == NOW
    assert forecast(files, 0, 30, NOW)[1:] == (0, 100, None)


def test_without_news_nothing_grows_and_what_is_too_much_already_is_so_now() -> None:
    old = stored([row(1, 99)], 30)
    assert forecast([], 500, 30, NOW) == (0, 500, 0, None)
    assert forecast(old, 500, 30, NOW) == (100, 500, 0, None)
    assert forecast(old, 100, 30, NOW).full_at == NOW
    minute = Stored(NOW - DAY / 1440, 100, NOW + DAY)
    assert forecast([minute], 1000, 365, NOW).a_day == 100, "the first minute is no rate"


def test_what_is_wrong_with_a_machines_backups_is_an_alert_each() -> None:
    def found(*rows: BackupRow, near: QuotaForecast | None = None, **members: Any) -> list[tuple[str, int | None]]:
        values = {"capabilities": ("start_backup",), "created_at": NOW - 9 * DAY, **members}
        machine = drafted(7, backups={row.id: row for row in rows}, **values)
        return [(alert.code, alert.backup_id) for alert in alerts_of(machine, near, NOW)]

    assert found() == [("no_good_backup", None)]
    assert found(capabilities=("ping",)) == []
    assert found(row(1, 2.9)) == []
    assert found(row(1, 3)) == [("no_good_backup", 1)]
    assert found(row(1, 3), row(2, 1, upload_status="completed")) == [("unverified", 2)]
    assert found(row(1, 2.9), row(2, 1, upload_status="completed")) == []
    assert found(row(1, 3), row(2, 1, upload_status="completed", trigger="upload")) == [("no_good_backup", 1)]
    assert found(row(1, 3), row(2, 1, trigger="upload")) == []
    damaged = row(2, 1, upload_status="completed", drill_error={"code": "archive_damaged"}, drill_at=NOW)
    assert found(row(1, 1), damaged) == [("drill_failed", 2)]
    alone = row(2, 1, report={"counts": {"only_agent": 1}})
    assert found(row(1, 1), alone) == [("only_agent", 2)]
    soon = QuotaForecast(9, 10, 1, NOW + 14 * DAY)
    assert found(row(1, 1), near=soon) == [("quota", None)]
    assert found(row(1, 1), near=soon._replace(full_at=NOW + 15 * DAY)) == []
    assert not is_near(None, NOW)
    assert not is_near(soon._replace(full_at=None), NOW)
