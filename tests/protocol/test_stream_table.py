"""protocol/stream_table.py: the table has no way back and no way out of RESET."""

from __future__ import annotations

from protocol.stream_frames import FrameType
from protocol.stream_table import FOLLOWING, ONLY, OVER, Side
from protocol.transitions import Role

ORDER = list(Side)


def test_a_side_never_goes_back() -> None:
    for (side, _), following in FOLLOWING.items():
        assert ORDER.index(following) >= ORDER.index(side)


def test_a_reset_is_possible_until_there_was_one_and_nothing_after_it() -> None:
    assert {side for side, kind in FOLLOWING if kind is FrameType.RESET} == set(Side) - {Side.RESET}
    assert not [kind for side, kind in FOLLOWING if side is Side.RESET]


def test_only_one_who_has_not_ended_sends_data() -> None:
    assert [side for side, kind in FOLLOWING if kind is FrameType.DATA] == [Side.OPEN]
    assert Side.OPEN not in OVER


def test_the_hub_asks_and_the_machine_accepts() -> None:
    assert ONLY == {FrameType.OPEN: Role.HUB, FrameType.ACCEPT: Role.MACHINE}
