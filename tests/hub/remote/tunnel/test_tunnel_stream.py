"""hub/remote/tunnel/tunnel.py: what the user of a stream meets when it ends, breaks or is flooded."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from hub.remote.tunnel.tunnel import SessionStream, TunnelError
from protocol.stream_frames import FrameType, StreamFrame, encode
from protocol.stream_limits import MAX_WAITING_CONTROLS
from tests.support.tunnel_room import Room


@pytest.fixture
def room() -> Room:
    return Room()


async def test_words_that_nobody_reads_are_bounded(room: Room) -> None:
    room.up()
    stream = await room.opened()
    for _ in range(2):
        for n in range(MAX_WAITING_CONTROLS):
            room.machine.control(stream.id, {"n": n})
        room.to_hub()
    with pytest.raises(TunnelError, match="too_many_words"):
        await stream.receive()
    assert await stream.controls() is None
    assert not stream.control({"late": True})


async def test_a_window_of_tiny_pieces_and_words_of_nothing_cost_the_hub_no_more_than_their_bytes(room: Room) -> None:
    room.up()
    stream, attachment = await room.opened(), room.attachment
    assert attachment is not None
    tracemalloc.start()
    try:
        for _ in range(20_000):
            attachment.receive(encode(StreamFrame(FrameType.DATA, stream.id, b"ab")))
        word = b'{"a":[' + b"[]," * 10_000 + b"[]]}"
        for _ in range(20):
            attachment.receive(encode(StreamFrame(FrameType.CONTROL, stream.id, word)))
        assert tracemalloc.get_traced_memory()[0] < 500_000
    finally:
        tracemalloc.stop()
    told = b""
    while len(told) < 40_000:
        told += await stream.receive()
    assert told == b"ab" * 20_000
    with pytest.raises(TunnelError, match="too_many_words"):
        await stream.receive()


async def test_a_stream_is_finished_once_however_often_it_is_reported(room: Room) -> None:
    room.up()
    stream = await room.opened()
    await stream.finish()
    await stream.finish()
    assert [type(event).__name__ for event in room.to_machine()] == ["Ended"]
    room.machine.end(stream.id)
    room.to_hub()
    stream.reset("closed")
    assert await stream.receive() == b""
    assert room.to_machine() == []


@pytest.mark.parametrize("code", ["x" * 41, "\u00e9" * 100, "a b", "\n", "A"])
async def test_a_reason_that_no_column_and_no_socket_takes_is_not_handed_on(room: Room, code: str) -> None:
    room.up()
    stream = await room.opened()
    room.machine.reset(stream.id, code, "why")
    room.to_hub()
    with pytest.raises(TunnelError, match="internal: why"):
        await stream.receive()


USES: list[Callable[[SessionStream], object]] = [lambda s: s.reset("again"), lambda s: s.control({})]


@pytest.mark.parametrize("use", USES)
async def test_a_stream_that_is_over_takes_late_words_calmly(
    room: Room, use: Callable[[SessionStream], object]
) -> None:
    room.up()
    stream = await room.opened()
    room.machine.send(stream.id, b"last words")
    room.to_hub()
    room.machine.reset(stream.id, "crashed", "segfault")
    room.to_hub()
    use(stream)
    assert await stream.receive() == b"last words"
    with pytest.raises(TunnelError, match="crashed: segfault"):
        await stream.receive()
    with pytest.raises(TunnelError, match="crashed"):
        await stream.finish()
    assert await stream.controls() is None
