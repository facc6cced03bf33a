"""protocol/streams.py through both ends of a wire: what a stream can do, its windows, its turns, its end."""

from __future__ import annotations

import pytest

from protocol import stream_limits as limits
from protocol.errors import LocalProtocolError
from protocol.stream_frames import FrameType, StreamFrame, decode
from protocol.streams import Controlled, Data, Ended, Role, Streams, WasReset, Writable
from tests.protocol.stream_pair import Pair, data_of, ended


def test_bytes_go_both_ways_and_both_ends_end() -> None:
    pair = Pair()
    stream = pair.opened("terminal", {"cols": 80})
    assert pair.hub.send(stream, b"ls\n") == 3
    pair.machine.send(stream, b"$ ")
    hub, machine = pair.flow()
    assert (data_of(hub, stream), data_of(machine, stream)) == (b"$ ", b"ls\n")
    pair.hub.end(stream)
    assert ended(pair.flow()[1]) == [stream]
    pair.machine.send(stream, b"bye")
    pair.machine.end(stream)
    hub, _ = pair.flow()
    assert hub == [Data(stream, b"bye"), Ended(stream)]
    assert pair.hub.open_count == pair.machine.open_count == 0
    assert pair.hub.open("terminal", {}) == stream + 1


def test_a_machine_that_will_not_refuses_with_a_reason() -> None:
    pair = Pair()
    stream = pair.hub.open("port", {"port": 22})
    pair.flow()
    pair.machine.reset(stream, "not_declared", "22 is not declared")
    hub, machine = pair.flow()
    assert hub == [WasReset(stream, "not_declared", "22 is not declared")]
    assert machine == []
    assert pair.hub.open_count == pair.machine.open_count == 0


def test_a_reset_drops_what_was_not_sent_and_is_answered_once() -> None:
    pair = Pair()
    stream = pair.opened()
    pair.machine.send(stream, b"x" * 100_000)
    pair.push(Role.MACHINE, 1)
    pair.hub.send(stream, b"never read")
    pair.hub.reset(stream, "closed")
    hub, machine = pair.flow()
    assert machine == [WasReset(stream, "closed", "")]
    assert hub == [], "who resets hears no more of the stream"
    assert pair.hub.open_count == pair.machine.open_count == 0


def test_both_resetting_at_once_is_the_end_of_it() -> None:
    pair = Pair()
    stream = pair.opened()
    pair.hub.reset(stream, "a")
    pair.machine.reset(stream, "b")
    assert pair.flow() == ([], [])
    assert pair.hub.open_count == pair.machine.open_count == 0


def test_a_reset_after_end_ends_what_the_peer_still_sends() -> None:
    pair = Pair()
    stream = pair.opened()
    pair.hub.end(stream)
    pair.flow()
    pair.machine.send(stream, b"y" * 50_000)
    pair.hub.reset(stream, "enough")
    _, machine = pair.flow()
    assert machine == [WasReset(stream, "enough", "")]
    assert pair.hub.open_count == pair.machine.open_count == 0


def test_a_reset_takes_the_place_of_an_end_that_was_not_sent() -> None:
    pair = Pair()
    stream = pair.opened()
    pair.hub.send(stream, b"z" * 10)
    pair.hub.end(stream)
    pair.machine.reset(stream, "crashed")
    pair.push(Role.MACHINE)
    assert pair.pull(Role.HUB) == [WasReset(stream, "crashed", "")]
    assert pair.flow() == ([], [])
    assert pair.hub.open_count == pair.machine.open_count == 0


def test_the_window_stops_the_sender_until_the_application_has_consumed() -> None:
    pair = Pair()
    stream = pair.opened()
    much = bytes(range(256)) * 2048
    taken = pair.hub.send(stream, much)
    assert taken == limits.WINDOW
    assert pair.hub.send(stream, much) == 0
    hub, machine = pair.flow()
    assert data_of(machine, stream) == much[:taken]
    assert not [event for event in hub if isinstance(event, Writable)]
    pair.machine.consumed(stream, limits.GRANT_FROM - 1)
    assert pair.flow() == ([], [])
    pair.machine.consumed(stream, 1)
    assert pair.flow()[0] == [Writable(stream)]
    assert pair.hub.send(stream, much[taken:]) == limits.GRANT_FROM


def test_nothing_is_granted_to_a_side_that_has_ended() -> None:
    pair = Pair()
    stream = pair.opened()
    pair.hub.send(stream, b"a" * limits.GRANT_FROM)
    pair.hub.end(stream)
    pair.flow()
    pair.machine.consumed(stream, limits.GRANT_FROM)
    assert pair.flow() == ([], [])


def test_streams_take_turns_and_words_go_before_data() -> None:
    pair = Pair()
    bulk, other = pair.opened(), pair.opened()
    pair.machine.send(bulk, b"b" * 200_000)
    pair.machine.send(other, b"o" * 40_000)
    pair.machine.control(other, {"exit": 0})
    sent = [decode(data) for data in pair.machine.to_send(1_000_000)]
    said = [(frame.type, frame.stream, len(frame.payload)) for frame in sent if frame.type is not FrameType.ACK]
    assert said[0][:2] == (FrameType.CONTROL, other)
    assert [frame[1] for frame in said[1:7]] == [bulk, other, bulk, other, bulk, other]
    assert max(frame[2] for frame in said) == limits.PIECE


def test_one_call_returns_about_as_much_as_asked_for() -> None:
    pair = Pair()
    stream = pair.opened()
    pair.machine.send(stream, b"b" * 200_000)
    assert len(pair.machine.to_send(1)) == 1
    assert sum(map(len, pair.machine.to_send(40_000))) < 40_000 + limits.PIECE + 5


def test_control_words_arrive_also_after_an_end() -> None:
    pair = Pair()
    stream = pair.opened()
    pair.hub.end(stream)
    assert pair.hub.control(stream, {"resize": [80, 24]})
    assert Controlled(stream, {"resize": [80, 24]}) in pair.flow()[1]


def test_control_words_that_wait_are_bounded() -> None:
    pair = Pair()
    stream = pair.opened()
    assert all(pair.hub.control(stream, {"n": n}) for n in range(limits.MAX_WAITING_CONTROLS))
    assert not pair.hub.control(stream, {"n": -1})
    _, machine = pair.flow()
    assert len(machine) == limits.MAX_WAITING_CONTROLS
    assert pair.hub.control(stream, {"n": 1})


def test_no_more_than_64_streams_at_once() -> None:
    pair = Pair()
    streams = [pair.opened() for _ in range(limits.MAX_STREAMS)]
    with pytest.raises(LocalProtocolError, match="64"):
        pair.hub.open("port", {})
    pair.hub.reset(streams[0], "closed")
    pair.flow()
    assert pair.hub.open("port", {}) == 65


def test_acknowledgements_come_by_number_by_size_and_by_time() -> None:
    hub, machine = Streams(Role.HUB), Streams(Role.MACHINE)
    for _ in range(limits.ACK_FRAMES):
        hub.open("port", {})
    for frame in hub.to_send():
        machine.receive(frame)
    acknowledgement = StreamFrame(FrameType.ACK, 0, (32).to_bytes(8, "big"))
    assert [decode(data) for data in machine.to_send()] == [acknowledgement]
    machine.acknowledge()
    assert machine.to_send() == []
    machine.accept(1, {})
    hub.receive(machine.to_send()[0])
    hub.acknowledge()
    assert [decode(data).type for data in hub.to_send()] == [FrameType.ACK]
    hub.send(1, b"a" * 66_000)
    for frame in hub.to_send(100_000):
        machine.receive(frame)
    assert [decode(data).type for data in machine.to_send()] == [FrameType.ACK]


def test_what_is_not_acknowledged_is_bounded_and_then_only_acknowledgements_go_out() -> None:
    pair = Pair()
    streams = [pair.opened() for _ in range(17)]
    for stream in streams:
        pair.hub.send(stream, b"x" * limits.WINDOW)
    pair.settle()
    for stream in streams:
        pair.machine.send(stream, b"y" * limits.WINDOW)
    out = pair.machine.to_send(10 * 1024 * 1024)
    assert limits.MAX_KEPT_BYTES - 40_000 < sum(map(len, out)) < limits.MAX_KEPT_BYTES + limits.PIECE
    pair.machine.control(streams[0], {})
    assert pair.machine.to_send() == []
    for frame in out:
        pair.hub.receive(frame)
    for frame in pair.hub.to_send():
        pair.machine.receive(frame)
    assert pair.machine.to_send() != []


def test_our_own_mistakes_are_ours() -> None:
    pair = Pair()
    stream = pair.opened()
    for mistake in (
        lambda: pair.machine.open("terminal", {}),
        lambda: pair.hub.accept(stream, {}),
        lambda: pair.machine.accept(stream, {}),
        lambda: pair.hub.send(99, b"x"),
        lambda: pair.hub.control(99, {}),
        lambda: pair.hub.consumed(stream, 1),
        lambda: pair.hub.control(stream, {"text": "x" * 40_000}),
    ):
        with pytest.raises(LocalProtocolError):
            mistake()
    pair.hub.consumed(99, 5)
    pair.hub.end(stream)
    with pytest.raises(LocalProtocolError, match="ended"):
        pair.hub.end(stream)
    with pytest.raises(LocalProtocolError, match="ended"):
        pair.hub.send(stream, b"late")
    pair.hub.reset(stream, "closed")
    with pytest.raises(LocalProtocolError, match="reset"):
        pair.hub.reset(stream, "closed")


def test_what_crosses_with_the_end_of_a_stream_is_no_mistake() -> None:
    pair = Pair()
    stream = pair.opened()
    pair.machine.send(stream, b"m" * limits.GRANT_FROM)
    pair.hub.end(stream)
    pair.flow()
    pair.machine.end(stream)
    pair.push(Role.MACHINE)
    # The hub has not heard that END when it grants, controls and loses patience.
    pair.hub.consumed(stream, limits.GRANT_FROM)
    pair.hub.control(stream, {"resize": [1, 1]})
    pair.push(Role.HUB)
    pair.hub.reset(stream, "closed")
    pair.push(Role.HUB)
    assert pair.flow() == ([], [])
    assert pair.hub.open_count == pair.machine.open_count == 0


def test_a_control_that_waits_when_its_stream_is_gone_is_not_sent() -> None:
    pair = Pair()
    stream = pair.opened()
    pair.hub.end(stream)
    pair.flow()
    pair.machine.end(stream)
    pair.push(Role.MACHINE)
    pair.hub.control(stream, {"resize": [1, 1]})
    pair.pull(Role.HUB)
    assert [decode(data).type for data in pair.hub.to_send()] in ([], [FrameType.ACK])
