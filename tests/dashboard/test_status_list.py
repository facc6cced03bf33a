"""The status history as a list."""

from __future__ import annotations

from typing import Any

from dashboard.status_list import page, spells


def row(since: int, status: str, **members: Any) -> dict[str, Any]:
    return {
        "status": status,
        "special_status": None,
        "since": since,
        "by": "machine:1",
        "reason": None,
        "until": None,
    } | members


def test_a_fuller_bin_is_no_new_entry() -> None:
    found = spells([row(50, "full"), row(40, "active"), row(30, "active"), row(20, "active", reason="x")])
    assert [(one.status, one.since, one.ended) for one in found] == [
        ("full", 50, None),
        ("active", 30, 50),
        ("active", 20, 30),
    ]


def test_a_special_status_covers_and_the_hand_matters() -> None:
    found = spells(
        [
            row(9, "active", special_status="error", by="user:1", until=20),
            row(5, "active", by="user:1"),
            row(3, "active"),
        ]
    )
    assert [(one.status, one.covered, one.by, one.planned) for one in found] == [
        ("error", "active", "user:1", 20), ("active", None, "user:1", None), ("active", None, "machine:1", None),
    ]  # fmt: skip


def test_pages_follow_one_another_without_a_gap() -> None:
    rows = [row(at, ("active", "full")[at % 2]) for at in range(9, 0, -1)]
    first, mark = page(rows, 4, None, more=False)
    assert (len(first), mark) == (4, 6)
    rest, end = page([r for r in rows if r["since"] < 6], 10, mark, more=False)
    assert (rest[0].since, rest[0].ended, len(rest), end) == (5, 6, 5, None)
    assert page(rows, 20, None, more=True)[1] == 1
    assert page([], 20, None, more=False) == ([], None)
