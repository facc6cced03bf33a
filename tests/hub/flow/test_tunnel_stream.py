"""hub/flow/tunnel_stream.py: what the user of a stream meets when it ends, breaks or is flooded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hub.flow.tunnel_error import TunnelError
from hub.flow.tunnel_stream import TunnelStream
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
    assert await stream.controls() == {"n": 0}
    with pytest.raises(TunnelError, match="too_many_words"):
        await stream.receive()
    assert not stream.control({"late": True})


async def test_a_stream_is_finished_once_however_often_it_is_said(room: Room) -> None:
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


USES: list[Callable[[TunnelStream], object]] = [lambda s: s.reset("again"), lambda s: s.control({})]


@pytest.mark.parametrize("use", USES)
async def test_a_stream_that_is_over_takes_late_words_calmly(room: Room, use: Callable[[TunnelStream], object]) -> None:
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
