"""The rules of a machine's status, by tables."""

from __future__ import annotations

import pytest

from device.core.machine_state import IllegalStatusError, MachineState, changed_by_command, declared, report
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
    "wrong",
    [{"status": "asleep"}, {"special_status": "full"}, {"capacity": 101}, {"capacity": -1}, {"reason": "x" * 501}],
)
def test_what_is_not_legal_is_refused_with_the_legal_ones(wrong: dict[str, object]) -> None:
    with pytest.raises(IllegalStatusError, match="maintenance"):
        declared(BEFORE, "t1", **wrong)  # type: ignore[arg-type]
