"""What is recorded of a machine's troubles: one row a cause, and none twice."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from db.trouble_records import TroubleRow
from hub.attention.rules import CauseNow, gone_with, recorded
from hub.model.changes import Patch, Put

NOW = datetime(2026, 11, 30, 7, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


def row(cause: str = "hot", **members: Any) -> TroubleRow:
    known = {"id": 4, "rvm_id": 7, "cause": cause, "began_at": NOW - HOUR, "noticed_at": NOW - HOUR}
    return TroubleRow(**{**known, **members})


def holding(cause: str = "hot", since: datetime | None = NOW - HOUR) -> dict[str, CauseNow]:
    return {cause: CauseNow(cause, since, 86.0)}


def test_it_begins_when_it_began_and_not_when_it_was_noticed() -> None:
    (begun,) = recorded(7, holding(), {}, NOW, frozenset())
    assert isinstance(begun, Put)
    assert (begun.row.began_at, begun.row.noticed_at, begun.row.value) == (NOW - HOUR, NOW, 86.0)
    for since in (None, NOW + HOUR):
        (begun,) = recorded(7, holding(since=since), {}, NOW, frozenset())
        assert isinstance(begun, Put)
        assert begun.row.began_at == NOW, "nobody knows since when, or a clock is ahead"


def test_what_stands_is_left_alone_and_another_cause_is_a_row_of_its_own() -> None:
    assert recorded(7, holding(), {"hot": row()}, NOW, frozenset()) == []
    (begun,) = recorded(7, holding() | holding("disk"), {"hot": row()}, NOW, frozenset())
    assert isinstance(begun, Put)
    assert begun.row.cause == "disk"


def test_it_is_over_when_it_is_not_seen_unless_nobody_can_see_it() -> None:
    (ended,) = recorded(7, {}, {"hot": row()}, NOW, frozenset())
    assert isinstance(ended, Patch)
    assert (ended.key, ended.values) == (4, {"ended_at": NOW})
    assert recorded(7, {}, {"hot": row()}, NOW, frozenset({"hot"})) == []
    (ended,) = recorded(7, {}, {"hot": row(began_at=NOW + HOUR)}, NOW, frozenset())
    assert isinstance(ended, Patch)
    assert ended.values == {"ended_at": NOW + HOUR}, "never before its beginning"


def test_those_that_went_together_are_known_by_their_moment_once_one_is_back() -> None:
    back = row("offline", ended_at=NOW)
    near, far = (row("offline", rvm_id=8, began_at=NOW - HOUR + timedelta(seconds=s)) for s in (30, 31))
    assert gone_with(back, [near, None, far], timedelta(seconds=30)) == [near]
    assert gone_with(row("hot", ended_at=NOW), [near], timedelta(seconds=30)) == []
