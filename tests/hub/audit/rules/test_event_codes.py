"""The table of codes holds every code the product can record, and what its events have."""

from __future__ import annotations

from hub.audit.rules import CODES, KINDS, OF_MACHINES, lacking
from tests.support.recorded_codes import codes_in_the_source


def test_every_code_in_the_source_is_in_the_table_and_the_other_way_round() -> None:
    found = codes_in_the_source()
    assert {code: places for code, places in found.items() if code not in CODES} == {}
    assert set(CODES) - set(found) == set(), "codes that nothing records"


def test_kinds_are_what_stands_before_the_dot() -> None:
    assert set(OF_MACHINES) < set(KINDS)
    assert set(KINDS) - set(OF_MACHINES) == {"enrolment", "user", "view", "notification", "token", "sign_in", "hub"}


def test_what_an_event_lacks_is_named() -> None:
    assert lacking("no.such", {}, None, None) == ["code"]
    assert lacking("status.changed", {}, {}, None) == ["after"]
    assert lacking("token.created", {"name": "x"}, None, None) == ["prefix"]
    assert lacking("sign_in.signed_out", {}, None, None) == []
