"""protocol/stream.py: what the ends of one stream may say in the order in which it can cross on the wire."""

from __future__ import annotations

from protocol import stream_limits as limits
from protocol.stream import Stream
from protocol.stream_frames import FrameType, StreamFrame
from protocol.stream_table import Side
from tests.protocol.stream_pair import Pair


def test_an_acceptance_that_crosses_with_a_reset_opens_nothing() -> None:
    pair = Pair()
    stream = pair.hub.open("port", {})
    pair.flow()
    pair.machine.accept(stream, {})
    pair.hub.reset(stream, "timeout")
    hub, _ = pair.flow()
    assert hub == []
    assert pair.hub.open_count == pair.machine.open_count == 0


def test_room_is_taken_when_bytes_are_handed_over_and_comes_back_by_grants() -> None:
    stream = Stream(1)
    stream.own_side = stream.peer_side = Side.OPEN
    assert stream.take(bytes(limits.WINDOW + 1)) == limits.WINDOW
    assert stream.take(b"x") == 0
    while stream.pending:
        assert len(stream.next_piece()) == limits.PIECE
    stream.receive(StreamFrame(FrameType.WINDOW, 1, (5).to_bytes(4, "big")))
    assert stream.take(b"123456") == 5


def test_grants_come_in_steps() -> None:
    stream = Stream(1)
    stream.own_side = stream.peer_side = Side.OPEN
    stream.receive(StreamFrame(FrameType.DATA, 1, bytes(limits.MAX_PAYLOAD)))
    stream.receive(StreamFrame(FrameType.DATA, 1, bytes(limits.MAX_PAYLOAD)))
    assert stream.grant(limits.GRANT_FROM - 1) == 0
    assert stream.grant(1) == limits.GRANT_FROM
    assert stream.unread == 0
