"""The rules of a machine's status, by tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.status.rules import (
    Before,
    IllegalStatusError,
    MachineState,
    RefusedError,
    changed_by_command,
    declared,
    given_back,
    now_busy,
    report,
)
from protocol.commands import SetStatus

BEFORE = MachineState(status="active", capacity=30, special_status="error", reason="jam", since="t0", seq=4)


def test_a_command_replaces_the_status_and_ends_a_special_one_it_does_not_repeat() -> None:
    after = changed_by_command(BEFORE, SetStatus(status="full", reason="bin"), "t1")
    assert (after.status, after.special_status, after.reason, after.capacity) == ("full", None, "bin", 30)
    assert (after.since, after.seq) == ("t1", 4)


def test_the_same_status_again_keeps_its_since() -> None:
    assert changed_by_command(BEFORE, SetStatus(status="active", capacity=10), "t1").since == "t0"


def test_the_special_status_overrides_while_it_lasts() -> None:
    assert BEFORE.effective_status == "error"
    assert changed_by_command(BEFORE, SetStatus(status="active"), "t1").effective_status == "active"


def test_a_declaration_keeps_what_it_does_not_mention_and_is_numbered() -> None:
    after = declared(BEFORE, "t1", capacity=90)
    assert (after.status, after.capacity, after.seq) == ("active", 90, 5)
    said = report(after)
    assert (said.status, said.capacity, said.seq) == ("active", 90, 5)


@pytest.mark.parametrize(
    ("wrong", "fix"),
    [
        ({"status": "asleep"}, "status: one of active, .*maintenance"),
        ({"special_status": "full"}, "special_status: one of error, .*maintenance"),
        ({"capacity": 101}, "capacity: 0 to 100"),
        ({"capacity": -1}, "capacity: 0 to 100"),
        ({"reason": "x" * 501}, "reason: at most 500"),
    ],
)
def test_what_is_not_legal_is_refused_with_what_would_be(wrong: dict[str, object], fix: str) -> None:
    with pytest.raises(IllegalStatusError, match=f"^{fix}") as refused:
        declared(BEFORE, "t1", **wrong)  # type: ignore[arg-type]
    assert refused.value.code == f"illegal_{next(iter(wrong))}"


# --- for a while ----------------------------------------------------------------------------------------------------

UNTIL = "2026-11-23T14:00:00Z"
AT_EASE = MachineState(status="active", capacity=30, since="t0", seq=4)


def for_a_while(state: MachineState = AT_EASE, **wanted: Any) -> MachineState:
    return changed_by_command(state, SetStatus(until=UNTIL, **wanted), "t1")


def test_what_was_before_is_given_back_and_reported() -> None:
    held = for_a_while(status="maintenance", reason="belt")
    assert (held.until, held.before) == (UNTIL, Before(status="active"))
    back = given_back(held, "t2")
    assert (back.status, back.special_status, back.reason) == ("active", None, None)
    assert (back.until, back.before) == (None, None)
    assert (back.capacity, back.seq, back.since) == (30, 5, "t2")
    assert report(back).until is None
    assert report(held).until == UNTIL


def test_a_second_while_gives_back_what_was_before_the_first() -> None:
    first = for_a_while(status="maintenance")
    second = changed_by_command(first, SetStatus(status="error", until="2026-11-23T15:00:00Z"), "t2")
    assert given_back(second, "t3").status == "active"
    assert changed_by_command(first, SetStatus(status="error"), "t2").until is None


def test_a_declaration_of_the_machine_keeps_what_a_command_set_for_a_while() -> None:
    held = for_a_while(status="active", special_status="maintenance", reason="belt")
    after = declared(held, "t2", capacity=55)
    assert (after.special_status, after.until, after.reason, after.capacity) == ("maintenance", UNTIL, "belt", 55)
    full = declared(held, "t2", status="full", capacity=100)
    assert (full.effective_status, full.until) == ("maintenance", UNTIL)
    back = given_back(full, "t3")
    assert (back.status, back.special_status) == ("full", None), "what the machine became meanwhile is not taken away"


def test_what_the_machine_names_itself_ends_what_a_command_set() -> None:
    held = for_a_while(status="maintenance")
    assert declared(held, "t2", status="full").until is None, "nothing is left to give back"
    special = for_a_while(status="active", special_status="maintenance")
    ended = declared(special, "t2", special_status=None)
    assert (ended.effective_status, ended.until, ended.before) == ("active", None, None)
    assert declared(special, "t2", until=None).until is None
    later = declared(special, "t2", until="2026-11-23T16:00:00Z")
    assert (later.until, later.before) == ("2026-11-23T16:00:00Z", Before(status="active"))


def test_a_reason_stays_as_long_as_what_it_explains() -> None:
    assert declared(BEFORE, "t1", capacity=1).reason == "jam"
    assert declared(BEFORE, "t1", status="full").reason == "jam", "the special status still holds"
    assert declared(BEFORE, "t1", special_status=None).reason is None
    assert declared(BEFORE, "t1", reason=None).reason is None


def test_a_full_machine_may_not_be_called_active_and_an_empty_one_not_full() -> None:
    with pytest.raises(RefusedError, match="empty it"):
        changed_by_command(AT_EASE, SetStatus(status="active", capacity=100), "t1")
    with pytest.raises(IllegalStatusError, match="empty it"):
        declared(MachineState(capacity=100, status="full"), "t1", status="active")
    with pytest.raises(IllegalStatusError, match="not full"):
        declared(MachineState(capacity=0), "t1", status="full")
    assert declared(MachineState(), "t1", capacity=100).capacity == 100, "a reading alone is never refused"


def test_what_is_given_back_is_what_the_machine_may_be_by_then() -> None:
    filled = declared(for_a_while(status="maintenance"), "t2", capacity=100)
    assert given_back(filled, "t3").status == "full"


def test_a_return_session_changes_nothing_else() -> None:
    held = for_a_while(status="maintenance")
    busy = now_busy(held, True)
    assert (busy.busy, busy.seq, busy.until, busy.status) == (True, 5, UNTIL, "maintenance")
    assert report(busy).busy is True
    assert declared(busy, "t2", capacity=3).busy
    assert given_back(busy, "t2").busy


STATUS = st.sampled_from(["active", "maintenance", "full", "error"])
SPECIAL = st.sampled_from([None, "maintenance", "error"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("command"), STATUS, SPECIAL, st.booleans()),
        st.tuples(st.just("declare"), STATUS, SPECIAL, st.booleans()),
        st.tuples(st.just("back"), STATUS, SPECIAL, st.booleans()),
    )
)


@given(STEPS)
def test_an_end_always_has_something_to_give_back_and_the_numbers_never_fall(steps: list[Any]) -> None:
    state = MachineState()
    for kind, status, special, flag in steps:
        seq = state.seq
        if kind == "command":
            wanted = SetStatus(status=status, special_status=special, until=UNTIL if flag else None)
            state = changed_by_command(state, wanted, "t")
        elif kind == "declare":
            state = declared(state, "t", status=status, special_status=special) if flag else declared(state, "t")
        elif state.until is not None:
            state = given_back(state, "t")
            assert state.until is None
        assert (state.until is None) == (state.before is None)
        assert state.seq >= seq
