"""The session as a pair: a machine and a hub talk through a fake wire, both ends held against each other."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import codec
from protocol import messages as m
from protocol.errors import CloseCode, LocalProtocolError, RemoteProtocolError
from protocol.session import Session
from protocol.transitions import Role, State, follow
from tests.protocol import strategies
from tests.protocol.golden import CURRENT, frames
from tests.protocol.wire import Pair, hello, other, pair_in, welcome

EXAMPLES: dict[tuple[Role, type], m.Message] = {
    (Role(frame.speaker), type(message)): message for frame in frames(CURRENT) for message in [frame.decode().message]
}
SPEECHES = sorted(EXAMPLES, key=lambda key: (key[0].value, key[1].__name__))
SAMPLE = m.Sample(timestamp="2026-11-23T04:05:06Z", cpu_usage=1.0)


@pytest.mark.parametrize(("state", "speech"), list(product(State, SPEECHES)))
def test_both_ends_agree_on_every_message_in_every_state(state: State, speech: tuple[Role, type]) -> None:
    role, kind = speech
    pair = pair_in(state)
    following = follow(role, state, kind)
    if following is None:
        with pytest.raises(LocalProtocolError, match=state.value):
            pair.ends[role].send(EXAMPLES[speech])
        with pytest.raises(RemoteProtocolError) as caught:
            pair.ends[other(role)].receive(codec.encode(EXAMPLES[speech]))
        assert caught.value.code == "unexpected"
        assert caught.value.close == (
            CloseCode.NOT_AUTHENTICATED if state is State.OPENED else CloseCode.PROTOCOL_ERROR
        )
        assert pair.states == (state, state)
    else:
        assert pair.tell(role, EXAMPLES[speech]).message == EXAMPLES[speech]
        assert pair.states == (following, following)


@pytest.mark.parametrize(("state", "role"), list(product(State, Role)))
def test_neither_side_may_use_the_words_of_the_other(state: State, role: Role) -> None:
    vocabulary = {Role.MACHINE: get_args(m.MachineMessage), Role.HUB: get_args(m.HubMessage)}
    for speaker, kind in SPEECHES:
        if speaker is not role and kind not in vocabulary[role]:
            pair = pair_in(state)
            with pytest.raises(LocalProtocolError):
                pair.ends[role].send(EXAMPLES[speaker, kind])
            with pytest.raises(RemoteProtocolError) as caught:
                pair.ends[other(role)].receive(codec.encode(EXAMPLES[speaker, kind]))
            assert caught.value.code == "unsupported"


def test_an_authenticated_link_begins_with_hello() -> None:
    pair = Pair(authenticated=True)
    assert pair.states == (State.GREETING, State.GREETING)
    with pytest.raises(LocalProtocolError, match="machine may not say auth while the link is greeting"):
        pair.say(Role.MACHINE, m.Auth(token="rvmk_x"))
    pair.tell(Role.MACHINE, hello())
    pair.tell(Role.HUB, welcome())
    assert pair.states == (State.LIVE, State.LIVE)


def test_a_machine_may_say_hello_before_the_hub_judged_its_credentials() -> None:
    pair = Pair(authenticated=False)
    pair.say(Role.MACHINE, m.Auth(token="rvmk_x"))
    pair.say(Role.MACHINE, hello())
    pair.say(Role.HUB, m.Error(code="not_authenticated", message="no such key"))
    assert pair.deliver(Role.HUB).message.code == "not_authenticated"
    pair.deliver(Role.MACHINE)
    pair.deliver(Role.MACHINE)
    assert pair.states == (State.WELCOMING, State.WELCOMING)


def test_goodbyes_that_cross_harm_nobody() -> None:
    pair = pair_in(State.LIVE)
    pair.say(Role.MACHINE, m.Metrics(seq=1, samples=[SAMPLE]))
    pair.say(Role.MACHINE, m.Bye(reason="reboot"))
    pair.say(Role.HUB, m.Restarting(reconnect_in=(1, 20)))
    pair.say(Role.HUB, m.MetricsAck(seq=1))
    for role in (Role.MACHINE, Role.HUB):
        pair.deliver(role)
        pair.deliver(role)
    assert pair.states == (State.CLOSING, State.CLOSING)


@pytest.mark.parametrize("state", [State.GREETING, State.WELCOMING, State.LIVE, State.CLOSING])
@pytest.mark.parametrize("role", Role)
def test_a_type_from_the_future_ends_no_link(role: Role, state: State) -> None:
    receiver = pair_in(state).ends[role]
    with pytest.raises(RemoteProtocolError) as caught:
        receiver.receive('{"type":"teleport"}')
    assert (caught.value.code, caught.value.close) == ("unsupported", None)
    assert receiver.state is state


@pytest.mark.parametrize(
    ("state", "close"),
    [
        (State.OPENED, CloseCode.NOT_AUTHENTICATED),
        (State.GREETING, CloseCode.PROTOCOL_ERROR),
        (State.WELCOMING, CloseCode.PROTOCOL_ERROR),
        (State.LIVE, None),
        (State.CLOSING, None),
        (State.CLOSED, CloseCode.PROTOCOL_ERROR),
    ],
)
def test_a_wrong_field_ends_only_a_link_that_is_not_live_yet(state: State, close: CloseCode | None) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        pair_in(state).hub.receive('{"type":"status","status":"full","seq":-1}')
    assert (caught.value.field, caught.value.close) == ("seq", close)


def test_an_unknown_type_before_authentication_ends_the_link() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        pair_in(State.OPENED).hub.receive('{"type":"teleport"}')
    assert caught.value.close is CloseCode.NOT_AUTHENTICATED


def test_a_binary_frame_is_an_error() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        pair_in(State.LIVE).hub.receive(b'{"type":"bye","reason":"reboot"}')
    assert (caught.value.code, caught.value.close) == ("binary", CloseCode.UNSUPPORTED_DATA)


def test_bad_readings_reach_the_caller_of_a_session() -> None:
    decoded = pair_in(State.LIVE).hub.receive(
        '{"type":"metrics","seq":4,"samples":[{"timestamp":"t","cpu_usage":NaN,"temperature":40}]}'
    )
    assert [fault.field for fault in decoded.faults] == ["samples[0].cpu_usage"]
    assert decoded.message.samples == [m.Sample(timestamp="t", temperature=40.0)]


@given(st.lists(strategies.spoilt_frames() | st.text() | st.binary(), max_size=6), st.sampled_from(list(State)))
@settings(max_examples=200, deadline=None)
def test_whatever_arrives_a_session_raises_only_errors_of_the_wire(arriving: list[str | bytes], state: State) -> None:
    for role in Role:
        session = pair_in(state).ends[role]
        for frame in arriving:
            before = session.state
            try:
                session.receive(frame)
            except RemoteProtocolError as error:
                assert session.state is before
                if error.close is not None:
                    break


@given(st.lists(st.tuples(st.sampled_from(SPEECHES), st.booleans()), max_size=30), st.booleans())
def test_any_conversation_two_sessions_allow_is_understood_by_both(
    talk: list[tuple[tuple[Role, type], bool]], authenticated: bool
) -> None:
    """Each side says what its own table allows; texts lie under way for as long as they like. Nobody ever objects."""
    pair = Pair(authenticated=authenticated)
    for (role, kind), deliver in talk:
        if follow(role, pair.ends[role].state, kind) is not None:
            pair.say(role, EXAMPLES[role, kind])
        if deliver:
            for speaker in Role:
                while pair.under_way[speaker]:
                    pair.deliver(speaker)
    for speaker in Role:
        while pair.under_way[speaker]:
            pair.deliver(speaker)


def test_a_closed_session_says_nothing_more() -> None:
    session = Session(Role.MACHINE, authenticated=True)
    session.closed()
    assert session.state is State.CLOSED
    with pytest.raises(LocalProtocolError):
        session.send(hello())
