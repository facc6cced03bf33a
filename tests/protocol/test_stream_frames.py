"""protocol/stream_frames.py: the layout, byte by byte, as docs/protocol.md says it."""

from __future__ import annotations

import pytest

from protocol import stream_frames as frames
from protocol.errors import LocalProtocolError
from protocol.stream_frames import MEANING, FrameType, StreamFrame
from protocol.stream_limits import MAX_PAYLOAD


def test_the_layout_is_what_other_programs_expect() -> None:
    assert frames.encode(StreamFrame(FrameType.DATA, 258, b"hi")) == b"\x03\x00\x00\x01\x02hi"
    assert frames.decode(b"\x05\x00\x00\x00\x07") == StreamFrame(FrameType.END, 7)
    assert frames.encode(StreamFrame(FrameType.ACK, 0, frames.pack_count(3))) == b"\x08" + bytes(11) + b"\x03"
    assert frames.encode(StreamFrame(FrameType.WINDOW, 1, frames.pack_grant(65536))) == b"\x04\0\0\0\x01\0\x01\0\0"


@pytest.mark.parametrize("kind", FrameType)
def test_every_type_has_its_row_and_survives_the_wire(kind: FrameType) -> None:
    assert kind in MEANING
    payload = {FrameType.END: b""}.get(kind, b"{}")
    frame = StreamFrame(kind, 0 if kind is FrameType.ACK else 2**32 - 1, payload)
    assert frames.decode(frames.encode(frame)) == frame


def test_payloads_of_json_and_numbers_come_back() -> None:
    assert frames.request_in(b'{"kind":"port","args":{"port":5000}}').args == {"port": 5000}
    assert frames.refusal_in(b'{"code":"no_shell"}').message == ""
    assert frames.object_in(frames.pack({"exit": 0})) == {"exit": 0}
    assert frames.grant_in(frames.pack_grant(7)) == 7
    assert frames.count_in(frames.pack_count(2**40)) == 2**40


def test_a_payload_of_ours_that_is_too_big_is_our_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        frames.pack("x" * MAX_PAYLOAD)
