"""Machines that went together."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.outage import MANY, TOGETHER_MS, Gone, Outage, at_once, gone_of, outages
from dashboard.trouble import MachineTrouble
from tests.dashboard.trouble_cases import MACHINE, NOW

SITES = {"Pasar Baru": 5, "Kampus": 16}


def gone(*since: int, site: str = "Kampus", first: int = 1) -> list[Gone]:
    return [Gone(at, first + number, site) for number, at in enumerate(since)]


def test_many_at_once_are_one_line_and_fewer_are_none() -> None:
    apart = TOGETHER_MS
    assert outages(gone(NOW, NOW + apart, NOW + 2 * apart), SITES) == [Outage((1, 2, 3), 16, "Kampus", NOW)]
    assert outages(gone(NOW, NOW + apart, NOW + 2 * apart + 1), SITES) == []
    assert outages(gone(*[NOW] * (MANY - 1)), SITES) == []
    assert outages([], SITES) == []


def test_of_several_sites_all_machines_count_and_the_greatest_comes_first() -> None:
    one = gone(NOW, NOW, NOW)
    other = [*gone(*[NOW + 200_000] * 3, first=10), *gone(NOW + 200_000, site="Pasar Baru", first=20)]
    assert outages([*one, *other], SITES) == [
        Outage((10, 11, 12, 20), 21, "", NOW + 200_000),
        Outage((1, 2, 3), 16, "Kampus", NOW),
    ]


def test_machines_without_a_site_are_of_no_site() -> None:
    assert outages(gone(NOW, NOW, NOW, site=""), {"": 4}) == [Outage((1, 2, 3), 4, "", NOW)]


@pytest.mark.parametrize(
    ("members", "since"),
    [
        ({}, NOW - 5), ({"connection": "live"}, None), ({"connection": "never"}, None),
        ({"effective_status": "maintenance"}, None), ({"connection_reason": "shutdown"}, None),
        ({"connection_reason": "reboot"}, None), ({"connection_reason": "quarantined"}, None),
        ({"connection_since": None}, NOW - 9), ({"connection_since": None, "last_seen_at": None}, None),
        ({"effective_status": "full", "location_description": "Kampus"}, NOW - 5),
    ],
)  # fmt: skip
def test_who_was_not_expected_to_go(members: dict[str, Any], since: int | None) -> None:
    away = {"connection": "offline", "connection_since": NOW - 5, "last_seen_at": NOW - 9}
    view = MACHINE | away | members
    wanted = None if since is None else Gone(since, 1, view["location_description"] or "")
    assert gone_of(view, NOW) == wanted


def test_those_of_an_outage_are_trouble_at_once() -> None:
    found = [Outage((1, 2, 3), 4, "", NOW)]
    assert at_once(found, {2}) == [MachineTrouble(1, "offline", None, NOW), MachineTrouble(3, "offline", None, NOW)]
