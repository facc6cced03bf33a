"""When HTTP takes over, by a table of how attempts ended."""

from __future__ import annotations

import pytest

from device.link.rules import End, FallbackRules, Kind

UPGRADE = End(Kind.UPGRADE_FAILED, "HTTP 200")
CUT = End(Kind.CLOSED, "connection lost")


@pytest.mark.parametrize(
    ("ends", "wanted"),
    [
        ([UPGRADE] * 2, False),
        ([UPGRADE] * 3, True),
        ([UPGRADE, CUT, UPGRADE], True),
        ([End(Kind.UNREACHABLE, "refused")] * 9, False),
        ([End(Kind.REFUSED, "HTTP 401", 401)] * 9, False),
        ([UPGRADE, UPGRADE, End(Kind.REFUSED, "HTTP 503", 503), UPGRADE], False),
        ([End(Kind.CLOSED, "4409", 4409)] * 9, False),
        ([End(Kind.CLOSED, "lost", live_s=5.0)] * 9, False),
        ([UPGRADE, End(Kind.UNREACHABLE, "x"), UPGRADE, UPGRADE], True),
    ],
)
def test_only_upgrades_that_fail_in_a_row_call_for_http(ends: list[End], wanted: bool) -> None:
    rules = FallbackRules()
    for end in ends:
        rules.ended(end)
    assert rules.wanted is wanted


def test_a_link_that_goes_live_ends_it() -> None:
    rules = FallbackRules()
    for _ in range(5):
        rules.ended(UPGRADE)
    rules.went_live()
    assert not rules.wanted
