"""protocol/stream_log.py: numbers, what is kept, what is repeated."""

from __future__ import annotations

import pytest

from protocol.stream_frames import StreamProtocolError
from protocol.stream_limits import FRAME_COST, MAX_KEPT_BYTES
from protocol.stream_log import StreamLog


def filled(count: int) -> StreamLog:
    log = StreamLog()
    assert [log.add(bytes([n])) for n in range(count)] == list(range(1, count + 1))
    return log


def repeated(log: StreamLog) -> list[bytes]:
    out = []
    while log.repeating:
        out.append(log.next_repeat())
    return out


def test_what_the_peer_has_not_taken_is_repeated_in_order() -> None:
    log = filled(5)
    log.repeat_from(2)
    assert repeated(log) == [b"\x02", b"\x03", b"\x04"]
    assert log.add(b"new") == 6
    log.repeat_from(4)
    assert repeated(log) == [b"\x04", b"new"]


def test_an_acknowledgement_in_the_middle_of_a_repetition_shortens_it() -> None:
    log = filled(5)
    log.repeat_from(0)
    log.next_repeat()
    log.acknowledged(4)
    assert repeated(log) == [b"\x04"]


@pytest.mark.parametrize("count", [1, 6])
def test_a_count_that_cannot_be_is_refused(count: int) -> None:
    log = filled(5)
    log.acknowledged(2)
    with pytest.raises(StreamProtocolError):
        log.acknowledged(count)


def test_small_frames_fill_it_too() -> None:
    log = filled(0)
    while not log.full:
        log.add(b"")
    assert log.sent == MAX_KEPT_BYTES // FRAME_COST
    log.acknowledged(1)
    assert not log.full
