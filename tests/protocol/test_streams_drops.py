"""protocol/streams.py when the tunnel drops, at any frame: nothing is lost, nothing doubled; and what cannot be."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol import stream_limits as limits
from protocol.streams import Data, Ended, Opened, Role, StreamEvent, StreamProtocolError, WasReset, Writable
from tests.protocol.stream_pair import Pair, data_of


def test_what_was_on_its_way_goes_out_again_and_only_that() -> None:
    pair = Pair()
    stream = pair.opened()
    pair.machine.send(stream, b"a" * 40_000)
    pair.push(Role.MACHINE)
    got = data_of(pair.pull(Role.HUB, 1), stream)
    pair.cut()
    pair.machine.send(stream, b"b" * 10)
    got += data_of(pair.flow()[0], stream)
    assert got == b"a" * 40_000 + b"b" * 10


def test_a_drop_of_the_repetition_is_no_worse() -> None:
    pair = Pair()
    stream = pair.opened()
    pair.machine.send(stream, b"a" * 100_000)
    got = b""
    for _ in range(20):
        pair.push(Role.MACHINE, 1)
        got += data_of(pair.pull(Role.HUB, 1), stream)
        pair.cut()
    assert got + data_of(pair.flow()[0], stream) == b"a" * 100_000


def test_words_that_crossed_with_an_end_are_no_mistake_after_a_drop_either() -> None:
    pair = Pair()
    stream = pair.opened()
    pair.hub.end(stream)
    pair.flow()
    pair.hub.control(stream, {"resize": [1, 1]})
    pair.push(Role.HUB)
    pair.machine.end(stream)
    pair.push(Role.MACHINE)
    pair.pull(Role.HUB)
    pair.cut()
    pair.settle()
    assert pair.hub.open_count == pair.machine.open_count == 0


def test_a_gap_that_cannot_be_repeated_is_the_end() -> None:
    pair = Pair()
    pair.opened()
    pair.settle()
    with pytest.raises(StreamProtocolError, match="taken"):
        pair.hub.resume(0)
    with pytest.raises(StreamProtocolError, match="taken"):
        pair.machine.resume(1_000)


class Drops(RuleBasedStateMachine):
    """Two ends whose applications do whatever they may, over a wire that stalls and is cut at any frame."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()
        self.sent: dict[tuple[Role, int], bytearray] = defaultdict(bytearray)
        self.got: dict[tuple[Role, int], bytearray] = defaultdict(bytearray)
        self.known: dict[Role, set[int]] = {Role.HUB: set(), Role.MACHINE: set()}
        """Streams an end may use: open, and not finished by it."""
        self.done: dict[Role, set[int]] = {Role.HUB: set(), Role.MACHINE: set()}
        """Streams whose END an end has heard."""
        self.broken: set[int] = set()
        self.byte = 0

    def heard(self, role: Role, events: list[StreamEvent]) -> None:
        for event in events:
            if isinstance(event, Opened):
                self.pair.machine.accept(event.id, {})
                self.known[Role.MACHINE].add(event.id)
            elif isinstance(event, Data):
                self.got[role, event.id] += event.data
                self.pair.end(role).consumed(event.id, len(event.data))
            elif isinstance(event, Ended):
                assert event.id not in self.done[role], "an END came twice"
                self.done[role].add(event.id)
            elif isinstance(event, WasReset):
                self.known[role].discard(event.id)
            elif not isinstance(event, Writable):
                self.known[role].add(event.id)

    @rule()
    def open(self) -> None:
        if self.pair.hub.open_count < limits.MAX_STREAMS:
            self.pair.hub.open("terminal", {})

    @rule(role=st.sampled_from(Role), pick=st.integers(0, 9), size=st.integers(1, 90_000))
    def send(self, role: Role, pick: int, size: int) -> None:
        stream = self.one(role, pick)
        if stream:
            self.byte = (self.byte + 1) % 256
            data = bytes([self.byte]) * size
            self.sent[role, stream] += data[: self.pair.end(role).send(stream, data)]

    @rule(role=st.sampled_from(Role), pick=st.integers(0, 9))
    def control(self, role: Role, pick: int) -> None:
        stream = self.one(role, pick)
        if stream:
            self.pair.end(role).control(stream, {"resize": [80, 24]})

    @rule(role=st.sampled_from(Role), pick=st.integers(0, 9), how=st.sampled_from(["end", "end", "reset"]))
    def finish(self, role: Role, pick: int, how: str) -> None:
        stream = self.one(role, pick)
        if not stream:
            return
        self.known[role].discard(stream)
        if how == "end":
            self.pair.end(role).end(stream)
        else:
            self.pair.end(role).reset(stream, "closed")
            self.broken.add(stream)

    def one(self, role: Role, pick: int) -> int:
        known = sorted(self.known[role])
        return known[pick % len(known)] if known else 0

    @rule(role=st.sampled_from(Role), most=st.integers(1, 70_000))
    def push(self, role: Role, most: int) -> None:
        self.pair.push(role, most)

    @rule(role=st.sampled_from(Role), count=st.integers(1, 5))
    def pull(self, role: Role, count: int) -> None:
        for _ in range(count):
            self.heard(role, self.pair.pull(role, 1))

    @rule()
    def time_passes(self) -> None:
        self.pair.hub.acknowledge()
        self.pair.machine.acknowledge()

    @rule()
    @precondition(lambda self: any(self.pair.wires.values()))
    def cut(self) -> None:
        self.pair.cut()

    @invariant()
    def nothing_is_doubled_or_made_up(self) -> None:
        for (role, stream), data in self.got.items():
            other = Role.MACHINE if role is Role.HUB else Role.HUB
            assert self.sent[other, stream].startswith(data)

    def teardown(self) -> None:
        moving = True
        while moving:
            self.time_passes()
            moving = False
            for role in Role:
                moving |= self.pair.push(role) > 0
                while self.pair.wires[role]:
                    self.heard(role, self.pair.pull(role, 1))
        for (role, stream), data in self.sent.items():
            other = Role.MACHINE if role is Role.HUB else Role.HUB
            if stream not in self.broken:
                assert self.got[other, stream] == data, "bytes were lost"


TestDrops = Drops.TestCase
TestDrops.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
