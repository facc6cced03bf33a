"""What a terminal has shown lately: positions, what is kept, and when there is room for more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as some

from hub.remote.terminal.terminal import OutputRing


def test_the_newest_bytes_are_kept_and_counted_from_the_beginning() -> None:
    ring = OutputRing(8)
    ring.append(b"01234567")
    ring.append(b"89")
    assert (ring.total, ring.first) == (10, 2)
    assert ring.since(4, 100) == b"456789"
    assert ring.since(4, 3) == b"456"
    assert ring.since(10, 100) == b""


def test_a_position_that_is_kept_no_more_begins_at_the_oldest_byte() -> None:
    ring = OutputRing(4)
    ring.append(b"0123456789")
    assert ring.since(0, 100) == b"6789"
    ring.take(1)
    assert ring.taken == 6


def test_whoever_fills_it_has_room_until_the_reader_is_a_ring_behind() -> None:
    ring = OutputRing(4)
    ring.append(b"0123")
    assert ring.room == 0
    ring.take(3)
    assert ring.room == 3
    ring.take(99)
    assert (ring.taken, ring.room) == (4, 4), "nobody has what was not shown"
    ring.take(2)
    assert ring.room == 2, "a reader that lost something goes back"


async def test_who_waits_is_woken_from_both_sides() -> None:
    ring = OutputRing(4)
    moves: list[Callable[[], None]] = [lambda: ring.append(b"x"), lambda: ring.take(1)]
    for move in moves:
        waiting = asyncio.ensure_future(ring.moved())
        await asyncio.sleep(0)
        assert not waiting.done()
        move()
        await asyncio.wait_for(waiting, 60)


@given(some.binary(max_size=200), some.integers(1, 16), some.integers(1, 20))
def test_a_reader_that_takes_what_there_is_misses_nothing(shown: bytes, size: int, most: int) -> None:
    ring, read = OutputRing(size), b""
    while len(read) < len(shown):
        ring.append(shown[ring.total : ring.total + ring.room])
        read += ring.since(len(read), most)
        ring.take(len(read))
    assert read == shown
