"""The bytes a load sends are frames and messages a server accepts, and what comes back is taken apart right."""

from __future__ import annotations

import json
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol, State

from bench import frames
from bench.link import Link
from protocol import codec, limits
from protocol.messages import Metrics


def received(data: bytes) -> list[tuple[Opcode, bytes]]:
    """What a strict server makes of the bytes of a client."""
    server = Protocol(SERVER, state=State.OPEN, max_size=1 << 20)
    server.receive_data(data)
    assert server.parser_exc is None
    return [(each.opcode, bytes(each.data)) for each in server.events_received() if isinstance(each, Frame)]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_a_frame_of_any_size_is_one_a_server_reads(size: int) -> None:
    assert received(frames.client_frame(b"x" * size)) == [(Opcode.TEXT, b"x" * size)]


@given(st.lists(st.binary(max_size=70_000), max_size=4), st.data())
def test_frames_of_a_server_are_found_however_they_arrive(payloads: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(Frame(Opcode.TEXT, payload).serialize(mask=False) for payload in payloads)
    cut = data.draw(st.integers(0, len(stream)))
    first, rest = frames.take_frames(stream[:cut])
    second, left = frames.take_frames(rest + stream[cut:])
    assert [payload for _, payload in first + second] == payloads
    assert {opcode for opcode, _ in first + second} <= {frames.FIN | frames.TEXT}
    assert left == b""


def test_a_text_in_fragments_is_received_as_one() -> None:
    heard: list[bytes] = []
    link = Link("host", "/", "", "", "")
    link.transport = Mock()
    link.on_text = lambda _, payload: heard.append(payload)
    stream = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
    stream += Frame(Opcode.TEXT, b'{"type":', fin=False).serialize(mask=False)
    stream += Frame(Opcode.PING, b"?").serialize(mask=False)
    stream += Frame(Opcode.CONT, b'"delta"}').serialize(mask=False)
    for k in range(len(stream)):
        link.data_received(stream[k : k + 1])
    assert heard == [b'{"type":"delta"}']
    link.transport.write.assert_called_once_with(frames.client_frame(b"?", frames.PONG))


@pytest.mark.parametrize("samples", [1, 2, 100])
@pytest.mark.parametrize("machine", [0, 1, 199])
def test_metrics_frames_are_valid_and_grow_in_number_and_time(samples: int, machine: int) -> None:
    source = frames.MetricsFrames(machine, samples, 1_795_406_706)
    decoded = []
    for _ in range(3):
        ((_, payload),) = received(source.next())
        assert len(payload) <= limits.MAX_MESSAGE_BYTES
        one = codec.decode_from_machine(payload.decode())
        assert one.faults == ()
        decoded.append(one.message)
    assert [message.seq for message in decoded] == [samples, 2 * samples, 3 * samples]
    times = [sample.timestamp for message in decoded for sample in message.samples]
    assert len(set(times)) == len(times) == 3 * samples
    assert times == sorted(times)


def test_live_frames_say_so() -> None:
    ((_, payload),) = received(frames.MetricsFrames(1, 1, 0, live=True).next())
    message = codec.decode_from_machine(payload.decode()).message
    assert isinstance(message, Metrics)
    assert message.live
    assert json.loads(payload)["samples"][0]["timestamp"] == "1970-01-01T00:00:00.000Z"


def test_clock_text_is_the_calendars() -> None:
    assert frames.clock_text(951_782_399) == b"2000-02-28T23:59:59"
    assert frames.clock_text(951_782_400) == b"2000-02-29T00:00:00"
