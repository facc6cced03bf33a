"""A pin beats a guess, a guess beats the default, and a look-up that fails undoes nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.timezone.rules import (
    MAX_ANSWER_BYTES,
    FoundZone,
    NoAnswerError,
    SyncTrouble,
    ZoneChoice,
    choose,
    described,
    lost,
    read_answer,
)
from protocol.limits import MAX_TEXT
from protocol.messages import Failure, TimezoneReport
from protocol.zones import is_zone

JAKARTA, MAKASSAR, JAYAPURA = "Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura"
NOW = "2026-11-23T09:00:00Z"


@pytest.mark.parametrize(
    ("pin", "found", "before", "choice"),
    [
        (MAKASSAR, None, None, (MAKASSAR, "pinned", None)),
        (MAKASSAR, MAKASSAR, None, (MAKASSAR, "pinned", None)),
        (MAKASSAR, JAKARTA, None, (MAKASSAR, "pinned", JAKARTA)),
        ("", JAYAPURA, MAKASSAR, (JAYAPURA, "lookup", None)),
        (MAKASSAR, None, JAYAPURA, (MAKASSAR, "pinned", None)),
        ("", None, None, (JAKARTA, "default", None)),
        ("", None, MAKASSAR, (MAKASSAR, "kept", None)),
        ("", None, "Gone/Away", (JAKARTA, "default", None)),
    ],
)
def test_the_order(pin: str, found: str | None, before: str | None, choice: tuple[Any, ...]) -> None:
    answer, earlier = (None if zone is None else FoundZone(timezone=zone) for zone in (found, before))
    made = choose(pin, answer, earlier, JAKARTA)
    assert made == ZoneChoice(timezone=choice[0], source=choice[1], guess=choice[2])


def test_the_place_of_an_earlier_look_up_stands_until_a_newer_one_answers() -> None:
    before = FoundZone(timezone=MAKASSAR, country="Indonesia", city="Makassar", ip="203.0.113.9")
    choice = choose("", None, before, JAKARTA)
    assert described(choice, None, before, NOW, "manual").city == "Makassar"
    found = FoundZone(timezone=JAYAPURA, country="Indonesia", city=None)
    assert described(choice, found, before, NOW, "manual").city is None


def test_a_failed_look_up_is_shown_first_and_what_could_not_be_set_after_it() -> None:
    choice = choose("", None, None, JAKARTA)
    why = lost(choice, NoAnswerError("http://a: HTTP 500", "http://b: " + "x" * 500))
    denied = Failure(code="not_permitted", message="not permitted: install the helper")
    both = SyncTrouble(lookup=why, setting=denied).failure(done=False)
    assert both is not None
    assert (both.code, len(both.message) <= MAX_TEXT) == ("lookup_failed", True)
    assert both.message.startswith("no look-up answered (http://a: HTTP 500; http://b: xxx")
    assert both.message.endswith("Asia/Jakarta, the default, is wanted; not permitted: install the helper")
    assert SyncTrouble(setting=denied).failure(done=False) == denied
    assert SyncTrouble(setting=denied).failure(done=True) is None
    alone = SyncTrouble(lookup=why, setting=denied).failure(done=True)
    assert alone is not None
    assert alone.message == why, "set meanwhile, by somebody else"


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
        made = described(choose("", found, None, JAKARTA), found, None, NOW, "automatic")
        assert msgspec.json.decode(msgspec.json.encode(made), type=TimezoneReport) == made


def test_an_address_that_is_none_costs_only_itself() -> None:
    payload = b'{"status":"success","timezone":"Asia/Jakarta","query":"; reboot"}'
    assert read_answer(payload) == FoundZone(timezone=JAKARTA)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b" " * (MAX_ANSWER_BYTES + 1), "longer than 64 KiB"),
        (b'{"status": "fail", "message": "reserved range"}', "knows no place for this address: reserved range"),
        (b'{"status": "fail", "message": "\\u0007"}', "knows no place for this address"),
    ],
)
def test_an_answer_that_names_no_zone_says_why(payload: bytes, why: str) -> None:
    with pytest.raises(NoAnswerError, match=f"{why}$"):
        read_answer(payload)


def test_the_reasons_of_several_addresses_are_one_sentence() -> None:
    assert str(NoAnswerError("no route", "timed out")) == "no route; timed out"
