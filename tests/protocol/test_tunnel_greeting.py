"""protocol/tunnel_greeting.py: the two text frames, and what is none of them."""

from __future__ import annotations

import pytest

from protocol.errors import CloseCode
from protocol.stream_frames import StreamProtocolError
from protocol.tunnel_greeting import MAX_GREETING, TunnelOpen, TunnelOpened, encode, read_open, read_opened


def test_both_greetings_survive_the_wire() -> None:
    for greeting in (TunnelOpen(session_id=7, ticket="abc"), TunnelOpen(session_id=7, resume="abc", received=12)):
        assert read_open(encode(greeting)) == greeting
    assert encode(TunnelOpen(session_id=7, ticket="abc")) == '{"type":"open","session_id":7,"ticket":"abc"}'
    opened = TunnelOpened(session_id=7, resume="abc", received=3, idle=900)
    assert read_opened(encode(opened)) == opened


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"type":"opened","session_id":7,"resume":"a","received":0,"idle":1}',
        '{"type":"open","session_id":7}',
        '{"type":"open","session_id":7,"ticket":"a","resume":"b"}',
        '{"type":"open","session_id":-1,"ticket":"a"}',
        '{"type":"open","session_id":7,"ticket":""}',
        '{"type":"open","session_id":7,"ticket":"\\u0000"}',
        '{"type":"open","session_id":7,"ticket":"\ud800"}',
        "[" * 3_000,
        '{"type":"open","session_id":7,"ticket":"a"}' + " " * MAX_GREETING,
    ],
)
def test_what_opens_no_tunnel_is_a_protocol_error(text: str) -> None:
    with pytest.raises(StreamProtocolError, match=r"greeting|ticket") as wrong:
        read_open(text)
    assert wrong.value.close is CloseCode.PROTOCOL_ERROR


def test_an_answer_that_is_none_is_a_protocol_error() -> None:
    with pytest.raises(StreamProtocolError):
        read_opened('{"type":"open","session_id":7,"ticket":"a"}')
