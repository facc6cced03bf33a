"""A pin beats a guess, a guess beats the default, and a look-up that fails undoes nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.core.timezone_choice import Choice, Found, NoAnswerError, choose, described, read_answer
from protocol.messages import TimezoneReport, ZoneSource
from protocol.zones import is_zone

JAKARTA, MAKASSAR, JAYAPURA = "Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura"
NOW = "2026-11-23T09:00:00Z"


def report(zone: str, source: ZoneSource | None, **more: Any) -> TimezoneReport:
    return TimezoneReport(timezone=zone, timestamp=NOW, sync_method="automatic", source=source, **more)


@pytest.mark.parametrize(
    ("pin", "found", "before", "choice"),
    [
        (MAKASSAR, None, None, (MAKASSAR, "pinned", None)),
        (MAKASSAR, MAKASSAR, None, (MAKASSAR, "pinned", None)),
        (MAKASSAR, JAKARTA, None, (MAKASSAR, "pinned", JAKARTA)),
        ("", JAYAPURA, report(MAKASSAR, "lookup"), (JAYAPURA, "lookup", None)),
        ("", None, None, (JAKARTA, "default", None)),
        ("", None, report(MAKASSAR, "lookup"), (MAKASSAR, "lookup", None)),
        ("", None, report(MAKASSAR, "pinned"), (MAKASSAR, "pinned", None)),
        ("", None, report(MAKASSAR, "default"), (JAKARTA, "default", None)),
        ("", None, report(MAKASSAR, None), (JAKARTA, "default", None)),
        ("", None, report("Gone/Away", "lookup"), (JAKARTA, "default", None)),
    ],
)
def test_the_order(pin: str, found: str | None, before: TimezoneReport | None, choice: tuple[Any, ...]) -> None:
    made = choose(pin, None if found is None else Found(timezone=found), before, JAKARTA)
    assert made == Choice(timezone=choice[0], source=choice[1], guess=choice[2])


def test_the_place_of_an_earlier_look_up_stands_until_a_newer_one_answers() -> None:
    before = report(MAKASSAR, "lookup", country="Indonesia", city="Makassar", ip="203.0.113.9")
    choice = choose("", None, before, JAKARTA)
    assert described(choice, None, before, NOW, "manual", None).city == "Makassar"
    found = Found(timezone=JAYAPURA, country="Indonesia", city=None)
    assert described(choice, found, before, NOW, "manual", None).city is None


@given(st.binary(max_size=300))
def test_no_bytes_make_it_stumble(payload: bytes) -> None:
    try:
        found = read_answer(payload)
    except NoAnswerError:
        return
    assert is_zone(found.timezone)


@given(st.fixed_dictionaries({"timezone": st.text(), "city": st.text(), "country": st.text(), "query": st.text()}))
def test_whatever_it_takes_fits_into_a_report(members: dict[str, str]) -> None:
    for zone in (members["timezone"], JAKARTA):
        payload = msgspec.json.encode({"status": "success", **members, "timezone": zone})
        try:
            found = read_answer(payload)
        except NoAnswerError:
            continue
        made = described(choose("", found, None, JAKARTA), found, None, NOW, "automatic", None)
        assert msgspec.json.decode(msgspec.json.encode(made), type=TimezoneReport) == made


def test_an_address_that_is_none_costs_only_itself() -> None:
    payload = b'{"status":"success","timezone":"Asia/Jakarta","query":"; reboot"}'
    assert read_answer(payload) == Found(timezone=JAKARTA)
