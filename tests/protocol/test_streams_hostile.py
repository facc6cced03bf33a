"""protocol/streams.py against a peer that keeps no rule: it is told StreamProtocolError and nothing else (bar 51)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import stream_limits as limits
from protocol.errors import CloseCode
from protocol.stream_frames import FrameType, StreamFrame, encode
from protocol.streams import Role, StreamProtocolError, Streams
from tests.protocol.stream_pair import Pair

T = FrameType


def frame(kind: FrameType, stream: int, payload: bytes = b"") -> bytes:
    return encode(StreamFrame(kind, stream, payload))


def number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "big")


# Stream 1 is open at both ends, 2 was opened and not accepted, 3 is closed at both ends and everybody knows it.
FROM_MACHINE = {
    "data for a stream that was never opened": frame(T.DATA, 4, b"x"),
    "data for a huge stream": frame(T.DATA, 2**32 - 1, b"x"),
    "an end of a huge stream": frame(T.END, 2**31),
    "data for a closed stream": frame(T.DATA, 3, b"x"),
    "a window for a closed stream": frame(T.WINDOW, 3, number(1)),
    "a reset of a closed stream": frame(T.RESET, 3, b'{"code":"x"}'),
    "data before it accepted": frame(T.DATA, 2, b"x"),
    "an end before it accepted": frame(T.END, 2),
    "a second acceptance": frame(T.ACCEPT, 1, b"{}"),
    "an opening": frame(T.OPEN, 4, b'{"kind":"terminal"}'),
    "a window of nothing": frame(T.WINDOW, 1, number(0)),
    "more window than there is": frame(T.WINDOW, 1, number(1)),
    "a window that overflows": frame(T.WINDOW, 1, number(2**32 - 1)),
    "a window of three bytes": frame(T.WINDOW, 1, b"abc"),
    "data without bytes": frame(T.DATA, 1),
    "an end with bytes": frame(T.END, 1, b"x"),
    "a word that is no object": frame(T.CONTROL, 1, b"[1]"),
    "a word that is no JSON": frame(T.CONTROL, 1, b"\xff{"),
    "a word that is NaN": frame(T.CONTROL, 1, b'{"a":NaN}'),
    "a word nested deep": frame(T.CONTROL, 1, b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
    "a word nested too deep": frame(T.CONTROL, 1, b'{"a":' + b"[" * 40 + b"]" * 40 + b"}"),
    "a word with NUL": frame(T.CONTROL, 1, b'{"a":"\\u0000"}'),
    "a reset without a code": frame(T.RESET, 1, b"{}"),
    "a reset with NUL": frame(T.RESET, 1, b'{"code":"x","message":"\\u0000"}'),
    "an acknowledgement of what was not sent": frame(T.ACK, 0, number(1_000, 8)),
    "an acknowledgement that goes back": frame(T.ACK, 0, number(0, 8)),
    "an acknowledgement of a stream": bytes([8, 0, 0, 0, 1]) + number(1, 8),
    "a frame of stream 0": bytes([3, 0, 0, 0, 0, 65]),
    "an unknown type": bytes([9, 0, 0, 0, 1]),
    "too little": b"\x03\x00",
    "nothing": b"",
    "too much": frame(T.DATA, 1, bytes(limits.MAX_PAYLOAD + 1)),
}


def scene() -> Pair:
    pair = Pair()
    pair.opened()
    pair.hub.open("port", {})
    pair.flow()
    closed = pair.hub.open("port", {})
    pair.flow()
    pair.machine.accept(closed, {})
    pair.flow()
    pair.hub.end(closed)
    pair.machine.end(closed)
    pair.settle()
    return pair


@pytest.mark.parametrize("data", FROM_MACHINE.values(), ids=FROM_MACHINE)
def test_a_machine_that_keeps_no_rule_is_answered_with_it(data: bytes) -> None:
    with pytest.raises(StreamProtocolError) as broken:
        scene().hub.receive(data)
    assert broken.value.close is CloseCode.PROTOCOL_ERROR


FROM_HUB = {
    "an opening that skips": frame(T.OPEN, 5, b'{"kind":"port"}'),
    "an opening again": frame(T.OPEN, 3, b'{"kind":"port"}'),
    "an opening without a kind": frame(T.OPEN, 4, b"{}"),
    "an acceptance": frame(T.ACCEPT, 1, b"{}"),
    "data before the acceptance": frame(T.DATA, 2, b"x"),
}


@pytest.mark.parametrize("data", FROM_HUB.values(), ids=FROM_HUB)
def test_a_hub_that_keeps_no_rule_is_answered_with_it(data: bytes) -> None:
    with pytest.raises(StreamProtocolError):
        scene().machine.receive(data)


def test_a_second_end_and_data_behind_an_end_are_mistakes() -> None:
    for late in (frame(T.END, 1), frame(T.DATA, 1, b"x")):
        pair = scene()
        pair.hub.receive(frame(T.END, 1))
        with pytest.raises(StreamProtocolError, match="ended"):
            pair.hub.receive(late)


def test_data_over_the_window_is_a_mistake() -> None:
    pair = scene()
    for _ in range(limits.WINDOW // limits.MAX_PAYLOAD):
        pair.hub.receive(frame(T.DATA, 1, bytes(limits.MAX_PAYLOAD)))
    with pytest.raises(StreamProtocolError, match="window"):
        pair.hub.receive(frame(T.DATA, 1, b"x"))


def test_a_65th_stream_is_a_mistake() -> None:
    machine = Streams(Role.MACHINE)
    for stream in range(1, limits.MAX_STREAMS + 1):
        machine.receive(frame(T.OPEN, stream, b'{"kind":"port"}'))
    with pytest.raises(StreamProtocolError, match="64"):
        machine.receive(frame(T.OPEN, limits.MAX_STREAMS + 1, b'{"kind":"port"}'))


FRAMES = st.builds(
    lambda kind, stream, payload: bytes([kind]) + stream.to_bytes(4, "big") + payload,
    st.integers(0, 9),
    st.sampled_from([0, 1, 2, 3, 4, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1),
    st.binary(max_size=20) | st.sampled_from([b"{}", b'{"code":"x"}', b'{"kind":"port"}', number(1), number(5, 8)]),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(Role), st.lists(FRAMES | st.binary(max_size=40), max_size=8))
def test_whatever_comes_there_is_one_kind_of_answer(role: Role, received: list[bytes]) -> None:
    pair = scene()
    other = scene()
    end = pair.end(role)
    with contextlib.suppress(StreamProtocolError):
        for data in received:
            end.receive(data)
            end.to_send()
    other.hub.send(1, b"untouched")
    assert other.flow()[1]
